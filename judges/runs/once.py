"""What a form asks for: sent twice, it is done once."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from arena.audit import note
from judges.models import Judge, JudgeRun
from judges.runs.programs import start_run
from judges.runs.verbs import checked_subject, plan_run, request_work

State = JudgeRun.State


@transaction.atomic
def plan_once(
    *,
    judge: Judge,
    selection: Mapping[str, Any],
    limits: Mapping[str, Any],
    probes: Mapping[str, Any] | None = None,
    actor: Any,
) -> JudgeRun:
    """What plan_run gives, or the planned run that this account has of the very same. Raises as plan_run does.

    ``limits`` are plan_run's budget, max_tokens and max_calls.
    """
    judge = _locked(judge)
    about = checked_subject(judge, selection, probes)
    there = JudgeRun.objects.filter(judge=judge, state=State.PLANNED, created_by=actor, **limits)
    for run in there:
        if about == {"selection": run.selection, "probes": run.probes}:
            return run
    return plan_run(judge=judge, selection=selection, probes=probes, actor=actor, **limits)


@transaction.atomic
def start_once(*, judge: Judge, actor: Any) -> JudgeRun:
    """A program's run that workers are asked for, or the one of it that isn't over. Raises RunError."""
    judge = _locked(judge)
    unfinished = (State.QUEUED, State.RUNNING, State.PAUSED)
    run = JudgeRun.objects.filter(judge=judge, state__in=unfinished).first()
    if run is not None:
        return run
    run = start_run(judge=judge)
    run.created_by = actor
    run.save(update_fields=["created_by"])
    note(arena=judge.arena, actor=actor, act="start run", subject=str(run), run=run.pk)
    request_work(run)
    return run


def _locked(judge: Judge) -> Judge:
    """So that of two who ask at the same moment the second finds what the first made."""
    return Judge.objects.select_for_update(of=("self",)).select_related("arena").get(pk=judge.pk)
