"""Cells: verdicts counted by pair of systems and outcome, the whole input of a fit."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

N_OUTCOMES = 4
# Rows counted at a time: the temporary keys stay in the processor's cache.
_CHUNK = 1 << 16
# Beyond this many bins a dense table costs more than sorting the keys.
_MAX_DENSE_BINS = 1 << 22


class Outcome(IntEnum):
    """A verdict in a battle's orientation. The numbers are those of the database."""

    A = 0
    B = 1
    TIE = 2
    BOTH_BAD = 3


_MIRRORED = np.array([Outcome.B, Outcome.A, Outcome.TIE, Outcome.BOTH_BAD])


@dataclass(frozen=True, slots=True)
class Tallies:
    """Counts per pair: `a`, `b` (m,) with a < b, unique, sorted; `counts` (m, 4) by Outcome."""

    n_systems: int
    a: np.ndarray
    b: np.ndarray
    counts: np.ndarray

    @property
    def n(self) -> float:
        return float(self.counts.sum())

    @property
    def n_per_pair(self) -> np.ndarray:
        """(m,)"""
        return self.counts.sum(axis=1)

    @property
    def wins_a(self) -> np.ndarray:
        """(m,) wins of A, ties and both-bad as one half."""
        return self.counts[:, 0] + (self.counts[:, 2] + self.counts[:, 3]) / 2

    def win_matrix(self) -> np.ndarray:
        """(K, K): entry [i, j] is how often i won over j, ties as one half."""
        matrix = np.zeros((self.n_systems, self.n_systems))
        wins = self.wins_a
        matrix[self.a, self.b] = wins
        matrix[self.b, self.a] = self.n_per_pair - wins
        return matrix


@dataclass(frozen=True, slots=True)
class ClusteredTallies:
    """Cells split by cluster (prompt or voter); `tallies` is their sum over clusters.

    `pair` (n,) indexes `tallies.a`; `outcome`, `cluster`, `count` (n,).
    """

    tallies: Tallies
    n_clusters: int
    pair: np.ndarray
    outcome: np.ndarray
    cluster: np.ndarray
    count: np.ndarray


def _checked(a: np.ndarray, b: np.ndarray, outcome: np.ndarray, n_systems: int) -> None:
    if not len(a) == len(b) == len(outcome):
        raise ValueError(
            f"a, b and outcome must have one length; they have {len(a)}, {len(b)}, {len(outcome)}."
        )
    if not len(a):
        return
    for name, values, bound in (("a", a, n_systems), ("b", b, n_systems), ("outcome", outcome, 4)):
        if values.min() < 0 or values.max() >= bound:
            raise ValueError(f"{name} must lie between 0 and {bound - 1}.")
    if (a == b).any():
        row = int(np.argmax(a == b))
        raise ValueError(f"Row {row}: system {int(a[row])} battles itself.")


def tally(a, b, outcome, *, n_systems: int, count=None) -> Tallies:
    """Count verdicts into cells.

    `a`, `b` (n,) system indexes in any orientation, `outcome` (n,) of Outcome, `count` (n,) weights or
    None for ones. ValueError on indexes out of range or a system that battles itself.
    """
    a, b, outcome = (np.asarray(values) for values in (a, b, outcome))
    _checked(a, b, outcome, n_systems)
    k = n_systems
    if k * k * N_OUTCOMES > _MAX_DENSE_BINS:
        return _tally_sparse(a, b, outcome, k, count)
    bins = np.zeros(k * k * N_OUTCOMES)
    for start in range(0, len(a), _CHUNK):
        rows = slice(start, start + _CHUNK)
        key = a[rows].astype(np.int64)
        key *= k
        key += b[rows]
        key *= N_OUTCOMES
        key += outcome[rows]
        weights = None if count is None else np.asarray(count)[rows]
        bins += np.bincount(key, weights=weights, minlength=len(bins))
    table = bins.reshape(k, k, N_OUTCOMES)
    # Fold the lower triangle onto the upper: both orientations of a pair are one cell.
    table = table + table.transpose(1, 0, 2)[:, :, _MIRRORED]
    first, second = np.nonzero(np.triu(table.sum(axis=2), 1))
    return Tallies(k, first, second, table[first, second])


def _tally_sparse(a, b, outcome, k: int, count) -> Tallies:
    swapped = a > b
    low = np.where(swapped, b, a).astype(np.int64)
    high = np.where(swapped, a, b)
    pairs, index = np.unique(low * k + high, return_inverse=True)
    oriented = np.where(swapped, _MIRRORED[outcome], outcome)
    counts = np.bincount(
        index * N_OUTCOMES + oriented, weights=count, minlength=len(pairs) * N_OUTCOMES
    ).astype(float)
    return Tallies(k, pairs // k, pairs % k, counts.reshape(-1, N_OUTCOMES))


def tally_by_cluster(
    a, b, outcome, cluster, *, n_systems: int, n_clusters: int, count=None
) -> ClusteredTallies:
    """Count verdicts into cells by cluster; arguments and errors as in `tally`, `cluster` (n,)."""
    a, b, outcome, cluster = (np.asarray(values) for values in (a, b, outcome, cluster))
    _checked(a, b, outcome, n_systems)
    if len(cluster) != len(a):
        raise ValueError(f"cluster must have the length of a, {len(a)}, not {len(cluster)}.")
    if len(cluster) and (cluster.min() < 0 or cluster.max() >= n_clusters):
        raise ValueError(f"cluster must lie between 0 and {n_clusters - 1}.")
    swapped = a > b
    low = np.where(swapped, b, a).astype(np.int64)
    high = np.where(swapped, a, b)
    oriented = np.where(swapped, _MIRRORED[outcome], outcome)
    weights = np.ones(len(a)) if count is None else np.asarray(count, dtype=float)
    pairs, pair = np.unique(low * n_systems + high, return_inverse=True)
    key = (pair * N_OUTCOMES + oriented) * max(n_clusters, 1) + cluster
    cells, index = np.unique(key, return_inverse=True)
    total = np.bincount(index, weights=weights, minlength=len(cells))
    pair_outcome, of_cluster = np.divmod(cells, max(n_clusters, 1))
    of_pair, of_outcome = np.divmod(pair_outcome, N_OUTCOMES)
    counts = np.bincount(pair_outcome, weights=total, minlength=len(pairs) * N_OUTCOMES)
    return ClusteredTallies(
        tallies=Tallies(
            n_systems, pairs // n_systems, pairs % n_systems, counts.reshape(-1, N_OUTCOMES)
        ),
        n_clusters=n_clusters,
        pair=of_pair,
        outcome=of_outcome,
        cluster=of_cluster,
        count=total,
    )
