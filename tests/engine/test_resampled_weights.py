"""The weights of a bootstrap, before anything is fitted to them."""

import numpy as np
import pytest
from scipy import stats

from ratings.engine import bootstrap
from ratings.engine.bootstrap import bootstrap_cells, bootstrap_clusters
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.davidson import fit_davidson
from ratings.engine.gamma import CellWeights
from ratings.engine.tallies import tally, tally_by_cluster
from tests.engine import simulate


@pytest.fixture
def solved(monkeypatch):
    """Every block that a bootstrap solves: (model, weights of A, B and tie, solution)."""
    blocks, solve = [], bootstrap._fit_block

    def watched(model, weights, inverse):
        before = [outcome.copy() for outcome in weights]
        found = solve(model, weights, inverse)
        blocks.append((model, before, found))
        return found

    monkeypatch.setattr(bootstrap, "_fit_block", watched)
    return blocks


@pytest.mark.parametrize("count", [0.3, 1.0, 3.0, 4.0, 7.0, 30.0, 500.0])
def test_weights_have_the_distribution_of_a_gamma(count):
    weights = CellWeights(np.full(100, count)).draw(1000, np.random.default_rng(1)).ravel()
    assert weights.mean() == pytest.approx(count, rel=0.02)
    assert weights.var() == pytest.approx(count, rel=0.04)
    # In 100,000 exact draws the distance stays below .006 in 999 of 1,000 cases; a cubed normal adds .002.
    assert stats.kstest(weights, stats.gamma(count).cdf).statistic < 0.008


def test_a_cell_without_verdicts_has_no_weight_and_every_other_has_one():
    counts = np.array([0.0, 0.01, 1.0, 0.0, 4.0, 200.0])
    weights = CellWeights(counts).draw(5000, np.random.default_rng(2))
    assert ((weights > 0).all(axis=1) == (counts > 0)).all()
    assert (weights[counts == 0] == 0).all()


@pytest.mark.parametrize(("k", "n"), [(12, 12_000), (40, 600)])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_replicate_over_cells_solves_its_likelihood_equations(solved, k, n, seed):
    """Both of many battles a pair, where chord steps do, and of few, where each gets its own factor."""
    rows = simulate.battles(simulate.strengths(k, seed=1), n, seed=seed, nu=0.3)
    tallies = tally(*rows, n_systems=k)
    fit = fit_bradley_terry(tallies)
    bootstrap_cells(tallies, fit, rounds=60, seed=seed)
    assert sum(found.shape[1] for _, _, found in solved) == 60
    for model, (won, lost, tied), found in solved:
        battles = won + lost + tied
        p = 1 / (1 + np.exp(found[model.b] - found[model.a]))
        residual = won + tied / 2 - battles * p
        for row in range(found.shape[1]):
            gradient = np.zeros(model.k)
            np.add.at(gradient, model.a, residual[:, row])
            np.add.at(gradient, model.b, -residual[:, row])
            information = np.zeros((model.k, model.k))
            spread = (battles * p * (1 - p))[:, row]
            for i, j, sign in (
                (model.a, model.a, 1),
                (model.b, model.b, 1),
                (model.a, model.b, -1),
                (model.b, model.a, -1),
            ):
                np.add.at(information, (i, j), sign * spread)
            left = np.linalg.lstsq(information, gradient, rcond=1e-12)[0]
            # What Newton's method would still change, in logits.
            assert np.abs(left).max() < 1e-7


@pytest.mark.parametrize("fit", [fit_bradley_terry, fit_davidson])
def test_counts_that_are_fractions_of_a_verdict_converge(fit):
    a, b = np.array([0, 1, 2, 0, 1]), np.array([1, 2, 0, 2, 0])
    outcome, count = np.array([0, 0, 0, 1, 2]), np.array([0.1, 0.1, 0.05, 0.1, 0.2])
    tallies = tally(a, b, outcome, n_systems=3, count=count)
    replicates = bootstrap_cells(tallies, fit(tallies), rounds=300, seed=1)
    assert np.isfinite(replicates.theta).all()


def test_prompts_of_one_verdict_each_are_drawn_together(solved):
    """As many weights as distinct cells, not as prompts; their means are the cells' counts."""
    n = 4000
    a, b, outcome = simulate.battles(simulate.strengths(5, seed=1), n, seed=2, nu=0.3)
    # The first 40 verdicts make up ten prompts, the others one prompt each, every other one twice as heavy.
    prompt = np.where(np.arange(n) < 40, np.arange(n) % 10, np.arange(n))
    count = np.where(np.arange(n) % 2, 2.0, 1.0)
    data = tally_by_cluster(a, b, outcome, prompt, n_systems=5, n_clusters=n, count=count)
    fit = fit_bradley_terry(data.tallies)
    column, shapes = bootstrap._merged_clusters(
        data.pair * 4 + data.outcome, data.count, data.cluster, n
    )
    assert len(shapes) == column.max() + 1 <= 10 + 10 * 3 * 2
    assert shapes.sum() == len(np.unique(prompt))
    bootstrap_clusters(data, fit, rounds=2000, seed=1)
    drawn = np.concatenate([np.stack(weights) for _, weights, _ in solved], axis=2)
    assert drawn.shape[2] == 2000
    expected = np.column_stack(
        [data.tallies.counts[:, :2], data.tallies.counts[:, 2:].sum(axis=1)]
    ).T
    # Standard error of the mean of 2,000 draws of Gamma sums of counts up to 2.
    error = np.sqrt(2 * expected / 2000)
    assert (np.abs(drawn.mean(axis=2) - expected) < 5 * error).all()


def test_a_given_resampling_uses_the_clusters_as_they_are():
    a, b, outcome = simulate.battles(simulate.strengths(5, seed=1), 500, seed=2)
    data = tally_by_cluster(a, b, outcome, np.arange(500), n_systems=5, n_clusters=500)
    fit = fit_bradley_terry(data.tallies)
    same = bootstrap_clusters(data, fit, seed=1, weights=np.full((3, 500), 2.0))
    np.testing.assert_allclose(same.theta, np.tile(fit.theta, (3, 1)), atol=1e-8)
