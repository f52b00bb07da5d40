import numpy as np
import pytest
from scipy.optimize import minimize

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.davidson import fit_davidson
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
