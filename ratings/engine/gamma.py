"""Gamma weights for the cells of a bootstrap, drawn for many replicates at once."""

import numpy as np

# Gammas of fractional counts underflow. Weights above this keep every replicate's graph in one piece.
_LEAST_WEIGHT = np.float32(1e-8)
# From this count on a cubed normal variable takes the Gamma's place, at a third of the time.
_CUBED_FROM = 4.0


class CellWeights:
    """Draws Gamma(count) weights for `counts` (cells,); a count of 0 has the weight 0.

    Counts of 4 and more get d (1 + c Z)^3 with a normal Z, c and d such that mean and variance are the
    Gamma's, both `count` (Wilson & Hilferty 1931). All weights are rounded to single precision, far finer
    than a weight has to be.
    """

    def __init__(self, counts: np.ndarray) -> None:
        self.n_cells = len(counts)
        self.few = np.flatnonzero((counts > 0) & (counts < _CUBED_FROM))
        self.shapes = counts[self.few].astype(np.float32)[:, None]
        self.many = np.flatnonzero(counts >= _CUBED_FROM)
        c, d = cubed_normal(counts[self.many])
        self.c, self.d = c.astype(np.float32)[:, None], d.astype(np.float32)[:, None]

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(cells, n)"""
        weights = np.zeros((self.n_cells, n))
        base = rng.standard_normal((len(self.many), n), dtype=np.float32)
        base *= self.c
        base += 1
        cubed = base * base
        cubed *= base
        cubed *= self.d
        weights[self.many] = np.maximum(cubed, _LEAST_WEIGHT, out=cubed)
        gammas = rng.standard_gamma(
            np.broadcast_to(self.shapes, (len(self.few), n)), dtype=np.float32
        )
        weights[self.few] = np.maximum(gammas, _LEAST_WEIGHT, out=gammas)
        return weights


def cubed_normal(count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """c, d for which d (1 + c Z)^3 has mean and variance `count`."""
    # With r = c^2: mean d (1 + 3 r), variance d^2 (9 r + 36 r^2 + 15 r^3).
    r = 1 / (9 * count)
    for _ in range(6):
        excess = 9 * r + 36 * r**2 + 15 * r**3 - (1 + 3 * r) ** 2 / count
        r -= excess / (9 + 72 * r + 45 * r**2 - 6 * (1 + 3 * r) / count)
    return np.sqrt(r), count / (1 + 3 * r)
