"""Peer: the bootstrap of Bradley-Terry as FastChat published it, re-derived for comparison only.

`logistic_round` is the method of its notebook and of most published leaderboards: draw verdicts with
replacement, write each verdict twice (a tie once for either side) into a dense design matrix, and fit a
logistic regression without an intercept. `cells_round` is its later, faster one: multinomial counts of the
distinct results, and L-BFGS from zero. Written anew from the description of the methods.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit
from sklearn.linear_model import LogisticRegression

Battles = tuple[np.ndarray, np.ndarray, np.ndarray]


def logistic_round(battles: Battles, n_systems: int, rng: np.random.Generator) -> np.ndarray:
    """(K,) log-strengths of one bootstrap round, with scikit-learn's default penalty as published."""
    n = len(battles[0])
    drawn = rng.integers(0, n, n)
    a, b, outcome = (np.tile(column[drawn], 2) for column in battles)
    design = np.zeros((2 * n, n_systems))
    rows = np.arange(2 * n)
    design[rows, a], design[rows, b] = 1.0, -1.0
    won = outcome == 0
    # The first copy of a tie counts for A, the second for B.
    won[:n] |= outcome[:n] >= 2
    model = LogisticRegression(fit_intercept=False).fit(design, won)
    return model.coef_[0] - model.coef_[0].mean()


class Cells:
    """The distinct results (m,) with their counts."""

    def __init__(self, battles: Battles, n_systems: int) -> None:
        a, b, outcome = (column.astype(np.int64) for column in battles)
        key = (a * n_systems + b) * 3 + np.minimum(outcome, 2)
        results, self.counts = np.unique(key, return_counts=True)
        pair, result = np.divmod(results, 3)
        self.a, self.b = np.divmod(pair, n_systems)
        self.score = np.array([1.0, 0.0, 0.5])[result]
        self.n_systems = n_systems


def cells_round(cells: Cells, rng: np.random.Generator) -> np.ndarray:
    """(K,) log-strengths of one bootstrap round."""
    n = cells.counts.sum()
    weights = rng.multinomial(n, cells.counts / n) / n

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        gap = theta[cells.a] - theta[cells.b]
        fit = cells.score * log_expit(gap) + (1 - cells.score) * log_expit(-gap)
        residual = weights * (cells.score - expit(gap))
        gradient = np.zeros(cells.n_systems)
        np.add.at(gradient, cells.a, -residual)
        np.add.at(gradient, cells.b, residual)
        return -float(weights @ fit), gradient

    options = {"maxiter": 100, "gtol": 1e-6}
    found = minimize(loss, np.zeros(cells.n_systems), jac=True, method="L-BFGS-B", options=options)
    return found.x - found.x.mean()
