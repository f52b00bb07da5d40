"""Gradient and information of a model for a whole block of replicates at once.

Arrays are (pairs, replicates) and (parameters, replicates): rows are contiguous, so that gathering a
strength per pair and adding up a residual per system copy whole rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from ratings.engine.bradley_terry import BradleyTerryFit, information
from ratings.engine.davidson import DavidsonFit, davidson_information, lean_and_tie
from ratings.engine.tallies import Tallies

# Of A's wins, B's wins, ties: (pairs, R) each.
Weights = tuple[np.ndarray, np.ndarray, np.ndarray]
Solve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class WeightedBattles:
    """`half_n` and `half_excess` (pairs, R): half of the verdicts, of A's wins minus B's; `n_ties` and
    `total` (R,) verdicts."""

    half_n: np.ndarray
    half_excess: np.ndarray
    n_ties: np.ndarray
    total: np.ndarray

    def row(self, index: int) -> Self:
        one = slice(index, index + 1)
        return type(self)(
            np.ascontiguousarray(self.half_n[:, one]),
            np.ascontiguousarray(self.half_excess[:, one]),
            self.n_ties[one],
            self.total[one],
        )


class ReplicateModel(Protocol):
    kept: np.ndarray
    k: int
    start: np.ndarray
    total: float

    def prepare(self, weights: Weights) -> WeightedBattles: ...

    def gradient(self, found: np.ndarray, data: WeightedBattles) -> np.ndarray: ...

    def inverse(self) -> np.ndarray: ...

    def factor(self, found: np.ndarray, data: WeightedBattles) -> Solve: ...


class Bradley:
    """Bradley-Terry, ties as half a win for each side. Parameters: theta (k)."""

    def __init__(self, tallies: Tallies, fit: BradleyTerryFit | DavidsonFit) -> None:
        ranked = fit.comparability.ranked
        position = np.cumsum(ranked) - 1
        self.kept = np.flatnonzero(ranked[tallies.a] & ranked[tallies.b])
        self.a = position[tallies.a[self.kept]]
        self.b = position[tallies.b[self.kept]]
        self.n = tallies.n_per_pair[self.kept]
        self.total = float(self.n.sum())
        self.k = int(ranked.sum())
        self.ridge = fit.ridge
        self.start = fit.theta[ranked]
        m = len(self.kept)
        rows, columns = np.concatenate([self.a, self.b]), np.tile(np.arange(m), 2)
        # (k, m): adds a pair's residual to A and takes it from B
        self.to_systems = csr_array((np.repeat([1.0, -1.0], m), (rows, columns)), shape=(self.k, m))

    def prepare(self, weights: Weights) -> WeightedBattles:
        won, lost, tied = weights
        half_n = won + lost
        half_n += tied
        n_ties = tied.sum(axis=0)
        half_n *= 0.5
        half_excess = np.subtract(won, lost, out=won)
        half_excess *= 0.5
        return WeightedBattles(half_n, half_excess, n_ties, 2 * half_n.sum(axis=0))

    def gaps(self, found: np.ndarray) -> np.ndarray:
        gap = np.take(found, self.a, axis=0)
        gap -= np.take(found, self.b, axis=0)
        return gap

    def gradient(self, found: np.ndarray, data: WeightedBattles) -> np.ndarray:
        residual = self.gaps(found)
        residual *= 0.5
        np.tanh(residual, out=residual)
        residual *= data.half_n
        np.subtract(data.half_excess, residual, out=residual)
        gradient = self.to_systems @ residual
        return gradient - self.ridge * found if self.ridge else gradient

    def inverse(self) -> np.ndarray:
        """(parameters, parameters), of the information at the point estimate."""
        return _solver(self.information(self.start, self.n))(np.eye(len(self.start)))

    def factor(self, found: np.ndarray, data: WeightedBattles) -> Solve:
        """Solves by the information of one replicate."""
        return _solver(self.information(found, 2 * data.half_n[:, 0]))

    def information(self, found: np.ndarray, n: np.ndarray) -> np.ndarray:
        """(parameters, parameters) at `found`, with `n` (pairs,) verdicts."""
        lean = np.tanh((found[self.a] - found[self.b]) / 2)
        return information(self.square(n * (1 - lean * lean) / 4), self.ridge)

    def square(self, per_pair: np.ndarray) -> np.ndarray:
        matrix = np.zeros((self.k, self.k))
        matrix[self.a, self.b] = matrix[self.b, self.a] = per_pair
        return matrix


class Davidson(Bradley):
    """Davidson's model. Parameters: theta (k), log nu."""

    def __init__(self, tallies: Tallies, fit: DavidsonFit) -> None:
        super().__init__(tallies, fit)
        self.start = np.append(self.start, np.log(fit.nu))

    def gradient(self, found: np.ndarray, data: WeightedBattles) -> np.ndarray:
        lean, tie = lean_and_tie(self.gaps(found), np.exp(found[self.k]))
        of_theta = self.to_systems @ (data.half_excess - data.half_n * lean)
        of_nu = data.n_ties - 2 * (data.half_n * tie).sum(axis=0)
        if self.ridge:
            of_theta = of_theta - self.ridge * found[: self.k]
        return np.vstack([of_theta, of_nu])

    def information(self, found: np.ndarray, n: np.ndarray) -> np.ndarray:
        theta = found[: self.k]
        lean, tie = lean_and_tie(theta[:, None] - theta, np.exp(found[self.k]))
        return davidson_information(self.square(n), lean, tie, self.ridge)


def _solver(matrix: np.ndarray) -> Solve:
    factor = cho_factor(matrix, overwrite_a=True, check_finite=False)
    return lambda right: cho_solve(factor, right, check_finite=False)
