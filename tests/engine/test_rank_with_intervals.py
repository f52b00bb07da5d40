import numpy as np
import pytest

from ratings.engine.ranks import rank_intervals, rank_upper_bound, tiers
from ratings.engine.rate import rate, rate_elo
from ratings.engine.tallies import tally, tally_by_cluster
from ratings.engine.win_rates import win_rate_matrix, win_rates
from tests.engine import simulate


def test_rank_intervals_are_percentiles_of_ranks():
    theta = np.array([[3.0, 2.0, 1.0]] * 90 + [[2.0, 3.0, 1.0]] * 10)
    lower, upper = rank_intervals(theta)
    assert (lower.tolist(), upper.tolist()) == ([1, 1, 3], [2, 2, 3])


def test_the_upper_bound_counts_those_that_are_wholly_above():
    lower, upper = np.array([10.0, 8.0, 5.0, 1.0]), np.array([14.0, 12.0, 9.0, 4.0])
    assert rank_upper_bound(lower, upper).tolist() == [1, 1, 2, 4]


def test_a_tier_holds_those_who_overlap_its_first():
    """The third overlaps the second but not the first, so it opens a tier of its own."""
    theta = np.array([12.0, 10.0, 7.0, 2.0])
    lower, upper = np.array([10.0, 8.0, 5.0, 1.0]), np.array([14.0, 12.0, 9.0, 4.0])
    assert tiers(lower, upper, theta).tolist() == [1, 1, 2, 3]


def test_tiers_do_not_depend_on_the_order_of_systems():
    theta = np.array([12.0, 10.0, 7.0, 2.0])
    lower, upper = np.array([10.0, 8.0, 5.0, 1.0]), np.array([14.0, 12.0, 9.0, 4.0])
    order = np.array([2, 0, 3, 1])
    assert tiers(lower[order], upper[order], theta[order]).tolist() == [2, 1, 3, 1]


def test_win_rates_count_ties_as_one_half():
    tallies = tally([0, 0, 0, 1], [1, 1, 1, 2], [0, 0, 2, 3], n_systems=4)
    matrix = win_rate_matrix(tallies)
    assert matrix[0, 1] == pytest.approx(5 / 6)
    assert matrix[1, 0] == pytest.approx(1 / 6)
    assert matrix[1, 2] == 0.5
    assert np.isnan(matrix[0, 2])
    rates = win_rates(tallies)
    assert rates[:3].tolist() == pytest.approx([5 / 6, 1 / 4, 1 / 2])
    assert np.isnan(rates[3])


@pytest.fixture
def tallies():
    return tally(
        *simulate.battles(simulate.strengths(9, seed=1), 3000, seed=2, nu=0.3), n_systems=9
    )


@pytest.mark.parametrize("arguments", [{}, {"method": "davidson"}, {"interval": "sandwich"}])
def test_a_table_holds_together(tallies, arguments):
    table = rate(tallies, rounds=300, seed=1, **arguments)
    assert (table.lower < table.rating).all()
    assert (table.rating < table.upper).all()
    assert (table.rank_lower <= table.rank).all()
    assert (table.rank <= table.rank_upper).all()
    assert (table.wins + table.losses + table.ties == table.n_verdicts).all()
    assert table.rating.mean() == pytest.approx(1000)
    assert sorted(table.rank) == list(range(1, 10))
    assert (np.diff(table.tier[np.argsort(table.rank)]) >= 0).all()


def test_mirroring_every_battle_leaves_the_table_as_it_is():
    a, b, outcome = simulate.battles(simulate.strengths(6, seed=1), 800, seed=2, nu=0.3)
    straight, mirrored = (
        rate(tally(*rows, n_systems=6), rounds=200, seed=1)
        for rows in ((a, b, outcome), (b, a, np.array([1, 0, 2, 3])[outcome]))
    )
    for name in ("rating", "lower", "upper", "rank_lower", "tier", "win_rate", "wins"):
        np.testing.assert_array_equal(getattr(straight, name), getattr(mirrored, name))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"method": "magic"}, "method"),
        ({"interval": "guess"}, "interval"),
        ({"interval": "clusters"}, "by cluster"),
        ({"method": "davidson", "interval": "sandwich"}, "Davidson"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(tallies, arguments, says):
    with pytest.raises(ValueError, match=says):
        rate(tallies, rounds=50, seed=1, **arguments)


def test_clusters_widen_the_intervals_where_verdicts_hang_together():
    a, b, outcome = simulate.battles(simulate.strengths(5, seed=1), 60, seed=2)
    rows = [np.repeat(values, 20) for values in (a, b, outcome)]
    cluster = np.repeat(np.arange(60), 20)
    data = tally_by_cluster(*rows, cluster, n_systems=5, n_clusters=60)
    sd = [rate(data, interval=i, rounds=500, seed=1).sd.mean() for i in ("cells", "clusters")]
    assert sd[1] > 3 * sd[0]


def test_elo_finds_the_order_of_clearly_different_systems():
    theta = np.array([2.0, 1.0, 0.0, -1.0, -2.0])
    tallies = tally(*simulate.battles(theta, 4000, seed=3), n_systems=5)
    table = rate_elo(tallies, rounds=200, seed=1)
    assert table.rank.tolist() == [1, 2, 3, 4, 5]
    assert (table.lower < table.rating).all()
    assert (table.rating < table.upper).all()


def test_elo_of_nobody_is_nothing():
    table = rate_elo(tally([], [], np.array([], int), n_systems=3), rounds=50, seed=1)
    assert np.isnan(table.rating).all()


def test_elo_ranks_no_islands_together():
    table = rate_elo(
        tally([0, 1, 0, 2, 3], [1, 0, 1, 3, 2], [0, 0, 0, 0, 0], n_systems=5), rounds=50, seed=1
    )
    assert table.status.tolist() == [
        "ranked",
        "ranked",
        "not_comparable",
        "not_comparable",
        "no_battles",
    ]
    assert np.isfinite(table.rating).tolist() == [True, True, False, False, False]
