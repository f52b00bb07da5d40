"""What most people said of each battle, where enough of them have said anything."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from django.db.models import Count, Q

from arena.models import Arena
from judges.cuts import Cut
from judges.derivations import BattleRow
from judges.exclusions import by_excluded_voter
from judges.models import Judge, Outcome, Retraction, Verdict

FETCHED_AT_ONCE = 5_000


def majority_of(votes: Sequence[int]) -> Outcome | None:
    """What more people said than anything else; None where that is level. Both bad counts as a tie.

    ``votes`` counts A, B, tie and both bad.
    """
    folded = [votes[Outcome.A], votes[Outcome.B], votes[Outcome.TIE] + votes[Outcome.BOTH_BAD]]
    top = max(folded)
    return Outcome(folded.index(top)) if top and folded.count(top) == 1 else None


def majorities(
    *, arena: Arena, up_to: Cut, at_least: int = 1
) -> Iterator[tuple[int, Outcome | None]]:
    """(battle, what most people said of it) of all battles with ``at_least`` votes, by battle.

    Overall votes that weren't taken back, of voters who weren't excluded at that time, of all crowds.
    """
    for battle, votes in _counted(arena, up_to):
        if sum(votes) >= at_least:
            yield battle, majority_of(votes)


class Votes(NamedTuple):
    """On one battle: how often each outcome was given, and how many of these votes are from before."""

    all: list[int]
    before: int


def votes_on(arena_id: int, battles: Sequence[BattleRow], *, since: int) -> dict[int, Votes]:
    """What people say now of these battles, which are in the order of their ids, where they say anything.

    ``since``: the last verdict that counts as from before, by id.
    """
    crowds = Judge.objects.filter(arena=arena_id, kind=Judge.Kind.CROWD)
    rows = (
        Verdict.objects.filter(
            judge__in=crowds,
            criterion="",
            battle__gte=battles[0].pk,
            battle__lte=battles[-1].pk,
            retraction=None,
        )
        .exclude(by_excluded_voter())
        .order_by()
        .values_list("battle_id", "outcome")
        .annotate(n=Count("pk"), old=Count("pk", filter=Q(pk__lte=since)))
    )
    found: dict[int, Votes] = {}
    for battle, outcome, n, old in rows:
        votes = found.get(battle, Votes([0, 0, 0, 0], 0))
        votes.all[outcome] = n
        found[battle] = Votes(votes.all, votes.before + old)
    return found


def _counted(arena: Arena, up_to: Cut) -> Iterator[tuple[int, list[int]]]:
    crowds = Judge.objects.filter(arena=arena, kind=Judge.Kind.CROWD)
    taken_back = Retraction.objects.filter(pk__lte=up_to.retraction, verdict__judge__in=crowds)
    rows = (
        Verdict.objects.filter(judge__in=crowds, criterion="", pk__lte=up_to.verdict)
        .exclude(pk__in=taken_back.values("verdict"))
        .exclude(by_excluded_voter(up_to=up_to.exclusion))
        .order_by("battle_id")
        .values_list("battle_id", "outcome")
        .annotate(n=Count("pk"))
    )
    battle, votes = None, [0, 0, 0, 0]
    for found, outcome, n in rows.iterator(chunk_size=FETCHED_AT_ONCE):
        if found != battle:
            if battle is not None:
                yield battle, votes
            battle, votes = found, [0, 0, 0, 0]
        votes[outcome] = n
    if battle is not None:
        yield battle, votes
