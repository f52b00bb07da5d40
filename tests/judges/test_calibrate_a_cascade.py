"""From confidences and errors to thresholds, by hand and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from judges.cascades.calibration import (
    calibrate,
    evidence_against,
    interval,
    least_needed,
    thresholds,
    upper_bound,
)
from judges.cascades.confidence import Sure, probabilities, simulated_annotators
from judges.programs.verdicts import Decision


@pytest.mark.parametrize(("errors", "n"), [(0, 22), (3, 66), (10, 40), (39, 40)])
@pytest.mark.parametrize("delta", [0.05, 0.1])
def test_the_bound_is_where_so_few_errors_have_probability_delta(errors, n, delta):
    bound = float(upper_bound(errors, n, delta=delta))
    assert stats.binom.cdf(errors, n, bound) == pytest.approx(delta, rel=1e-9)


def test_the_bound_at_the_ends():
    assert float(upper_bound(0, 10, delta=0.1)) == pytest.approx(1 - 0.1 ** (1 / 10))
    assert upper_bound(np.array([0, 4]), np.array([0, 4]), delta=0.1).tolist() == [1, 1]
    with pytest.raises(ValueError, match="more errors than battles"):
        upper_bound(3, 2, delta=0.1)


def test_the_interval_is_that_of_scipy():
    expected = stats.binomtest(45, 60).proportion_ci(0.95, method="exact")
    assert interval(45, 60) == pytest.approx((expected.low, expected.high))
    assert interval(0, 0) == (0, 1)
    assert interval(5, 5)[1] == 1
    assert interval(0, 5)[0] == 0


def test_with_too_few_battles_nothing_can_pass():
    assert least_needed(risk=0.1, delta=0.1) == 22  # .9^22 is .098, .9^21 is .109
    assert len(thresholds(np.array([0.5]), n=21, risk=0.1, delta=0.1)) == 0
    found = calibrate(np.full(21, 0.9), np.zeros(21), levels=np.empty(0), risk=0.1, delta=0.1)
    assert (found.threshold, found.tested) == (None, 0)
    assert "it takes 22" in found.reason


def test_the_test_stops_before_the_first_threshold_that_fails():
    # All 30 right at .9; 50 of 55 at .8, a bound of .16; 75 of 80 at .7 would pass, but isn't reached.
    confidence = np.repeat([0.9, 0.8, 0.7], [30, 25, 25])
    wrong = np.zeros(80, dtype=bool)
    wrong[30:35] = True
    levels = np.array([0.9, 0.8, 0.7])
    found = calibrate(confidence, wrong, levels=levels, risk=0.12, delta=0.1)
    assert (found.threshold, found.accepted, found.errors, found.tested) == (0.9, 30, 0, 2)
    assert found.bound == pytest.approx(1 - 0.1 ** (1 / 30))
    assert float(upper_bound(5, 80, delta=0.1)) < 0.12 < float(upper_bound(5, 55, delta=0.1))


def test_where_the_strictest_fails_the_judge_abstains_on_everything():
    found = calibrate(
        np.repeat([0.9, 0.1], 50),
        np.repeat([True, False], 50),
        levels=np.array([0.9, 0.1]),
        risk=0.6,
        delta=0.1,
    )
    assert (found.threshold, found.tested) == (None, 1)
    assert found.reason == "wrong on 50 of the 50 battles that it was surest of"


def test_no_threshold_accepts_what_has_no_confidence():
    confidence = np.array([np.nan] * 30 + [0.5] * 30)
    wrong = np.array([True] * 30 + [False] * 30)
    found = calibrate(confidence, wrong, levels=np.array([-np.inf]), risk=0.1, delta=0.1)
    assert (found.threshold, found.accepted, found.errors) == (0.0, 30, 0)


def test_the_sequence_is_laid_down_without_the_battles_that_it_is_tested_on():
    elsewhere = np.linspace(0, 1, 1001)
    levels = thresholds(elsewhere, n=880, risk=0.1, delta=0.1)
    # The strictest is expected to accept 6 · 22 of 880 battles, 15 in a hundred.
    assert levels[0] == pytest.approx(0.85, abs=0.002)
    assert (np.diff(levels) < 0).all()
    assert levels[-1] == -math.inf
    assert thresholds(np.array([1.0, 0.5, 0.5, np.nan]), n=880, risk=0.1, delta=0.1).tolist() == [
        1.0, 0.5, -math.inf,
    ]  # fmt: skip
    assert thresholds(np.array([np.nan]), n=880, risk=0.1, delta=0.1).tolist() == [-math.inf]


def draw(rng, n, *, accuracy):
    """Confidences, and errors of a judge that is right with probability ``accuracy(confidence)``."""
    confidence = rng.beta(4, 2, n)
    return confidence, rng.random(n) >= accuracy(confidence)


@pytest.mark.parametrize(
    "accuracy", [lambda c: c, lambda c: 0.55 + 0.4 * c, lambda c: np.full_like(c, 0.86)]
)
def test_the_risk_is_kept_in_all_but_delta_of_the_calibrations(accuracy):
    rng, delta, risk, runs, broken, decided = np.random.default_rng(1), 0.1, 0.15, 400, 0, 0
    population, errs = draw(rng, 200_000, accuracy=accuracy)
    for _ in range(runs):
        levels = thresholds(rng.choice(population, 2_000), n=400, risk=risk, delta=delta)
        confidence, wrong = draw(rng, 400, accuracy=accuracy)
        found = calibrate(confidence, wrong, levels=levels, risk=risk, delta=delta)
        if found.threshold is not None:
            decided += 1
            broken += errs[population >= found.threshold].mean() > risk
    assert decided > 0
    assert broken / runs <= delta + 2 * math.sqrt(delta * (1 - delta) / runs)


def test_a_hopeless_judge_abstains_entirely():
    rng, trusted = np.random.default_rng(2), 0
    for _ in range(200):
        confidence, wrong = draw(rng, 1_000, accuracy=lambda c: np.full_like(c, 0.5))
        levels = thresholds(rng.beta(4, 2, 1_000), n=1_000, risk=0.2, delta=0.1)
        found = calibrate(confidence, wrong, levels=levels, risk=0.2, delta=0.1)
        trusted += found.threshold is not None
    assert trusted == 0


# --- what speaks against the claim later --------------------------------------------------------------------


def test_the_evidence_is_the_mean_likelihood_ratio_of_lower_agreements():
    agreed, n, target = 6, 10, 0.8
    q = (np.arange(200_000) + 0.5) / 200_000 * target
    ratios = (q / target) ** agreed * ((1 - q) / (1 - target)) ** (n - agreed)
    assert evidence_against(agreed, n, target=target) == pytest.approx(ratios.mean(), rel=1e-6)
    assert evidence_against(0, 0, target=0.8) == pytest.approx(1)
    assert evidence_against(1_000, 1_000, target=0.8) < 0.01
    assert evidence_against(0, 5_000, target=0.9) > 1e300
    with pytest.raises(ValueError, match="than there are"):
        evidence_against(3, 2, target=0.8)


def test_a_claim_that_holds_is_rarely_withdrawn_however_often_one_looks():
    rng, runs, delta = np.random.default_rng(3), 200, 0.1
    false_alarms = missed = 0
    for _ in range(runs):
        held = np.cumsum(rng.random(200) < 0.8)
        false_alarms += any(
            evidence_against(int(held[n - 1]), n, target=0.8) >= 1 / delta for n in range(1, 201, 5)
        )
        broke = int((rng.random(200) < 0.65).sum())
        missed += evidence_against(broke, 200, target=0.8) < 1 / delta
    assert false_alarms <= delta * runs
    assert missed <= 0.05 * runs


# --- confidence ---------------------------------------------------------------------------------------------

A, B, TIE, BAD = Decision


def test_simulated_annotators_are_averaged_over_people_and_orders():
    p = [[[0.9, 0.1, 0.0], [0.5, 0.3, 0.2]], [[0.2, 0.8, 0.0], [0.6, 0.2, 0.2]]]
    assert simulated_annotators(p) == Sure(A, 0.55)
    mirrored = [[[row[1], row[0], row[2]] for row in orders] for orders in p]
    assert simulated_annotators(mirrored) == Sure(B, 0.55)


def test_level_at_the_top_is_a_tie():
    assert simulated_annotators([[[0.4, 0.4, 0.2]]]) == Sure(TIE, 0.2)
    assert simulated_annotators([[[1, 0, 0]], [[0, 1, 0]]]) == Sure(TIE, 0)


def test_one_stated_decision_gives_probabilities():
    assert probabilities(A, 0.8) == pytest.approx([0.8, 0.1, 0.1])
    assert probabilities(BAD, None) == [0, 0, 1]


@pytest.mark.parametrize("p", [[], [[[0.5, 0.6, 0.1]]], [[[0.5, 0.5]]], [[[1.2, -0.2, 0]]]])
def test_what_are_no_probabilities_is_refused(p):
    with pytest.raises(ValueError, match=r"annotators|probabilities"):
        simulated_annotators(p)
