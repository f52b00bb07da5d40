"""Verdicts of a run with the words behind them, each once whatever happens."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from arena.models import Battle
from judges.models import JudgeRun, Outcome, Verdict, VerdictTrace
from judges.voting import announce

BATCH = 500


@dataclass(frozen=True, slots=True)
class Decided:
    """A verdict to be cast, and what is kept beside it."""

    battle: Battle
    outcome: Outcome
    criterion: str = ""
    repetition: int = 0
    shown_first: int | None = None
    confidence: float | None = None
    rationale: str = ""
    completion: str = ""
    parse: dict[str, Any] = field(default_factory=dict)
    tokens: int | None = None
    cost: Decimal | None = None
    latency_ms: int | None = None

    @property
    def key(self) -> tuple[int, str, int]:
        return self.battle.pk, self.criterion, self.repetition


def cast_all(run: JudgeRun, decided: Sequence[Decided], *, at: datetime) -> int:
    """Cast those that the judge hasn't cast; how many are new. What is there stays as it is."""
    return sum(
        _cast(run, decided[start : start + BATCH], at) for start in range(0, len(decided), BATCH)
    )


@transaction.atomic
def _cast(run: JudgeRun, decided: Sequence[Decided], at: datetime) -> int:
    there = Verdict.objects.filter(
        judge_id=run.judge_id, voter=None, battle__in={row.battle.pk for row in decided}
    )
    known = set(there.values_list("battle_id", "criterion", "repetition"))
    new = {row.key: row for row in decided if row.key not in known}
    if not new:
        return 0
    Verdict.objects.bulk_create(
        (
            Verdict(
                arena_id=run.arena_id,
                battle=row.battle,
                pair_id=row.battle.pair_id,
                prompt_id=row.battle.prompt_id,
                judge_id=run.judge_id,
                run=run,
                criterion=row.criterion,
                outcome=row.outcome,
                shown_first=row.shown_first,
                confidence=row.confidence,
                repetition=row.repetition,
                cast_at=at,
            )
            for row in new.values()
        ),
        ignore_conflicts=True,
    )
    # Another run of the judge may have been first with some: those are its own.
    ours = {
        (battle, criterion, repetition): pk
        for pk, battle, criterion, repetition in there.filter(run=run).values_list(
            "pk", "battle_id", "criterion", "repetition"
        )
        if (battle, criterion, repetition) in new
    }
    VerdictTrace.objects.bulk_create(
        VerdictTrace(
            verdict_id=pk,
            rationale=new[key].rationale,
            completion=new[key].completion,
            parse=new[key].parse,
            tokens=new[key].tokens,
            cost=new[key].cost,
            latency_ms=new[key].latency_ms,
        )
        for key, pk in ours.items()
    )
    if ours:
        announce(arena_id=run.arena_id, judge_ids=[run.judge_id])
    return len(ours)
