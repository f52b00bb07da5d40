"""The place of one new system: where it stands after few verdicts, and which opponents tell most of it."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, ndtri

from ratings.engine.bradley_terry import fit_bradley_terry, information
from ratings.engine.ranks import rank_intervals
from ratings.engine.sampling import LEAST_VARIANCE, PRIOR_RIDGE
from ratings.engine.scale import PER_LOG_STRENGTH, elo_scale
from ratings.engine.tallies import Tallies

DRAWS = 2_000  # of the strengths together, for the interval of the rank
SEED = 20
# Of a round, spread evenly: so that a wrong first guess, or a system that the model doesn't fit, shows.
EVEN = 0.2


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is believed of all strengths: ``theta`` (K,) in logits, ``covariance`` (K, K)."""

    theta: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True, slots=True)
class Provisional:
    """A system's place; ratings on the Elo scale, relative to the mean of the systems with verdicts."""

    rating: float
    lower: float
    upper: float
    rank_lower: int
    rank_upper: int
    n_ranked: int
    n_verdicts: int


def posterior(tallies: Tallies) -> Posterior:
    """Strengths under a normal prior whose variance is the one that they show (empirical Bayes), by Laplace.

    So a system without a verdict, or one that won or lost every battle, has a place with a finite interval
    that is as wide as the others are spread. Before any verdict the variance is 1 / PRIOR_RIDGE.
    """
    wins = tallies.win_matrix()
    n = wins + wins.T
    theta, covariance = _laplace(tallies, n, PRIOR_RIDGE)
    judged = n.any(axis=1)
    if judged.sum() > 1:
        shown = theta[judged].var() - np.diag(covariance)[judged].mean()
        theta, covariance = _laplace(tallies, n, 1 / max(shown, LEAST_VARIANCE))
    return Posterior(theta, covariance)


def _laplace(tallies: Tallies, n: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    theta = np.zeros(len(n))
    if n.any():
        theta = np.nan_to_num(fit_bradley_terry(tallies, ridge=ridge).theta)
    p = expit(theta[:, None] - theta)
    return theta, np.linalg.inv(information(n * p * (1 - p), ridge))


def provisional(tallies: Tallies, *, new: int, level: float = 0.95) -> Provisional | None:
    """Where system ``new`` stands among the systems with verdicts; None before its first one.

    The interval holds the opponents' uncertainty, too, and that of the mean from which ratings are counted.
    The rank's comes from draws of all strengths together. ValueError for an index out of range.
    """
    if not 0 <= new < tallies.n_systems:
        raise ValueError(f"new must lie between 0 and {tallies.n_systems - 1}, not {new}.")
    per_pair = tallies.n_per_pair
    n = np.bincount(tallies.a, per_pair, tallies.n_systems)
    n += np.bincount(tallies.b, per_pair, tallies.n_systems)
    if not n[new]:
        return None
    believed = posterior(tallies)
    kept = np.flatnonzero(n)
    at = int(np.searchsorted(kept, new))
    theta = believed.theta[kept]
    covariance = believed.covariance[np.ix_(kept, kept)]
    contrast = -np.full(len(kept), 1 / len(kept))
    contrast[at] += 1
    rating = float(elo_scale(contrast @ theta))
    sd = float(np.sqrt(contrast @ covariance @ contrast)) * PER_LOG_STRENGTH
    reach = float(ndtri((1 + level) / 2)) * sd
    root = np.linalg.cholesky(covariance)
    draws = np.random.default_rng(SEED).standard_normal((DRAWS, len(kept)))
    lower, upper = rank_intervals(theta + draws @ root.T, level=level)
    return Provisional(
        rating=rating,
        lower=rating - reach,
        upper=rating + reach,
        rank_lower=int(lower[at]),
        rank_upper=int(upper[at]),
        n_ranked=len(kept),
        n_verdicts=int(n[new]),
    )


def plan_opponents(
    tallies: Tallies, *, new: int, possible: np.ndarray, size: int, even: float = EVEN
) -> np.ndarray:
    """(K,) how many of the next ``size`` battles of system ``new`` each opponent gets.

    ``possible`` (K,) how many battles there can be with each. One after the other goes to the opponent whose
    verdict is expected to lower the variance of the new system's strength most: by
    w (C_nn - C_nj)^2 / (1 + w V), C the covariance of what is believed, V the variance of the gap, and w the
    expected p (1 - p) over it (MacKay 1992); then C is updated as if it were in. So opponents that are near
    and well known come first, and none is asked again and again. A share ``even`` goes evenly to all.
    Sequential A-optimal design for one strength: Chernoff (1953). ValueError for an index out of range.
    """
    k = tallies.n_systems
    if not 0 <= new < k:
        raise ValueError(f"new must lie between 0 and {k - 1}, not {new}.")
    left = np.array(possible, dtype=np.int64)
    left[new] = 0
    size = min(size, int(left.sum()))
    given = np.zeros(k, dtype=np.int64)
    believed = posterior(tallies)
    theta, covariance = believed.theta, believed.covariance.copy()
    evenly = _evenly(left, round(size * even), theta)
    given += evenly
    left -= evenly
    for _ in range(size - int(evenly.sum())):
        gap = np.diag(covariance) + covariance[new, new] - 2 * covariance[new]
        shrink = 1 / np.sqrt(1 + np.pi * np.maximum(gap, 0) / 8)
        p = expit(shrink * (theta[new] - theta))
        weight = shrink * p * (1 - p)
        column = covariance[new, new] - covariance[new]
        gain = np.where(left > 0, weight * column**2 / (1 + weight * gap), -1.0)
        best = int(np.argmax(gain))
        direction = covariance[:, new] - covariance[:, best]
        scale = weight[best] / (1 + weight[best] * gap[best])
        covariance -= scale * np.outer(direction, direction)
        given[best] += 1
        left[best] -= 1
    return given


def _evenly(left: np.ndarray, size: int, theta: np.ndarray) -> np.ndarray:
    """(K,) ``size`` battles over the opponents that have any left, spread over the ladder."""
    given = np.zeros(len(left), dtype=np.int64)
    room = left.copy()
    while size > 0 and room.any():
        ladder = np.flatnonzero(room)[np.argsort(theta[room > 0], kind="stable")]
        n = min(size, len(ladder))
        chosen = ladder[np.unique(np.linspace(0, len(ladder) - 1, n).round().astype(int))]
        given[chosen] += 1
        room[chosen] -= 1
        size -= len(chosen)
    return given
