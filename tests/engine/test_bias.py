import numpy as np
import pytest

from ratings.engine.bias import family_bias, system_bias
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.decisiveness import maximum_likelihood_decisiveness
from ratings.engine.paired_resampling import paired_resampling
from ratings.engine.reference_posterior import reference_posterior
from ratings.engine.win_rates import win_rate_matrix
from tests.engine.judge_panels import (
    every_pair,
    panel,
    panel_rates,
    reoutcome,
    reversed_outcomes,
    strengths,
)

K = 16


def measure(judge, reference):
    fit = fit_bradley_terry(reference.tallies)
    shared = {
        "posterior": reference_posterior(reference, ranked=fit.comparability.ranked),
        "resampling": paired_resampling(unit="verdicts", rounds=400, seed=1),
    }
    alpha = maximum_likelihood_decisiveness(judge, reference, fitted=fit.theta, **shared)
    return system_bias(judge, reference, decisiveness=alpha, **shared)


def biased_panels(*, n_judge, n_people, lean, seed=1, alpha=1.0):
    """Panels whose judge adds lean[a] - lean[b] to the win rate, and the bias B' that this makes."""
    theta = strengths(K)
    a, b = every_pair(K)
    fair = panel_rates(theta, alpha=alpha)
    rates = np.clip(fair + lean[a] - lean[b], 0.0, 1.0)
    excess = rates - fair
    bias = np.bincount(a, excess, K) - np.bincount(b, excess, K)
    people = panel(panel_rates(theta), n=n_people, seed=seed, n_systems=K)
    return panel(rates, n=n_judge, seed=seed + 1, n_systems=K), people, bias / (K - 1)


def favourites(size=0.1):
    """Biases of ±size, balanced against strength so that they are no decisiveness."""
    lean = np.zeros(K)
    order = np.argsort(strengths(K))
    lean[order[[4, 10]]], lean[order[[5, 9]]] = size, -size
    return lean


def test_a_judge_that_is_the_people_has_no_bias():
    theta = strengths(K)
    people = panel(panel_rates(theta), n=300, seed=1, n_systems=K)
    found = measure(people, people)
    np.testing.assert_allclose(found.bias, 0.0, atol=0.005)
    assert found.delta.value < 0.005
    assert found.delta_corrected.value == 0.0


def test_bias_and_delta_come_back_from_a_judge_with_known_favourites():
    judge, people, truth = biased_panels(n_judge=400, n_people=400, lean=favourites())
    found = measure(judge, people)
    np.testing.assert_allclose(found.bias, truth, atol=0.03)
    assert found.delta.value == pytest.approx(truth.std(ddof=1), abs=0.01)
    assert found.delta.lower < truth.std(ddof=1) < found.delta.upper
    assert np.mean((found.lower <= truth) & (truth <= found.upper)) >= 0.8


def test_few_verdicts_inflate_the_raw_delta_and_the_corrected_one_takes_it_back():
    true, raw, corrected = [], [], []
    for seed in range(20):
        judge, people, truth = biased_panels(
            n_judge=2, n_people=6, lean=favourites(), seed=10 * seed
        )
        found = measure(judge, people)
        true.append(truth.var(ddof=1))
        raw.append(found.delta.value**2)
        corrected.append(found.delta_corrected.value**2)
    assert np.mean(raw) > 1.5 * np.mean(true)
    assert abs(np.mean(corrected) - np.mean(true)) < 0.4 * abs(np.mean(raw) - np.mean(true))


def test_biases_of_a_judge_that_meets_every_pair_cancel():
    judge, people, _ = biased_panels(n_judge=5, n_people=10, lean=favourites())
    assert measure(judge, people).bias.sum() == pytest.approx(0.0, abs=1e-12)


def test_a_judge_that_favours_its_family_shows_it_and_another_judge_does_not():
    family = np.full(K, 1)
    order = np.argsort(strengths(K))
    family[order[[3, 6, 9, 12]]] = 0
    lean = np.where(family == 0, 0.12, 0.0)
    judge, people, truth = biased_panels(n_judge=200, n_people=200, lean=lean)
    expected = truth[family == 0].mean() - truth[family == 1].mean()
    found = family_bias(measure(judge, people), family=family, judge_family=0)
    assert found.value == pytest.approx(expected, abs=0.03)
    assert found.lower > 0
    assert found.n == 4
    fair, people, _ = biased_panels(n_judge=200, n_people=200, lean=np.zeros(K))
    none = family_bias(measure(fair, people), family=family, judge_family=0)
    assert none.lower < 0 < none.upper


def test_a_judge_without_family_or_with_one_that_is_absent_has_a_reason():
    judge, people, _ = biased_panels(n_judge=50, n_people=50, lean=favourites())
    bias = measure(judge, people)
    family = np.zeros(K, dtype=int)
    assert "no known family" in family_bias(bias, family=family, judge_family=-1).reason
    assert "judge's family" in family_bias(bias, family=family, judge_family=7).reason
    assert "other families" in family_bias(bias, family=family, judge_family=0).reason
    with pytest.raises(ValueError, match="one family label"):
        family_bias(bias, family=family[:-1], judge_family=0)


def test_the_bias_of_a_judge_that_reverses_people_is_measured_against_their_own_rates():
    """Its α is not defined, and it favours a system the more, the worse people find it."""
    _, people, _ = biased_panels(n_judge=5, n_people=200, lean=np.zeros(K))
    found = measure(reoutcome(people, reversed_outcomes), people)
    assert found.baseline == 1.0
    rates = win_rate_matrix(people.tallies)
    np.testing.assert_allclose(found.bias, np.nanmean(1 - 2 * rates, axis=1), atol=0.02)


def test_a_judge_that_always_gives_one_answer_has_no_bias_and_a_reason():
    _, people, _ = biased_panels(n_judge=5, n_people=20, lean=favourites())
    found = measure(reoutcome(people, 0), people)
    assert np.isnan(found.bias).all()
    assert found.delta.value is None
    assert "α" in found.delta.reason


def test_systems_with_few_verdicts_have_no_bias_while_others_do():
    judge, people, _ = biased_panels(n_judge=3, n_people=20, lean=np.zeros(K))
    cells = judge.tallies
    seldom = ((cells.a == 0) | (cells.b == 0)) & (np.arange(len(cells.a)) > 1)
    kept = ~seldom[judge.pair]
    from ratings.engine.tallies import tally_by_cluster

    thinned = tally_by_cluster(
        cells.a[judge.pair][kept],
        cells.b[judge.pair][kept],
        judge.outcome[kept],
        judge.cluster[kept],
        n_systems=K,
        n_clusters=judge.n_clusters,
        count=judge.count[kept],
    )
    found = measure(thinned, people)
    assert np.isnan(found.bias[0])
    assert np.isfinite(found.bias[1:]).all()
    assert found.delta.n == K - 1
