"""Davidson's extension of Bradley-Terry, with a parameter for ties."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ratings.engine.bradley_terry import (
    LONGEST_STEP,
    STEP_TOLERANCE,
    checked_comparability,
    fit_bradley_terry,
    information,
)
from ratings.engine.comparability import Comparability, Status
from ratings.engine.tallies import Tallies

_MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class DavidsonFit:
    """`theta` (K,) as in Bradley-Terry; `nu` >= 0 the tie parameter: 0 without a tie, nan where nobody
    is ranked, infinite where every verdict is a tie."""

    theta: np.ndarray
    nu: float
    comparability: Comparability
    iterations: int
    log_likelihood: float
    ridge: float


def fit_davidson(tallies: Tallies, *, ridge: float = 0.0) -> DavidsonFit:
    """P(tie) = nu sqrt(p_a p_b) / (p_a + p_b + nu sqrt(p_a p_b)); both-bad counts as a tie.

    Newton's method in (theta, log nu); done when the largest step is below 1e-10. Where few decisive
    verdicts never contradict each other, the tie parameter and the gaps can grow together without end:
    nobody is comparable then (a ridge helps). Errors as in `fit_bradley_terry`. Davidson (1970).
    """
    found = checked_comparability(tallies, ridge)
    theta = np.full(tallies.n_systems, np.nan)
    if not found.ranked.any():
        return DavidsonFit(theta, float("nan"), found, 0, 0.0, ridge)
    wins, ties = _matrices(tallies, found.ranked)
    n_ties, n_all = ties.sum() / 2, wins.sum() + ties.sum() / 2
    if n_ties in (0, n_all):
        # Without a tie this is Bradley-Terry; with nothing else the strengths are equal.
        plain = fit_bradley_terry(tallies, ridge=ridge)
        nu = 0.0 if n_ties == 0 else float("inf")
        return DavidsonFit(
            plain.theta,
            nu,
            found,
            plain.iterations,
            plain.log_likelihood if nu == 0 else 0.0,
            ridge,
        )
    if ridge == 0 and not _is_bounded(wins, ties):
        status = found.status.copy()
        status[found.ranked] = Status.NOT_COMPARABLE
        found = replace(found, status=status, ranked=np.zeros_like(found.ranked))
        return DavidsonFit(theta, float("nan"), found, 0, 0.0, ridge)
    n = wins + wins.T + ties
    excess = (wins - wins.T).sum(axis=1) / 2
    current = np.zeros(len(wins))
    log_nu = np.log(2 * n_ties / (n_all - n_ties))
    for iteration in range(1, _MAX_STEPS + 1):  # noqa: B007 (reported below)
        lean, tie = lean_and_tie(current[:, None] - current, np.exp(log_nu))
        gradient = np.append(
            excess - (n * lean).sum(axis=1) / 2 - ridge * current, n_ties - (n * tie).sum() / 2
        )
        step = cho_solve(cho_factor(davidson_information(n, lean, tie, ridge)), gradient)
        longest = np.abs(step).max()
        step *= min(1.0, LONGEST_STEP / max(longest, STEP_TOLERANCE))
        current, log_nu = current + step[:-1], log_nu + step[-1]
        if longest < STEP_TOLERANCE:
            break
    else:
        raise ArithmeticError(f"Davidson's model didn't converge in {_MAX_STEPS} steps.")
    current -= current.mean()
    theta[found.ranked] = current
    gap = current[:, None] - current
    normaliser = np.logaddexp(np.logaddexp(gap / 2, -gap / 2), log_nu)
    likelihood = (wins * (gap / 2 - normaliser)).sum() + (ties * (log_nu - normaliser)).sum() / 2
    penalty = ridge / 2 * float(current @ current)
    return DavidsonFit(
        theta, float(np.exp(log_nu)), found, iteration, float(likelihood) - penalty, ridge
    )


def lean_and_tie(gap: np.ndarray, nu: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """P(A) - P(B) and P(tie) at theta_a - theta_b = `gap`, of the gap's shape."""
    # Divided by 2 cosh(gap/2), so that nothing overflows.
    damped = nu / (np.exp(gap / 2) + np.exp(-gap / 2))
    return np.tanh(gap / 2) / (1 + damped), damped / (1 + damped)


def davidson_information(
    n: np.ndarray, lean: np.ndarray, tie: np.ndarray, ridge: float
) -> np.ndarray:
    """(k + 1, k + 1) negative Hessian in (theta, log nu), from symmetric verdict counts `n` (k, k)."""
    # In one battle the statistic of theta is +1/2, -1/2 or 0, that of log nu 1 for a tie.
    matrix = np.empty((len(n) + 1, len(n) + 1))
    matrix[:-1, :-1] = information(n * (1 - tie - lean * lean) / 4, ridge)
    matrix[:-1, -1] = matrix[-1, :-1] = -(n * lean * tie).sum(axis=1) / 2
    matrix[-1, -1] = (n * tie * (1 - tie)).sum() / 2
    return matrix


def _is_bounded(wins: np.ndarray, ties: np.ndarray) -> bool:
    """Whether the likelihood has a maximum, for a strongly connected (k, k) of wins and ties.

    It has none if the parameters can move in a direction that makes no verdict less likely: every win's
    gap grows by at least 2 t, every tie's by at most 2 t either way, and log nu by t > 0.
    """
    k = len(wins)
    if connected_components(csr_array(wins), connection="strong")[0] < k:
        return True  # No gap grows all the way round a circle of wins.
    from scipy.optimize import linprog  # slow to import, and hardly ever needed

    winners, losers = np.nonzero(wins)
    tied = np.nonzero(ties)
    at_most = np.zeros((len(winners) + len(tied[0]), k + 1))
    rows = np.arange(len(at_most))
    # The matrix of ties is symmetric, so either direction of a tie has its row.
    at_most[rows, np.append(winners, tied[0])] = np.repeat([-1, 1], [len(winners), len(tied[0])])
    at_most[rows, np.append(losers, tied[1])] = np.repeat([1, -1], [len(winners), len(tied[0])])
    at_most[:, k] = np.repeat([2, -2], [len(winners), len(tied[0])])
    steepest = linprog(
        -np.eye(k + 1)[k],
        A_ub=at_most,
        b_ub=np.zeros(len(at_most)),
        bounds=[(None, None)] * k + [(0, 1)],
    )
    return bool(steepest.x[k] < 0.5)


def _matrices(tallies: Tallies, ranked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k = tallies.n_systems
    wins, ties = np.zeros((k, k)), np.zeros((k, k))
    tied = tallies.counts[:, 2] + tallies.counts[:, 3]
    for row, column, won in ((tallies.a, tallies.b, 0), (tallies.b, tallies.a, 1)):
        wins[row, column] = tallies.counts[:, won]
        ties[row, column] = tied
    inside = np.ix_(ranked, ranked)
    return wins[inside], ties[inside]
