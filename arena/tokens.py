"""Access tokens: how programs act as an account. One is shown once; the database keeps only its digest."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from arena.models import AccessToken

# Tells people, and scanners of published code, what a lost string is.
PREFIX = "jurybox_"
LONGEST_DAYS = 365
MOST = 20  # tokens of one account that are good at the same time


class TokenError(ValueError):
    """One sentence: why this token isn't made, or isn't taken, and what to do."""


@transaction.atomic
def make_token(*, user: Any, name: str, scope: str, days: int) -> tuple[AccessToken, str]:
    """Make a token that is good for so many days; it and its words, which nobody can look up again.

    Raises TokenError when the account has as many as it may.
    """
    if scope not in AccessToken.Scope.values:
        raise ValueError(f"There is no scope {scope!r}.")
    if not 1 <= days <= LONGEST_DAYS:
        raise ValueError(f"A token is good for 1 to {LONGEST_DAYS} days, not {days}.")
    # The account's row: two forms sent at once are counted one after the other.
    get_user_model().objects.select_for_update().get(pk=user.pk)
    if good_tokens().filter(user=user).count() >= MOST:
        raise TokenError(f"An account has at most {MOST} tokens: revoke one that isn’t needed.")
    words = PREFIX + secrets.token_urlsafe(32)
    token = AccessToken.objects.create(
        user=user,
        name=name,
        digest=_digest(words),
        scope=scope,
        expires_at=timezone.now() + timedelta(days=days),
    )
    return token, words


def revoke_token(*, token: AccessToken) -> bool:
    """Make it useless from now on; whether it wasn't before."""
    fresh = AccessToken.objects.filter(pk=token.pk, revoked_at=None)
    return bool(fresh.update(revoked_at=timezone.now()))


def find_token(words: str) -> AccessToken:
    """The token, with its account, and the day noted as the last of its use. Raises TokenError."""
    found = AccessToken.objects.filter(digest=_digest(words)).select_related("user").first()
    if found is None or not found.user.is_active:
        raise TokenError(
            "There is no such token: copy it whole, or make one on your account’s page."
        )
    now = timezone.now()
    if found.revoked_at is not None or found.expires_at <= now:
        why = "expired" if found.revoked_at is None else "was revoked"
        raise TokenError(f"This token {why}: make another on your account’s page.")
    today = now.date()
    # At most one write a day, however often it is used.
    if found.last_used_on != today:
        AccessToken.objects.filter(
            Q(last_used_on=None) | Q(last_used_on__lt=today), pk=found.pk
        ).update(last_used_on=today)
        found.last_used_on = today
    return found


def good_tokens() -> Any:
    """Those that are neither revoked nor expired."""
    return AccessToken.objects.filter(revoked_at=None, expires_at__gt=timezone.now())


def _digest(words: str) -> str:
    # They are 256 random bits: nothing is gained by a slow hash.
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()
