"""Verdicts in: one verb for the browser, the API, imports of single votes and judge workers."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from arena.models import Battle
from judges.models import Judge, JudgeRun, Outcome, Retraction, Verdict, VerdictTrace, Voter
from judges.signals import verdicts_changed


class VerdictConflict(Exception):
    """The same judge or voter has decided this battle otherwise; ``existing`` is that verdict."""

    def __init__(self, existing: Verdict) -> None:
        self.existing = existing
        super().__init__(
            f"Battle {existing.battle_id} already has the verdict {existing.get_outcome_display()!r}: "
            "retract it before casting another."
        )


@transaction.atomic
def cast_verdict(
    *,
    battle: Battle,
    judge: Judge,
    outcome: Outcome,
    voter: Voter | None = None,
    run: JudgeRun | None = None,
    criterion: str = "",
    shown_first: Verdict.Side | None = None,
    confidence: float | None = None,
    repetition: int = 0,
    rationale: str = "",
    completion: str = "",
    cast_at: datetime | None = None,
) -> Verdict:
    """Record one decision, in the battle's orientation; sending the same one again changes nothing.

    Raises VerdictConflict when the verdict that is there says otherwise.
    """
    verdict, created = Verdict.objects.get_or_create(
        battle=battle,
        judge=judge,
        voter=voter,
        criterion=criterion,
        repetition=repetition,
        defaults={
            "arena_id": battle.arena_id,
            "pair_id": battle.pair_id,
            "prompt_id": battle.prompt_id,
            "run": run,
            "outcome": outcome,
            "shown_first": shown_first,
            "confidence": confidence,
            "cast_at": cast_at or timezone.now(),
        },
    )
    if not created:
        if verdict.outcome != outcome:
            raise VerdictConflict(verdict)
        return verdict
    if rationale or completion:
        VerdictTrace.objects.create(verdict=verdict, rationale=rationale, completion=completion)
    announce(arena_id=battle.arena_id, judge_ids=[judge.pk])
    return verdict


@transaction.atomic
def retract_verdict(*, verdict: Verdict, reason: str = "") -> Retraction:
    """Take a verdict back: it stays, and is no longer counted. Doing it again changes nothing."""
    retraction, created = Retraction.objects.get_or_create(
        verdict=verdict, defaults={"reason": reason}
    )
    if created:
        announce(arena_id=verdict.arena_id, judge_ids=[verdict.judge_id])
    return retraction


def announce(*, arena_id: int, judge_ids: list[int]) -> None:
    """Tell the rooms above, in the transaction of the verdicts: what they note stands or falls with it."""
    verdicts_changed.send(Verdict, arena_id=arena_id, judge_ids=frozenset(judge_ids))
