"""Tests of one voter: exact under honest votes, and with power against each kind of bad faith."""

import numpy as np
import pytest
from scipy.stats import binom, kstest

from ratings.engine import anomaly as tests
from ratings.engine.anomaly import TIE, A, B, anomaly
from tests.engine.voters import cast_votes, make_panel, voter_tested

VOTERS = 150


def share_found(kind: str, *, n: int, column: str = "p", system: int = 0, **sizes: int) -> float:
    sizes = {"systems": 20, "votes_a_pair": 30} | sizes
    found = 0
    for number in range(VOTERS):
        rng = np.random.default_rng([number, n])
        panel = make_panel(rng, **sizes)
        result = voter_tested(rng, panel, n=n, kind=kind, system=system)
        found += getattr(result, column) < 0.05
    return found / VOTERS


@pytest.mark.parametrize("votes_a_pair", [0, 3, 30])
def test_p_values_of_honest_votes_are_uniform_however_short_the_history(votes_a_pair):
    rng = np.random.default_rng(11)
    found = []
    for _ in range(40):
        panel = make_panel(rng, systems=6, votes_a_pair=votes_a_pair)
        outcome, a, b, history, _ = cast_votes(rng, panel, n=100, kind="honest")
        bags = tests._with_own_votes(outcome, a, b, history)
        found.append(tests.strangeness(outcome, bags, rng))
    assert kstest(np.concatenate(found), "uniform").pvalue > 0.01


def test_p_values_of_one_voter_are_independent_of_each_other():
    """On few pairs too, where every vote is in the history of the next."""
    rng = np.random.default_rng(12)
    sums = []
    for _ in range(400):
        panel = make_panel(rng, systems=2, votes_a_pair=2)
        outcome, a, b, history, _ = cast_votes(rng, panel, n=30, kind="honest")
        bags = tests._with_own_votes(outcome, a, b, history)
        sums.append(tests.strangeness(outcome, bags, rng).sum())
    # The sum of 30 independent uniform numbers has the variance 30 / 12.
    assert np.var(sums) == pytest.approx(2.5, rel=0.25)


@pytest.mark.parametrize("column", ["p", "strange", "side", "favour"])
def test_false_alarms_stay_below_the_level(column):
    most = binom.ppf(0.999, VOTERS, 0.05) / VOTERS
    assert share_found("honest", n=100, column=column) <= most


def test_a_random_voter_is_found_within_a_hundred_votes():
    assert share_found("random", n=100) > 0.7
    assert share_found("random", n=200) > 0.9


def test_who_always_votes_left_is_found_within_fifty_votes():
    assert share_found("left", n=50) == 1
    assert share_found("left", n=50, column="strange") < 0.4  # the published test can't


def test_who_votes_for_one_system_only_is_found():
    assert share_found("paid", n=50) > 0.95
    assert share_found("fan", n=200) > 0.8


def test_the_favourite_is_named():
    rng = np.random.default_rng(3)
    panel = make_panel(rng, systems=20, votes_a_pair=30)
    assert voter_tested(rng, panel, n=200, kind="paid", system=7).system == 7


def test_the_same_votes_give_the_same_p_values():
    rng = np.random.default_rng(4)
    votes = cast_votes(rng, make_panel(rng, systems=5, votes_a_pair=9), n=40, kind="honest")
    assert anomaly(*votes) == anomaly(*votes)


def test_the_exact_sum_is_the_binomial_where_there_are_no_ties():
    chances = np.tile([0.3, 0.0, 0.7], (12, 1))
    for wins in range(13):
        assert tests._at_least(2 * wins, chances) == pytest.approx(binom.sf(wins - 1, 12, 0.7))


def test_both_sides_of_a_pair_are_seen_alike():
    """Exchanging A and B everywhere changes no p-value of a system."""
    rng = np.random.default_rng(5)
    panel = make_panel(rng, systems=6, votes_a_pair=12)
    outcome, a, b, history, _ = cast_votes(rng, panel, n=80, kind="random")
    swapped = np.array([B, A, TIE])[outcome]
    one = tests.one_system(outcome, a, b, tests._with_own_votes(outcome, a, b, history))
    bags = tests._with_own_votes(swapped, b, a, history[:, [B, A, TIE]])
    other = tests.one_system(swapped, b, a, bags)
    assert one == pytest.approx(other)


def test_a_voter_without_votes_is_not_anomalous():
    none = np.empty(0, dtype=int)
    result = anomaly(none, none, none, np.empty((0, 3), dtype=int), none)
    assert (result.p, result.n, result.system) == (1, 0, -1)
