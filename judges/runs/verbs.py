"""What people do with the runs of LLM judges and systems.

Every verb can be repeated, and leaves an audit entry once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max
from django.utils import timezone

from arena.access import may_ask_models
from arena.audit import account_of, note
from arena.models import System
from judges.llm_judges import protocol_of
from judges.models import Judge, JudgeCall, JudgeRun
from judges.runs.answers import follow_answers, measure_calls, plan_of_answers
from judges.runs.calls import locked
from judges.runs.errors import RunError
from judges.runs.planning import RunPlan, plan_of
from judges.runs.probing import checked_battles, checked_probes, plan_of_probes, probes_of
from judges.runs.selection import checked_selection

State = JudgeRun.State
UNDER_WAY = (State.QUEUED, State.RUNNING, State.WAITING)
UNFINISHED = (State.PLANNED, *UNDER_WAY, State.PAUSED, State.FAILED)


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How many calls of a run failed for one reason, and the sentence of the last of them."""

    failure: str
    count: int
    example: str


@transaction.atomic
def plan_run(
    *,
    judge: Judge,
    selection: Mapping[str, Any],
    budget: Decimal | None = None,
    max_tokens: int | None = None,
    max_calls: int | None = None,
    probes: Mapping[str, Any] | None = None,
    actor: Any = None,
) -> JudgeRun:
    """A planned run of an LLM judge: nothing is asked before confirm_run.

    ``selection`` says which battles (see judges.runs.selection); those that the judge has decided are left
    out. ``budget`` is in USD. None: no limit. With ``probes`` (see judges.runs.probing) it asks about battles
    whether they were decided or not, and casts no verdicts. Raises RunError, and ConfigurationError where the
    judge's protocol changed since it was made.
    """
    about = checked_subject(judge, selection, probes)
    known = account_of(actor)
    return JudgeRun.objects.create(
        arena=judge.arena,
        judge=judge,
        state=State.PLANNED,
        created_by=known,
        **about,
        **checked_limits(budget=budget, max_tokens=max_tokens, max_calls=max_calls),
    )


