"""Bradley-Terry by maximum likelihood, ties as half a win for each side."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit

from ratings.engine.comparability import Comparability, comparability
from ratings.engine.tallies import Tallies

STEP_TOLERANCE = 1e-10
_MAX_STEPS = 100


@dataclass(frozen=True, slots=True)
class BradleyTerryFit:
    """`theta` (K,) log-strengths with mean 0 over the ranked systems, nan for the others."""

    theta: np.ndarray
    comparability: Comparability
    iterations: int
    log_likelihood: float
    ridge: float


def fit_bradley_terry(tallies: Tallies, *, ridge: float = 0.0) -> BradleyTerryFit:
    """Maximise sum of y log p + (1 - y) log(1 - p) - ridge/2 |theta|^2, p = sigmoid(theta_a - theta_b).

    Only the comparable systems are fitted (see `comparability`). Newton's method with step halving;
    done when the largest step is below 1e-10. ValueError for a negative ridge. Bradley & Terry (1952).
    """
    if not ridge >= 0:
        raise ValueError(f"ridge must be at least 0, not {ridge}.")
    found = comparability(tallies, ridge=ridge)
    theta = np.full(tallies.n_systems, np.nan)
    if not found.ranked.any():
        return BradleyTerryFit(theta, found, 0, 0.0, ridge)
    a, b, wins, n = ranked_pairs(tallies, found)
    k = int(found.ranked.sum())
    current = np.zeros(k)
    likelihood = _log_likelihood(current, a, b, wins, n, ridge)
    for iteration in range(1, _MAX_STEPS + 1):
        p = expit(current[a] - current[b])
        gradient = _scatter(wins - n * p, a, b, k) - ridge * current
        step = np.linalg.solve(hessian(n * p * (1 - p), a, b, k, ridge=ridge), gradient)
        size = np.abs(step).max()
        # A full step may overshoot where a system hardly ever loses.
        while size > STEP_TOLERANCE:
            proposal = _log_likelihood(current + step, a, b, wins, n, ridge)
            if proposal >= likelihood - 1e-9 * abs(likelihood):
                break
            step, size = step / 2, size / 2
        else:
            proposal = likelihood
        current, likelihood = current + step, proposal
        if size < STEP_TOLERANCE:
            break
    else:
        raise ArithmeticError(f"Bradley-Terry didn't converge in {_MAX_STEPS} steps.")
    theta[found.ranked] = current - current.mean()
    return BradleyTerryFit(theta, found, iteration, float(likelihood), ridge)


def ranked_pairs(
    tallies: Tallies, found: Comparability
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of ranked systems: indexes among the ranked, wins of A, verdicts; each (m,)."""
    position = np.cumsum(found.ranked) - 1
    kept = found.ranked[tallies.a] & found.ranked[tallies.b]
    wins, n = tallies.wins_a[kept], tallies.n_per_pair[kept]
    return position[tallies.a[kept]], position[tallies.b[kept]], wins, n


def hessian(
    weight: np.ndarray, a: np.ndarray, b: np.ndarray, k: int, *, ridge: float = 0.0
) -> np.ndarray:
    """(k, k) information of `weight` (m,) per pair. Without a ridge it is singular along the ones: a
    constant is added there, which moves no step that sums to zero."""
    matrix = np.zeros((k, k))
    matrix[a, b] = matrix[b, a] = -weight
    np.fill_diagonal(matrix, -matrix.sum(axis=1) + ridge)
    if ridge == 0:
        matrix += weight.sum() / k / k
    return matrix


def _scatter(residual: np.ndarray, a: np.ndarray, b: np.ndarray, k: int) -> np.ndarray:
    return np.bincount(a, weights=residual, minlength=k) - np.bincount(
        b, weights=residual, minlength=k
    )


def _log_likelihood(theta, a, b, wins, n, ridge: float) -> float:
    gap = theta[a] - theta[b]
    fit = wins @ log_expit(gap) + (n - wins) @ log_expit(-gap)
    return float(fit - ridge / 2 * theta @ theta)
