import numpy as np
import pytest
from scipy.optimize import minimize

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.comparability import Status
from ratings.engine.davidson import fit_davidson
from ratings.engine.rate import rate
from ratings.engine.tallies import tally
from tests.engine import simulate


def tallies_of(k, n, nu, seed=1):
    return tally(*simulate.battles(simulate.strengths(k, seed=k), n, seed=seed, nu=nu), n_systems=k)


@pytest.mark.parametrize("ridge", [0.0, 0.7])
def test_the_fit_maximises_the_likelihood(ridge):
    tallies = tallies_of(6, 3000, 0.7)

    def loss(x):
        gap, log_nu = x[tallies.a] - x[tallies.b], x[-1]
        normaliser = np.logaddexp(np.logaddexp(gap / 2, -gap / 2), log_nu)
        terms = np.stack([gap / 2, -gap / 2, *[np.full_like(gap, log_nu)] * 2], axis=1)
        fit = (tallies.counts * (terms - normaliser[:, None])).sum()
        centred = x[:-1] - x[:-1].mean()
        return -(fit - ridge / 2 * centred @ centred)

    best = minimize(loss, np.zeros(7), method="BFGS", options={"gtol": 1e-7})
    fit = fit_davidson(tallies, ridge=ridge)
    np.testing.assert_allclose(fit.theta, best.x[:-1] - best.x[:-1].mean(), atol=1e-5)
    assert fit.nu == pytest.approx(np.exp(best.x[-1]), rel=1e-5)
    assert fit.log_likelihood == pytest.approx(-best.fun)


def test_the_tie_parameter_and_the_strengths_are_recovered():
    theta = simulate.strengths(10, seed=10)
    fit = fit_davidson(tallies_of(10, 200_000, 0.5))
    assert fit.nu == pytest.approx(0.5, rel=0.03)
    np.testing.assert_allclose(fit.theta, theta, atol=0.05)


def test_half_wins_shrink_the_gaps_where_ties_are_common_and_davidson_does_not():
    theta = simulate.strengths(10, seed=10)
    tallies = tallies_of(10, 200_000, 1.0)
    spread = [
        np.std(fit(tallies).theta) / np.std(theta) for fit in (fit_bradley_terry, fit_davidson)
    ]
    assert spread[0] < 0.85
    assert spread[1] == pytest.approx(1, abs=0.03)


def test_without_a_tie_it_is_bradley_terry():
    tallies = tallies_of(5, 500, 0.0)
    fit = fit_davidson(tallies)
    assert fit.nu == 0
    np.testing.assert_array_equal(fit.theta, fit_bradley_terry(tallies).theta)


def test_only_ties_make_all_equal_and_the_tie_parameter_infinite():
    fit = fit_davidson(tally([0, 1], [1, 2], [2, 2], n_systems=3))
    np.testing.assert_allclose(fit.theta, 0, atol=1e-12)
    assert fit.nu == np.inf


def test_nobody_ranked_has_no_tie_parameter():
    fit = fit_davidson(tally([0], [1], [0], n_systems=2))
    assert np.isnan(fit.nu)
    assert np.isnan(fit.theta).all()


def test_decisive_verdicts_that_never_contradict_each_other_have_no_maximum():
    """0 beat 1 and tied with it: both gap and tie parameter would grow for ever."""
    tallies = tally([0, 0, 0], [1, 1, 1], [0, 0, 2], n_systems=2)
    fit = fit_davidson(tallies)
    assert fit.comparability.status.tolist() == [Status.NOT_COMPARABLE] * 2
    assert np.isnan(fit.theta).all()
    assert np.isnan(fit.nu)
    assert np.isnan(rate(tallies, method="davidson", rounds=20, seed=1).rating).all()
    assert np.isfinite(fit_davidson(tallies, ridge=0.1).theta).all()
    assert np.isfinite(fit_bradley_terry(tallies).theta).all()


@pytest.mark.parametrize(
    "rows",
    [
        # 0 over 1 over 2, but 0 and 2 tie: the gap of a tie can't be twice the others'.
        ([0, 1, 0], [1, 2, 2], [0, 0, 2]),
        # 0 and 1 beat each other.
        ([0, 1, 0], [1, 0, 1], [0, 0, 2]),
    ],
)
def test_few_verdicts_that_do_bound_the_parameters_are_fitted(rows):
    fit = fit_davidson(tally(*rows, n_systems=max(rows[1]) + 1))
    assert np.isfinite(fit.theta).all()
    assert 0 < fit.nu < np.inf
