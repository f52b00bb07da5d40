import numpy as np
import pytest
from scipy.special import betainc, expit

from ratings.engine.beta_link import BlurredGaps, link_table
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.decisiveness import (
    least_squares_decisiveness,
    maximum_likelihood_decisiveness,
)
from ratings.engine.paired_resampling import paired_resampling
from ratings.engine.reference_posterior import reference_posterior
from ratings.engine.tallies import Outcome, tally
from tests.engine.judge_panels import panel, panel_rates, reoutcome, reversed_outcomes, strengths

ESTIMATORS = (maximum_likelihood_decisiveness, least_squares_decisiveness)


def estimate(
    judge, reference, *, estimator=maximum_likelihood_decisiveness, unit="verdicts", seed=1
):
    cells = getattr(reference, "tallies", reference)
    fit = fit_bradley_terry(cells)
    extra = {"fitted": fit.theta} if estimator is maximum_likelihood_decisiveness else {}
    return estimator(
        judge,
        reference,
        posterior=reference_posterior(reference, ranked=fit.comparability.ranked),
        resampling=paired_resampling(unit=unit, rounds=200, seed=seed, n_prompts=50),
        **extra,
    )


def sparse_pair(alpha, *, seed):
    theta = strengths(20, seed=seed)
    people = panel(panel_rates(theta), n=6, seed=1000 + seed, n_systems=20)
    judge = panel(panel_rates(theta, alpha=alpha), n=2, seed=2000 + seed, n_systems=20)
    return judge, people


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 4.8])
def test_the_link_is_the_beta_distribution_function_and_integrates_over_the_gap(alpha):
    gap = np.linspace(-6, 6, 101)
    table = link_table(np.log(alpha))
    exact = betainc(alpha, alpha, expit(gap))
    np.testing.assert_allclose(BlurredGaps.of(gap).rate(table), exact, atol=1e-4)
    rng = np.random.default_rng(1)
    drawn = betainc(alpha, alpha, expit(1.0 + 0.5 * rng.normal(size=200_000))).mean()
    blurred = BlurredGaps.of(np.array([1.0]), np.array([0.25])).rate(table)
    assert blurred[0] == pytest.approx(drawn, abs=2e-3)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 4.8])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_with_hundreds_of_verdicts_a_pair_both_estimators_find_alpha(alpha, estimator):
    theta = strengths(15)
    people = panel(panel_rates(theta), n=400, seed=1, n_systems=15)
    judge = panel(panel_rates(theta, alpha=alpha), n=400, seed=2, n_systems=15)
    found = estimate(judge, people, estimator=estimator)
    assert found.alpha.value == pytest.approx(alpha, rel=0.07)
    assert found.alpha.lower < found.alpha.value < found.alpha.upper
    assert found.alpha.n == 400 * 105
    assert not found.warning


@pytest.mark.parametrize("alpha", [0.5, 2.0])
def test_with_few_verdicts_maximum_likelihood_is_right_on_average_and_least_squares_is_not(alpha):
    pairs = [sparse_pair(alpha, seed=seed) for seed in range(40)]
    found = [estimate(*pair) for pair in pairs]
    centre = np.exp(np.mean([np.log(one.alpha.value) for one in found]))
    # 40 runs that scatter by a factor of about 1.25 leave the mean uncertain by about 3.5 %.
    assert centre == pytest.approx(alpha, rel=0.1)
    plug_in = np.exp(np.mean([np.log(one.uncorrected) for one in found]))
    assert plug_in < centre
    covered = np.mean([one.alpha.lower <= alpha <= one.alpha.upper for one in found])
    assert covered >= 0.85
    squares = estimate(*pairs[0], estimator=least_squares_decisiveness)
    assert squares.alpha.value < 0.7 * alpha
    assert "hundreds of verdicts a pair" in squares.warning


def test_a_judge_that_is_the_people_has_alpha_one_even_with_few_verdicts():
    for seed in range(3):
        _, people = sparse_pair(1.0, seed=seed)
        found = estimate(people, people, unit="prompts")
        assert found.alpha.value == pytest.approx(1.0, abs=0.05)
        # Errors that both share cancel: the interval must be far narrower than for a stranger.
        assert found.alpha.upper / found.alpha.lower < 1.3


def test_a_judge_that_reverses_people_has_no_alpha_and_says_so():
    _, people = sparse_pair(1.0, seed=1)
    found = estimate(reoutcome(people, reversed_outcomes), people)
    assert found.alpha.value is None
    assert "against the reference's order" in found.alpha.reason


@pytest.mark.parametrize("constant", [Outcome.A, Outcome.TIE, Outcome.BOTH_BAD])
def test_a_judge_of_one_answer_has_no_alpha_rather_than_an_extreme_one(constant):
    _, people = sparse_pair(1.0, seed=1)
    for estimator in ESTIMATORS:
        found = estimate(reoutcome(people, int(constant)), people, estimator=estimator)
        assert found.alpha.value is None
        assert found.alpha.reason


def test_a_judge_that_never_departs_from_the_order_has_no_upper_bound():
    _, people = sparse_pair(1.0, seed=2)
    order = fit_bradley_terry(people.tallies).theta
    cells = people.tallies
    favourite = np.where(order[cells.a] > order[cells.b], Outcome.A, Outcome.B)
    judge = tally(cells.a, cells.b, favourite, n_systems=20, count=np.full(len(cells.a), 50))
    found = estimate(judge, people)
    assert found.alpha.value is None
    assert "no upper bound" in found.alpha.reason


def test_too_few_verdicts_give_a_reason_and_no_number():
    _, people = sparse_pair(1.0, seed=1)
    judge = tally([0, 1, 2], [3, 4, 5], [0, 1, 0], n_systems=20)
    found = estimate(judge, people)
    assert found.alpha.value is None
    assert "3 verdicts" in found.alpha.reason


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    pair = sparse_pair(1.0, seed=3)
    first, again, other = (estimate(*pair, seed=seed).alpha for seed in (1, 1, 2))
    assert first == again
    assert first.value == other.value
    assert first.lower != other.lower


def test_swapping_the_sides_of_every_battle_changes_nothing():
    judge, people = sparse_pair(2.0, seed=4)
    mirrored = [
        tally(
            side.tallies.b[side.pair],
            side.tallies.a[side.pair],
            reversed_outcomes(side.outcome),
            n_systems=20,
            count=side.count,
        )
        for side in (judge, people)
    ]
    straight = estimate(judge.tallies, people.tallies)
    assert estimate(*mirrored).alpha.value == pytest.approx(straight.alpha.value, rel=1e-9)


def test_judges_and_references_of_other_systems_are_refused():
    judge, people = sparse_pair(1.0, seed=1)
    fewer = tally([0], [1], [0], n_systems=19)
    with pytest.raises(ValueError, match="same list"):
        estimate(fewer, people)
    with pytest.raises(ValueError, match="at least three"):
        reference_posterior(judge, ranked=np.arange(20) < 2)
