"""Calls of a run: claimed by workers within its budget, and stored with what came of them.

Whoever changes calls locks the run's row first, so that counts, money and states are always those of the rows.
A claimed call is one that is being asked: what is claimed counts against the budget at the most that it can
take.
"""

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Count, F, Sum
from django.utils import timezone

from judges.endpoints.interface import MAYBE_PAID, Failure
from judges.models import JudgeCall, JudgeRun
from judges.runs.answers import follow_answers, keep_answers, note_answers
from judges.runs.preparing import keep_preparations
from judges.runs.probing import keep_results
from judges.runs.settling import settle_battles, settle_outputs

LEASE_SECONDS = 60  # renewed while a worker lives; what a killed one left is open again after it
# At the endpoint, of one call: each may be paid for. As many as judges.endpoints.asking.Patience has.
MOST_ATTEMPTS = 5
LONGEST_TEXT = 50_000  # characters of a reply that are kept
State, PROBE = JudgeCall.State, JudgeCall.Purpose.PROBE
# What goes wrong with a database that is restarted or busy, and not with what was asked of it.
PASSING = (InterfaceError, OperationalError)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one call: a reading, or a failure with its sentence."""

    call: int
    failure: Failure | None = None
    error: str = ""
    text: str = ""
    parse: dict[str, Any] = field(default_factory=dict)
    choice: int | None = None
    score: float | None = None
    confidence: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    seconds: float = 0.0
    from_cache: bool = False
    attempts: int = 1  # at the endpoint
    untold: int = 0  # of the attempts before, those that may have cost what nobody knows
    asked: Any = None  # how, of a system's answer: see judges.runs.answers.Asked


# These would fail again for every call: the run stops instead, and its calls stay open.
HOPELESS = frozenset({Failure.CREDENTIALS, Failure.NOT_FOUND, Failure.NOT_ALLOWED})


def lease_seconds() -> int:
    return min(LEASE_SECONDS, settings.JOB_LEASE_SECONDS)


def lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=lease_seconds())


def locked(key: int) -> JudgeRun:
    """The run, for this transaction's changes alone."""
    return (
        JudgeRun.objects.select_for_update(of=("self",))
        .select_related("judge", "system", "arena")
        .get(pk=key)
    )


@transaction.atomic
def claim_calls(run: int, *, claim: uuid.UUID, at_most: int, mine: Sequence[int]) -> list[int]:
    """Calls of a running run that are now this worker's, within its budget; their ids.

    ``at_most`` is how many may be asked at once, by all workers together; ``mine`` are those that this
    worker is asking: their lease is renewed. A run with nothing left is done; one whose budget is spent pauses.
    """
    from judges.runs.rounds import wait_for_figures

    until, row = lease_end(), locked(run)
    calls = JudgeCall.objects.filter(run=run)
    if mine:
        calls.filter(pk__in=mine, claim=claim, state=State.OPEN).update(claimed_until=until)
    if row.state != JudgeRun.State.RUNNING:
        return []
    in_flight = calls.filter(claimed_until__gte=timezone.now()).aggregate(
        n=Count("pk"), tokens=Sum("most_tokens", default=0), cost=Sum("most_cost", default=0)
    )
    free = at_most - in_flight["n"]
    picked: list[int] = []
    if free > 0:
        open_ = calls.filter(state=State.OPEN)
        preparing = open_.filter(purpose=JudgeCall.Purpose.PREPARE)
        if preparing.exists():
            # A prompt's comes before those of its answers, which may build on it.
            of_prompts = preparing.filter(battle=None, output=None)
            open_ = of_prompts if of_prompts.exists() else preparing
        candidates = list(open_.unclaimed().order_by("pk")[:free])
        picked = _affordable(row, candidates, in_flight)
        if picked:
            calls.unclaimed().filter(pk__in=picked, state=State.OPEN).update(
                claim=claim, claimed_until=until, attempts=F("attempts") + 1
            )
        elif not candidates and not in_flight["n"]:
            if row.selection.get("until_width"):
                wait_for_figures(row)
            else:
                _finish(row)
        elif candidates and not in_flight["n"]:
            row.state, row.error = JudgeRun.State.PAUSED, _spent(row, candidates[0])
            follow_answers(row)
    if picked or mine:
        row.claimed_until = until
    row.save(update_fields=["state", "error", "claimed_until", "finished_at"])
    return picked


@transaction.atomic
def store_results(run: int, results: Sequence[Result]) -> int:
    """Keep what came, and cast the verdicts or keep the outputs that follow; how many results were new.

    A result is kept whoever claims its call by now, since it was paid for; the second one of a call is not.
    """
    now, row = timezone.now(), locked(run)
    by_call = {result.call: result for result in results}
    waiting = JudgeCall.objects.filter(
        run=run, pk__in=by_call, state__in=[State.OPEN, State.CANCELLED]
    )
    answered: list[JudgeCall] = []
    changed: list[JudgeCall] = []
    for call in waiting:
        result = by_call[call.pk]
        row.calls_made += not result.from_cache
        call.claim = call.claimed_until = None
        if result.failure in HOPELESS:
            if row.state == JudgeRun.State.RUNNING:
                row.state, row.error = JudgeRun.State.FAILED, result.error
        else:
            _write(call, result, now)
            _count(row, call, attempts=result.attempts, untold=result.untold)
            if result.failure is None:
                answered.append(call)
        changed.append(call)
    JudgeCall.objects.bulk_update(changed, _WRITTEN)
    judged = [call for call in answered if call.purpose == JudgeCall.Purpose.JUDGE]
    if prepared := [call for call in answered if call.purpose == JudgeCall.Purpose.PREPARE]:
        keep_preparations(row, prepared)
    if probed := {call.battle_id for call in answered if call.purpose == PROBE}:
        keep_results(row, probed)
    if battles := {call.battle_id for call in judged if call.battle_id}:
        row.verdicts_cast += settle_battles(row, battles, at=now)
    if outputs := [call for call in judged if call.output_id]:
        row.verdicts_cast += settle_outputs(row, outputs)
    if asked := [call for call in answered if call.purpose == JudgeCall.Purpose.ANSWER]:
        results_of = {call.prompt_id: by_call[call.pk] for call in asked}
        keep_answers(
            row,
            {prompt: replace(one, text=clean(one.text)) for prompt, one in results_of.items()},
        )
        if row.state != JudgeRun.State.RUNNING:
            follow_answers(row)
    row.claimed_until = lease_end()
    row.save(update_fields=_COUNTED)
    return len(changed)


