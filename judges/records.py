"""The public record: which battles there were, and who decided what. Reads only.

An arena may have a million battles, so no page counts them or skips over them: pages are told by the id
where they begin, and a search that no index answers looks at SEARCHED battles at most before it shows how
far it came.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db.models import Case, Count, OuterRef, Q, QuerySet, Subquery, Sum, Value, When

from arena.access import unseen_pairs
from arena.models import Arena, Battle, Category, Pair, Prompt, System
from judges.exclusions import by_excluded_voter
from judges.models import Judge, JudgeCall, Outcome, Verdict
from judges.wording import summary

PAGE = 50
SEARCHED = 20_000
VERDICTS_SHOWN = 100
# How many judges a summary names; the others are counted together.
NAMED_JUDGES = 6

AGREEMENT = {
    "opposite": "people and judges favour opposite sides",
    "same": "people and judges favour the same side",
    "split": "verdicts for both sides",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which battles of an arena; ``agreement`` is empty or a key of AGREEMENT."""

    arena: Arena
    systems: tuple[System, ...] = ()  # one, or two that met
    prompt: Prompt | None = None
    category: Category | None = None
    judge: Judge | None = None
    agreement: str = ""
    viewer: Any = None  # who looks; None: the public

    @property
    def is_searched(self) -> bool:
        """Whether battles must be looked at one by one."""
        return bool(self.category or self.judge or self.agreement)

    def indexed(self) -> QuerySet[Battle]:
        """What indexes answer: the pair and the prompt."""
        battles = Battle.objects.filter(arena=self.arena)
        battles = battles.exclude(pair__in=unseen_pairs(self.viewer, self.arena))
        if self.systems:
            pairs = Pair.objects.filter(arena=self.arena)
            for system in self.systems:
                pairs = pairs.filter(Q(system_a=system) | Q(system_b=system))
            battles = battles.filter(pair__in=pairs.order_by().values("pk"))
        if self.prompt:
            battles = battles.filter(prompt=self.prompt)
        return battles

    def searched(self, battles: QuerySet[Battle]) -> QuerySet[Battle]:
        """The rest of the conditions, a few look-ups a battle."""
        if self.category:
            battles = battles.filter(prompt__in=self.category.prompts.order_by().values("pk"))
        machines = Q(judge=self.judge) if self.judge else ~Q(judge__kind=Judge.Kind.CROWD)
        if self.judge:
            battles = battles.alias(judged=_count(machines)).filter(judged__gt=0)
        if self.agreement == "split":
            sides = {f"n_{side.name}": _count(Q(outcome=side)) for side in (Outcome.A, Outcome.B)}
            return battles.alias(**sides).filter(**{f"{name}__gt": 0 for name in sides})
        if not self.agreement:
            return battles
        opposite = self.agreement == "opposite"
        return battles.alias(
            people=_lean(Q(judge__kind=Judge.Kind.CROWD)), judges=_lean(machines)
        ).filter(
            Q(people__gt=0, **{"judges__lt" if opposite else "judges__gt": 0})
            | Q(people__lt=0, **{"judges__gt" if opposite else "judges__lt": 0})
        )


def _counted(whose: Q) -> QuerySet[Verdict]:
    """Overall verdicts on the battle of the outer query that are counted."""
    return (
        Verdict.objects.filter(whose, battle=OuterRef("pk"), criterion="", retraction=None)
        .exclude(by_excluded_voter())
        .order_by()
        .values("battle")
    )


def _count(whose: Q) -> Subquery:
    return Subquery(_counted(whose).annotate(n=Count("pk")).values("n"))


def _lean(whose: Q) -> Subquery:
    """Verdicts for A less those for B; NULL without verdicts."""
    worth = Case(
        When(outcome=Outcome.A, then=Value(1)),
        When(outcome=Outcome.B, then=Value(-1)),
        default=Value(0),
    )
    return Subquery(_counted(whose).annotate(lean=Sum(worth)).values("lean"))


class Page(NamedTuple):
    """Battles, newest first. ``newer`` and ``older`` are the ids beyond which to go on, None at an end."""

    battles: list[Battle]
    newer: int | None
    older: int | None
    searched: int | None  # how many battles were looked at, where that wasn't all there are


