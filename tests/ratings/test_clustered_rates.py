import numpy as np
import pytest
from scipy import stats

from ratings.clustered_rates import Sums, mean_interval, rate, sign_test, t_quantile, wilson


def sums_of(n: np.ndarray, s: np.ndarray) -> Sums:
    cells = (n.sum(), s.sum(), len(n), (s * s).sum(), (s * n).sum(), (n * n).sum())
    return Sums(*map(int, cells))


def test_wilson_is_scipys():
    for k, n in ((0, 12), (7, 12), (300, 400)):
        theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_students_quantile_is_scipys():
    for df in (9, 15, 40, 1000):
        assert t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), abs=2e-3)


@pytest.mark.parametrize(("one", "other"), [(0, 0), (5, 5), (9, 1), (40, 80), (5000, 5300)])
def test_the_sign_test_is_scipys(one, other):
    theirs = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    assert sign_test(one, other) == pytest.approx(theirs, rel=1e-6)


def test_one_verdict_per_prompt_is_wilson_with_students_factor():
    n, s = np.ones(200, dtype=int), np.repeat([2, 0], [130, 70])
    found = rate(sums_of(n, s))
    low, high = wilson(0.65, 200)
    assert (found.value, found.n, found.n_prompts) == (0.65, 200, 200)
    assert (found.lower, found.upper) == pytest.approx((low, high), abs=0.002)


def test_verdicts_that_say_the_same_of_a_prompt_count_once():
    """Ten copies of every verdict tell nothing new."""
    s = np.repeat([2, 0], [26, 14])
    once = rate(sums_of(np.ones(40, dtype=int), s))
    copied = rate(sums_of(np.full(40, 10), s * 10))
    assert copied.n == 10 * once.n
    assert (copied.lower, copied.upper) == pytest.approx((once.lower, once.upper), abs=0.005)


def test_where_all_is_won_the_interval_rests_on_prompts():
    found = rate(sums_of(np.full(20, 50), np.full(20, 100)))
    assert found.upper == 1.0
    assert 0.75 < found.lower < wilson(1.0, 20)[0]


def test_few_prompts_have_no_interval():
    found = rate(sums_of(np.full(9, 50), np.full(9, 60)))
    assert found.is_too_few
    assert mean_interval(3, 90, n_prompts=9, squares=lambda mean: 1.0)[1:] == (None, None)


def test_the_interval_covers_where_prompts_differ():
    """1,000 worlds of 30 prompts, each with a win rate of its own (beta) and 1 to 12 verdicts."""
    rng = np.random.default_rng(2)
    worlds = 1000
    covered = 0
    for _ in range(worlds):
        n = rng.integers(1, 13, 30)
        s = 2 * rng.binomial(n, rng.beta(2.1, 0.9, 30))
        found = rate(sums_of(n, s))
        covered += found.lower <= 0.7 <= found.upper
    assert 0.93 <= covered / worlds <= 0.975
