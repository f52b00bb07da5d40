"""Raw win rates, ties as one half."""

import numpy as np

from ratings.engine.tallies import Tallies


def win_rate_matrix(tallies: Tallies) -> np.ndarray:
    """(K, K): the row's win rate against the column, nan where they never met."""
    wins = tallies.win_matrix()
    n = wins + wins.T
    return np.divide(wins, n, out=np.full_like(wins, np.nan), where=n > 0)


def records(tallies: Tallies) -> np.ndarray:
    """(K, 3): wins, losses and ties (both-bad among them) of each system."""
    table = np.zeros((tallies.n_systems, 3))
    ties = tallies.counts[:, 2] + tallies.counts[:, 3]
    for side, (won, lost) in ((tallies.a, (0, 1)), (tallies.b, (1, 0))):
        per_side = np.column_stack([tallies.counts[:, won], tallies.counts[:, lost], ties])
        np.add.at(table, side, per_side)
    return table


def win_rates(tallies: Tallies) -> np.ndarray:
    """(K,) win rate over all opponents met, nan for a system without a verdict."""
    record = records(tallies)
    n = record.sum(axis=1)
    won = record[:, 0] + record[:, 2] / 2
    return np.divide(won, n, out=np.full(len(n), np.nan), where=n > 0)