def checked_subject(
    judge: Judge, selection: Mapping[str, Any], probes: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a run is about, as its fields. Raises RunError, also for a judge that nobody can ask."""
    if judge.kind != Judge.Kind.LLM:
        raise RunError(f"{judge} is not an LLM judge: a program is run by start_run.")
    if "protocol_digest" not in judge.configuration:
        raise RunError(f"{judge} came with a dataset: it has no endpoint that could be asked.")
    protocol_of(judge)
    if probes is None:
        return {"selection": checked_selection(selection, arena=judge.arena), "probes": {}}
    return {
        "probes": checked_probes(judge, probes),
        "selection": checked_battles(selection, arena=judge.arena),
    }


def plan(run: JudgeRun) -> RunPlan:
    """What the run would ask, and its estimated tokens, price and time, as things are now."""
    if run.system is not None:
        return plan_of_answers(system=run.system, selection=run.selection)
    if run.is_probing:
        return plan_of_probes(judge=run.judge, selection=run.selection, probes=probes_of(run))
    return plan_of(judge=run.judge, selection=run.selection)


@transaction.atomic
def confirm_run(*, run: JudgeRun, actor: Any = None) -> JudgeRun:
    """Let a planned run begin. A run that has begun is left as it is; raises RunError for a cancelled one."""
    run = locked(run.pk)
    if run.state == State.CANCELLED:
        raise RunError(f"Run {run.pk} was cancelled: plan a new one.")
    if run.state == State.PLANNED:
        _must_be_allowed(run, actor)
        if run.system_id is not None:
            # Whoever changes what the system is asked with waits, or is waited for.
            System.objects.select_for_update().get(pk=run.system_id)
        _change(run, State.QUEUED, actor, "start run")
        request_work(run)
    return run


@transaction.atomic
def pause_run(*, run: JudgeRun, actor: Any = None) -> JudgeRun:
    """Ask nothing further: calls in flight are awaited and kept. Raises RunError unless it is under way."""
    run = locked(run.pk)
    if run.state == State.PAUSED:
        return run
    if run.state not in UNDER_WAY:
        raise RunError(
            f"Run {run.pk} is {run.get_state_display().lower()}: only a run under way pauses."
        )
    follow_answers(run)
    return _change(run, State.PAUSED, actor, "pause run")


@transaction.atomic
def resume_run(
    *,
    run: JudgeRun,
    budget: Decimal | None = None,
    max_tokens: int | None = None,
    max_calls: int | None = None,
    actor: Any = None,
) -> JudgeRun:
    """Go on with a run that paused or failed, with another budget where one is given (None: as it was).

    A run under way is left as it is. Raises RunError for others.
    """
    run = locked(run.pk)
    if run.state in UNDER_WAY:
        return run
    if run.state not in (State.PAUSED, State.FAILED):
        raise RunError(
            f"Run {run.pk} is {run.get_state_display().lower()}: only one that paused or failed is resumed."
        )
    _must_be_allowed(run, actor)
    limits = checked_limits(budget=budget, max_tokens=max_tokens, max_calls=max_calls)
    for name, value in limits.items():
        if value is not None:
            setattr(run, name, value)
    _go_on(run, actor, "resume run")
    return run


@transaction.atomic
def cancel_run(*, run: JudgeRun, actor: Any = None) -> JudgeRun:
    """Give up what hasn't been asked. Verdicts stay, and answers that are in flight are kept.

    A cancelled run is left as it is; raises RunError for one that is done.
    """
    run = locked(run.pk)
    if run.state == State.CANCELLED:
        return run
    if run.state not in UNFINISHED:
        raise RunError(f"Run {run.pk} is done: there is nothing left to cancel.")
    run.calls.filter(state=JudgeCall.State.OPEN).update(
        state=JudgeCall.State.CANCELLED, claim=None, claimed_until=None
    )
    follow_answers(run)
    run.finished_at = timezone.now()
    return _change(run, State.CANCELLED, actor, "cancel run")


@transaction.atomic
def retry_failed(*, run: JudgeRun, failure: str = "", actor: Any = None) -> int:
    """Ask again what failed, or only what failed for this reason; how many calls. Raises RunError."""
    run = locked(run.pk)
    if run.state in (State.PLANNED, State.QUEUED, State.CANCELLED):
        raise RunError(
            f"Run {run.pk} is {run.get_state_display().lower()}: nothing of it has failed."
        )
    _must_be_allowed(run, actor)
    calls = run.calls.filter(state=JudgeCall.State.ERROR)
    if failure:
        calls = calls.filter(failure=failure)
    count = calls.update(
        state=JudgeCall.State.OPEN, failure="", error="", text="", finished_at=None
    )
    if count:
        measure_calls(run)
        run.failed -= count
        _go_on(run, actor, "retry run", calls=count)
    return count


def failures_of(run: JudgeRun) -> list[FailureCount]:
    """The reasons for which calls failed, the most frequent first."""
    counted = (
        run.calls.filter(state=JudgeCall.State.ERROR)
        .values("failure")
        .annotate(count=Count("pk"), last=Max("pk"))
        .order_by("-count", "failure")
    )
    rows = list(counted)
    examples = dict(
        JudgeCall.objects.filter(pk__in=[row["last"] for row in rows]).values_list("pk", "error")
    )
    return [FailureCount(row["failure"], row["count"], examples[row["last"]]) for row in rows]


def unfinished_runs() -> list[int]:
    """Runs that nobody works on although they aren't finished: not begun yet, or their worker died."""
    states = (State.QUEUED, State.RUNNING)
    return list(JudgeRun.objects.unclaimed().filter(state__in=states).values_list("pk", flat=True))


def request_work(run: JudgeRun) -> None:
    """Ask workers to look, once the transaction is committed."""
    from judges.tasks import work_on_run

    def send() -> None:
        for _ in range(settings.RUN_WORKERS):
            work_on_run.delay(run.pk)

    transaction.on_commit(send)


def _must_be_allowed(run: JudgeRun, actor: Any) -> None:
    """Raises RunError for somebody who may not have models asked. Programs cost nothing."""
    if run.makes_calls and (refusal := may_ask_models(actor)):
        raise RunError(refusal)


def _go_on(run: JudgeRun, actor: Any, act: str, **details: Any) -> None:
    run.error, run.finished_at, run.attempts = "", None, 0
    begun = run.started_at is not None
    _change(run, State.RUNNING if begun else State.QUEUED, actor, act, **details)
    request_work(run)


def _change(run: JudgeRun, state: str, actor: Any, act: str, **details: Any) -> JudgeRun:
    run.state = state
    run.save()
    note(arena=run.arena, actor=actor, act=act, subject=str(run), run=run.pk, **details)
    return run


def checked_limits(**limits: Any) -> dict[str, Any]:
    """The same. Raises RunError."""
    for name, value in limits.items():
        if value is not None and not 0 < value < 10**8:
            raise RunError(f"{name} must be more than 0 and less than 100,000,000.")
    return limits
