"""What the commands that make arenas share."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from arena.models import Arena
from arena.uploads import UploadError


def account_of(email: str) -> Any:
    """The one account with this address. Raises CommandError."""
    found = list(get_user_model().objects.filter(email__iexact=email)[:2])
    if len(found) != 1:
        reason = "no account" if not found else "more than one account"
        raise CommandError(
            f"There is {reason} with the address {email}. Accounts are made at /accounts/signup/, or by "
            "manage.py createsuperuser."
        )
    return found[0]


def arena_of(slug: str) -> Arena:
    """Raises CommandError."""
    try:
        return Arena.objects.get(slug=slug)
    except Arena.DoesNotExist:
        raise CommandError(
            f"There is no arena {slug!r}: manage.py create_arena makes one."
        ) from None


def content_of(path: Path) -> bytes:
    """Raises CommandError."""
    try:
        if path.stat().st_size > settings.LARGEST_UPLOAD:
            raise CommandError(
                f"{path} is larger than {settings.LARGEST_UPLOAD // 2**20} MB: split it, or use "
                "manage.py import_dataset for whole datasets."
            )
        return path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}.") from error


def complaint(error: UploadError | ValidationError | ValueError) -> CommandError:
    """Every problem on a line of its own."""
    if isinstance(error, UploadError):
        more = error.count - len(error.problems)
        lines = [str(problem) for problem in error.problems]
        lines += [f"… and {more:,} more."] if more else []
        return CommandError("\n".join([*lines, "Nothing was stored."]))
    if isinstance(error, ValidationError):
        return CommandError(" ".join(error.messages))
    return CommandError(str(error))
