import numpy as np
import pytest

from ratings.engine import elo as module
from ratings.engine.elo import elo
from ratings.engine.scale import expected_score
from ratings.engine.tallies import tally
from tests.engine import simulate


def test_one_verdict_moves_both_by_half_of_the_factor():
    found = elo(tally([0], [1], [0], n_systems=3), k_factor=32, seed=1)
    assert found.rating[:2].tolist() == [1016, 984]
    assert np.isnan(found.rating[2])


def test_the_winner_gains_what_it_was_not_expected_to():
    """Two wins in a row, by hand: the second is worth less than the first."""
    found = elo(tally([0, 0], [1, 1], [0, 0], n_systems=2), k_factor=32, seed=1)
    expected = 1016 + 32 * (1 - expected_score(1016, 984))
    assert found.rating[0] == pytest.approx(expected)


def test_a_tie_between_equals_moves_nobody():
    assert elo(tally([0], [1], [2], n_systems=2), seed=1).rating.tolist() == [1000, 1000]


def test_points_are_neither_made_nor_lost():
    tallies = tally(*simulate.battles(simulate.strengths(7, seed=1), 500, seed=2), n_systems=7)
    np.testing.assert_allclose(elo(tallies, seed=1).orders.mean(axis=1), 1000)


def test_orders_differ_and_the_seed_decides_them():
    tallies = tally(*simulate.battles(simulate.strengths(7, seed=1), 500, seed=2), n_systems=7)
    first, again, other = (elo(tallies, seed=seed).orders for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.std(axis=0).min() > 0
    assert (first != other).any()


def test_each_order_replays_every_verdict_once(monkeypatch):
    """A tiny factor makes the order irrelevant: every order then sums the same gains."""
    tallies = tally(*simulate.battles(simulate.strengths(5, seed=1), 2500, seed=2), n_systems=5)
    found = elo(tallies, k_factor=1e-6, seed=1)
    assert found.orders.std(axis=0).max() < 1e-9


def test_long_histories_are_sampled(monkeypatch):
    monkeypatch.setattr(module, "MAX_VERDICTS", 300)
    tallies = tally(*simulate.battles(simulate.strengths(5, seed=1), 2500, seed=2), n_systems=5)
    assert elo(tallies, seed=1).n_used == 300


def test_no_order_is_refused():
    with pytest.raises(ValueError, match="shuffles"):
        elo(tally([0], [1], [0], n_systems=2), shuffles=0, seed=1)
