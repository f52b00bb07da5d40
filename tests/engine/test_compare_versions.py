import numpy as np
import pytest
from scipy import stats

from ratings.engine.paired_versions import paired_difference


def test_the_difference_is_the_weighted_mean_over_prompts():
    total, weight = np.arange(12) / 4 - 1, np.arange(12) + 1
    found = paired_difference(total, weight, seed=1)
    assert found.difference == pytest.approx(np.average(total / weight, weights=weight))
    assert found.n_prompts == 12
    assert found == paired_difference(total.tolist(), weight.tolist(), seed=1)


def test_the_p_value_is_that_of_sign_flips():
    """Against scipy's permutation test with every one of the 2^12 flips, one-sided doubled."""
    rng = np.random.default_rng(3)
    for shift in (0.0, 0.15, -0.4):
        total = rng.normal(shift, 0.4, size=12)
        exact = min(
            stats.permutation_test(
                (total,),
                np.mean,
                permutation_type="samples",
                alternative=side,
                n_resamples=np.inf,
            ).pvalue
            for side in ("less", "greater")
        )
        ours = paired_difference(total, np.ones(12), seed=5, subsets=19_999).p_value
        # Empty subsets are drawn again: 1 of 4096. Four standard errors of 19,999 draws.
        assert ours / 2 == pytest.approx(exact, abs=4 * np.sqrt(0.25 / 19_999) + 1 / 4096)


def test_the_interval_leaves_zero_out_exactly_when_the_p_value_says_so():
    rng = np.random.default_rng(4)
    said = set()
    for seed in range(60):
        total = rng.normal(0.25, 0.5, size=20)
        found = paired_difference(total, np.ones(20), seed=seed)
        leaves_out = found.lower > 0 or found.upper < 0
        assert leaves_out == (found.p_value <= 0.05)
        said.add(leaves_out)
    assert said == {True, False}


def test_the_interval_of_many_prompts_is_students():
    rng = np.random.default_rng(6)
    total = rng.normal(0.1, 0.3, size=400)
    found = paired_difference(total, np.ones(400), seed=7, subsets=9999)
    students = stats.ttest_1samp(total, 0).confidence_interval()
    width = students.high - students.low
    assert found.lower == pytest.approx(students.low, abs=0.05 * width)
    assert found.upper == pytest.approx(students.high, abs=0.05 * width)


@pytest.mark.parametrize("weights", ["equal", "unequal"])
def test_the_test_has_its_size_and_the_interval_its_coverage(weights):
    """Prompts with effects of their own: 95 % hold the truth, and 5 % are wrongly said to differ."""
    rng = np.random.default_rng(8)
    n_prompts, worlds, truth = 40, 1000, 0.0
    covered = 0
    for world in range(worlds):
        m = np.full(n_prompts, 4) if weights == "equal" else rng.integers(1, 9, n_prompts)
        ability = rng.normal(0, 1, size=(2, n_prompts))
        chance = 1 / (1 + np.exp(-ability))
        total = (rng.binomial(m, chance[0]) - rng.binomial(m, chance[1])).astype(float)
        found = paired_difference(total, m, seed=world, subsets=399)
        covered += found.lower <= truth <= found.upper
    # Four standard errors of 1,000 worlds.
    assert covered / worlds == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / worlds))


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(ValueError, match="At least 10 prompts"):
        paired_difference([0.5] * 9, [1] * 9, seed=1)
    with pytest.raises(ValueError, match="one shape"):
        paired_difference([0.5] * 12, [1] * 11, seed=1)
    with pytest.raises(ValueError, match="positive"):
        paired_difference([0.5] * 12, [0] * 12, seed=1)
    with pytest.raises(ValueError, match="39 subsets"):
        paired_difference([0.5] * 12, [1] * 12, seed=1, subsets=20)
