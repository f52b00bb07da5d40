"""Try an LLM judge on one battle before it judges many: requests, replies and readings side by side.

Nothing is cast. What is asked, how it is read and what would follow from it are those of a run: the same
protocol, the same cases, the same Asker, so that a run that asks the same finds the replies in the cache.
"""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from arena.access import may_ask_models
from arena.audit import account_of
from arena.models import Arena, Battle
from judges.endpoints.interface import CallError, Endpoint, Failure, Question
from judges.llm_judges import checked_configuration, endpoint_of, protocol_of
from judges.models import Judge, JudgeCall, JudgeRun, Outcome, Preparation, Trial, Verdict
from judges.programs.verdicts import verdict
from judges.protocols.interface import (
    Case,
    JudgeProtocol,
    MissingInput,
    Reading,
    Request,
)
from judges.runs.asking import MakeAsker, asker_for, bounded
from judges.runs.calls import LONGEST_TEXT, MOST_ATTEMPTS, PASSING
from judges.runs.cases import Materials, fence_of
from judges.runs.errors import RunError
from judges.runs.examples import choose_examples
from judges.runs.preparing import Scope, scopes_of, with_preparation
from judges.runs.settling import decisions_of

MAX_ATTEMPTS = 3
KEPT_DAYS = 30
MOST_A_DAY = 200  # of one arena: a trial is to be looked at
Side = Verdict.Side
State = Trial.State


@transaction.atomic
def start_trial(
    *,
    arena: Arena,
    battle: Battle,
    configuration: Mapping[str, Any],
    key: uuid.UUID,
    judge: Judge | None = None,
    about: Mapping[str, Any] | None = None,
    actor: Any = None,
) -> Trial:
    """A trial that a worker does next. The same key again gives the trial that is there.

    ``configuration`` as checked_configuration takes it; ``judge`` where it is one that exists, whose
    checklists and adapted references are then used. Raises ConfigurationError, RunError, and CallError for an
    endpoint that the operator doesn't list.
    """
    # Here, since it takes addresses apart and reads the operator's lists.
    from judges.endpoints.allowed import check_endpoint

    if refusal := may_ask_models(actor):
        raise RunError(refusal)
    complete = checked_configuration(configuration)
    Arena.objects.select_for_update().get(pk=arena.pk)
    if found := Trial.objects.filter(arena=arena, key=key).first():
        return found
    if battle.arena_id != arena.pk:
        raise RunError("The battle belongs to another arena.")
    if battle.output_a_id is None:
        raise RunError("This battle came without its outputs: there is nothing to show to a judge.")
    whose = judge or Judge(arena=arena, kind=Judge.Kind.LLM, name="", configuration=complete)
    protocol_of(whose)
    check_endpoint(endpoint_of(whose))
    since = timezone.now() - timedelta(days=1)
    if Trial.objects.filter(arena=arena, created_at__gte=since).count() >= MOST_A_DAY:
        raise RunError(
            f"This arena has had {MOST_A_DAY} trials within a day: plan a run with a limit instead."
        )
    trial = Trial.objects.create(
        arena=arena,
        battle=battle,
        key=key,
        judge=judge,
        configuration=complete,
        about=dict(about or {}),
        created_by=account_of(actor),
    )
    transaction.on_commit(partial(_queue, trial.pk))
    return trial


def work_on_trial(key: int, *, make_asker: MakeAsker | None = None) -> Trial:
    """Ask, and keep what came of it. A trial that is finished, or that another worker has, is left as it is."""
    trials = Trial.objects.filter(pk=key, state=State.QUEUED)
    if not trials.exists() or not trials.claim(key):
        return Trial.objects.get(pk=key)
    trial = Trial.objects.select_related(
        "arena", "judge", "battle__prompt", "battle__output_a", "battle__output_b"
    ).get(pk=key)
    # What comes first and what follows, each tried as often as an Asker tries: nobody else begins meanwhile.
    longest = 2 * MOST_ATTEMPTS * trial.configuration["endpoint"]["timeout"]
    Trial.objects.filter(pk=key).update(
        claimed_until=timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS + longest)
    )
    try:
        steps, decisions = _asked(trial, make_asker or asker_for)
    except PASSING:
        raise
    except Exception as error:
        # It is looked at by people only: no other work waits for it, so it isn't tried again.
        expected = isinstance(error, CallError | MissingInput | RunError)
        said = str(error) if expected else f"{type(error).__name__}: {error}"
        trial.finish(State.FAILED, error=said)
        if not expected:
            raise
        return trial
    trial.steps = [step.as_json() for step in steps]
    trial.decisions = decisions
    return trial.finish(State.DONE)


def sweep_trials() -> int:
    """Ask again for trials that a lost message left; fail those that kill their workers; forget old ones."""
    long_ago = timezone.now() - timedelta(days=KEPT_DAYS)
    Trial.objects.filter(created_at__lt=long_ago).delete()
    keys = Trial.objects.still_wanted(most=MAX_ATTEMPTS)
    for key in keys:
        _queue(key)
    return len(keys)


