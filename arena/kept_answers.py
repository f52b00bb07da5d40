"""Answers to requests that came with an Idempotency-Key: the same request again gets the same answer.

A row says that a key is taken before anything is done, and keeps the answer afterwards. It is a transaction
of its own, so of two requests that come at once the second is told that the first is under way. What was
refused changed nothing, and isn't kept: it may be sent again under the same key. A worker that dies in the
middle leaves a row without an answer, whose claim runs out; whether the deed was done then is up to the verbs,
which can all be repeated.
"""

import hashlib
import json
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from arena.models import KeptAnswer

KEPT_DAYS = 7
UNDER_WAY_SECONDS = 120
LONGEST_KEY = 200


class KeyTaken(ValueError):
    """The key belongs to another request, or to one under way: then ``wait`` says for how many seconds."""

    def __init__(self, sentence: str, *, wait: int = 0) -> None:
        super().__init__(sentence)
        self.wait = wait


def fingerprint(*, method: str, address: str, body: bytes) -> str:
    """SHA-256 of a request; ``address`` is its path with the query."""
    hasher = hashlib.sha256(f"{method} {address}\0".encode("utf-8", "surrogatepass"))
    hasher.update(body)
    return hasher.hexdigest()


def body_of(data: Any) -> bytes:
    """What was sent, as it was parsed: bytes as they are, JSON in one order."""
    if isinstance(data, bytes):
        return data
    content = getattr(data, "content", None)
    if isinstance(content, bytes):
        return content
    plain = dict(data) if hasattr(data, "keys") else data
    return json.dumps(plain, sort_keys=True, default=str).encode("utf-8", "surrogatepass")


def begin(*, user: Any, key: str, request: str) -> KeptAnswer:
    """The row of the key: with an answer (``status``) when the same ``request`` (fingerprint) had one.

    Raises KeyTaken.
    """
    until = timezone.now() + timedelta(seconds=UNDER_WAY_SECONDS)
    fields = {"fingerprint": request, "claimed_until": until}
    try:
        with transaction.atomic():
            return KeptAnswer.objects.create(user=user, key=key, **fields)
    except IntegrityError:
        pass
    there = KeptAnswer.objects.filter(user=user, key=key).first()
    if there is None:
        # It was refused, and forgotten, between the two looks.
        return begin(user=user, key=key, request=request)
    if there.fingerprint != request:
        raise KeyTaken("This Idempotency-Key was sent with another request before: take a new one.")
    if there.status is not None:
        return there
    # A claim that ran out is taken over by one of those who ask.
    mine = KeptAnswer.objects.filter(
        pk=there.pk,
        status=None,
        claimed_until=there.claimed_until,
        claimed_until__lt=timezone.now(),
    )
    if mine.update(claimed_until=until):
        there.claimed_until = until
        return there
    wait = max(1, round((there.claimed_until - timezone.now()).total_seconds()))
    raise KeyTaken("The same request is under way: ask again for its answer.", wait=min(wait, 5))


def keep(kept: KeptAnswer, *, status: int, body: str) -> None:
    KeptAnswer.objects.filter(pk=kept.pk).update(status=status, body=body)


def forget(kept: KeptAnswer) -> None:
    """It was refused: nothing was done under this key."""
    KeptAnswer.objects.filter(pk=kept.pk, status=None).delete()


def sweep() -> int:
    """Forget what is older than KEPT_DAYS; how many."""
    old = timezone.now() - timedelta(days=KEPT_DAYS)
    return KeptAnswer.objects.filter(created_at__lt=old).delete()[0]
