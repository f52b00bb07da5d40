"""Over which pairs verdicts are best spread, and how the next ones approach that."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, softmax

from ratings.engine.sampling import (
    PairWeights,
    best_shares,
    expected_information,
    pair_weights,
)
from ratings.engine.tallies import Outcome, tally


def everybody(k: int) -> np.ndarray:
    return ~np.eye(k, dtype=bool)


def known(theta: np.ndarray) -> np.ndarray:
    p = expit(theta[:, None] - theta)
    return p * (1 - p)


def sum_of_widths(shares: np.ndarray, theta: np.ndarray) -> float:
    """Of all standard deviations; by the pseudo-inverse, which the engine doesn't use."""
    laplacian = -shares * known(theta)
    np.fill_diagonal(laplacian, 0)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    return float(np.sqrt(np.diag(np.linalg.pinv(laplacian, rcond=1e-9, hermitian=True))).sum())


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.5])
def test_no_other_spread_that_an_optimiser_finds_gives_narrower_intervals(spread):
    theta = np.random.default_rng(5).normal(scale=spread, size=5)
    upper = np.triu_indices(5, 1)

    def by_logits(x):
        shares = np.zeros((5, 5))
        shares[upper] = softmax(x)
        return sum_of_widths(shares + shares.T, theta)

    found = minimize(
        by_logits, np.zeros(len(upper[0])), method="L-BFGS-B", options={"maxiter": 2_000}
    )
    assert sum_of_widths(best_shares(known(theta), everybody(5)), theta) <= found.fun * 1.006


def test_equals_are_spread_evenly():
    shares = best_shares(known(np.zeros(6)), everybody(6))
    assert shares[np.triu_indices(6, 1)] == pytest.approx(np.full(15, 1 / 15))


def test_far_apart_systems_hardly_meet():
    shares = best_shares(known(np.array([-4.0, -3.5, 3.5, 4.0])), everybody(4))
    assert shares[0, 3] < shares[0, 1] / 3


def test_pairs_that_cannot_meet_have_no_share():
    meets = everybody(4)
    meets[0, 3] = meets[3, 0] = False
    shares = best_shares(known(np.array([0.0, 0.2, 0.4, 0.1])), meets)
    assert shares[0, 3] == shares[3, 0] == 0
    assert np.triu(shares).sum() == pytest.approx(1)


def test_two_groups_that_never_meet_are_each_spread():
    meets = np.zeros((5, 5), dtype=bool)
    for group in ([0, 1, 2], [3, 4]):
        meets[np.ix_(group, group)] = True
    shares = best_shares(known(np.array([0.0, 1.0, 2.0, 0.0, 3.0])), meets & everybody(5))
    assert np.isfinite(shares).all()
    assert shares[3, 4] > 0
    assert shares[0, 1] > 0


def test_a_pair_that_has_more_than_its_share_waits():
    tallies = tally([0] * 500, [1] * 500, [Outcome.A, Outcome.B] * 250, n_systems=4)
    weights = pair_weights(tallies).active
    assert weights[0, 1] == 0
    assert weights[2, 3] > 0


def test_a_system_without_verdicts_comes_first():
    a, b = np.triu_indices(4, 1)
    met = np.repeat(np.arange(len(a)), 200)
    tallies = tally(a[met], b[met], np.tile([Outcome.A, Outcome.B], 600), n_systems=5)
    weights = pair_weights(tallies).active
    assert weights[4].sum() > 0.9


def test_the_worth_approaches_the_best_shares_when_they_are_followed():
    rng = np.random.default_rng(1)
    theta = rng.normal(scale=1.5, size=8)
    theta -= theta.mean()
    a, b = np.triu_indices(8, 1)
    counts = np.zeros((len(a), 2), dtype=int)
    for _ in range(40):
        row, outcome = np.nonzero(counts)
        tallies = tally(a[row], b[row], outcome, n_systems=8, count=counts[row, outcome])
        drawn = rng.multinomial(250, pair_weights(tallies).active[a, b])
        won = rng.binomial(drawn, expit(theta[a] - theta[b]))
        counts += np.column_stack([won, drawn - won])
    got = np.zeros((8, 8))
    got[a, b] = counts.sum(axis=1) / counts.sum()
    best = sum_of_widths(best_shares(known(theta), everybody(8)), theta)
    assert sum_of_widths(got + got.T, theta) < best * 1.02


def test_the_weights_of_every_way_sum_to_one():
    weights = pair_weights(tally([0, 1], [1, 2], [Outcome.A, Outcome.TIE], n_systems=4))
    for matrix in (weights.active, weights.least_judged, weights.uniform):
        assert np.triu(matrix).sum() == pytest.approx(1)
        assert (matrix == matrix.T).all()
        assert not matrix.diagonal().any()


def test_the_least_judged_pairs_come_in_proportion():
    weights = pair_weights(tally([0] * 9, [1] * 9, [Outcome.A] * 9, n_systems=3)).least_judged
    assert weights[0, 2] == pytest.approx(10 * weights[0, 1])


def test_a_mixture_keeps_its_proportions():
    one, other = np.array([[0.0, 1], [1, 0]]), np.array([[0.0, 0.5], [0.5, 0]])
    mixed = PairWeights(one, other, other).mixed(active=3, least_judged=1, uniform=0)
    assert mixed[0, 1] == pytest.approx(0.875)


@pytest.mark.parametrize("weights", [(0, 0, 0), (-1, 1, 1), (float("inf"), 0, 0)])
def test_a_mixture_of_nothing_is_refused(weights):
    even = pair_weights(tally([0], [1], [Outcome.A], n_systems=2))
    active, least_judged, uniform = weights
    with pytest.raises(ValueError, match="numbers of at least 0"):
        even.mixed(active=active, least_judged=least_judged, uniform=uniform)


def test_no_two_that_can_meet_is_an_error():
    tallies = tally([0], [1], [Outcome.A], n_systems=2)
    with pytest.raises(ValueError, match="No two systems"):
        pair_weights(tallies, possible=np.zeros((2, 2), dtype=bool))


def test_before_the_first_verdict_every_pair_tells_the_same():
    weight = expected_information(tally([], [], [], n_systems=3))
    assert np.ptp(weight[np.triu_indices(3, 1)]) == pytest.approx(0)
    # Of strengths with a standard deviation of 2 logits each.
    p = expit(np.random.default_rng(0).normal(scale=np.sqrt(8), size=1_000_000))
    assert weight[0, 1] == pytest.approx((p * (1 - p)).mean(), rel=0.08)


def test_with_many_verdicts_a_pair_tells_what_its_strengths_say():
    theta = np.array([-1.0, 0.2, 0.8])
    a, b = np.triu_indices(3, 1)
    wins = np.round(100_000 * expit(theta[a] - theta[b])).astype(int)
    tallies = tally(
        np.tile(a, 2),
        np.tile(b, 2),
        np.repeat([Outcome.A, Outcome.B], 3),
        n_systems=3,
        count=np.concatenate([wins, 100_000 - wins]),
    )
    weight = expected_information(tallies)
    assert weight[a, b] == pytest.approx(known(theta)[a, b], rel=0.01)


def test_a_gap_that_few_verdicts_made_wide_is_still_looked_at():
    few = tally([0, 0], [1, 2], [Outcome.A] * 2, n_systems=3, count=[4, 4])
    many = tally([0, 0], [1, 2], [Outcome.A] * 2, n_systems=3, count=[4_000, 4_000])
    assert expected_information(few)[0, 1] > 3 * expected_information(many)[0, 1]