def _queue(key: int) -> None:
    from judges.tasks import try_judge

    try_judge.delay(key)


# --- asking -----------------------------------------------------------------------------------------------


@dataclass
class Step:
    """One request of a trial, and what came of it."""

    purpose: str
    case: Case
    shown_first: int | None = None
    output: str = ""  # A or B, where one output is asked about
    request: Request | None = None
    is_left_out: bool = False  # what was to be prepared for it failed
    was_there: bool = False  # prepared before, by a run of this judge
    prepared: Case | None = None
    reply: str = ""
    failure: str = ""
    error: str = ""
    reading: Reading | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    seconds: float = 0.0
    from_cache: bool = False
    attempts: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, no longer than a trace is; pictures by their size alone."""
        request = None
        if self.request is not None:
            request = {
                "messages": [_without_pictures(message) for message in self.request.messages],
                "max_tokens": self.request.max_tokens,
                "schema": self.request.schema,
                "top_logprobs": self.request.top_logprobs,
            }
        reading = None
        if self.reading is not None:
            reading = asdict(self.reading) | {
                "choice": None if self.reading.choice is None else int(self.reading.choice),
                "rationale": self.reading.rationale[:LONGEST_TEXT],
                "by_criterion": {
                    name: int(value) if isinstance(value, int) else value
                    for name, value in self.reading.by_criterion.items()
                },
                "details": bounded(self.reading.details),
            }
        prepared: dict[str, Any] = {}
        if self.prepared is not None:
            # An adapted reference carries the checklist that was written before it.
            is_new = self.prepared.checklist != self.case.checklist
            prepared = {
                "checklist": list(self.prepared.checklist) if is_new else [],
                "reference": self.prepared.reference,
            }
        return {
            "purpose": self.purpose,
            "shown_first": self.shown_first,
            "output": self.output,
            "request": request,
            "was_there": self.was_there,
            "prepared": prepared,
            "reply": self.reply[:LONGEST_TEXT],
            "failure": self.failure,
            "error": self.error,
            "reading": reading,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost": self.cost,
            "seconds": self.seconds,
            "from_cache": self.from_cache,
            "attempts": self.attempts,
        }


def _asked(trial: Trial, make_asker: MakeAsker) -> tuple[list[Step], list[dict[str, Any]]]:
    judge = trial.judge or Judge(arena=trial.arena, kind=Judge.Kind.LLM)
    judge.configuration = trial.configuration
    protocol, endpoint = protocol_of(judge), endpoint_of(judge)
    first, steps = _steps(trial, judge, protocol)
    async_to_sync(_ask_all)(make_asker, endpoint, protocol, first, steps)
    decide = _decided if protocol.judges_battles else _decided_by_scores
    asked = [step for some in (*first, steps) for step in some if not step.is_left_out]
    return asked, decide(trial, steps)


def _steps(
    trial: Trial, judge: Judge, protocol: JudgeProtocol
) -> tuple[list[list[Step]], list[Step]]:
    """(what is prepared, one list after the other; what is asked then). A list has one step for all that
    follow, or each at the place of the one that builds on it."""
    battle = trial.battle
    run = JudgeRun(arena=trial.arena, judge=judge, examples=choose_examples(judge))
    materials = Materials.of(run)
    calls: list[JudgeCall] = []
    if protocol.judges_battles:
        sides = [Side.A, Side.B] if trial.configuration["both_orders"] else [Side.A]
        calls = [JudgeCall(battle=battle, prompt=battle.prompt, shown_first=side) for side in sides]
    else:
        outputs = (battle.output_a, battle.output_b)
        calls = [JudgeCall(output=output, prompt=battle.prompt) for output in outputs]
    cases = materials.cases_of(calls)
    steps = [
        Step("judge", case, call.shown_first, "" if call.battle else "AB"[number])
        for number, (call, case) in enumerate(zip(calls, cases, strict=True))
    ]
    first = []
    for scope in scopes_of(protocol):
        if scope == Scope.PROMPT:
            [case] = materials.cases_of([JudgeCall(prompt=battle.prompt)])
            first.append([_preparation(trial, case, battle=None, output=None)])
        elif protocol.judges_battles:
            alone = replace(steps[0].case, discussion=())
            first.append([_preparation(trial, alone, battle=battle, output=None)])
        else:
            first.append(
                [
                    _preparation(
                        trial, step.case, battle=None, output=call.output, name=step.output
                    )
                    for step, call in zip(steps, calls, strict=True)
                ]
            )
    return first, steps


def _preparation(trial: Trial, case: Case, *, battle: Any, output: Any, name: str = "") -> Step:
    step = Step("prepare", case, output=name)
    there = (
        trial.judge
        and Preparation.objects.filter(
            judge=trial.judge, prompt=trial.battle.prompt, battle=battle, output=output
        ).first()
    )
    if there:
        step.was_there, step.prepared = True, with_preparation(case, there)
    return step


async def _ask_all(
    make_asker: MakeAsker,
    endpoint: Endpoint,
    protocol: JudgeProtocol,
    first: list[list[Step]],
    steps: list[Step],
) -> None:
    async with make_asker(endpoint) as asker:
        for some, following in pairwise([*first, steps]):
            await asyncio.gather(
                *(
                    _prepare(asker, endpoint, protocol, step)
                    for step in some
                    if not step.is_left_out
                )
            )
            for number, step in enumerate(following):
                _build(step, some[number if len(some) > 1 else 0].prepared)
        await asyncio.gather(
            *(_ask(asker, endpoint, protocol, step) for step in steps if not step.is_left_out)
        )


def _build(step: Step, on: Case | None) -> None:
    """Give the step what was prepared for it; without it, it isn't asked."""
    if on is None:
        step.is_left_out = True
        return
    step.case = replace(step.case, checklist=on.checklist, reference=on.reference)
    if step.prepared is not None:
        step.prepared = replace(step.prepared, checklist=on.checklist)


