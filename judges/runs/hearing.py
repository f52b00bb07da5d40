"""What a judge hears that decides once more: the first verdicts of others and its own, with their reasons.

Its configuration names them: {"discussion": {"own": {"slug", "digest"}, "of": [{"slug", "digest"}, …]}}.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef

from judges.juries.rules import own_vote
from judges.models import Judge, JudgeCall, Outcome, Verdict
from judges.programs.verdicts import Decision
from judges.protocols.interface import Choice, Opinion
from judges.runs.errors import RunError


@dataclass(frozen=True, slots=True)
class Hears:
    """``others`` and ``own`` are the judges of the first round."""

    others: tuple[Judge, ...]
    own: Judge

    def on(self, calls: Sequence[JudgeCall]) -> list[tuple[Opinion, ...]]:
        """Of each call: what is told, in two queries. Nothing where not all of them have decided.

        Who speaks first goes round with the battles, so that no judge always does.
        """
        asked = [call for call in calls if call.purpose == JudgeCall.Purpose.JUDGE]
        said = _said([*self.others, self.own], {call.battle_id for call in asked})
        return [self._told(said, call) for call in calls]

    def _told(
        self, said: Mapping[tuple[int, Any], "_Said"], call: JudgeCall
    ) -> tuple[Opinion, ...]:
        start = (call.battle_id or 0) % len(self.others)
        speakers = [*self.others[start:], *self.others[:start], self.own]
        found = [said.get((judge.pk, call.battle_id)) for judge in speakers]
        told = [
            one.opinion(call.shown_first, is_own=judge == self.own)
            for judge, one in zip(speakers, found, strict=True)
            if one is not None and call.purpose == JudgeCall.Purpose.JUDGE
        ]
        return tuple(told) if len(told) == len(speakers) else ()


@dataclass(frozen=True, slots=True)
class _Said:
    """One judge's first verdict on a battle, and by the side shown first what it chose and why."""

    outcome: Outcome
    orders: Mapping[int, tuple[int, str]]

    def opinion(self, shown_first: int | None, *, is_own: bool) -> Opinion:
        choice = Choice(self.outcome if shown_first == Verdict.Side.A else self.outcome.mirrored)
        here, reasons = self.orders.get(shown_first or 0, (None, ""))
        contradicts = here is not None and here != choice
        return Opinion(choice, reasons, Choice(here) if contradicts else None, is_own)


def hearing_of(judge: Judge) -> Hears | None:
    """Whom the judge hears; None for one that decides alone. Raises RunError where one isn't there."""
    discussion = judge.configuration.get("discussion")
    if discussion is None:
        return None
    named = [*discussion["of"], discussion["own"]]
    there = {
        (each.slug, each.digest): each
        for each in Judge.objects.filter(
            arena=judge.arena_id, slug__in=[each["slug"] for each in named]
        )
    }
    for each in named:
        if (each["slug"], each["digest"]) not in there:
            raise RunError(
                f"The judge {each['slug']!r} whose verdicts {judge} hears isn't there: make the jury anew."
            )
    *others, own = (there[each["slug"], each["digest"]] for each in named)
    return Hears(tuple(others), own)


def all_heard(judge: Judge) -> list[Exists]:
    """Conditions on battles: each of those that the judge hears has a verdict that counts."""
    hears = hearing_of(judge)
    if hears is None:
        return []
    return [
        Exists(
            Verdict.objects.filter(
                judge=each, battle=OuterRef("pk"), criterion="", voter=None, retraction=None
            )
        )
        for each in (*hears.others, hears.own)
    ]


def _said(judges: Sequence[Judge], battles: set[Any]) -> dict[tuple[int, Any], _Said]:
    """By judge and battle. A judge that was asked more often has one vote, with the reasons of the first
    repetition that said so."""
    verdicts: dict[tuple[int, Any], list[tuple[Outcome, int | None, int]]] = {}
    rows = (
        Verdict.objects.filter(
            judge__in=judges, battle__in=battles, criterion="", voter=None, retraction=None
        )
        .order_by("repetition")
        .values_list("judge_id", "battle_id", "outcome", "run_id", "repetition")
    )
    for judge, battle, outcome, run, repetition in rows:
        verdicts.setdefault((judge, battle), []).append((Outcome(outcome), run, repetition))
    runs = {run for of_battle in verdicts.values() for _, run, _ in of_battle if run is not None}
    orders: dict[tuple[Any, ...], dict[int, tuple[int, str]]] = {}
    calls = JudgeCall.objects.filter(
        run__in=runs,
        battle__in=battles,
        purpose=JudgeCall.Purpose.JUDGE,
        state=JudgeCall.State.DONE,
    ).values_list("run_id", "battle_id", "repetition", "shown_first", "choice", "parse__rationale")
    for *key, shown_first, choice, rationale in calls:
        orders.setdefault(tuple(key), {})[shown_first] = (choice, rationale or "")
    found = {}
    for (judge, battle), of_battle in verdicts.items():
        vote = Outcome(own_vote([Decision(outcome) for outcome, *_ in of_battle]))
        so = [row for row in of_battle if row[0] == vote] or of_battle
        _, run, repetition = so[0]
        found[judge, battle] = _Said(vote, orders.get((run, battle, repetition), {}))
    return found
