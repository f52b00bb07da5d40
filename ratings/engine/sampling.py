"""Over which pairs the next verdicts are best spread: so that the intervals of all ratings shrink most."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from ratings.engine.bradley_terry import fit_bradley_terry, information
from ratings.engine.tallies import Tallies

# Before the first verdict strengths are believed to have a standard deviation of 2 logits; then as many as
# they show, and at least a tenth.
PRIOR_RIDGE = 0.25
LEAST_VARIANCE = 0.01
# The next verdicts bring the pairs nearer to the best shares as of this share more verdicts, and one more
# for each system. Then the shares are found anew.
AHEAD = 0.2
ITERATIONS = 200
# The best possible sum of widths is nearer than half of this share: see best_shares.
TOLERANCE = 0.01
# No share is 0 on the way, or it could never grow again.
LEAST = 1e-6


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

    ``possible`` (K, K) bool says which pairs can meet (all by default). ``active`` is in proportion to what
    each pair lacks of its share of best_shares, by expected_information, once AHEAD more verdicts are in.
    ``least_judged`` is in proportion to 1 / (1 + verdicts of the pair). ValueError if no two can meet.
    """
    k = tallies.n_systems
    meets = np.ones((k, k), dtype=bool) if possible is None else possible | possible.T
    meets = meets & ~np.eye(k, dtype=bool)
    if not meets.any():
        raise ValueError("No two systems can meet.")
    wins = tallies.win_matrix()
    n = wins + wins.T
    cast = n[np.triu_indices(k, 1)].sum()
    best = best_shares(expected_information(tallies), meets)
    lacking = np.maximum(best * ((1 + AHEAD) * cast + k) - n, 0)
    return PairWeights(
        active=_shares(lacking, meets),
        least_judged=_shares(1 / (1 + n), meets),
        uniform=_shares(np.ones((k, k)), meets),
    )


def expected_information(tallies: Tallies) -> np.ndarray:
    """(K, K) what one verdict on a pair is expected to tell of its gap: E[p (1 - p)] over what is known.

    Strengths are normal with the variance that they show beyond their errors (empirical Bayes; before the
    first verdict 1 / PRIOR_RIDGE); their errors are those of the fit with that ridge. The expectation is
    the derivative of MacKay's (1992) approximation to the expected logistic function. At the estimates
    themselves, a gap that luck made wide would be looked at no more and stay wide: in simulations with 200
    systems that stretched strengths by 7 %, and 95 % intervals covered 91.
    """
    wins = tallies.win_matrix()
    n = wins + wins.T
    theta, covariance = _posterior(tallies, n, PRIOR_RIDGE)
    if n.any():
        variance = max(theta.var() - np.diag(covariance).mean(), LEAST_VARIANCE)
        theta, covariance = _posterior(tallies, n, 1 / variance)
    own = np.diag(covariance)
    apart = np.maximum(own[:, None] + own - 2 * covariance, 0)
    shrink = 1 / np.sqrt(1 + np.pi * apart / 8)
    p = expit(shrink * (theta[:, None] - theta))
    return shrink * p * (1 - p)


def _posterior(tallies: Tallies, n: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    theta = np.zeros(len(n))
    if n.any():
        theta = np.nan_to_num(fit_bradley_terry(tallies, ridge=ridge).theta)
    p = expit(theta[:, None] - theta)
    return theta, np.linalg.inv(information(n * p * (1 - p), ridge))


def best_shares(weight: np.ndarray, meets: np.ndarray) -> np.ndarray:
    """(K, K) shares of verdicts, the upper triangle summing to 1, for the least sum of intervals' widths.

    ``weight`` (K, K), symmetric: one verdict on (i, j) adds so much information along d = e_i - e_j, p (1 - p)
    where strengths are known. ``meets`` (K, K) bool, symmetric: which pairs may have a share. The sum of
    standard deviations is convex in the shares, and falls along a share at the rate w d' S D S d, S the
    covariance and D the diagonal of 1 / (2 sd). Shares times the root of their rate, made to sum to 1 again,
    come ever nearer to the optimum (the multiplicative algorithm of Silvey, Titterington & Torsney 1978),
    where no rate is above their mean: so the largest rate over the mean, less 1, bounds what is still to be
    gained, and the iteration stops at TOLERANCE. Locally optimal designs: Chernoff 1953; for pairs Glickman &
    Jensen 2005, with the widths as the criterion instead of the information. Parts that can't meet are
    centred on their own. O(K^3) an iteration.
    """
    k = len(weight)
    lots = meets / meets.sum()
    _, part = connected_components(meets, directed=False)
    same = part[:, None] == part
    centre = same / same.sum(axis=1)
    shares = lots
    for _ in range(ITERATIONS):
        laplacian = -shares * weight * k * k
        np.fill_diagonal(laplacian, 0)
        np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
        covariance = np.linalg.inv(laplacian + centre) - centre
        # A system that can meet nobody has no variance to shrink.
        sd = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
        through = (covariance / (2 * sd)) @ covariance
        rate = np.diag(through)[:, None] + np.diag(through) - 2 * through
        rate = np.maximum(rate * weight, 0) * meets
        rate /= (rate * shares).sum()
        if rate.max() <= 1 + TOLERANCE:
            break
        shares = shares * np.sqrt(rate)
        shares = np.maximum((shares + shares.T) / 2, LEAST * lots)
        shares /= shares.sum()
    return 2 * shares


def _shares(weight: np.ndarray, meets: np.ndarray) -> np.ndarray:
    kept = np.where(meets, weight, 0.0)
    return kept / np.triu(kept).sum()
