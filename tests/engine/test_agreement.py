import numpy as np
import pytest
from scipy import stats

from ratings.engine.agreement import (
    kendall_tau_b,
    kendall_tau_b_rows,
    pearson,
    rank_biased_overlap,
    spearman,
    top_k_overlap,
)


def scores(seed, *, n=40, levels=None):
    rng = np.random.default_rng(seed)
    return rng.normal(size=n) if levels is None else rng.integers(0, levels, n).astype(float)


@pytest.mark.parametrize("levels", [None, 2, 5, 30])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (kendall_tau_b, stats.kendalltau),
        (spearman, stats.spearmanr),
        (pearson, stats.pearsonr),
    ],
)
def test_correlations_equal_scipy_with_and_without_ties(ours, theirs, levels):
    for seed in range(20):
        x, y = scores(seed, levels=levels), scores(seed + 100, levels=levels)
        assert ours(x, y) == pytest.approx(theirs(x, y).statistic, abs=1e-12)


def test_a_batch_of_rows_equals_row_by_row_even_where_each_row_ranks_other_systems():
    rng = np.random.default_rng(3)
    x = rng.integers(0, 9, (50, 25)).astype(float)
    y = rng.normal(size=(50, 25))
    x[rng.random(x.shape) < 0.2] = np.nan
    y[rng.random(y.shape) < 0.1] = np.nan
    expected = [
        stats.kendalltau(*(side[np.isfinite(u) & np.isfinite(v)] for side in (u, v))).statistic
        for u, v in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(kendall_tau_b_rows(x, y), expected, atol=1e-12)


def test_systems_that_only_one_side_ranks_are_left_out():
    x = np.array([1.0, 2.0, np.nan, 4.0, 9.0])
    y = np.array([1.0, 3.0, 99.0, 2.0, np.nan])
    for measure in (kendall_tau_b, spearman, pearson):
        assert measure(x, y) == pytest.approx(measure(x[[0, 1, 3]], y[[0, 1, 3]]))


@pytest.mark.parametrize("measure", [kendall_tau_b, spearman, pearson])
def test_a_side_that_ties_everyone_has_no_correlation(measure):
    assert np.isnan(measure(np.zeros(5), np.arange(5.0)))
    assert np.isnan(measure(np.array([1.0, np.nan]), np.array([np.nan, 1.0])))


def test_rankings_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        kendall_tau_b(np.arange(3.0), np.arange(4.0))


def test_top_k_overlap_counts_the_systems_in_both_tops():
    x = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    y = np.array([5.0, 1.0, 4.0, 3.0, 2.0])
    assert top_k_overlap(x, y, k=1) == 1.0
    assert top_k_overlap(x, y, k=2) == 0.5
    assert top_k_overlap(x, y, k=3) == pytest.approx(2 / 3)
    assert top_k_overlap(x, y, k=5) == 1.0
    assert np.isnan(top_k_overlap(x, y, k=6))


def test_systems_tied_at_the_boundary_share_its_places_whatever_their_order():
    x = np.array([3.0, 1.0, 1.0, 0.0])
    y = np.array([3.0, 2.0, 1.0, 0.0])
    swapped = [0, 2, 1, 3]
    assert top_k_overlap(x, y, k=2) == pytest.approx(0.75)
    assert top_k_overlap(x, y[swapped], k=2) == pytest.approx(0.75)


def test_rank_biased_overlap_of_equal_rankings_is_one_and_of_a_worked_example_is_right():
    x = np.array([3.0, 2.0, 1.0])
    assert rank_biased_overlap(x, x) == pytest.approx(1.0)
    # abc against bac at p = .5: agreements 0, 1, 1 by depth.
    y = np.array([2.0, 3.0, 1.0])
    expected = 1.0 * 0.5**3 + (0.5 / 0.5) * (0 * 0.5 + 1 * 0.25 + 1 * 0.125)
    assert rank_biased_overlap(x, y, p=0.5) == pytest.approx(expected)


def test_rank_biased_overlap_weighs_the_top_more():
    base = np.arange(10.0)[::-1]
    top_swapped, bottom_swapped = base.copy(), base.copy()
    top_swapped[[0, 1]] = top_swapped[[1, 0]]
    bottom_swapped[[8, 9]] = bottom_swapped[[9, 8]]
    assert rank_biased_overlap(base, top_swapped) < rank_biased_overlap(base, bottom_swapped) < 1
