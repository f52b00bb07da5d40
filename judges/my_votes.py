"""What one person voted, and how it compares with others. Reads only, and a fixed number of queries."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import Case, Count, F, OuterRef, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Sign

from arena.models import Arena, Battle, System
from judges.exclusions import by_excluded_voter
from judges.models import Ballot, Judge, Outcome, Verdict, Voter
from judges.voters import voters_of

PAGE = 30
# With fewer decided battles an interval says little more than "anything is possible".
ENOUGH = 5
SIDES = (Outcome.A, Outcome.B)
# Judges that give one verdict a battle under repetition 0.
MACHINES = (Judge.Kind.LLM, Judge.Kind.JURY, Judge.Kind.PROGRAM, Judge.Kind.CASCADE)
Z = 1.959964  # of 95 %


class Share(NamedTuple):
    """``k`` of ``n``, with Wilson's 95 % interval; all three shares are None without any."""

    k: int
    n: int
    rate: float | None
    lower: float | None
    upper: float | None

    @classmethod
    def of(cls, k: int, n: int) -> "Share":
        """Wilson (1927). Raises ValueError unless 0 <= k <= n."""
        if not 0 <= k <= n:
            raise ValueError(f"{k} of {n} is no share.")
        if n == 0:
            return cls(0, 0, None, None, None)
        rate, square = k / n, Z * Z
        middle = (rate + square / (2 * n)) / (1 + square / n)
        half = Z * math.sqrt(rate * (1 - rate) / n + square / (4 * n * n)) / (1 + square / n)
        return cls(k, n, rate, max(0.0, middle - half), min(1.0, middle + half))


class Page(NamedTuple):
    ballots: list[Ballot]
    older: int | None  # the id before which to go on


class Win(NamedTuple):
    system: System
    share: Share


def history(voter: Voter, *, before: int | None = None) -> Page:
    """Votes that stand, newest first. Gold items aren't among them: they would be known by it."""
    mine = votes(voter).order_by("-pk")
    if before is not None:
        mine = mine.filter(pk__lt=before)
    found = list(mine[: PAGE + 1])
    return Page(found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else None)


def votes(voter: Voter) -> QuerySet[Ballot]:
    standing = Ballot.objects.filter(voter__in=voters_of(voter), state=Ballot.State.VOTED)
    return standing.exclude(battle=None).select_related(
        "battle__prompt", "battle__system_a", "battle__system_b"
    )


def others_on(ballots: list[Ballot], voter: Voter) -> dict[int, Counter]:
    """Battle → outcome → how many other people decided so; one query."""
    counts: dict[int, Counter] = defaultdict(Counter)
    rows = _of_others(voter).filter(battle__in={ballot.battle_id for ballot in ballots})
    for battle, outcome, n in rows.values_list("battle", "outcome").annotate(n=Count("pk")):
        counts[battle][outcome] = n
    return counts


def agreement_with_people(voter: Voter) -> Share:
    """Raw agreement: of the battles where I chose a side and more others chose one side than the other, the
    share where it was the same side."""
    worth = Case(When(outcome=Outcome.A, then=Value(1)), When(outcome=Outcome.B, then=Value(-1)))
    leaning = _of_others(voter).filter(battle=OuterRef("pk"), outcome__in=SIDES)
    leaning = leaning.values("battle").annotate(lean=Sum(worth)).values("lean")
    compared = (
        Battle.objects.filter(pk__in=_mine(voter).values("battle"))
        .annotate(lean=Sign(Subquery(leaning)), chosen=_choice(voter, OuterRef("pk")))
        .filter(lean__in=(-1, 1), chosen__in=SIDES)
        .order_by()
    )
    same = Q(lean=1, chosen=Outcome.A) | Q(lean=-1, chosen=Outcome.B)
    found = compared.aggregate(n=Count("pk"), k=Count("pk", filter=same))
    return Share.of(found["k"], found["n"])


def agreement_with_judges(voter: Voter) -> list[tuple[Judge, Share]]:
    """Raw agreement with each LLM, jury, program and cascade on the battles where both chose a side."""
    decided = (
        Verdict.objects.filter(
            battle__in=_mine(voter).values("battle"),
            judge__kind__in=MACHINES,
            voter=None,
            criterion="",
            repetition=0,
            retraction=None,
            outcome__in=SIDES,
        )
        .annotate(chosen=_choice(voter, OuterRef("battle")))
        .filter(chosen__in=SIDES)
        .order_by()
    )
    rows = decided.values_list("judge").annotate(
        n=Count("pk"), k=Count("pk", filter=Q(outcome=F("chosen")))
    )
    found = {judge: Share.of(k, n) for judge, n, k in rows}
    judges = Judge.objects.filter(pk__in=found).defer("configuration", "description")
    return [(judge, found[judge.pk]) for judge in judges]


def win_rates(voter: Voter) -> tuple[list[Win], int]:
    """Per system the share won of my battles that had a winner, best first, and how many systems have
    fewer than ENOUGH such battles."""
    tally: dict[int, Counter] = defaultdict(Counter)
    rows = _mine(voter).filter(outcome__in=SIDES).order_by()
    rows = rows.values_list("pair__system_a", "pair__system_b", "outcome").annotate(n=Count("pk"))
    for *systems, outcome, n in rows:
        for side, system in zip(SIDES, systems, strict=True):
            tally[system]["n"] += n
            tally[system]["k"] += n if outcome == side else 0
    enough = {system: count for system, count in tally.items() if count["n"] >= ENOUGH}
    systems = System.objects.filter(pk__in=enough).select_related("arena")
    wins = [Win(s, Share.of(enough[s.pk]["k"], enough[s.pk]["n"])) for s in systems]
    wins.sort(key=lambda win: (-(win.share.rate or 0), -win.share.n, str(win.system)))
    return wins, len(tally) - len(enough)


COLUMNS = (
    "battle",
    "system_a",
    "system_b",
    "outcome",
    "shown_first",
    "repeat",
    "decided_at",
    "seconds",
)


def rows_of(arena: Arena, voter: Voter) -> Iterator[tuple]:
    """My votes as a table, oldest first, in the orientation of the battles' pages."""
    names = {outcome.value: outcome.name.lower() for outcome in Outcome}
    for ballot in votes(voter).filter(arena=arena).order_by("pk").iterator(chunk_size=500):
        yield (
            ballot.battle_id,
            str(ballot.battle.system_a),
            str(ballot.battle.system_b),
            names[ballot.outcome],
            "ab"[ballot.shown_first],
            "yes" if ballot.purpose == Ballot.Purpose.REPEAT else "no",
            ballot.decided_at.isoformat(timespec="seconds"),
            "" if ballot.dwell_ms is None else round(ballot.dwell_ms / 1000, 1),
        )


def _mine(voter: Voter) -> QuerySet[Verdict]:
    return Verdict.objects.filter(voter__in=voters_of(voter), criterion="", retraction=None)


def _choice(voter: Voter, battle: OuterRef) -> Subquery:
    return Subquery(_mine(voter).filter(battle=battle).order_by("pk").values("outcome")[:1])


def _of_others(voter: Voter) -> QuerySet[Verdict]:
    verdicts = Verdict.objects.filter(
        judge__kind=Judge.Kind.CROWD, criterion="", retraction=None
    ).exclude(by_excluded_voter())
    # A source that doesn't say who voted gives verdicts without a voter.
    return verdicts.filter(Q(voter=None) | ~Q(voter__in=voters_of(voter).values("pk"))).order_by()
