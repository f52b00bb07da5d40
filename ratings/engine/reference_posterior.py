"""What people's verdicts say about each system's strength, and how surely.

A fitted Bradley-Terry strength is the true one plus an error. Whoever relates something else to the
fitted strengths as if they were true (a judge's win rates, for decisiveness) finds a relation that is
too weak: errors in the regressor attenuate. The remedy is to relate it to the posterior instead: each
strength with its mean, shrunk as far as its own evidence is thin, and its covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratings.engine.tallies import ClusteredTallies, Tallies

_MAX_NEWTON, _MAX_PRIOR_UPDATES = 60, 60
_MAX_STEP = 3.0
_SPREAD_FLOOR = 1e-3
_DISPERSION_BOUNDS = (0.05, 20.0)
# Verdict values of A wins, B wins, tie, both bad, for the side of A.
OUTCOME_VALUES = np.array([1.0, 0.0, 0.5, 0.5])


@dataclass(frozen=True, slots=True)
class ReferencePosterior:
    """Normal approximation of the strengths' posterior; systems that are not ranked hold nan / 0.

    mean (K,) centred over the ranked, covariance (K, K), `prior_variance` of the strengths (empirical
    Bayes), `dispersion` of a battle's votes against binomial ones (ties lower it, votes that follow one
    another within a battle raise it), `ranked` (K,) bool, `rate` (m,) expected share of A in each
    reference pair at the mean.
    """

    mean: np.ndarray
    covariance: np.ndarray
    prior_variance: float
    dispersion: float
    ranked: np.ndarray
    rate: np.ndarray


def plain_tallies(tallies: Tallies | ClusteredTallies) -> Tallies:
    """The sum over clusters, or the tallies themselves."""
    return tallies.tallies if isinstance(tallies, ClusteredTallies) else tallies


def incidence(a: np.ndarray, b: np.ndarray, n_systems: int):
    """(m, K) sparse: +1 at the system on side A, -1 at the one on side B."""
    from scipy.sparse import csr_array

    rows = np.arange(len(a))
    data = np.repeat([1.0, -1.0], len(a))
    shape = (len(a), n_systems)
    return csr_array((data, (np.tile(rows, 2), np.concatenate([a, b]))), shape=shape)


def pair_variance(covariance: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(m,) variance of θ_a - θ_b."""
    diagonal = np.diag(covariance)
    return np.maximum(diagonal[a] + diagonal[b] - 2 * covariance[a, b], 0.0)


def reference_posterior(
    reference: Tallies | ClusteredTallies, *, ranked: np.ndarray
) -> ReferencePosterior:
    """Posterior of the `ranked` (K,) bool systems' strengths under θ ~ N(0, τ²), τ² from the data.

    The half-win Bradley-Terry likelihood, scaled by the battles' dispersion, with the normal prior:
    mode by Newton, mean by the third-derivative term of the likelihood, τ² by EM. Needs at least three
    ranked systems (ValueError otherwise): a spread cannot be told from two.
    """
    from scipy.special import expit

    tallies = plain_tallies(reference)
    systems = np.flatnonzero(ranked)
    if systems.size < 3:
        raise ValueError(
            f"Only {systems.size} systems are ranked; their spread needs at least three."
        )
    position = np.full(tallies.n_systems, -1)
    position[systems] = np.arange(systems.size)
    inside = ranked[tallies.a] & ranked[tallies.b]
    a, b = position[tallies.a[inside]], position[tallies.b[inside]]
    n, wins = tallies.n_per_pair[inside], tallies.wins_a[inside]
    k = systems.size
    design = incidence(a, b, k)
    centre = np.eye(k) - 1.0 / k

    mode, prior_variance, dispersion = np.zeros(k), 1.0, 1.0
    mean, covariance = mode, np.eye(k)
    for _ in range(_MAX_PRIOR_UPDATES):
        mode, information = _posterior_mode(
            mode, a, b, n / dispersion, wins / dispersion, design, prior_variance
        )
        covariance = centre @ np.linalg.inv(information) @ centre
        rate = expit(mode[a] - mode[b])
        curvature = n / dispersion * rate * (1 - rate)
        # The likelihood is flatter on the outer side, so the mean lies beyond the mode (Laplace, 3rd order).
        skew = curvature * (rate - 0.5) * pair_variance(covariance, a, b)
        mean = mode + covariance @ (design.T @ skew)
        updated = max((mean @ mean + np.trace(covariance)) / (k - 1), _SPREAD_FLOOR)
        # Effective number of strengths that were fitted to the votes: tr(covariance · likelihood part).
        fitted = k - 1 - np.trace(covariance) / prior_variance
        spread = _dispersion(reference, inside, expit(mean[a] - mean[b]), fitted=fitted)
        settled = abs(updated / prior_variance - 1) < 1e-4 and abs(spread / dispersion - 1) < 1e-4
        prior_variance, dispersion = updated, spread
        if settled:
            break

    full_mean = np.full(tallies.n_systems, np.nan)
    full_mean[systems] = mean
    full_covariance = np.zeros((tallies.n_systems, tallies.n_systems))
    full_covariance[np.ix_(systems, systems)] = covariance
    full_rate = np.full(len(tallies.a), np.nan)
    full_rate[inside] = expit(mean[a] - mean[b])
    return ReferencePosterior(
        mean=full_mean,
        covariance=full_covariance,
        prior_variance=float(prior_variance),
        dispersion=float(dispersion),
        ranked=np.asarray(ranked, dtype=bool),
        rate=full_rate,
    )


