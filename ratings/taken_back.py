"""Verdicts that were cast and taken back since a snapshot: no new one comes of them, as nothing that it counts
has changed, but a page says how many were taken back by now."""

from judges.models import Judge, Retraction
from ratings.models import Snapshot
from ratings.slices import PEOPLE

# So many of the retractions since are looked at: a page needn't be exact beyond.
MOST_LOOKED_AT = 10_000


def taken_back_since(snapshot: Snapshot) -> int:
    """How many verdicts of the snapshot's slice were both cast and taken back after it was counted.

    Retractions of older verdicts are left out: those change the figures, and the next snapshot counts them.
    For the slices that pages ask for: judge, criterion and category.
    """
    slice = snapshot.slice
    since = Retraction.objects.filter(
        pk__gt=snapshot.last_retraction_id, verdict_id__gt=snapshot.last_verdict_id
    )
    found = Retraction.objects.filter(
        pk__in=since.order_by("pk").values("pk")[:MOST_LOOKED_AT],
        verdict__arena_id=snapshot.arena_id,
        verdict__criterion=slice.get("criterion", ""),
    )
    judge = slice.get("judge", PEOPLE)
    if judge == PEOPLE:
        found = found.filter(verdict__judge__kind=Judge.Kind.CROWD)
    else:
        found = found.filter(verdict__judge__slug=judge)
    if category := slice.get("category"):
        found = found.filter(
            verdict__prompt__categories__slug=category,
            verdict__prompt__categories__arena_id=snapshot.arena_id,
        )
    return found.count()
