"""Bradley-Terry by maximum likelihood, ties as half a win for each side."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_expit

from ratings.engine.comparability import Comparability, comparability
from ratings.engine.tallies import Tallies

STEP_TOLERANCE = 1e-10
# The likelihood is concave; a step this long can't leave the region where Newton's method converges.
LONGEST_STEP = 2.0
_MAX_STEPS = 200


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

    Only the comparable systems are fitted (see `comparability`). Newton's method on the dense matrix,
    done when the largest step is below 1e-10. ValueError for a negative ridge; ArithmeticError if it
    doesn't converge (a strength beyond reach of 200 steps). Bradley & Terry (1952).
    """
    found = checked_comparability(tallies, ridge)
    theta = np.full(tallies.n_systems, np.nan)
    if not found.ranked.any():
        return BradleyTerryFit(theta, found, 0, 0.0, ridge)
    wins = tallies.win_matrix()[np.ix_(found.ranked, found.ranked)]
    n = wins + wins.T
    excess = (wins - wins.T).sum(axis=1) / 2
    current = _first_guess(wins.sum(axis=1), n.sum(axis=1))
    for iteration in range(1, _MAX_STEPS + 1):  # noqa: B007 (reported below)
        # n (p - 1/2) and n p (1 - p), by way of tanh, which numpy computes much faster than expit.
        lean = np.tanh((current[:, None] - current) / 2)
        weight = n * (1 - lean * lean) / 4
        gradient = excess - (n * lean).sum(axis=1) / 2 - ridge * current
        step = cho_solve(cho_factor(information(weight, ridge)), gradient)
        longest = np.abs(step).max()
        current += step * min(1.0, LONGEST_STEP / max(longest, STEP_TOLERANCE))
        if longest < STEP_TOLERANCE:
            break
    else:
        raise ArithmeticError(f"Bradley-Terry didn't converge in {_MAX_STEPS} steps.")
    current -= current.mean()
    theta[found.ranked] = current
    likelihood = float((wins * log_expit(current[:, None] - current)).sum())
    return BradleyTerryFit(
        theta, found, iteration, likelihood - ridge / 2 * float(current @ current), ridge
    )


def checked_comparability(tallies: Tallies, ridge: float) -> Comparability:
    """`comparability`, after a ValueError for a ridge that is no penalty."""
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge must be a number of at least 0, not {ridge}.")
    return comparability(tallies, ridge=ridge)


def information(weight: np.ndarray, ridge: float) -> np.ndarray:
    """(k, k) negative Hessian from symmetric weights n p (1 - p) (k, k) with a zero diagonal.

    Without a ridge it is singular along the ones; a constant is added there, which moves no step that
    sums to zero.
    """
    matrix = -weight
    diagonal = weight.sum(axis=1)
    np.fill_diagonal(matrix, diagonal + ridge)
    if ridge == 0:
        matrix += diagonal.mean() / len(weight)
    return matrix


def _first_guess(wins: np.ndarray, n: np.ndarray) -> np.ndarray:
    share = (wins + 0.5) / (n + 1)
    guess = np.log(share / (1 - share))
    return guess - guess.mean()
