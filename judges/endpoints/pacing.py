"""What workers agree on about an endpoint, as plain functions of plain data: ``settle`` is one step.

Each worker tells now and then what it has in flight, what waits and what happened; it is told how many calls it
may have in flight, and when the next ones may start. The state is one small JSON object in the database.

- Concurrency: a worker holds slots. Together they hold no more than are allowed; each is asked to come down to
  its share when others want some. A worker that isn't heard of for ``LEASE`` seconds has none.
- Rates: calls start one after another on a timeline, each ``60 / requests_per_minute`` seconds after the last,
  and likewise by the tokens that they are expected to take, which is put right when they are known.
- Slow down: when the server says "too many", everybody waits as long as it says. ``share`` of the limits is
  then halved, once for all calls that were in flight, and grows back by a constant amount per second.
- Circuit: after so many failures in a row nobody asks for a while, then one call tries.
"""

from dataclasses import dataclass, field, replace
from typing import Any

LEASE = 30.0  # seconds
HORIZON = 1.0  # starts are handed out so many seconds ahead
LOWEST_SHARE = 1 / 64
RECOVERY = 1 / 60  # of the limits, each second
LONGEST_BLOCK = 3600.0
LONGEST_BREAK = 300.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of an endpoint; 0 requests or tokens a minute: no such limit."""

    concurrency: int
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    timeout: float = 60.0
    break_after: int = 10  # failures in a row
    break_for: float = 10.0  # seconds, doubled with each call that tried in vain


@dataclass(frozen=True, slots=True)
class Worker:
    held: int
    wanted: int
    until: float


@dataclass(frozen=True, slots=True)
class State:
    """All times are seconds since the epoch; 0 means never."""

    workers: dict[str, Worker] = field(default_factory=dict)
    next_by_requests: float = 0.0
    next_by_tokens: float = 0.0
    share: float = 1.0
    slowed_at: float = 0.0
    blocked_until: float = 0.0
    failures: int = 0  # in a row
    failure: str = ""
    open_until: float = 0.0  # 0: the circuit is closed
    probe_until: float = 0.0  # until then somebody is trying

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in self.__slots__}
        plain["workers"] = {name: [w.held, w.wanted, w.until] for name, w in self.workers.items()}
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> "State":
        known = {name: plain[name] for name in cls.__slots__ if name in plain}
        workers = {name: Worker(*row) for name, row in plain.get("workers", {}).items()}
        return cls(**{**known, "workers": workers})

    def share_at(self, now: float) -> float:
        return min(1.0, self.share + max(0.0, now - self.slowed_at) * RECOVERY)


@dataclass(slots=True)
class News:
    """What a worker tells: its wishes, and what happened since it last told."""

    worker: str
    in_flight: int = 0
    waiting: list[int] = field(default_factory=list)  # expected tokens of calls without a start
    slots: int = 0  # that it could use: in flight and waiting, with or without a start
    leaves: bool = False
    succeeded: bool = False
    failures: int = 0  # since the last success
    failure: str = ""
    probed: bool | None = None  # whether the call that tried went well
    refused: list[tuple[float, float]] = field(default_factory=list)  # began, seconds to wait
    tokens_too_many: int = 0  # expected but not taken; negative: taken but not expected


@dataclass(frozen=True, slots=True)
class Grant:
    """What a worker is told."""

    held: int
    starts: tuple[float, ...] = ()
    blocked_until: float = 0.0
    open_until: float = 0.0
    may_probe: bool = False
    failures: int = 0
    failure: str = ""


def settle(state: State, news: News, limits: Limits, now: float) -> tuple[State, Grant]:
    """The next state and the worker's grant."""
    state = _slowed(state, news, now)
    state = _circuit(state, news, limits, now)
    share = state.share_at(now)
    state = replace(
        state,
        next_by_tokens=state.next_by_tokens
        - (60 / (limits.tokens_per_minute * share) * news.tokens_too_many)
        if limits.tokens_per_minute
        else 0.0,
    )
    others = {n: w for n, w in state.workers.items() if n != news.worker and w.until > now}
    if news.leaves:
        return replace(state, workers=others), Grant(held=0)
    held = _slots(others, news, limits, share)
    before = state.workers.get(news.worker)
    # Written anew only when it matters: most steps change nothing, and then nothing is written.
    mine = Worker(held, min(news.slots, limits.concurrency), now + LEASE)
    if before and before.until - now > LEASE / 2:
        mine = mine if (before.held, before.wanted) != (held, mine.wanted) else before
    workers = {**others, news.worker: mine}
    state = replace(state, workers=workers)
    may_probe = False
    if state.open_until:
        may_probe = bool(
            news.slots and now >= max(state.open_until, state.probe_until, state.blocked_until)
        )
        if may_probe:
            state = replace(state, probe_until=now + limits.timeout + 5)
        starts: tuple[float, ...] = ()
    else:
        state, starts = _starts(state, news, limits, share, now)
    return state, Grant(
        held=held,
        starts=starts,
        blocked_until=state.blocked_until,
        open_until=state.open_until,
        may_probe=may_probe,
        failures=state.failures,
        failure=state.failure,
    )