def _posterior_mode(start, a, b, n, wins, design, prior_variance):
    """Newton from `start`; returns the mode (k,) and the information matrix (k, k) there."""
    from scipy.special import expit

    k = len(start)
    theta = start.copy()
    for _ in range(_MAX_NEWTON):
        rate = expit(theta[a] - theta[b])
        gradient = design.T @ (wins - n * rate) - theta / prior_variance
        information = laplacian(a, b, n * rate * (1 - rate), k) + np.eye(k) / prior_variance
        step = np.linalg.solve(information, gradient)
        longest = np.abs(step).max()
        theta = theta + step * min(1.0, _MAX_STEP / max(longest, 1e-300))
        if longest < 1e-9:
            break
    return theta, information


def laplacian(a: np.ndarray, b: np.ndarray, weight: np.ndarray, k: int) -> np.ndarray:
    """(k, k) weighted graph Laplacian of the pairs (a, b): X' diag(weight) X."""
    matrix = np.bincount(a * k + b, weights=weight, minlength=k * k).reshape(k, k)
    matrix = matrix + matrix.T
    return np.diag(matrix.sum(axis=1)) - matrix


def _dispersion(
    reference: Tallies | ClusteredTallies, inside: np.ndarray, rate: np.ndarray, *, fitted: float
) -> float:
    """Variance of people's votes about the fitted rates, by battle, over that of binomial votes."""
    tallies = plain_tallies(reference)
    full_rate = np.full(len(tallies.a), np.nan)
    full_rate[inside] = rate
    residual = OUTCOME_VALUES[None, :] - full_rate[:, None]
    n = tallies.n_per_pair[inside]
    binomial = float((n * rate * (1 - rate)).sum())
    if isinstance(reference, ClusteredTallies):
        pair, summed = battle_sums(reference, residual)[:2]
        kept = inside[pair]
        squares, n_free = float((summed[kept] ** 2).sum()), float(kept.sum())
    else:
        squares = float((tallies.counts[inside] * residual[inside] ** 2).sum())
        n_free = float(n.sum())
    # The fitted strengths follow the votes, which makes the residuals smaller than the errors are.
    squares *= n_free / max(n_free - fitted, 1.0)
    return float(np.clip(squares / max(binomial, 1e-12), *_DISPERSION_BOUNDS))


def battle_sums(
    clustered: ClusteredTallies, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum count · value[pair, outcome] within each battle (pair on one prompt).

    `value` is (m, 4). Returns pair (n,), sum (n,) and the battle's key pair · C + prompt (n,), sorted.
    """
    key = clustered.pair.astype(np.int64) * clustered.n_clusters + clustered.cluster
    contribution = clustered.count * value[clustered.pair, clustered.outcome]
    battles, where = np.unique(key, return_inverse=True)
    summed = np.bincount(where, weights=contribution, minlength=battles.size)
    return battles // max(clustered.n_clusters, 1), summed, battles
