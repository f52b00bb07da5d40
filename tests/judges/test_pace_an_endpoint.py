"""What workers agree on, step by step and without a clock."""

import json

import pytest

from judges.endpoints.pacing import LEASE, LOWEST_SHARE, Grant, Limits, News, State, settle

NOW = 1_000_000.0


def step(
    state: State, worker: str, now: float = NOW, *, limits: Limits, **news
) -> tuple[State, Grant]:
    """Through JSON each time, as the database keeps it."""
    state, grant = settle(state, News(worker, **news), limits, now)
    return State.from_json(json.loads(json.dumps(state.to_json()))), grant


# --- concurrency ----------------------------------------------------------------------------------
def test_a_lone_worker_has_what_it_wants_up_to_the_limit():
    limits = Limits(concurrency=8)
    assert step(State(), "a", limits=limits, slots=3)[1].held == 3
    assert step(State(), "a", limits=limits, slots=100)[1].held == 8


def test_another_worker_gets_slots_only_when_they_are_free_and_then_its_part():
    limits = Limits(concurrency=8)
    state, _ = step(State(), "a", limits=limits, slots=100)
    state, grant = step(state, "b", limits=limits, slots=100)
    assert grant.held == 0
    state, grant = step(state, "a", limits=limits, slots=100, in_flight=8)
    assert grant.held == 8  # what is in flight can't be called back
    state, grant = step(state, "a", limits=limits, slots=100, in_flight=3)
    assert grant.held == 4
    state, grant = step(state, "b", limits=limits, slots=100)
    assert grant.held == 4


def test_what_another_worker_does_not_want_is_not_left_lying():
    limits = Limits(concurrency=8)
    state, _ = step(State(), "a", limits=limits, slots=1)
    assert step(state, "b", limits=limits, slots=100)[1].held == 7


def test_more_workers_than_slots_never_hold_too_many():
    limits, state, held = Limits(concurrency=2), State(), {}
    for turn in range(4):
        for worker in "abcde":
            state, grant = step(state, worker, NOW + turn, limits=limits, slots=5)
            held[worker] = grant.held
            assert sum(held.values()) <= 2
    assert sum(held.values()) == 2


def test_a_worker_that_died_loses_its_slots():
    limits = Limits(concurrency=8)
    state, _ = step(State(), "dead", limits=limits, slots=8, in_flight=8)
    state, grant = step(state, "b", NOW + LEASE - 1, limits=limits, slots=8)
    assert grant.held == 0
    state, grant = step(state, "b", NOW + LEASE + 1, limits=limits, slots=8)
    assert (grant.held, list(state.workers)) == (8, ["b"])


def test_a_worker_that_leaves_is_forgotten():
    limits = Limits(concurrency=8)
    state, _ = step(State(), "a", limits=limits, slots=8)
    state, _ = step(state, "a", limits=limits, leaves=True)
    assert state == State()


def test_nothing_is_written_while_nothing_changes():
    limits = Limits(concurrency=8)
    state, _ = step(State(), "a", limits=limits, slots=8)
    again, _ = step(state, "a", NOW + 1, limits=limits, slots=8, in_flight=8, succeeded=True)
    assert again == state
    later, _ = step(state, "a", NOW + LEASE - 1, limits=limits, slots=8)
    assert later.workers["a"].until > state.workers["a"].until


# --- rates ----------------------------------------------------------------------------------------
def test_starts_lie_apart_for_all_workers_together():
    limits = Limits(concurrency=8, requests_per_minute=300)
    state, first = step(State(), "a", limits=limits, slots=9, waiting=[10] * 3)
    state, second = step(state, "b", limits=limits, slots=9, waiting=[10] * 9)
    assert first.starts == pytest.approx([NOW, NOW + 0.2, NOW + 0.4])
    assert second.starts == pytest.approx([NOW + 0.6, NOW + 0.8, NOW + 1.0])  # no further ahead


def test_a_pause_is_not_saved_up():
    limits = Limits(concurrency=8, requests_per_minute=300)
    state, _ = step(State(), "a", limits=limits, slots=1, waiting=[10])
    _, grant = step(state, "a", NOW + 60, limits=limits, slots=9, waiting=[10] * 2)
    assert grant.starts == pytest.approx([NOW + 60, NOW + 60.2])


def test_tokens_count_as_expected_until_they_are_known():
    limits = Limits(concurrency=8, tokens_per_minute=6000)  # a hundred a second
    state, grant = step(State(), "a", limits=limits, slots=9, waiting=[50, 20, 50])
    assert grant.starts == pytest.approx([NOW, NOW + 0.5, NOW + 0.7])
    # Of those 120 only 40 were taken.
    _, grant = step(state, "a", limits=limits, slots=9, waiting=[10], tokens_too_many=80)
    assert grant.starts == pytest.approx([NOW + 0.4])


