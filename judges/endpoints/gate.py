"""The gate before an endpoint: calls of this worker pass it as the workers together agreed.

It decides on the spot while it has slots and starts in hand, and settles with the other workers by the row of
the endpoint now and then (``judges.endpoints.pacing``): twice a second while calls wait or are in flight,
sooner when it has nothing in hand, and at once when the server said "too many" or the circuit is concerned.
"""

import asyncio
import contextlib
import hashlib
import time
import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from django.db import connection
from django.db.models import F
from django.utils import timezone

from judges.endpoints.database import DatabaseThread
from judges.endpoints.interface import CallError, Endpoint, Failure
from judges.endpoints.pacing import LEASE, Grant, Limits, News, State, settle
from judges.models import EndpointState

SETTLE_EVERY = 0.5  # seconds
SETTLE_AT_MOST_EVERY = 0.02
# Failures that say something of the endpoint and not of the request.
OF_THE_ENDPOINT = frozenset(
    {Failure.SERVER, Failure.TIMEOUT, Failure.CONNECTION, Failure.CREDENTIALS, Failure.NOT_FOUND}
)


class StateIsContended(RuntimeError):
    """The endpoint's row changed each time between reading and writing it."""


def digest_of(endpoint: Endpoint) -> str:
    return hashlib.sha256(f"{endpoint.url.rstrip('/')}\n{endpoint.model}".encode()).hexdigest()


def settle_in_database(endpoint: Endpoint, news: News, limits: Limits, now: float) -> Grant:
    """One step of the shared state: read, compute, write if nobody else wrote meanwhile, or again."""
    digest = digest_of(endpoint)
    for _ in range(100):
        row = EndpointState.objects.filter(digest=digest).values_list("version", "state").first()
        if row is None:
            EndpointState.objects.bulk_create(
                [EndpointState(digest=digest, url=endpoint.url, model=endpoint.model)],
                ignore_conflicts=True,
            )
            continue
        version, plain = row
        before = State.from_json(plain)
        after, grant = settle(before, news, limits, now)
        if after == before:
            return grant
        written = EndpointState.objects.filter(digest=digest, version=version).update(
            version=F("version") + 1, state=after.to_json(), updated_at=timezone.now()
        )
        if written:
            return grant
    raise StateIsContended(f"{connection.vendor}: the state of {endpoint.model} is never free.")


@dataclass(slots=True, eq=False)
class Pass:
    """A call that waits at the gate or went through it."""

    tokens: int  # expected
    through: asyncio.Future[None]
    begun: float = 0.0
    probes: bool = False
    waits_since: float = field(default_factory=time.time)


