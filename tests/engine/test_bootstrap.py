import numpy as np
import pytest

from ratings.engine.bootstrap import bootstrap_cells, bootstrap_clusters, cluster_weights
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.davidson import fit_davidson
from ratings.engine.sandwich import sandwich_covariance, sandwich_sd
from ratings.engine.tallies import ClusteredTallies, Tallies, tally, tally_by_cluster
from tests.engine import simulate

FITS = {"bt": fit_bradley_terry, "davidson": fit_davidson}


def well_connected(k=12, n=12_000, nu=0.3) -> Tallies:
    return tally(*simulate.battles(simulate.strengths(k, seed=1), n, seed=2, nu=nu), n_systems=k)


def by_prompt(k=10, n=6000, prompts=150, nu=0.3) -> ClusteredTallies:
    """Systems are better on some prompts than on others, so verdicts on a prompt hang together."""
    rng = np.random.default_rng(5)
    rows = []
    for prompt in range(prompts):
        theta = simulate.strengths(k, seed=1) + rng.normal(0, 1, k)
        rows.append(simulate.battles(theta, n // prompts, seed=prompt, nu=nu))
    a, b, outcome = (np.concatenate(columns) for columns in zip(*rows, strict=True))
    cluster = np.repeat(np.arange(prompts), n // prompts)
    return tally_by_cluster(a, b, outcome, cluster, n_systems=k, n_clusters=prompts)


def test_the_spread_over_cells_is_that_of_the_sandwich():
    tallies = well_connected()
    fit = fit_bradley_terry(tallies)
    replicates = bootstrap_cells(tallies, fit, rounds=6000, seed=3)
    ratio = replicates.theta.std(axis=0, ddof=1) / sandwich_sd(tallies, fit)
    np.testing.assert_allclose(ratio, 1, atol=0.03)


def test_the_spread_over_clusters_is_that_of_the_clustered_sandwich():
    data = by_prompt()
    fit = fit_bradley_terry(data.tallies)
    replicates = bootstrap_clusters(data, fit, rounds=6000, seed=3)
    by_cluster = sandwich_sd(data, fit)
    ratio = replicates.theta.std(axis=0, ddof=1) / by_cluster
    np.testing.assert_allclose(ratio, 1, atol=0.04)
    assert (by_cluster > sandwich_sd(data.tallies, fit)).mean() > 0.8


def test_clusters_of_one_verdict_each_are_the_bootstrap_over_verdicts():
    a, b, outcome = simulate.battles(simulate.strengths(6, seed=1), 3000, seed=2, nu=0.3)
    single = tally_by_cluster(a, b, outcome, np.arange(3000), n_systems=6, n_clusters=3000)
    fit = fit_bradley_terry(single.tallies)
    spreads = [
        bootstrap_clusters(single, fit, rounds=3000, seed=3).theta.std(axis=0),
        bootstrap_cells(single.tallies, fit, rounds=3000, seed=3).theta.std(axis=0),
    ]
    np.testing.assert_allclose(spreads[0] / spreads[1], 1, atol=0.07)


@pytest.mark.parametrize("name", FITS)
def test_every_replicate_solves_its_own_likelihood_equations(name):
    """Given weights, a replicate is the fit to the weighted cells, to 1e-7."""
    data = by_prompt()
    weights = cluster_weights(data.n_clusters, rounds=12, seed=4)
    fit = FITS[name](data.tallies)
    replicates = bootstrap_clusters(data, fit, seed=1, weights=weights)
    for row, weight in zip(replicates.theta, weights, strict=True):
        counts = np.zeros_like(data.tallies.counts)
        np.add.at(counts, (data.pair, data.outcome), data.count * weight[data.cluster])
        weighted = Tallies(data.tallies.n_systems, data.tallies.a, data.tallies.b, counts)
        np.testing.assert_allclose(row, FITS[name](weighted).theta, atol=1e-7)


@pytest.mark.parametrize("name", FITS)
def test_near_separated_data_converge_too(name):
    """One system lost once in a thousand: the point estimate's inverse is far from a replicate's."""
    a = np.array([0] * 1000 + [0] + [1, 2, 1, 2] * 20 + [1, 2] * 5)
    b = np.array([1, 2] * 500 + [1] + [2, 1, 2, 1] * 20 + [2, 1] * 5)
    outcome = np.array([0] * 1000 + [1] + [0] * 80 + [2] * 10)
    data = tally_by_cluster(a, b, outcome, np.arange(len(a)) % 40, n_systems=3, n_clusters=40)
    weights = cluster_weights(40, rounds=60, seed=4) ** 2
    fit = FITS[name](data.tallies)
    replicates = bootstrap_clusters(data, fit, seed=1, weights=weights)
    for row, weight in zip(replicates.theta, weights, strict=True):
        counts = np.zeros_like(data.tallies.counts)
        np.add.at(counts, (data.pair, data.outcome), data.count * weight[data.cluster])
        weighted = Tallies(3, data.tallies.a, data.tallies.b, counts)
        np.testing.assert_allclose(row, FITS[name](weighted).theta, atol=1e-6)


@pytest.mark.parametrize("name", FITS)
def test_one_seed_gives_the_same_replicates_on_any_number_of_threads(name):
    tallies = well_connected(k=40, n=20_000)
    fit = FITS[name](tallies)
    one, two = (
        bootstrap_cells(tallies, fit, rounds=300, seed=9, threads=threads) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one.theta, two.theta)
    other = bootstrap_cells(tallies, fit, rounds=300, seed=10)
    assert (other.theta != one.theta).all()


def test_the_tie_parameter_varies_as_its_sampling_does():
    estimates = [
        fit_davidson(
            tally(
                *simulate.battles(simulate.strengths(6, seed=1), 2000, seed=s, nu=0.5), n_systems=6
            )
        ).nu
        for s in range(150)
    ]
    tallies = tally(
        *simulate.battles(simulate.strengths(6, seed=1), 2000, seed=0, nu=0.5), n_systems=6
    )
    replicates = bootstrap_cells(tallies, fit_davidson(tallies), rounds=2000, seed=1)
    assert replicates.nu.std() == pytest.approx(np.std(estimates), rel=0.2)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    theta = simulate.strengths(8, seed=11)
    covered = []
    for run in range(60):
        tallies = tally(*simulate.battles(theta, 1500, seed=1000 + run), n_systems=8)
        drawn = bootstrap_cells(tallies, fit_bradley_terry(tallies), rounds=400, seed=run).theta
        lower, upper = np.quantile(drawn, (0.025, 0.975), axis=0)
        covered.append((lower <= theta) & (theta <= upper))
    # 480 intervals: the standard error is one point.
    assert np.mean(covered) == pytest.approx(0.95, abs=0.035)


def test_the_sandwich_is_centred():
    tallies = well_connected()
    covariance = sandwich_covariance(tallies, fit_bradley_terry(tallies))
    np.testing.assert_allclose(covariance.sum(axis=0), 0, atol=1e-12)


def test_a_ridge_holds_in_the_replicates_too():
    tallies = well_connected(k=6, n=300)
    spread = [
        bootstrap_cells(
            tallies, fit_bradley_terry(tallies, ridge=ridge), rounds=500, seed=1
        ).theta.std()
        for ridge in (0.0, 20.0)
    ]
    assert spread[1] < 0.8 * spread[0]


def test_wrong_arguments_are_refused():
    data = by_prompt(prompts=30, n=600)
    fit = fit_bradley_terry(data.tallies)
    with pytest.raises(ValueError, match="rounds"):
        bootstrap_cells(data.tallies, fit, rounds=0, seed=1)
    with pytest.raises(ValueError, match="30 clusters, not 29"):
        bootstrap_clusters(data, fit, seed=1, weights=np.ones((10, 29)))
