"""Asking: the cache, the gate, attempts with pauses between them, and the reading of what came.

    async with Asker(endpoint) as asker:
        answer, reading = await asker.ask(question, read=protocol.read)

One Asker serves all calls of a run to one endpoint. ``ask`` may be called from any number of tasks, which it
holds to the endpoint's limits.
"""

import asyncio
import random  # noqa: TID251 (pauses needn't be reproducible)
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Self, TypeVar

from judges.endpoints import cache
from judges.endpoints.client import KEPT_TEXT, ChatClient
from judges.endpoints.database import Batches, DatabaseThread
from judges.endpoints.gate import Gate
from judges.endpoints.interface import (
    MAYBE_PAID,
    RETRIED,
    Answer,
    CallError,
    Endpoint,
    Failure,
    Question,
)
from judges.endpoints.pacing import Limits
from judges.endpoints.providers import PROVIDERS
from judges.endpoints.reward import FORMS, RewardClient
from judges.protocols.interface import FinalReply, Reply, Request, UnreadableReply

Read = TypeVar("Read")
TOKENS_OF_A_PICTURE = 1000


@dataclass(frozen=True, slots=True)
class Patience:
    """How much is borne before a call fails. Times are seconds."""

    attempts: int = 5
    first_pause: float = (
        0.5  # doubled after each attempt; what is waited is drawn between 0 and that
    )
    longest_pause: float = 30.0
    longest_wait: float = 120.0  # for a server that asks for a pause, or fails whoever asks
    break_after: int = 10  # failures in a row after which nobody asks for a while
    break_for: float = 10.0


class Asker:
    """Asks one endpoint. Entering raises CallError when the operator's lists don't have it or its key."""

    def __init__(
        self, endpoint: Endpoint, *, cache: bool = True, patience: Patience | None = None
    ) -> None:
        self.endpoint, self.patience = endpoint, patience or Patience()
        self._uses_cache = cache

    async def __aenter__(self) -> Self:
        endpoint, patience = self.endpoint, self.patience
        clients = {"chat": ChatClient, **dict.fromkeys(FORMS, RewardClient), **PROVIDERS}
        if endpoint.api not in clients:
            raise CallError(
                Failure.NOT_ALLOWED, f"There is no way of asking called {endpoint.api!r}."
            )
        client = clients[endpoint.api]
        limits = Limits(
            concurrency=endpoint.concurrency,
            requests_per_minute=endpoint.requests_per_minute,
            tokens_per_minute=endpoint.tokens_per_minute,
            timeout=endpoint.timeout,
            break_after=patience.break_after,
            break_for=patience.break_for,
        )
        async with AsyncExitStack() as stack:
            self._client = await stack.enter_async_context(client(endpoint))
            thread = await stack.enter_async_context(DatabaseThread())
            self._find = Batches(thread, cache.find, most=cache.BATCH)
            self._keep = Batches(thread, cache.keep, most=cache.BATCH)
            for batches in (self._find, self._keep):
                stack.push_async_callback(batches.settle)
            self._gate = await stack.enter_async_context(
                Gate(endpoint, thread, limits, longest_wait=patience.longest_wait)
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def ask(
        self, question: Question, *, read: Callable[[Reply], Read]
    ) -> tuple[Answer, Read]:
        """The answer to a question and what ``read`` makes of its reply.

        An answer is looked for in the cache first, unless the Asker was made without one, and is there before
        it is returned. A reply that ``read`` finds unreadable (UnreadableReply) is asked for again, and fails
        with its text in the end; neither it nor any other failure is ever kept in the cache.
        """
        if question.endpoint != self.endpoint:
            raise ValueError("The question is for another endpoint.")
        key = cache.key_of_question(question) if self._uses_cache else ""
        if key and (found := await self._find.one(key)):
            try:
                return found, read(found.reply)
            except UnreadableReply:
                pass  # it was read by an older parser: asked for again
        spent, untold = 0.0, 0
        for attempt in range(1, self.patience.attempts + 1):
            try:
                answer = await self._attempt(question)
                try:
                    reading = read(answer.reply)
                except UnreadableReply as unreadable:
                    raise _unreadable(answer, unreadable) from None
            except CallError as error:
                spent += error.cost
                error.untold = untold
                untold += error.failure in MAYBE_PAID and not error.cost
                error.cost, error.attempts = spent, attempt
                if error.is_final or error.failure not in RETRIED:
                    raise
                if attempt == self.patience.attempts:
                    raise
                if (error.retry_after or 0) > self.patience.longest_wait:
                    raise
                await asyncio.sleep(self._pause(attempt, error))
                continue
            if key:
                await self._keep.one((key, self.endpoint.model, answer))
            cost = None if answer.cost is None else answer.cost + spent
            return replace(answer, cost=cost, attempts=attempt, untold=untold), reading
        raise AssertionError("Unreachable: the last attempt returns or raises.")

    async def _attempt(self, question: Question) -> Answer:
        one = await self._gate.enter(tokens=expected_tokens(question.request))
        failure, tokens, answered = None, None, False
        try:
            answer = await self._client.attempt(question)
            answered = True
            if answer.input_tokens is not None and answer.output_tokens is not None:
                tokens = answer.input_tokens + answer.output_tokens
            return answer
        except CallError as error:
            failure = error
            raise
        finally:
            self._gate.leave(one, failure, answered=answered, tokens=tokens)

    def _pause(self, attempt: int, error: CallError) -> float:
        """Full jitter, so that calls that failed together don't come back together; at least what was asked."""
        longest = min(self.patience.longest_pause, self.patience.first_pause * 2 ** (attempt - 1))
        return (error.retry_after or 0.0) + random.uniform(0, longest)  # noqa: S311 (no secret)


def expected_tokens(request: Request) -> int:
    """A guess at what a request takes, for tokens a minute: put right once the server has told."""
    read = 0
    for message in request.messages:
        content = message["content"]
        for part in [{"text": content}] if isinstance(content, str) else content:
            read += len(part["text"]) // 4 + 4 if "text" in part else TOKENS_OF_A_PICTURE
    return read + request.max_tokens


def _unreadable(answer: Answer, unreadable: UnreadableReply) -> CallError:
    reason, cut = str(unreadable), answer.reply.finish == "length"
    failure = Failure.CUT_OFF if cut else Failure.UNREADABLE
    is_final = isinstance(unreadable, FinalReply)
    if is_final and answer.reply.finish == "content_filter":
        failure = Failure.REFUSED
    return CallError(
        failure,
        f"The reply ended at the token limit: {reason}" if cut else reason,
        text=answer.reply.text[:KEPT_TEXT],
        cost=answer.cost or 0.0,
        is_final=is_final,
    )