def _slowed(state: State, news: News, now: float) -> State:
    """Calls that began before the last slowing down tell nothing new: they met the old rate."""
    for began, wait in news.refused:
        blocked = max(state.blocked_until, now + min(wait, LONGEST_BLOCK))
        state = replace(state, blocked_until=blocked)
        if began > state.slowed_at:
            share = max(LOWEST_SHARE, state.share_at(now) / 2)
            state = replace(state, share=share, slowed_at=now)
    return state


def _circuit(state: State, news: News, limits: Limits, now: float) -> State:
    if state.open_until:
        # Calls that were in flight when it opened tell nothing; the one that tries does.
        if news.probed:
            return replace(state, failures=0, failure="", open_until=0.0, probe_until=0.0)
        if news.probed is False:
            failures = state.failures + 1
            wait = limits.break_for * 2 ** min(failures - limits.break_after, 10)
            return replace(
                state,
                failures=failures,
                failure=news.failure or state.failure,
                open_until=now + min(wait, LONGEST_BREAK),
                probe_until=0.0,
            )
        return state
    failures = news.failures + (0 if news.succeeded else state.failures)
    if failures == state.failures:
        return state
    state = replace(state, failures=failures, failure=news.failure if failures else "")
    if failures >= limits.break_after:
        state = replace(state, failures=limits.break_after, open_until=now + limits.break_for)
    return state


def _slots(others: dict[str, Worker], news: News, limits: Limits, share: float) -> int:
    """What is in flight stays; beyond that no more than is wanted, is free, and is left by the others' claims.

    A worker's claim is what it wants, up to an equal part.
    """
    allowed = max(1, int(limits.concurrency * share))
    free = allowed - sum(worker.held for worker in others.values())
    equal = -(-allowed // (len(others) + 1))
    left = allowed - sum(min(worker.wanted, equal) for worker in others.values())
    return max(news.in_flight, min(news.slots, free, max(left, equal)), 0)


def _starts(
    state: State, news: News, limits: Limits, share: float, now: float
) -> tuple[State, tuple[float, ...]]:
    """Starts for what waits, as far as they come within the horizon."""
    by_requests, by_tokens = state.next_by_requests, state.next_by_tokens
    if not (limits.requests_per_minute or limits.tokens_per_minute):
        return state, ()
    starts = []
    for tokens in news.waiting:
        start = max(now, by_requests, by_tokens, state.blocked_until)
        if start > now + HORIZON:
            break
        starts.append(start)
        if limits.requests_per_minute:
            by_requests = start + 60 / (limits.requests_per_minute * share)
        if limits.tokens_per_minute:
            by_tokens = start + 60 / (limits.tokens_per_minute * share) * tokens
    return replace(state, next_by_requests=by_requests, next_by_tokens=by_tokens), tuple(starts)