def test_the_tighter_limit_counts():
    limits = Limits(concurrency=8, requests_per_minute=600, tokens_per_minute=6000)
    _, grant = step(State(), "a", limits=limits, slots=9, waiting=[5, 50, 5])
    assert grant.starts == pytest.approx([NOW, NOW + 0.1, NOW + 0.6])


# --- too many -------------------------------------------------------------------------------------
def test_too_many_halves_the_limits_once_for_all_that_were_in_flight():
    limits = Limits(concurrency=8, requests_per_minute=600)
    refused = [(NOW - 1, 5.0), (NOW - 0.5, 3.0)]
    state, grant = step(State(), "a", limits=limits, slots=8, refused=refused)
    assert (grant.held, grant.blocked_until) == (4, NOW + 5)
    state, grant = step(state, "b", NOW + 1, limits=limits, slots=8, refused=[(NOW - 1, 1.0)])
    assert (state.share, grant.blocked_until) == (0.5, NOW + 5)
    state, grant = step(
        state, "a", NOW + 5, limits=limits, slots=4, waiting=[1, 1], refused=[(NOW + 4, 0)]
    )
    assert state.share == pytest.approx((0.5 + 5 / 60) / 2)


def test_the_limits_grow_back_steadily():
    state, _ = step(State(), "a", limits=Limits(8), slots=1, refused=[(NOW - 1, 0.0)])
    shares = [state.share_at(NOW + seconds) for seconds in (0, 6, 12, 30, 3600)]
    assert shares == pytest.approx([0.5, 0.6, 0.7, 1.0, 1.0])


def test_one_call_at_a_time_is_always_allowed_and_no_pause_is_for_ever():
    limits, state = Limits(concurrency=4), State()
    for turn in range(20):
        state, grant = step(
            state, "a", NOW + turn, limits=limits, slots=4, refused=[(NOW + turn, 1e12)]
        )
    assert state.share >= LOWEST_SHARE
    assert grant.held == 1
    assert grant.blocked_until <= NOW + 19 + 3600


def test_no_start_is_handed_out_within_a_pause():
    limits = Limits(concurrency=8, requests_per_minute=600)
    state, grant = step(
        State(), "a", limits=limits, slots=2, waiting=[1], refused=[(NOW - 1, 30.0)]
    )
    assert grant.starts == ()
    _, grant = step(state, "a", NOW + 29.5, limits=limits, slots=2, waiting=[1])
    assert grant.starts == (NOW + 30,)


# --- the circuit ----------------------------------------------------------------------------------
LIMITS = Limits(concurrency=8, break_after=3, break_for=10, timeout=60)


def broken() -> State:
    state, _ = step(State(), "a", limits=LIMITS, slots=1, failures=2, failure="timeout")
    state, grant = step(state, "b", limits=LIMITS, slots=1, failures=1, failure="timeout")
    assert (grant.open_until, grant.failure, grant.may_probe) == (NOW + 10, "timeout", False)
    return state


def test_failures_of_all_workers_in_a_row_open_the_circuit():
    broken()


def test_a_success_in_between_starts_the_count_anew():
    state, _ = step(State(), "a", limits=LIMITS, slots=1, failures=2, failure="timeout")
    state, _ = step(state, "b", limits=LIMITS, slots=1, succeeded=True)
    state, grant = step(state, "a", limits=LIMITS, slots=1, failures=2, failure="timeout")
    assert (state.failures, grant.open_until) == (2, 0)


def test_one_of_all_workers_tries_when_the_time_is_over():
    state, grant = step(broken(), "a", NOW + 9, limits=LIMITS, slots=1)
    assert not grant.may_probe
    state, grant = step(state, "a", NOW + 10, limits=LIMITS, slots=1)
    assert grant.may_probe
    state, grant = step(state, "b", NOW + 10, limits=LIMITS, slots=1)
    assert not grant.may_probe
    # The first died with it: another may try when its call must be over.
    state, grant = step(state, "b", NOW + 80, limits=LIMITS, slots=1)
    assert grant.may_probe


def test_what_was_in_flight_when_it_opened_tells_nothing():
    state, _ = step(broken(), "a", NOW + 1, limits=LIMITS, slots=1, failures=5, succeeded=True)
    assert (state.failures, state.open_until) == (3, NOW + 10)


def test_a_try_in_vain_doubles_the_pause_and_one_that_goes_well_ends_it():
    state = broken()
    for turn, pause in enumerate((20, 40, 80, 160, 300, 300)):
        now = NOW + 1000 * (turn + 1)
        state, grant = step(state, "a", now, limits=LIMITS, slots=1, failures=1, probed=False)
        assert grant.open_until == now + pause
    state, grant = step(state, "a", NOW + 9000, limits=LIMITS, slots=1, probed=True)
    assert (state.failures, grant.open_until, grant.held) == (0, 0, 1)