def battles_page(
    selection: Selection,
    *,
    before: int | None = None,
    after: int | None = None,
    size: int | None = None,
) -> Page:
    """The battles next to an id: older than ``before``, or newer than ``after``, or the newest.

    ``size`` of them at most, PAGE without it.
    """
    size = size or PAGE
    ascending = after is not None
    order, beyond, within = (
        ("pk", "pk__gt", "pk__lte") if ascending else ("-pk", "pk__lt", "pk__gte")
    )
    candidates = selection.indexed()
    start = after if ascending else before
    if start is not None:
        candidates = candidates.filter(**{beyond: start})
    edge = None
    if selection.is_searched:
        edge = (
            candidates.order_by(order).values_list("pk", flat=True)[SEARCHED - 1 : SEARCHED].first()
        )
        if edge is not None:
            candidates = candidates.filter(**{within: edge})
        candidates = selection.searched(candidates)
    found = list(
        candidates.select_related("system_a", "system_b", "prompt").order_by(order)[: size + 1]
    )
    more, found = len(found) > size, found[:size]
    going_on = found[-1].pk if more else edge
    # The way back: what lies on the other side of where this page begins.
    back = None
    if start is not None:
        back = found[0].pk if found else start + (-1 if not ascending else 1)
    if ascending:
        found.reverse()
        newer, older = going_on, back
    else:
        newer, older = back, going_on
    return Page(found, newer, older, SEARCHED if edge is not None and not more else None)


def neighbours(selection: Selection, battle: Battle) -> tuple[int | None, int | None]:
    """The ids of the next older and the next newer battle of the selection."""
    pages = (
        battles_page(selection, before=battle.pk, size=1),
        battles_page(selection, after=battle.pk, size=1),
    )
    older, newer = (page.battles[0].pk if page.battles else None for page in pages)
    return older, newer


def summaries(battles: Iterable[Battle]) -> dict[int, str]:
    """For each battle its id and the verdicts in one line. Two queries, whatever the number of verdicts."""
    counted = (
        Verdict.objects.filter(
            battle__in=[battle.pk for battle in battles], criterion="", retraction=None
        )
        .exclude(by_excluded_voter())
        .order_by()
        .values_list("battle_id", "judge_id", "outcome")
        .annotate(n=Count("pk"))
    )
    by_battle: dict[int, dict[int, Counter[int]]] = defaultdict(lambda: defaultdict(Counter))
    for battle_id, judge_id, outcome, n in counted:
        by_battle[battle_id][judge_id][outcome] += n
    judges = Judge.objects.in_bulk({pk for of in by_battle.values() for pk in of})
    return {battle.pk: summary(_groups(by_battle.get(battle.pk, {}), judges)) for battle in battles}


def _groups(
    counts: dict[int, Counter[int]], judges: dict[int, Judge]
) -> list[tuple[str, Counter[int]]]:
    """People first and as one, then judges by name, then those for whom there is no room."""
    people: dict[bool, Counter[int]] = defaultdict(Counter)
    others: list[tuple[str, Counter[int]]] = []
    for pk, of_judge in counts.items():
        judge = judges[pk]
        if judge.is_people:
            people[judge.is_simulated] += of_judge
        else:
            others.append((f"{judge}{' (simulated)' if judge.is_simulated else ''}", of_judge))
    others.sort(key=lambda group: group[0])
    named, rest = others[:NAMED_JUDGES], others[NAMED_JUDGES:]
    groups = [
        ("Simulated people" if simulated else "People", people[simulated])
        for simulated in sorted(people)
    ]
    groups += named
    if rest:
        together: Counter[int] = sum((of_judge for _, of_judge in rest), Counter())
        groups.append((f"{len(rest)} more judges", together))
    return groups


def verdicts_of(battle: Battle, *, beyond: int = 0) -> tuple[list[Verdict], int | None]:
    """Up to VERDICTS_SHOWN verdicts in the order in which they came, and the id after which to go on.

    Each has ``is_set_aside``: whether its voter is excluded.
    """
    verdicts = list(
        Verdict.objects.filter(battle=battle, pk__gt=beyond)
        .annotate(is_set_aside=Case(When(by_excluded_voter(), then=True), default=False))
        .select_related("judge", "voter", "trace", "retraction")
        .defer("trace__completion", "trace__parse")
        .order_by("pk")[: VERDICTS_SHOWN + 1]
    )
    more, verdicts = len(verdicts) > VERDICTS_SHOWN, verdicts[:VERDICTS_SHOWN]
    return verdicts, verdicts[-1].pk if more else None


def calls_behind(verdict: Verdict) -> list[JudgeCall]:
    """The calls of the verdict's run that it came of: about its battle, or about either output. One query."""
    about = Q(battle=verdict.battle_id)
    outputs = (verdict.battle.output_a_id, verdict.battle.output_b_id)
    if None not in outputs:
        about |= Q(output__in=outputs)
    calls = JudgeCall.objects.filter(
        about, run=verdict.run_id, repetition=verdict.repetition, purpose=JudgeCall.Purpose.JUDGE
    )
    return list(calls.defer("text", "parse").order_by("pk"))
