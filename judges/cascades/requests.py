"""Cascades that people ask for by a form or the API: a worker calibrates them, which takes numpy and time."""

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db import transaction

from arena.audit import account_of
from arena.models import Arena
from judges.cascades.making import CascadeError, Terms, Tier, check_cascade, make_cascade
from judges.models import CascadeRequest, Judge

MAX_ATTEMPTS = 3
State = CascadeRequest.State


@transaction.atomic
def request_cascade(
    *,
    arena: Arena,
    key: uuid.UUID,
    name: str,
    tiers: Sequence[Tier],
    terms: Terms,
    description: str = "",
    actor: Any = None,
) -> CascadeRequest:
    """Ask a worker for a cascade. The same key again gives the request that is there.

    Raises CascadeError for what can be told before anything is calibrated.
    """
    Arena.objects.select_for_update().get(pk=arena.pk)
    if found := CascadeRequest.objects.filter(arena=arena, key=key).first():
        return found
    terms.check()
    check_cascade(arena, name, tiers)
    request = CascadeRequest.objects.create(
        arena=arena,
        key=key,
        name=name,
        description=description,
        tiers=[{"slug": tier.judge.slug, "confidence": tier.confidence} for tier in tiers],
        terms=terms.as_json(),
        created_by=account_of(actor),
    )
    transaction.on_commit(partial(_queue, request.pk))
    return request


def work_on_request(key: int) -> CascadeRequest:
    """Make the cascade. Twice is as once: the same votes and terms give the judge that is there."""
    waiting = CascadeRequest.objects.filter(pk=key, state=State.QUEUED)
    if not waiting.exists() or not waiting.claim(key):
        return CascadeRequest.objects.get(pk=key)
    request = CascadeRequest.objects.select_related("arena", "created_by").get(pk=key)
    try:
        request.judge = make_cascade(
            arena=request.arena,
            name=request.name,
            tiers=_tiers(request.arena, request.tiers),
            terms=Terms(**request.terms),
            description=request.description,
            actor=request.created_by,
        )
    except CascadeError as error:
        return request.finish(State.FAILED, error=str(error))
    return request.finish(State.DONE)


def sweep_requests() -> int:
    """Ask again for those that a lost message or a dead worker left; fail those that kill their workers."""
    keys = CascadeRequest.objects.still_wanted(most=MAX_ATTEMPTS)
    for key in keys:
        _queue(key)
    return len(keys)


def _tiers(arena: Arena, rows: Sequence[Mapping[str, str]]) -> list[Tier]:
    named = Judge.objects.filter(arena=arena, slug__in=[row["slug"] for row in rows])
    judges = {judge.slug: judge for judge in named}
    if gone := [row["slug"] for row in rows if row["slug"] not in judges]:
        raise CascadeError(f"There is no judge {gone[0]} any more: ask for the cascade again.")
    return [Tier(judges[row["slug"]], row["confidence"]) for row in rows]


def _queue(key: int) -> None:
    from judges.tasks import make_requested_cascade

    make_requested_cascade.delay(key)
