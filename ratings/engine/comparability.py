"""Which systems can be compared at all, decided before any fit."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from ratings.engine.tallies import Tallies

# Up to this many systems a dense table of wins is small.
_MAX_DENSE = 2048


class Status(StrEnum):
    """Why a system has a rating, or has none."""

    RANKED = "ranked"
    NO_BATTLES = "no_battles"
    NOT_COMPARABLE = "not_comparable"
    UNBOUNDED_ABOVE = "unbounded_above"
    UNBOUNDED_BELOW = "unbounded_below"


@dataclass(frozen=True, slots=True)
class Comparability:
    """`weak`, `strong` (K,) component labels; `status` (K,) of Status; `ranked` (K,) bool."""

    weak: np.ndarray
    strong: np.ndarray
    status: np.ndarray
    ranked: np.ndarray


def comparability(tallies: Tallies, *, ridge: float = 0.0) -> Comparability:
    """Components of the graph "has won or tied against", and every system's status.

    Ranked is the largest strong component (then: the one with most verdicts, then the lowest index) of
    at least two systems: within it the maximum likelihood is finite and unique (Ford 1957). With a
    ridge > 0 the same holds for the largest weak component.
    """
    k = tallies.n_systems
    status = np.full(k, Status.NO_BATTLES, dtype=object)
    nobody = np.zeros(k, dtype=bool)
    if k == 0 or not len(tallies.a):
        labels = np.arange(k)
        return Comparability(labels, labels.copy(), status, nobody)
    if k <= _MAX_DENSE and _all_connected(tallies):
        status[:] = Status.RANKED
        everybody = np.zeros(k, dtype=np.int64)
        return Comparability(everybody, everybody.copy(), status, ~nobody)
    wins = _won_against(tallies)
    _, weak = connected_components(wins, directed=True, connection="weak")
    _, strong = connected_components(wins, directed=True, connection="strong")
    n_verdicts = np.bincount(tallies.a, weights=tallies.n_per_pair, minlength=k)
    n_verdicts += np.bincount(tallies.b, weights=tallies.n_per_pair, minlength=k)
    status[n_verdicts > 0] = Status.NOT_COMPARABLE
    ranked = _largest(weak if ridge > 0 else strong, n_verdicts)
    if not ranked.any():
        return Comparability(weak, strong, status, nobody)
    status[ranked] = Status.RANKED
    if ridge == 0:
        member = int(np.argmax(ranked))
        # From a winner edges lead to the systems that it beat.
        above, below = _reached(wins.T, member), _reached(wins, member)
        status[above & ~ranked] = Status.UNBOUNDED_ABOVE
        status[below & ~ranked] = Status.UNBOUNDED_BELOW
    return Comparability(weak, strong, status, ranked)


def _all_connected(tallies: Tallies) -> bool:
    """Whether every system reaches every other by wins, as in most arenas: two quick searches."""
    wins = tallies.win_matrix() > 0
    for graph in (wins, wins.T):
        reached = np.zeros(len(graph), dtype=bool)
        frontier = np.zeros(1, dtype=np.int64)
        while len(frontier):
            reached[frontier] = True
            frontier = np.flatnonzero(graph[frontier].any(axis=0) & ~reached)
        if not reached.all():
            return False
    return len(wins) > 1


def _won_against(tallies: Tallies) -> csr_array:
    k = tallies.n_systems
    wins = tallies.wins_a
    first, second = wins > 0, tallies.n_per_pair - wins > 0
    rows = np.concatenate([tallies.a[first], tallies.b[second]])
    columns = np.concatenate([tallies.b[first], tallies.a[second]])
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=(k, k))


def _largest(labels: np.ndarray, n_verdicts: np.ndarray) -> np.ndarray:
    """Members of the largest component of two or more systems; nobody where there is none."""
    sizes = np.bincount(labels)
    verdicts = np.bincount(labels, weights=n_verdicts)
    first = np.full(len(sizes), len(labels))
    np.minimum.at(first, labels, np.arange(len(labels)))
    best = np.lexsort((first, -verdicts, -sizes))[0]
    return labels == best if sizes[best] > 1 else np.zeros(len(labels), dtype=bool)


def _reached(graph: csr_array, start: int) -> np.ndarray:
    reached = np.zeros(graph.shape[0], dtype=bool)
    reached[breadth_first_order(csr_array(graph), start, return_predecessors=False)] = True
    return reached
