"""Two judges on the same battles: where they agree, and which of them agrees more with people.

Both bad counts as a tie, as where a majority is taken. Of a judge's repetitions the first that stands counts.
Battles on one prompt are not independent: intervals are widened by what the prompts' sums tell (a cluster
correction; Liang and Zeger 1986), and none is given where there is too little to tell it from.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Avg, Exists, OuterRef, Subquery

from arena.access import unseen_pairs
from judges.disclosure import disclosed
from judges.exclusions import by_excluded_voter
from judges.majorities import majority_of
from judges.models import Judge, Outcome, Verdict, VerdictTrace

MOST_COMPARED = 50_000  # battles, the newest
FEWEST_PROMPTS = 10
FEWEST_DIFFERENT = 10
Z = 1.959964
FOLDED = (Outcome.A, Outcome.B, Outcome.TIE)


class Decided(NamedTuple):
    """A battle that both judges decided, as A, B or a tie; ``people`` is None without a majority."""

    battle: int
    prompt: int
    one: Outcome
    other: Outcome
    people: Outcome | None


@dataclass(frozen=True, slots=True)
class Share:
    """``k`` of ``n``, with a 95 % Wilson interval on as many battles as they are worth; None without any."""

    k: int
    n: int
    lower: float | None
    upper: float | None

    @property
    def value(self) -> float | None:
        return self.k / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``difference`` is how much more often the first judge says what most people say, in [−1, 1]."""

    n: int
    is_capped: bool
    agreement: Share
    kappa: float | None
    table: list[list[int]]  # of the first judge, by row: A, B, tie; of the other, by column
    one: Share  # agreement with the majority of people
    other: Share
    only_one: int  # battles on which only the first says what people say
    only_other: int
    difference: float | None
    lower: float | None
    upper: float | None
    n_prompts: int

    @property
    def says(self) -> str:
        """Which of the two agrees more with people: "one", "other", or "open" where that can't be told."""
        if self.lower is None or self.upper is None:
            return "open"
        return "one" if self.lower > 0 else "other" if self.upper < 0 else "open"


def decided_by_both(one: Judge, other: Judge) -> tuple[list[Decided], bool]:
    """(battles that both decided, the newest first; whether there are more than these). Two queries."""

    def standing(judge: Judge) -> Any:
        counted = Verdict.objects.filter(judge=judge, voter=None, criterion="", retraction=None)
        # What two judges say of a hidden system would say something of it.
        return counted.exclude(pair__in=unseen_pairs(None, judge.arena))

    earlier = standing(one).filter(battle=OuterRef("battle"), repetition__lt=OuterRef("repetition"))
    theirs = standing(other).filter(battle=OuterRef("battle")).order_by("repetition")
    rows = list(
        standing(one)
        .filter(~Exists(earlier))
        .annotate(theirs=Subquery(theirs.values("outcome")[:1]))
        .filter(theirs__isnull=False)
        .order_by("-battle_id")
        .values_list("battle_id", "prompt_id", "outcome", "theirs")[: MOST_COMPARED + 1]
    )
    is_capped, rows = len(rows) > MOST_COMPARED, rows[:MOST_COMPARED]
    people = _people(one, [row[0] for row in rows])
    return [
        Decided(battle, prompt, folded(mine), folded(their), people.get(battle))
        for battle, prompt, mine, their in rows
    ], is_capped


def compared(rows: Sequence[Decided], *, is_capped: bool = False) -> Comparison:
    """Of what decided_by_both gave."""
    table = Counter((row.one, row.other) for row in rows)
    with_people = [row for row in rows if row.people is not None]
    right = [(row.prompt, row.one == row.people, row.other == row.people) for row in with_people]
    difference, lower, upper = _difference([(p, int(a) - int(b)) for p, a, b in right])
    return Comparison(
        n=len(rows),
        is_capped=is_capped,
        agreement=_share((row.prompt, row.one == row.other) for row in rows),
        kappa=_kappa(table),
        table=[[table[one, other] for other in FOLDED] for one in FOLDED],
        one=_share((prompt, a) for prompt, a, _ in right),
        other=_share((prompt, b) for prompt, _, b in right),
        only_one=sum(a and not b for _, a, b in right),
        only_other=sum(b and not a for _, a, b in right),
        difference=difference,
        lower=lower,
        upper=upper,
        n_prompts=len({prompt for prompt, *_ in right}),
    )


