"""Battles that people are asked about first: put in the queue, handed out in turn, taken out again."""

import random  # noqa: TID251 (the caller's: who gets which battle must not be foreseeable)
from collections.abc import Collection, Sequence

from django.db.models import Q, QuerySet

from arena.models import Battle, Standing, WantedBattle

# One of this many at the head of the queue is handed out, so that voters who come at once get different ones.
IN_TURN = 20


def shown(side: str) -> Q:
    """The condition on battles that this side's output is there, doesn't give its system away, and that
    the system is one that people are asked about."""
    output = f"output_{side}__"
    leaks = Q(**{f"{output}leak": None}) | Q(**{f"{output}leak": ""})
    asked = Q(**{f"system_{side}__standing": Standing.PUBLISHED})
    return Q(**{f"{output}text__gt": ""}) & leaks & asked


def draw_wanted(*, arena_id: int, seen: QuerySet, rng: random.Random) -> Battle | None:
    """A wanted battle for a voter who has had those of ``seen`` (ids); None when there is none."""
    waiting = (
        Battle.objects.filter(shown("a"), shown("b"), wanted__arena=arena_id)
        .exclude(pk__in=seen)
        .order_by("wanted__pk")
    )
    found = list(waiting[:IN_TURN])
    return rng.choice(found) if found else None


def keep_wanted(
    *, arena_id: int, source: str, among: Sequence[int], wanted: Collection[int], votes: int
) -> int:
    """Of the battles ``among`` (ids, in order) ``source`` wants just these; how many of them can be shown.

    What another source wants is left alone, and has its turn kept.
    """
    mine = WantedBattle.objects.filter(
        battle__gte=among[0], battle__lte=among[-1], arena=arena_id, source=source
    )
    there = set(mine.values_list("battle_id", flat=True))
    asked = set(
        Battle.objects.filter(shown("a"), shown("b"), pk__in=wanted).values_list("pk", flat=True)
        if wanted
        else ()
    )
    if gone := there - asked:
        mine.filter(battle__in=gone).delete()
    WantedBattle.objects.bulk_create(
        (
            WantedBattle(arena_id=arena_id, battle_id=pk, source=source, votes=votes)
            for pk in sorted(asked - there)
        ),
        ignore_conflicts=True,
    )
    return len(asked)