class Gate:
    """``async with`` joins and leaves the workers of the endpoint; ``enter`` and ``leave`` are of each call."""

    def __init__(
        self, endpoint: Endpoint, thread: DatabaseThread, limits: Limits, *, longest_wait: float
    ) -> None:
        self._endpoint, self._thread, self._limits = endpoint, thread, limits
        self._longest_wait = longest_wait
        self._paced = bool(limits.requests_per_minute or limits.tokens_per_minute)
        self._worker = uuid.uuid4().hex[:12]
        self._waiting: deque[Pass] = deque()
        self._in_flight = 0
        self._left_since = 0  # calls that ended since the last settling
        self._usual_tokens = 0
        self._starts: deque[float] = deque()
        self._grant = Grant(held=0)
        self._probe_in_hand = False
        self._news = News(self._worker)
        self._wake, self._urgent = asyncio.Event(), asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._broken: BaseException | None = None
        self._closing = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._settle_now_and_then())
        return self

    async def __aexit__(self, *exception: object) -> None:
        # Not cancelled: what it is telling just now would be lost.
        self._closing = True
        self._wake.set()
        self._urgent.set()
        await self._task
        self._news.leaves = True
        if not self._broken:
            await self._settle()
        if self._timer:
            self._timer.cancel()

    async def enter(self, *, tokens: int) -> Pass:
        """Waits until the call may start. Raises CallError when that would take too long."""
        if self._broken:
            raise self._broken
        one = Pass(tokens, asyncio.get_running_loop().create_future())
        self._usual_tokens = tokens
        self._waiting.append(one)
        self._let_through()
        try:
            await one.through
        except asyncio.CancelledError:
            if one.begun:  # let through and cancelled at once
                self.leave(one, None, answered=False)
            else:
                self._waiting.remove(one)
            raise
        return one

    def leave(
        self, one: Pass, failure: CallError | None, *, answered: bool, tokens: int | None = None
    ) -> None:
        """After the call, however it ended; ``tokens`` are those that it took, as far as they are known.

        Without an answer and without a failure it was broken off here, which tells nothing of the endpoint.
        """
        self._in_flight -= 1
        self._left_since += 1
        news = self._news
        if tokens is not None:
            news.tokens_too_many += one.tokens - tokens
        of_the_endpoint = failure is not None and failure.failure in OF_THE_ENDPOINT
        if failure is not None and failure.failure == Failure.RATE_LIMITED:
            news.refused.append((one.begun, failure.retry_after or 1.0))
            self._urgent.set()
        elif of_the_endpoint and failure is not None:
            news.failures += 1
            news.failure = failure.failure
            failures = news.failures + self._grant.failures
            if failures >= self._limits.break_after and not self._grant.open_until:
                self._urgent.set()
        elif answered or (failure is not None and failure.failure != Failure.NOT_ALLOWED):
            news.succeeded, news.failures = True, 0
        if one.probes and (answered or failure is not None):
            news.probed = not of_the_endpoint
            self._urgent.set()
        if self._urgent.is_set():
            self._wake.set()
        self._let_through()

    def _let_through(self) -> None:
        """Everybody for whom slots and starts are in hand; asks for more when there aren't."""
        now = time.time()
        while self._waiting and self._may_pass(now):
            one = self._waiting.popleft()
            if one.through.done():
                continue
            if self._paced and not self._probe_in_hand:
                self._starts.popleft()
            one.begun, one.probes, self._probe_in_hand = now, self._probe_in_hand, False
            self._in_flight += 1
            one.through.set_result(None)
        if self._waiting and (self._in_flight >= self._grant.held or not self._starts):
            self._wake.set()

    def _may_pass(self, now: float) -> bool:
        if self._urgent.is_set() or now < self._grant.blocked_until:
            return False
        if self._probe_in_hand:
            return True
        if self._grant.open_until or self._in_flight >= self._grant.held:
            return False
        if not self._paced:
            return True
        while self._starts and self._starts[0] < now - 1:
            self._starts.popleft()  # too late to be used: many at once would be a burst
        if not self._starts:
            return False
        if self._starts[0] > now:
            self._again_in(self._starts[0] - now)
            return False
        return True

    def _again_in(self, seconds: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._let_through)

    async def _settle_now_and_then(self) -> None:
        try:
            while not self._closing:
                self._wake.clear()
                # Once more when it has become idle: then it gives its slots back.
                busy = self._waiting or self._in_flight or self._grant.held
                if busy or self._news != News(self._worker):
                    short = await self._settle()
                    self._give_up()
                    self._let_through()
                    # Whoever got less than was asked for needn't ask again at once.
                    await _within(SETTLE_EVERY if short else SETTLE_AT_MOST_EVERY, self._urgent)
                    if short or self._urgent.is_set():
                        continue
                if not self._closing:
                    busy = self._in_flight or self._grant.held
                    await _within(SETTLE_EVERY if busy else LEASE, self._wake)
        except Exception as error:  # noqa: BLE001 (raised by everybody who waits or comes)
            self._broken = error
            for one in self._waiting:
                if not one.through.done():
                    one.through.set_exception(error)
            self._waiting.clear()

    async def _settle(self) -> bool:
        """Tells and is told. True if less was granted than was asked for."""
        news, self._news = self._news, News(self._worker, leaves=self._news.leaves)
        self._urgent.clear()
        news.in_flight = self._in_flight
        news.slots = self._in_flight + len(self._waiting)
        if self._paced:
            # Calls end and others come: some starts are taken in advance, as many as were used lately.
            spare, self._left_since = self._left_since, 0
            expected = [one.tokens for one in self._waiting] + [self._usual_tokens] * spare
            news.waiting = expected[len(self._starts) :]
        self._grant = grant = await self._thread.run(
            settle_in_database, self._endpoint, news, self._limits, time.time()
        )
        self._starts.extend(grant.starts)
        self._probe_in_hand = grant.may_probe
        if grant.blocked_until > time.time():
            self._again_in(grant.blocked_until - time.time() + 0.001)
        return bool(
            grant.held < news.slots
            or len(grant.starts) < len(news.waiting)
            or grant.open_until
            or grant.blocked_until > time.time()
        )

    def _give_up(self) -> None:
        """Calls that would wait longer than is bearable fail; the run may come back to them."""
        now, grant = time.time(), self._grant
        for one in list(self._waiting):
            error: CallError | None = None
            if grant.blocked_until - one.waits_since > self._longest_wait:
                wait = grant.blocked_until - now
                error = CallError(
                    Failure.RATE_LIMITED,
                    f"The server asks for {wait:.0f} seconds without calls: too long to wait for.",
                    retry_after=wait,
                )
            elif grant.open_until and now - one.waits_since > self._longest_wait:
                error = CallError(
                    Failure(grant.failure) if grant.failure else Failure.SERVER,
                    f"The endpoint failed {grant.failures} times in a row and isn't asked for now.",
                )
            if error and not one.through.done():
                self._waiting.remove(one)
                one.through.set_exception(error)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Until the event, but no longer than so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