async def _prepare(asker: Any, endpoint: Endpoint, protocol: JudgeProtocol, step: Step) -> None:
    if step.was_there:
        return
    request = protocol.preparation(step.case, fence=fence_of(step.case))
    if request is None:
        step.prepared = step.case
        return
    step.prepared = await _answered(
        asker, endpoint, step, request, read=partial(protocol.prepared, step.case)
    )


async def _ask(asker: Any, endpoint: Endpoint, protocol: JudgeProtocol, step: Step) -> None:
    try:
        request = protocol.render(step.case, fence=fence_of(step.case))
    except MissingInput as error:
        step.failure, step.error = Failure.MISSING_INPUT, str(error)
        return
    read: Any = protocol.read
    if step.case.checklist:
        read = partial(read, questions=step.case.checklist)
    step.reading = await _answered(asker, endpoint, step, request, read=read)


async def _answered(
    asker: Any, endpoint: Endpoint, step: Step, request: Request, *, read: Any
) -> Any:
    """What ``read`` made of the reply; None where the call failed, which the step then says."""
    step.request = request
    try:
        answer, found = await asker.ask(Question(endpoint, request), read=read)
    except CallError as error:
        step.failure, step.error, step.reply = error.failure, str(error), error.text
        step.cost, step.attempts = error.cost or None, error.attempts
        return None
    step.reply = answer.reply.text
    step.input_tokens, step.output_tokens = answer.input_tokens, answer.output_tokens
    step.cost, step.seconds = answer.cost, answer.seconds
    step.from_cache, step.attempts = answer.from_cache, answer.attempts
    return found


# --- what would be cast -----------------------------------------------------------------------------------


def _decided(trial: Trial, steps: list[Step]) -> list[dict[str, Any]]:
    """The verdicts that a run would cast; none where an order failed."""
    calls = []
    for step in steps:
        if step.reading is None or step.reading.choice is None:
            return []
        parsed = step.as_json()["reading"]
        calls.append(
            JudgeCall(
                battle=trial.battle,
                shown_first=step.shown_first,
                choice=parsed["choice"],
                confidence=parsed["confidence"],
                parse={name: parsed[name] for name in ("by_criterion", "details", "rationale")},
            )
        )
    return [
        {
            "criterion": decided.criterion,
            "outcome": int(decided.outcome),
            "confidence": decided.confidence,
            "rule": decided.parse["rule"],
        }
        for decided in decisions_of(trial.battle, calls)
    ]


def _decided_by_scores(trial: Trial, steps: list[Step]) -> list[dict[str, Any]]:
    if any(step.reading is None or step.reading.score is None for step in steps):
        return []
    margin = trial.configuration["margin"]
    named = [{"": step.reading.score, **step.reading.by_criterion} for step in steps]  # type: ignore[union-attr]
    return [
        {
            "criterion": criterion,
            "outcome": int(Outcome(int(verdict(a, b, margin=margin)))),
            "confidence": None,
            "rule": f"scores {a:g} for A and {b:g} for B; a difference up to {margin:g} is a tie",
        }
        for criterion, a in named[0].items()
        if (b := named[1].get(criterion)) is not None
    ]


def _without_pictures(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as plain text: a list of parts becomes their texts, a picture its size."""
    content = message["content"]
    if isinstance(content, str):
        return {"role": message["role"], "content": content}
    parts = []
    for part in content:
        if "text" in part:
            parts.append(part["text"])
        else:
            size = len(part["image_url"]["url"]) * 3 // 4  # of base64
            parts.append(f"[an image of about {size // 1_000:,} kB]")
    return {"role": message["role"], "content": "\n\n".join(parts)}
