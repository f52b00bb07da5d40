"""Uploads between the check and the second look: kept as files, for a day, for whoever uploaded them.

Several web machines must share settings.UPLOADS_DIR, or send one visitor to one machine.
"""

import re
import secrets
import time
from typing import Any

from django.conf import settings
from django.utils.crypto import salted_hmac

KEPT_SECONDS = 24 * 3600
KEPT_PER_ACCOUNT = 5
_TOKEN = re.compile(r"[0-9a-f]{32}\Z")


def keep(content: bytes, *, user: Any) -> str:
    """Keep it; the token by which the same account finds it again."""
    folder = settings.UPLOADS_DIR
    folder.mkdir(parents=True, exist_ok=True)
    _forget_old(user)
    token = secrets.token_hex(16)
    (folder / _name(token, user)).write_bytes(content)
    return token


def find(token: str, *, user: Any) -> bytes | None:
    """What was kept under the token; None when there is nothing (any more), or for another account."""
    if not _TOKEN.match(token):
        return None
    try:
        return (settings.UPLOADS_DIR / _name(token, user)).read_bytes()
    except FileNotFoundError:
        return None


def forget(token: str, *, user: Any) -> None:
    if _TOKEN.match(token):
        (settings.UPLOADS_DIR / _name(token, user)).unlink(missing_ok=True)


def _name(token: str, user: Any) -> str:
    return f"{user.pk}-{salted_hmac('arena.kept_uploads', f'{user.pk} {token}').hexdigest()}"


def _forget_old(user: Any) -> None:
    """Whatever is too old, and of one account all but the newest: nobody fills the disk."""
    oldest, mine = time.time() - KEPT_SECONDS, []
    for file in settings.UPLOADS_DIR.iterdir():
        try:
            written = file.stat().st_mtime
        except FileNotFoundError:
            continue  # another process was quicker
        if written < oldest:
            file.unlink(missing_ok=True)
        elif file.name.startswith(f"{user.pk}-"):
            mine.append((written, file))
    for _, file in sorted(mine)[: max(0, len(mine) - KEPT_PER_ACCOUNT + 1)]:
        file.unlink(missing_ok=True)