def folded(outcome: int) -> Outcome:
    return Outcome.TIE if outcome == Outcome.BOTH_BAD else Outcome(outcome)


def mean_costs(judges: Iterable[Judge]) -> dict[int, dict[str, float | None]]:
    """By judge the mean cost (USD), tokens and seconds of its verdicts, where they are known."""
    found = {}
    for judge in judges:
        traces = VerdictTrace.objects.filter(
            verdict__judge=judge, verdict__criterion="", verdict__retraction=None
        )
        means = traces.aggregate(cost=Avg("cost"), tokens=Avg("tokens"), ms=Avg("latency_ms"))
        ms = means.pop("ms")
        found[judge.pk] = {**means, "seconds": None if ms is None else ms / 1_000}
    return found


def differences(one: Judge, other: Judge) -> list[tuple[str, Any, Any]]:
    """(dotted name, value of the one, of the other) of what their configurations don't share; no secrets."""
    left, right = _flat(disclosed(one.configuration)), _flat(disclosed(other.configuration))
    return [
        (name, left.get(name), right.get(name))
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    ]


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {at: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= _flat(inner, f"{at}.{name}" if at else str(name))
    return found


def _people(judge: Judge, battles: Sequence[int]) -> dict[int, Outcome | None]:
    if not battles:
        return {}
    rows = (
        Verdict.objects.filter(
            judge__arena=judge.arena_id,
            judge__kind=Judge.Kind.CROWD,
            criterion="",
            retraction=None,
            battle__gte=battles[-1],
            battle__lte=battles[0],
        )
        .exclude(by_excluded_voter())
        .order_by()
        .values_list("battle_id", "outcome")
    )
    wanted = set(battles)
    votes: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for battle, outcome in rows.iterator(chunk_size=5_000):
        if battle in wanted:
            votes[battle][outcome] += 1
    return {battle: majority_of(counts) for battle, counts in votes.items()}


def _share(rows: Iterable[tuple[int, bool]]) -> Share:
    by_prompt: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for prompt, is_so in rows:
        by_prompt[prompt][0] += is_so
        by_prompt[prompt][1] += 1
    k, n = (sum(counts[i] for counts in by_prompt.values()) for i in (0, 1))
    if not n:
        return Share(0, 0, None, None)
    p = k / n
    inflation = 1.0
    if 0 < p < 1 and len(by_prompt) >= FEWEST_PROMPTS:
        clustered = sum((hits - p * of) ** 2 for hits, of in by_prompt.values())
        inflation = max(1.0, clustered / (n * p * (1 - p)))
    worth = n / inflation
    centre = (p + Z * Z / (2 * worth)) / (1 + Z * Z / worth)
    half = Z / (1 + Z * Z / worth) * math.sqrt(p * (1 - p) / worth + Z * Z / (4 * worth * worth))
    return Share(k, n, max(0.0, centre - half), min(1.0, centre + half))


def _difference(
    rows: Sequence[tuple[int, int]],
) -> tuple[float | None, float | None, float | None]:
    """(mean, lower, upper) of paired differences, by prompt; no interval from too few."""
    if not rows:
        return None, None, None
    mean = sum(value for _, value in rows) / len(rows)
    sums: dict[int, float] = defaultdict(float)
    for prompt, value in rows:
        sums[prompt] += value - mean
    if len(sums) < FEWEST_PROMPTS or sum(value != 0 for _, value in rows) < FEWEST_DIFFERENT:
        return mean, None, None
    freedom = len(sums) - 1
    # Student's quantile, near enough from 9 degrees of freedom on (the first term of its expansion).
    quantile = Z + (Z**3 + Z) / (4 * freedom)
    small = len(sums) / freedom
    half = quantile * math.sqrt(small * sum(total * total for total in sums.values())) / len(rows)
    return mean, max(-1.0, mean - half), min(1.0, mean + half)


def _kappa(table: Counter[tuple[Outcome, Outcome]]) -> float | None:
    """Cohen's (1960); None where chance alone would explain everything, or nothing was compared."""
    n = sum(table.values())
    if not n:
        return None
    agreed = sum(table[of, of] for of in FOLDED) / n
    chance = sum(
        sum(table[of, b] for b in FOLDED) * sum(table[a, of] for a in FOLDED) for of in FOLDED
    ) / (n * n)
    return None if chance == 1 else (agreed - chance) / (1 - chance)
