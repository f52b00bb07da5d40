import csv
import os
from pathlib import Path

import choix
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_expit

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.scale import elo_scale, expected_score
from ratings.engine.tallies import Outcome, tally
from tests.engine import simulate


def by_choix(tallies) -> np.ndarray:
    matrix = np.zeros((tallies.n_systems, tallies.n_systems))
    matrix[tallies.a, tallies.b] = tallies.wins_a
    matrix[tallies.b, tallies.a] = tallies.n_per_pair - tallies.wins_a
    theta = choix.ilsr_pairwise_dense(matrix, alpha=0, tol=1e-13)
    return theta - theta.mean()


@pytest.mark.parametrize("nu", [0.0, 0.6])
@pytest.mark.parametrize(("k", "n"), [(2, 50), (5, 400), (30, 5000)])
def test_strengths_equal_those_of_choix(k, n, nu):
    rows = simulate.battles(simulate.strengths(k, seed=k), n, seed=n, nu=nu)
    tallies = tally(*rows, n_systems=k)
    fit = fit_bradley_terry(tallies)
    assert fit.comparability.ranked.all()
    np.testing.assert_allclose(fit.theta, by_choix(tallies), atol=1e-6)


def test_a_ridge_maximises_the_penalised_likelihood():
    tallies = tally(*simulate.battles(simulate.strengths(6, seed=3), 200, seed=4), n_systems=6)

    def loss(theta):
        gap = theta[tallies.a] - theta[tallies.b]
        wins, n = tallies.wins_a, tallies.n_per_pair
        fit = wins @ log_expit(gap) + (n - wins) @ log_expit(-gap)
        return -(fit - 1.5 / 2 * theta @ theta)

    expected = minimize(loss, np.zeros(6), method="BFGS", options={"gtol": 1e-8})
    fit = fit_bradley_terry(tallies, ridge=1.5)
    np.testing.assert_allclose(fit.theta, expected.x, atol=1e-5)
    assert fit.log_likelihood == pytest.approx(-expected.fun)


def test_more_data_bring_the_strengths_nearer_to_the_truth():
    theta = simulate.strengths(10, seed=5)
    errors = [
        np.abs(
            fit_bradley_terry(tally(*simulate.battles(theta, n, seed=6), n_systems=10)).theta
            - theta
        ).max()
        for n in (500, 50_000)
    ]
    assert errors[1] < errors[0] / 3
    assert errors[1] < 0.1


def test_two_systems_have_the_log_odds_of_their_record():
    outcomes = np.array([Outcome.A] * 30 + [Outcome.B] * 10)
    fit = fit_bradley_terry(tally(np.zeros(40, int), np.ones(40, int), outcomes, n_systems=2))
    assert fit.theta[0] - fit.theta[1] == pytest.approx(np.log(3))


def test_a_lopsided_record_still_converges():
    outcomes = np.array([Outcome.A] * 99_999 + [Outcome.B])
    n = len(outcomes)
    fit = fit_bradley_terry(tally(np.zeros(n, int), np.ones(n, int), outcomes, n_systems=2))
    assert fit.theta[0] - fit.theta[1] == pytest.approx(np.log(99_999))


def test_mirroring_every_battle_changes_nothing():
    a, b, outcome = simulate.battles(simulate.strengths(8, seed=7), 600, seed=8, nu=0.4)
    mirrored = np.array([1, 0, 2, 3])[outcome]
    np.testing.assert_allclose(
        fit_bradley_terry(tally(a, b, outcome, n_systems=8)).theta,
        fit_bradley_terry(tally(b, a, mirrored, n_systems=8)).theta,
        atol=1e-12,
    )


def test_exchanging_winners_and_losers_turns_the_ranking_over():
    a, b, outcome = simulate.battles(simulate.strengths(8, seed=7), 600, seed=8, nu=0.4)
    turned = np.array([1, 0, 2, 3])[outcome]
    np.testing.assert_allclose(
        fit_bradley_terry(tally(a, b, outcome, n_systems=8)).theta,
        -fit_bradley_terry(tally(a, b, turned, n_systems=8)).theta,
        atol=1e-9,
    )


def test_both_bad_counts_like_a_tie():
    a, b, outcome = simulate.battles(simulate.strengths(5, seed=9), 300, seed=10, nu=0.8)
    bad = np.where(outcome == Outcome.TIE, Outcome.BOTH_BAD, outcome)
    np.testing.assert_array_equal(
        fit_bradley_terry(tally(a, b, outcome, n_systems=5)).theta,
        fit_bradley_terry(tally(a, b, bad, n_systems=5)).theta,
    )


def test_the_elo_scale_has_the_right_sign():
    assert expected_score(1200, 1000) == pytest.approx(0.7597, abs=1e-4)
    assert expected_score(1000, 1200) == pytest.approx(0.2403, abs=1e-4)
    assert elo_scale(np.log(10)) == pytest.approx(1400)


@pytest.mark.skipif("JURYBOX_DATA" not in os.environ, reason="JURYBOX_DATA names no real data")
def test_people_on_real_data_get_the_strengths_of_choix():
    file = Path(os.environ["JURYBOX_DATA"]) / "llmfao" / "crowd-comparisons.csv"
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    names = sorted({row[side] for row in rows for side in ("left", "right")})
    index = {name: number for number, name in enumerate(names)}
    outcome = {"left": Outcome.A, "right": Outcome.B, "tie": Outcome.TIE}
    tallies = tally(
        [index[row["left"]] for row in rows],
        [index[row["right"]] for row in rows],
        [outcome[row["winner"]] for row in rows],
        n_systems=len(names),
    )
    assert (len(rows), len(names)) == (8931, 59)
    fit = fit_bradley_terry(tallies)
    assert fit.comparability.ranked.all()
    np.testing.assert_allclose(fit.theta, by_choix(tallies), atol=1e-6)
