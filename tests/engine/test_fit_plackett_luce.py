from itertools import permutations

import choix
import numpy as np
import pytest

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.comparability import Status
from ratings.engine.plackett_luce import Rankings, fit_plackett_luce, rate_rankings
from ratings.engine.scale import elo_scale
from ratings.engine.tallies import tally
from tests.engine import simulate


def orders(theta: np.ndarray, n: int, size: int, *, seed: int) -> list[list[int]]:
    """Rankings by the model: adding Gumbel noise and sorting draws from Plackett-Luce."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(n):
        shown = rng.permutation(len(theta))[:size]
        drawn.append(shown[np.argsort(-(theta[shown] + rng.gumbel(size=size)))].tolist())
    return drawn


def tied(rows: list[list[tuple[int, int]]], *, n_systems: int) -> Rankings:
    """From rankings of one length, each of (system, rank)."""
    table = np.array(rows)
    return Rankings(n_systems, table[:, :, 0], table[:, :, 1])


@pytest.mark.parametrize(("k", "n", "size"), [(5, 200, 3), (8, 400, 5), (30, 2_000, 4)])
def test_strengths_equal_those_of_choix(k, n, size):
    drawn = orders(simulate.strengths(k, seed=k), n, size, seed=n)
    theta = choix.ilsr_rankings(k, [tuple(order) for order in drawn], alpha=0, tol=1e-12)
    fit = fit_plackett_luce(Rankings.of(drawn, n_systems=k))
    np.testing.assert_allclose(fit.theta, theta - theta.mean(), atol=1e-7)


def test_rankings_of_different_lengths_equal_those_of_choix():
    theta = simulate.strengths(6, seed=9)
    drawn = orders(theta, 200, 3, seed=1) + orders(theta, 200, 5, seed=2)
    known = choix.ilsr_rankings(6, [tuple(order) for order in drawn], alpha=0, tol=1e-12)
    fit = fit_plackett_luce(Rankings.of(drawn, n_systems=6))
    np.testing.assert_allclose(fit.theta, known - known.mean(), atol=1e-7)


def test_rankings_of_two_are_bradley_terry_and_so_are_their_ties():
    a, b, outcome = simulate.battles(simulate.strengths(5, seed=1), 800, seed=2, nu=0.5)
    ranks = np.array([[1, 2], [2, 1], [1, 1]])[outcome]
    fit = fit_plackett_luce(Rankings(5, np.stack([a, b], axis=1), ranks))
    known = fit_bradley_terry(tally(a, b, outcome, n_systems=5)).theta
    np.testing.assert_allclose(fit.theta, known, atol=1e-8)


@pytest.mark.parametrize(
    ("ranks", "orders_of_it"),
    [
        ((1, 1, 3, 4), [(0, 1, 2, 3), (1, 0, 2, 3)]),
        ((1, 2, 2, 2), [(0, *rest) for rest in permutations((1, 2, 3))]),
        ((1, 1, 3, 3), [(0, 1, 2, 3), (1, 0, 2, 3), (0, 1, 3, 2), (1, 0, 3, 2)]),
    ],
)
def test_a_tie_counts_as_every_order_of_the_tied_in_equal_parts(ranks, orders_of_it):
    strict = orders(simulate.strengths(4, seed=3), 60, 4, seed=5)
    with_ties = [[(system, place + 1) for place, system in enumerate(order)] for order in strict]
    ties = [list(enumerate(ranks))] * 20
    fit = fit_plackett_luce(tied(with_ties + ties, n_systems=4))
    # choix knows no weights: as many copies as every order's part needs.
    copies = len(orders_of_it)
    spelled = [tuple(o) for o in strict] * copies + [o for o in orders_of_it for _ in range(20)]
    known = choix.ilsr_rankings(4, spelled, alpha=0, tol=1e-12)
    np.testing.assert_allclose(fit.theta, known - known.mean(), atol=1e-7)


def test_a_system_that_always_comes_last_is_left_out_and_moves_nobody():
    theta = simulate.strengths(4, seed=3)
    drawn = orders(theta, 300, 3, seed=4)
    fit = fit_plackett_luce(Rankings.of([[*order, 4] for order in drawn], n_systems=6))
    assert list(fit.comparability.status[4:]) == [Status.UNBOUNDED_BELOW, Status.NO_BATTLES]
    assert np.isnan(fit.theta[4:]).all()
    alone = fit_plackett_luce(Rankings.of(drawn, n_systems=4))
    np.testing.assert_allclose(fit.theta[:4], alone.theta, atol=1e-10)


def test_nothing_comparable_gives_no_rating():
    table = rate_rankings(Rankings.of([(0, 1, 2)], n_systems=3), seed=1)
    assert np.isnan(table.rating).all()
    assert table.n_rankings.tolist() == [1, 1, 1]
    assert table.mean_rank.tolist() == [1, 2, 3]
    empty = rate_rankings(Rankings.of([], n_systems=2), seed=1)
    assert np.isnan(empty.rating).all()


def test_the_standard_error_is_that_of_resampled_rankings():
    drawn = orders(simulate.strengths(6, seed=5), 300, 4, seed=6)
    table = rate_rankings(Rankings.of(drawn, n_systems=6), seed=1)
    rng = np.random.default_rng(7)
    resampled = [
        fit_plackett_luce(
            Rankings.of([drawn[row] for row in rng.integers(0, 300, 300)], n_systems=6)
        ).theta
        for _ in range(200)
    ]
    ratio = table.sd / elo_scale(np.array(resampled)).std(axis=0, ddof=1)
    np.testing.assert_allclose(ratio, 1, atol=0.2)


def test_copies_of_a_cluster_are_no_evidence():
    drawn = orders(simulate.strengths(5, seed=8), 100, 3, seed=9)
    once = rate_rankings(Rankings.of(drawn, n_systems=5), seed=1)
    thrice = rate_rankings(
        Rankings.of(drawn * 3, n_systems=5), cluster=np.tile(np.arange(100), 3), seed=1
    )
    np.testing.assert_allclose(once.sd, thrice.sd, rtol=1e-9)
    alone = rate_rankings(Rankings.of(drawn * 3, n_systems=5), seed=1)
    assert (alone.sd < 0.65 * once.sd).all()


@pytest.mark.parametrize("n", [40, 200])
def test_intervals_hold_the_truth_about_as_often_as_they_say(n):
    held, ranks_held, rounds = 0.0, 0.0, 120
    for seed in range(rounds):
        theta = simulate.strengths(6, seed=seed, spread=0.8)
        drawn = orders(theta, n, 4, seed=1_000 + seed)
        table = rate_rankings(Rankings.of(drawn, n_systems=6), seed=1, rounds=200)
        truth = elo_scale(theta)
        held += ((table.lower <= truth) & (truth <= table.upper)).mean() / rounds
        rank = 1 + np.argsort(np.argsort(-theta))
        ranks_held += ((table.rank_lower <= rank) & (rank <= table.rank_upper)).mean() / rounds
    # 720 intervals, those of one round not independent: three standard errors are .03 or so.
    assert 0.92 <= held <= 0.98
    assert ranks_held >= 0.95


def test_the_same_arguments_give_the_same_table():
    rankings = Rankings.of(orders(simulate.strengths(5, seed=1), 90, 3, seed=2), n_systems=5)
    one, other = (rate_rankings(rankings, seed=11) for _ in range(2))
    for name in ("rating", "lower", "upper", "rank_lower", "rank_upper"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    ("rankings", "says"),
    [
        ([(0,)], "Ranking 0 must name two or more"),
        ([(0, 1), (1, 1)], "Ranking 1 must name two or more different"),
        ([(0, 7)], r"outside 0\.\.2"),
        ([tuple(range(9))], "at most"),
    ],
)
def test_rankings_that_cannot_be_fitted_say_why(rankings, says):
    with pytest.raises(ValueError, match=says):
        Rankings.of(rankings, n_systems=3)
