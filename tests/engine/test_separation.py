"""Separability, agreement with confidence and Brier score of a judge's order."""

from math import erf, sqrt

import numpy as np
import pytest

from ratings.engine.separation import separation

K = 9


@pytest.fixture
def sides():
    rng = np.random.default_rng(4)
    reference = rng.normal(0, 1, K)
    judge = reference + rng.normal(0, 0.7, K)
    return [
        (theta, theta + rng.normal(0, spread, (1500, K)))
        for theta, spread in ((judge, 0.3), (reference, 0.4))
    ]


def found(sides):
    (judge, judge_drawn), (reference, reference_drawn) = sides
    return separation(
        judge, reference, judge_replicates=judge_drawn, reference_replicates=reference_drawn
    )


def slowly(sides):
    intervals = [
        list(zip(*np.quantile(drawn, (0.025, 0.975), axis=0), strict=True)) for _, drawn in sides
    ]
    variances = [drawn.var(axis=0) for _, drawn in sides]
    apart, agrees, squares = [[], []], [], []
    for i in range(K):
        for j in range(i + 1, K):
            order = []
            for side in (0, 1):
                (low_i, high_i), (low_j, high_j) = intervals[side][i], intervals[side][j]
                order.append(1 if low_i > high_j else -1 if low_j > high_i else 0)
                apart[side].append(order[side] != 0)
            if order[1]:
                agrees.append(0.5 if order[0] == 0 else float(order[0] == order[1]))
            z = (sides[0][0][i] - sides[0][0][j]) / sqrt(variances[0][i] + variances[0][j])
            happened = sides[1][0][i] > sides[1][0][j]
            squares.append(((1 + erf(z / sqrt(2))) / 2 - happened) ** 2)
    return [np.mean(values) for values in (*apart, agrees, squares)], len(agrees)


def test_the_figures_are_those_of_a_plain_loop(sides):
    got = found(sides)
    values, n_separated = slowly(sides)
    figures = (
        got.separability,
        got.separability_of_reference,
        got.agreement_with_confidence,
        got.brier,
    )
    assert [figure.value for figure in figures] == pytest.approx(values)
    assert [figure.n for figure in figures] == [36, 36, n_separated, 36]
    for figure in figures:
        assert 0 <= figure.lower <= figure.value <= figure.upper <= 1


def test_systems_that_one_side_does_not_rank_are_left_out(sides):
    whole = found(sides)
    for at, side in enumerate(sides):
        extra = np.full(1, np.nan if at else 3.0)
        drawn = np.full((1500, 1), np.nan if at else 3.0)
        sides[at] = (np.append(side[0], extra), np.hstack([side[1], drawn]))
    assert found(sides).brier.value == pytest.approx(whole.brier.value)


def test_a_judge_that_is_sure_and_wrong_and_one_that_knows_nothing(sides):
    _, reference = sides
    same = found([reference, reference])
    assert same.agreement_with_confidence.value == 1
    upside_down = found([(-reference[0], -reference[1]), reference])
    assert upside_down.agreement_with_confidence.value == 0
    assert upside_down.brier.value > 0.5
    rng = np.random.default_rng(0)
    blank = (np.zeros(K), rng.normal(0, 1, (1500, K)))
    clueless = found([blank, reference])
    assert clueless.separability.value == 0
    assert clueless.agreement_with_confidence.value == 0.5
    assert clueless.brier.value == pytest.approx(0.25)


def test_too_few_systems_have_a_reason():
    theta = np.array([0.0, 1.0, np.nan])
    drawn = np.tile(theta, (10, 1))
    got = separation(theta, theta, judge_replicates=drawn, reference_replicates=drawn)
    assert "both rank 2 systems" in got.brier.reason


def test_the_intervals_cover_the_brier_score_of_the_truth():
    """Strengths drawn about a truth, replicates about those: as a bootstrap does."""
    truth = np.linspace(-1.5, 1.5, 12)
    own = truth + np.random.default_rng(2).normal(0, 0.4, 12)
    covered = 0
    exact = None
    rng = np.random.default_rng(7)
    noise = 0.2
    exact = np.mean(
        [
            _brier(own + rng.normal(0, noise, 12), truth + rng.normal(0, noise, 12), noise)
            for _ in range(2000)
        ]
    )
    for _ in range(200):
        a, b = own + rng.normal(0, noise, 12), truth + rng.normal(0, noise, 12)
        got = separation(
            a,
            b,
            judge_replicates=a + rng.normal(0, noise, (400, 12)),
            reference_replicates=b + rng.normal(0, noise, (400, 12)),
        ).brier
        covered += got.lower <= exact <= got.upper
    assert covered >= 184


def _brier(a, b, noise):
    first, second = np.triu_indices(len(a), 1)
    z = (a[first] - a[second]) / (noise * sqrt(2))
    forecast = np.array([(1 + erf(x / sqrt(2))) / 2 for x in z])
    return ((forecast - (b[first] > b[second])) ** 2).mean()