@transaction.atomic
def release_calls(run: int, *, claim: uuid.UUID) -> int:
    """Give back what this worker claimed and hasn't asked; how many calls."""
    locked(run)
    claimed = JudgeCall.objects.filter(run=run, claim=claim, state=State.OPEN)
    return claimed.update(claim=None, claimed_until=None)


@transaction.atomic
def stop_run(run: int, *, error: str) -> None:
    """The run failed for a reason that isn't one call's."""
    row = locked(run)
    if row.state in (JudgeRun.State.RUNNING, JudgeRun.State.QUEUED):
        row.state, row.error, row.claimed_until = JudgeRun.State.FAILED, error, None
        row.save(update_fields=["state", "error", "claimed_until"])
        follow_answers(row)


def clean(value: Any) -> Any:
    """The same, of what both databases can store: no NUL, no half of a character, no infinity."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {clean(str(name)): clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


_WRITTEN = [
    "state", "failure", "error", "text", "parse", "choice", "score", "confidence", "input_tokens",
    "output_tokens", "cost", "latency_ms", "from_cache", "claim", "claimed_until", "finished_at",
]  # fmt: skip
_COUNTED = [
    "state", "error", "done", "failed", "verdicts_cast", "from_cache", "cost", "input_tokens",
    "output_tokens", "calls_made", "claimed_until",
]  # fmt: skip


def _affordable(run: JudgeRun, candidates: list[JudgeCall], in_flight: dict) -> list[int]:
    """The first of the candidates that fit, at the most that each can take, beside what is in flight."""
    calls = run.calls_made + in_flight["n"]
    tokens = run.input_tokens + run.output_tokens + MOST_ATTEMPTS * in_flight["tokens"]
    cost = run.cost + MOST_ATTEMPTS * in_flight["cost"]
    picked = []
    for call in candidates:
        calls += 1
        tokens += MOST_ATTEMPTS * call.most_tokens
        cost += MOST_ATTEMPTS * call.most_cost
        if (
            (run.max_calls is not None and calls > run.max_calls)
            or (run.max_tokens is not None and tokens > run.max_tokens)
            or (run.budget is not None and cost > run.budget)
        ):
            break
        picked.append(call.pk)
    return picked


def _spent(run: JudgeRun, following: JudgeCall) -> str:
    if run.max_calls is not None and run.calls_made >= run.max_calls:
        what = f"{run.calls_made:,} calls were made and {run.max_calls:,} are allowed"
    elif run.budget is not None and run.cost + MOST_ATTEMPTS * following.most_cost > run.budget:
        what = (
            f"{run.cost:.4f} of {run.budget:.4f} USD are spent, and the next call with its retries may cost "
            f"up to {MOST_ATTEMPTS * following.most_cost:.4f}"
        )
    else:
        used = run.input_tokens + run.output_tokens
        what = (
            f"{used:,} of {run.max_tokens:,} tokens are used, and the next call with its retries may take "
            f"up to {MOST_ATTEMPTS * following.most_tokens:,}"
        )
    return f"The budget is used up: {what}. Raise it and resume the run, or leave it."


def _finish(run: JudgeRun) -> None:
    run.state, run.claimed_until, run.error = JudgeRun.State.DONE, None, ""
    run.finished_at = timezone.now()
    if run.answers:
        follow_answers(run)
        note_answers(run)


def _write(call: JudgeCall, result: Result, now: datetime) -> None:
    failed = result.failure is not None
    call.state = State.ERROR if failed else State.DONE
    call.failure = str(result.failure) if failed else ""
    call.error, call.text = clean(result.error), clean(result.text)[:LONGEST_TEXT]
    call.parse, call.choice = clean(result.parse), result.choice
    call.score, call.confidence = result.score, result.confidence
    call.input_tokens, call.output_tokens = result.input_tokens, result.output_tokens
    call.latency_ms, call.from_cache = round(result.seconds * 1_000), result.from_cache
    call.cost = None if result.cost is None else round(Decimal(result.cost), 6)
    call.finished_at = now


def _count(run: JudgeRun, call: JudgeCall, *, attempts: int, untold: int) -> None:
    """Add it to what the run has done and spent. What nobody told counts as the most that it can be."""
    run.done += call.state == State.DONE
    run.failed += call.state == State.ERROR
    if call.from_cache:
        run.from_cache += 1
        return
    paid = call.state == State.DONE or call.failure in MAYBE_PAID
    if call.input_tokens is None and call.output_tokens is None:
        run.input_tokens += (attempts if paid else untold) * call.most_tokens
    else:
        # Of attempts in vain the tokens aren't told: they are taken for as long as the last one.
        run.input_tokens += attempts * (call.input_tokens or 0)
        run.output_tokens += attempts * (call.output_tokens or 0)
    if call.cost is not None:
        run.cost += call.cost + untold * call.most_cost
    else:
        run.cost += (attempts if paid else untold) * call.most_cost
