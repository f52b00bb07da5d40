"""A worker's turn at a run of an LLM judge or a system: calls are claimed, asked side by side, and stored.

No more calls are claimed than are being asked, and a call gives up its place when its result is stored: so a
worker that is killed loses at most what was in flight. The database is used from the worker's own thread
(asgiref runs the coroutine beside it), one short transaction at a time.
"""

import asyncio
import json
import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from judges.endpoints.interface import Answer, CallError, Endpoint, Failure, Question
from judges.llm_judges import endpoint_of, protocol_of
from judges.models import JudgeCall, JudgeRun, Preparation
from judges.protocols.interface import Case, JudgeProtocol, MissingInput, Reading, Request
from judges.runs.answers import NOT_ASKED, Asked, follow_answers, read_answer
from judges.runs.calls import (
    LONGEST_TEXT,
    PASSING,
    Result,
    claim_calls,
    lease_seconds,
    release_calls,
    stop_run,
    store_results,
)
from judges.runs.cases import Materials, fence_of, load_calls
from judges.runs.preparing import (
    Scope,
    builds_on,
    preparations_for,
    scopes_of,
    subject_of,
    with_preparation,
)
from judges.runs.probing import protocol_for

TURN_SECONDS = 60  # then the worker takes whatever else waits in the queue
RENEWALS = 6  # of a lease before it runs out, while nothing comes
# So many failures of the endpoint in a row, without an answer between them, and the run stops.
MOST_FAILURES_IN_A_ROW = 25
DOWN = frozenset(
    {Failure.SERVER, Failure.TIMEOUT, Failure.CONNECTION, Failure.RATE_LIMITED, Failure.MALFORMED}
)

MakeAsker = Callable[[Endpoint], AbstractAsyncContextManager[Any]]


def take_turn(run: JudgeRun, *, make_asker: MakeAsker | None = None) -> bool:
    """Ask the open calls of a running run for a while; whether there were any for this worker.

    What goes wrong but for single calls is kept on the run and raised again.
    """
    try:
        turn = _answering(run) if run.answers else _judging(run)
        async_to_sync(turn.go)(make_asker or asker_for)
        return turn.has_asked
    except CallError as error:
        # The operator doesn't allow the endpoint, or its key isn't there: nothing was asked.
        stop_run(run.pk, error=str(error))
        return False
    except PASSING:
        raise
    except Exception as error:
        stop_run(run.pk, error=f"{type(error).__name__}: {error}")
        raise


def _judging(run: JudgeRun) -> "Turn":
    protocol = protocol_of(run.judge)
    return _JudgeTurn(
        run=run,
        endpoint=endpoint_of(run.judge),
        claim=uuid.uuid4(),
        protocol=protocol,
        scopes=scopes_of(protocol),
        materials=Materials.of(run),
    )


def _answering(run: JudgeRun) -> "Turn":
    asked = Asked.of(run.system)
    return _AnswerTurn(run=run, endpoint=asked.endpoint, claim=uuid.uuid4(), asked=asked)


def asker_for(endpoint: Endpoint) -> AbstractAsyncContextManager[Any]:
    # Here, since it brings an HTTP client that no web process needs.
    from judges.endpoints.asking import Asker

    return Asker(endpoint)


