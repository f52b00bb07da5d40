"""Which pair the next verdict should go to: how much it would shrink the intervals of all ratings."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from ratings.engine.bradley_terry import fit_bradley_terry, information
from ratings.engine.tallies import Tallies

# What is believed before the first verdict: strengths with a standard deviation of 2 logits. It makes
# pairs without verdicts comparable with the others, and fades as verdicts come.
PRIOR_RIDGE = 0.25
# Pairs are drawn in proportion to the square of what they are worth: between refits many are drawn, and
# in simulations (benchmarks/sampling.py) the square needed fewest votes without losing coverage.
SHARPNESS = 2.0


@dataclass(frozen=True, slots=True)
class PairWeights:
    """Shares of draws, (K, K) symmetric with a zero diagonal; the upper triangle sums to 1."""

    active: np.ndarray
    least_judged: np.ndarray
    uniform: np.ndarray

    def mixed(self, *, active: float, least_judged: float, uniform: float) -> np.ndarray:
        """(K, K) mixture by weights of which only the ratios count. ValueError if none is positive."""
        total = active + least_judged + uniform
        if min(active, least_judged, uniform) < 0 or not 0 < total < np.inf:
            raise ValueError(
                "The weights of a mixture are numbers of at least 0, not all of them 0."
            )
        mixture = active * self.active + least_judged * self.least_judged + uniform * self.uniform
        return mixture / total


def pair_weights(tallies: Tallies, *, possible: np.ndarray | None = None) -> PairWeights:
    """How the next verdicts are best spread over the pairs.

    ``possible`` (K, K) bool says which pairs can meet (all by default). ``active``: one verdict on (i, j)
    adds w = p (1 - p) to the information along d = e_i - e_j, so the covariance S of the strengths loses
    w S d d' S / (1 + w d' S d). The loss of the sum of all standard deviations is, to first order, that
    matrix's diagonal over twice the standard deviations: an A-optimal design with the intervals' widths
    as the criterion (Chernoff 1953; for pairs Glickman & Jensen 2005). Chatbot Arena (2403.04132, section
    5) weighs each pair by the shrinkage of its own win rate instead. p comes from a fit with the ridge
    PRIOR_RIDGE, so that systems without verdicts count as unknown, not as average. ``least_judged`` is in
    proportion to 1 / (1 + verdicts of the pair). O(K^3).
    """
    k = tallies.n_systems
    meets = np.ones((k, k), dtype=bool) if possible is None else possible | possible.T
    meets = meets & ~np.eye(k, dtype=bool)
    if not meets.any():
        raise ValueError("No two systems can meet.")
    wins = tallies.win_matrix()
    n = wins + wins.T
    return PairWeights(
        active=_shares(verdict_worth(tallies) ** SHARPNESS, meets),
        least_judged=_shares(1 / (1 + n), meets),
        uniform=_shares(np.ones((k, k)), meets),
    )


def verdict_worth(tallies: Tallies) -> np.ndarray:
    """(K, K) by how many logits the next verdict on a pair shrinks the sum of all standard deviations."""
    wins = tallies.win_matrix()
    n = wins + wins.T
    if n.any():
        theta = np.nan_to_num(fit_bradley_terry(tallies, ridge=PRIOR_RIDGE).theta)
    else:
        theta = np.zeros(tallies.n_systems)
    p = expit(theta[:, None] - theta)
    w = p * (1 - p)
    covariance = cho_solve(cho_factor(information(n * w, PRIOR_RIDGE)), np.eye(tallies.n_systems))
    covariance = covariance - covariance.mean(axis=0)
    covariance = covariance - covariance.mean(axis=1, keepdims=True)
    variance = np.diag(covariance)
    sd = np.sqrt(np.maximum(variance, 1e-12))
    # d' S D S d for all pairs at once, D = diag(1 / (2 sd)).
    through = (covariance / (2 * sd)) @ covariance
    gain = np.diag(through)[:, None] + np.diag(through) - 2 * through
    apart = variance[:, None] + variance - 2 * covariance
    return np.maximum(w * gain / (1 + w * apart), 0)


def published_worth(tallies: Tallies) -> np.ndarray:
    """(K, K) Chatbot Arena's weights: sqrt(v / n) - sqrt(v / (n + 1)), v = p (1 - p).

    As if every pair had one verdict more than it has, or those without any would weigh infinitely much.
    arXiv 2403.04132, section 5.
    """
    wins = tallies.win_matrix()
    n = wins + wins.T + 1
    theta = np.nan_to_num(fit_bradley_terry(tallies, ridge=PRIOR_RIDGE).theta) if tallies.n else 0.0
    theta = np.broadcast_to(theta, tallies.n_systems)
    p = expit(theta[:, None] - theta)
    v = p * (1 - p)
    return np.sqrt(v / n) - np.sqrt(v / (n + 1))


def _shares(weight: np.ndarray, meets: np.ndarray) -> np.ndarray:
    kept = np.where(meets, weight, 0.0)
    total = np.triu(kept).sum()
    if total <= 0:
        # Nothing is worth more than anything else: as by lot.
        kept, total = meets.astype(float), np.triu(meets).sum()
    return kept / total
