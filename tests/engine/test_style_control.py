"""Ratings with style held equal."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from benchmarks.mixed_evidence import styled_panel
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.style_control import PENALTY, StyledBattles, fit_style_control
from ratings.engine.tallies import tally

BETA = np.array([0.5, 0.0, 0.3, -0.2])


@pytest.fixture
def battles() -> StyledBattles:
    rng = np.random.default_rng(2)
    made = styled_panel(rng, rng.normal(0, 0.6, 6), BETA, prompts=60, a_prompt=15)
    votes = made.votes.copy()
    votes[::5] *= 2
    style = made.style_a.copy()
    style[::9] = np.nan  # outputs that weren't published
    return replace(made, votes=votes, style_a=style)


def features_of(battles: StyledBattles, kept: np.ndarray) -> np.ndarray:
    a, b = battles.style_a[kept], battles.style_b[kept]
    difference = (a - b) / (a + b + 1)
    weight = battles.votes[kept].sum(axis=1)
    return difference / np.sqrt((difference**2 * weight[:, None]).sum(axis=0) / weight.sum())


def test_it_is_the_most_likely_by_a_general_optimiser(battles):
    found = fit_style_control(battles, seed=1)
    kept = np.isfinite(battles.style_a).all(axis=1)
    features = features_of(battles, kept)
    a, b, votes = battles.a[kept], battles.b[kept], battles.votes[kept]
    won = votes[:, 0] + votes[:, 2:].sum(axis=1) / 2
    lost = votes.sum(axis=1) - won

    def loss(x):
        gap = x[a] - x[b] + features @ x[6:]
        likelihood = won * np.logaddexp(0, -gap) + lost * np.logaddexp(0, gap)
        # A whisper of a penalty gives strengths an origin.
        return likelihood.sum() + PENALTY / 2 * (x[6:] ** 2).sum() + 1e-9 * (x[:6] ** 2).sum()

    best = minimize(loss, np.zeros(10), method="BFGS", options={"gtol": 1e-7}).x
    assert found.theta == pytest.approx(best[:6] - best[:6].mean(), abs=1e-4)
    assert [figure.value for figure in found.beta] == pytest.approx(best[6:], abs=1e-4)
    assert found.n_left_out == battles.votes[~kept].sum() > 0
    assert found.n_verdicts == votes.sum()
    outcome = np.tile(np.arange(4), len(a))
    plain = fit_bradley_terry(
        tally(np.repeat(a, 4), np.repeat(b, 4), outcome, n_systems=6, count=votes.ravel())
    )
    assert found.plain_theta == pytest.approx(plain.theta, abs=1e-9)


def test_the_covariance_is_a_sandwich_by_prompt_in_plain_loops(battles):
    found = fit_style_control(battles, seed=1)
    kept = np.isfinite(battles.style_a).all(axis=1)
    features = features_of(battles, kept)
    beta = np.array([figure.value for figure in found.beta])
    information, scores = np.zeros((10, 10)), np.zeros((60, 10))
    for a, b, votes, f, prompt in zip(
        battles.a[kept], battles.b[kept], battles.votes[kept], features, battles.cluster[kept],
        strict=True,
    ):  # fmt: skip
        x = np.zeros(10)
        x[a], x[b], x[6:] = 1, -1, f
        p = 1 / (1 + np.exp(-(found.theta[a] - found.theta[b] + f @ beta)))
        n, won = votes.sum(), votes[0] + votes[2:].sum() / 2
        information += n * p * (1 - p) * np.outer(x, x)
        scores[prompt] += (won - n * p) * x
    information[6:, 6:] += PENALTY * np.eye(4)
    information[:6, :6] += 1  # along the ones
    bread = np.linalg.inv(information)
    expected = (bread @ scores.T @ scores @ bread * 60 / 59)[:6, :6]
    centre = np.eye(6) - 1 / 6
    assert found.by_prompt
    assert found.covariance == pytest.approx(centre @ expected @ centre, rel=1e-6, abs=1e-10)


def test_which_output_is_called_a_changes_nothing(battles):
    turned = np.arange(len(battles.a)) % 2 == 0

    def either(one, other):
        shape = (-1,) + (1,) * (one.ndim - 1)
        return np.where(turned.reshape(shape), other, one)

    mirrored = replace(
        battles,
        a=either(battles.a, battles.b),
        b=either(battles.b, battles.a),
        votes=either(battles.votes, battles.votes[:, [1, 0, 2, 3]]),
        style_a=either(battles.style_a, battles.style_b),
        style_b=either(battles.style_b, battles.style_a),
    )
    one, other = fit_style_control(battles, seed=1), fit_style_control(mirrored, seed=1)
    assert one.theta == pytest.approx(other.theta, abs=1e-9)
    assert [figure.value for figure in one.beta] == pytest.approx(
        [figure.value for figure in other.beta], abs=1e-9
    )


def test_strengths_and_what_style_is_worth_come_back_and_are_covered():
    truth = np.random.default_rng(1).normal(0, 0.6, 8)
    truth -= truth.mean()
    covered, covered_beta, off, plain = [], [], [], []
    for seed in range(60):
        made = styled_panel(
            np.random.default_rng(seed), truth, BETA, prompts=80, a_prompt=25, verbose=3.0
        )
        found = fit_style_control(made, seed=1)
        sd = np.sqrt(np.diag(found.covariance))
        covered.append(np.abs(found.theta - truth) <= 1.96 * sd)
        # Beta is per root mean square of the differences in these data.
        exact = BETA * found.scale / made.unit
        covered_beta.append(
            [f.lower <= value <= f.upper for f, value in zip(found.beta, exact, strict=True)]
        )
        off.append(np.abs(found.theta - truth).mean())
        plain.append(np.abs(found.plain_theta - truth).mean())
    assert np.mean(covered) > 0.915
    assert np.mean(covered_beta) > 0.9
    # Without style the long-winded system is thought better than it is.
    assert np.mean(off) < 0.8 * np.mean(plain)


def test_a_feature_that_never_differs_has_a_reason(battles):
    same = replace(
        battles, style_a=battles.style_a * [1, 0, 1, 1], style_b=battles.style_b * [1, 0, 1, 1]
    )
    found = fit_style_control(same, seed=1)
    assert found.beta[1].value is None
    assert "never differ" in found.beta[1].reason
    assert found.beta[0].value > 0
    nothing = fit_style_control(replace(battles, votes=battles.votes * 0), seed=1)
    assert np.isnan(nothing.theta).all()
    with pytest.raises(ValueError, match="one length"):
        fit_style_control(replace(battles, cluster=battles.cluster[:3]), seed=1)