@dataclass(kw_only=True)
class Turn:
    """What is the same whatever is asked. Kinds of runs say what a call is about, and how it is asked."""

    run: JudgeRun
    endpoint: Endpoint
    claim: uuid.UUID
    in_a_row: int = 0
    has_asked: bool = False

    def about(self, calls: Sequence[JudgeCall]) -> Sequence[Any]:
        """What each call is about, as ``result`` takes it."""
        raise NotImplementedError

    async def result(self, asker: Any, call: JudgeCall, about: Any) -> Result:
        """What came of asking. Raises CallError and MissingInput."""
        raise NotImplementedError

    async def go(self, make_asker: MakeAsker) -> None:
        ends = time.monotonic() + TURN_SECONDS
        asked: dict[asyncio.Task[Result], int] = {}
        try:
            async with make_asker(self.endpoint) as asker:
                while True:
                    more = time.monotonic() < ends
                    for call, about in await sync_to_async(self.claimed)(
                        list(asked.values()), more=more
                    ):
                        asked[asyncio.create_task(self.ask(asker, call, about))] = call.pk
                    if not asked:
                        return
                    self.has_asked = True
                    done, _ = await asyncio.wait(
                        asked,
                        timeout=lease_seconds() / RENEWALS,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    await self.keep(done)
                    for task in done:
                        del asked[task]
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
            await sync_to_async(release_calls)(self.run.pk, claim=self.claim)

    def claimed(self, mine: list[int], *, more: bool) -> list[tuple[JudgeCall, Any]]:
        """Further calls to ask, with what they are about; renews the lease of those that are being asked."""
        at_most = self.endpoint.concurrency if more else 0
        calls = load_calls(claim_calls(self.run.pk, claim=self.claim, at_most=at_most, mine=mine))
        return list(zip(calls, self.about(calls), strict=True))

    async def keep(self, done: set[asyncio.Task[Result]]) -> None:
        """Store what came, then raise what went wrong with none of our calls to blame."""
        results = [task.result() for task in done if task.exception() is None]
        if results:
            await sync_to_async(store_results)(self.run.pk, results)
        for task in done:
            if error := task.exception():
                raise error
        for result in results:
            self.in_a_row = self.in_a_row + 1 if result.failure in DOWN else 0
        if self.in_a_row >= max(MOST_FAILURES_IN_A_ROW, 2 * self.endpoint.concurrency):
            await sync_to_async(stop_run)(
                self.run.pk,
                error=f"{self.in_a_row} calls in a row failed, the last one so: {results[-1].error} "
                "When the endpoint is well again, resume the run and retry what failed.",
            )

    async def ask(self, asker: Any, call: JudgeCall, about: Any) -> Result:
        try:
            return await self.result(asker, call, about)
        except MissingInput as error:
            return Result(call=call.pk, failure=Failure.MISSING_INPUT, error=str(error))
        except CallError as error:
            return Result(
                call=call.pk,
                failure=error.failure,
                error=str(error),
                text=error.text,
                cost=error.cost or None,
                attempts=error.attempts,
                untold=error.untold,
            )


@dataclass(kw_only=True)
class _JudgeTurn(Turn):
    protocol: JudgeProtocol
    materials: Materials
    scopes: tuple[Scope, ...]
    preparations: dict[Any, Preparation] = field(default_factory=dict)

    def about(self, calls: Sequence[JudgeCall]) -> list[Case]:
        if calls and self.scopes:
            self.preparations |= preparations_for(self.run.judge, calls)
        return self.materials.cases_of(calls)

    async def result(self, asker: Any, call: JudgeCall, about: Case) -> Result:
        case = self.with_preparations(call, about)
        if call.purpose == JudgeCall.Purpose.PREPARE:
            return await self.prepare(asker, call, case)
        protocol = protocol_for(call, self.protocol)
        request = protocol.render(case, fence=fence_of(case))
        read = protocol.read
        if case.checklist:
            read = partial(read, questions=case.checklist)
        answer, reading = await asker.ask(
            Question(self.endpoint, request, call.repetition), read=read
        )
        self.check(reading)
        return result_of(call, answer, reading)

    async def prepare(self, asker: Any, call: JudgeCall, case: Case) -> Result:
        request = self.protocol.preparation(case, fence=fence_of(case))
        if request is None:
            raise MissingInput(f"{self.protocol.name} needs no preparation of this.")
        answer, prepared = await asker.ask(
            Question(self.endpoint, request), read=partial(self.protocol.prepared, case)
        )
        parse = {"reference": prepared.reference}
        if prepared.checklist != case.checklist:
            parse = {"checklist": list(prepared.checklist)}
        return replace(result_of(call, answer, Reading()), parse=parse)

    def with_preparations(self, call: JudgeCall, case: Case) -> Case:
        for scope in builds_on(call, self.scopes):
            preparation = self.preparations.get(subject_of(call, scope))
            if preparation is None:
                raise MissingInput(
                    "What the judge writes first failed here: retry all that failed."
                )
            case = with_preparation(case, preparation)
        return case

    def check(self, reading: Reading) -> None:
        """Raises CallError for a reading that decides nothing of what was asked."""
        decided = reading.choice if self.protocol.judges_battles else reading.score
        if decided is None or not math.isfinite(decided):
            raise CallError(
                Failure.UNREADABLE,
                f"{self.protocol.name} read no decision in the reply.",
            )


@dataclass(kw_only=True)
class _AnswerTurn(Turn):
    asked: Asked

    async def go(self, make_asker: MakeAsker) -> None:
        await super().go(make_asker)
        if self.has_asked:
            await sync_to_async(self.follow)()

    def follow(self) -> None:
        """People can vote on what is there while a long run goes on; what ends a run does the same."""
        if JudgeRun.objects.filter(pk=self.run.pk, state=JudgeRun.State.RUNNING).exists():
            follow_answers(self.run)

    def about(self, calls: Sequence[JudgeCall]) -> list[Request | None]:
        return self.asked.requests_of(self.run.arena, [call.prompt for call in calls])

    async def result(self, asker: Any, call: JudgeCall, about: Request | None) -> Result:
        if about is None:
            raise MissingInput(NOT_ASKED)
        answer, _ = await asker.ask(Question(self.endpoint, about), read=read_answer)
        return replace(result_of(call, answer, Reading()), parse={}, asked=self.asked)


def result_of(call: JudgeCall, answer: Answer, reading: Reading) -> Result:
    return Result(
        call=call.pk,
        text=answer.reply.text,
        parse={
            "rationale": reading.rationale[:LONGEST_TEXT],
            "by_criterion": {
                name: int(value) if isinstance(value, int) else value
                for name, value in reading.by_criterion.items()
            },
            "details": bounded(reading.details),
        },
        choice=None if reading.choice is None else int(reading.choice),
        score=reading.score,
        confidence=reading.confidence,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        cost=answer.cost,
        seconds=answer.seconds,
        from_cache=answer.from_cache,
        attempts=answer.attempts,
        untold=answer.untold,
    )


def bounded(details: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON no longer than a reply that is kept; without those that would make it longer."""
    kept, length = {}, 0
    for name, value in details.items():
        length += len(name) + len(json.dumps(value, default=str))
        if length <= LONGEST_TEXT:
            kept[name] = value
    return kept
