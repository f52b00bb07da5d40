"""Bayesian bootstrap of Bradley-Terry: all replicates in one batch, from the point estimate on."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import expit

from ratings.engine.bradley_terry import BradleyTerryFit, hessian
from ratings.engine.tallies import N_OUTCOMES, ClusteredTallies, Tallies

TOLERANCE = 1e-8
_MAX_CHORD_STEPS = 12
_MAX_NEWTON_STEPS = 60
# Numbers in one block of (replicates, pairs); two blocks of float64 are alive per thread.
_BLOCK = 1_000_000


@dataclass(frozen=True, slots=True)
class Replicates:
    """`theta` (R, K), every row with mean 0 over the ranked systems, nan for the others."""

    theta: np.ndarray


def bootstrap_cells(
    tallies: Tallies, fit: BradleyTerryFit, *, rounds: int = 1000, seed: int, threads: int = 2
) -> Replicates:
    """Resample verdicts: every cell (pair, outcome) gets a Gamma(count) weight.

    That is the Bayesian bootstrap (Rubin 1981) over single verdicts, summed by cell. Weights stay
    positive, so no replicate falls apart into islands.
    """
    problem = _Problem(tallies, fit)
    # Ties and both-bad count alike, so their weights may be drawn together.
    shapes = np.column_stack(
        [problem.counts[:, 0], problem.counts[:, 1], problem.counts[:, 2] + problem.counts[:, 3]]
    )

    def draw(start: int, stop: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        gamma = rng.standard_gamma(shapes.T[None], size=(stop - start, 3, len(shapes)))
        half = gamma[:, 2] / 2
        return gamma[:, 0] + half, gamma[:, 1] + half

    return _solve(problem, draw, rounds=rounds, seed=seed, threads=threads)


def cluster_weights(n_clusters: int, *, rounds: int, seed: int) -> np.ndarray:
    """(R, C) Gamma(1) weights: the same seed gives the same resampling to a judge and its reference."""
    return np.random.default_rng(seed).standard_exponential((rounds, n_clusters))


def bootstrap_clusters(
    clustered: ClusteredTallies,
    fit: BradleyTerryFit,
    *,
    rounds: int = 1000,
    seed: int,
    threads: int = 2,
    weights: np.ndarray | None = None,
) -> Replicates:
    """Resample whole clusters: every cluster gets a Gamma(1) weight, or `weights` (R, C) are given."""
    problem = _Problem(clustered.tallies, fit)
    if weights is None:
        weights = cluster_weights(clustered.n_clusters, rounds=rounds, seed=seed)
    if weights.shape[1] != clustered.n_clusters:
        raise ValueError(f"weights must have {clustered.n_clusters} columns, not {weights.shape[1]}.")
    position = np.full(len(clustered.tallies.a), -1)
    position[problem.kept] = np.arange(len(problem.kept))
    pair = position[clustered.pair]
    inside = pair >= 0
    share = np.array([1.0, 0.0, 0.5, 0.5])[clustered.outcome]
    shape = (clustered.n_clusters, len(problem.kept))

    def by_cluster(part: np.ndarray) -> csr_array:
        used = inside & (part > 0)
        return csr_array((part[used], (clustered.cluster[used], pair[used])), shape=shape)

    won, lost = by_cluster(clustered.count * share), by_cluster(clustered.count * (1 - share))

    def take(start: int, stop: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return weights[start:stop] @ won, weights[start:stop] @ lost

    return _solve(problem, take, rounds=len(weights), seed=seed, threads=threads)


class _Problem:
    """The ranked part of the data and what every replicate starts from."""

    def __init__(self, tallies: Tallies, fit: BradleyTerryFit) -> None:
        ranked = fit.comparability.ranked
        self.ranked = ranked
        position = np.cumsum(ranked) - 1
        self.kept = np.flatnonzero(ranked[tallies.a] & ranked[tallies.b])
        self.a = position[tallies.a[self.kept]]
        self.b = position[tallies.b[self.kept]]
        self.counts = tallies.counts[self.kept]
        self.k = int(ranked.sum())
        self.theta = fit.theta[ranked]
        self.ridge = fit.ridge
        m = len(self.kept)
        rows = np.concatenate([np.arange(m)] * 2)
        signs = np.concatenate([np.ones(m), -np.ones(m)])
        # (m, k): +1 in the column of A, -1 in that of B
        self.incidence = csr_array(
            (signs, (rows, np.concatenate([self.a, self.b]))), shape=(m, self.k)
        )

    def inverse(self, weight: np.ndarray, theta: np.ndarray) -> np.ndarray:
        p = expit(theta[self.a] - theta[self.b])
        information = hessian(weight * p * (1 - p), self.a, self.b, self.k, ridge=self.ridge)
        return cho_solve(cho_factor(information), np.eye(self.k))


def _solve(
    problem: _Problem,
    draw: Callable[[int, int, np.random.Generator], tuple[np.ndarray, np.ndarray]],
    *,
    rounds: int,
    seed: int,
    threads: int,
) -> Replicates:
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}.")
    theta = np.full((rounds, len(problem.ranked)), np.nan)
    if not problem.k:
        return Replicates(theta)
    inverse = problem.inverse(problem.counts.sum(axis=1), problem.theta)
    # The blocks don't depend on the number of threads, and each has a seed of its own: the same seed
    # gives the same replicates on any machine.
    size = max(1, min(rounds, _BLOCK // max(len(problem.kept), 1)))
    starts = range(0, rounds, size)
    seeds = np.random.SeedSequence(seed).spawn(len(starts))

    def work(start: int, block_seed: np.random.SeedSequence) -> None:
        stop = min(start + size, rounds)
        won, lost = draw(start, stop, np.random.default_rng(block_seed))
        theta[start:stop, problem.ranked] = _fit_block(problem, won, won + lost, inverse)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, starts, seeds))
    return Replicates(theta)


def _fit_block(
    problem: _Problem, won: np.ndarray, n: np.ndarray, inverse: np.ndarray
) -> np.ndarray:
    """(rows, k) fits to weighted wins and totals (rows, m)."""
    theta = np.repeat(problem.theta[None], len(won), axis=0)
    # A replicate's information is the point estimate's, times its total weight, nearly.
    scale = (problem.counts.sum() / n.sum(axis=1))[:, None]
    active = np.arange(len(won))
    size = np.full(len(won), np.inf)
    for _ in range(_MAX_CHORD_STEPS):
        gradient = _gradient(problem, theta[active], won[active], n[active])
        step = gradient @ inverse * scale[active]
        moved = np.abs(step).max(axis=1)
        # Where a chord step doesn't contract, the replicate gets an inverse of its own below.
        good = moved < 0.5 * size[active]
        theta[active[good]] += step[good]
        size[active] = moved
        active = active[good & (moved > TOLERANCE)]
        if not len(active):
            break
    for row in np.flatnonzero(size > TOLERANCE):
        theta[row] = _newton(problem, theta[row], won[row], n[row])
    return theta - theta.mean(axis=1, keepdims=True)


def _gradient(
    problem: _Problem, theta: np.ndarray, won: np.ndarray, n: np.ndarray
) -> np.ndarray:
    p = expit(theta[:, problem.a] - theta[:, problem.b])
    residual = won - n * p
    gradient = (problem.incidence.T @ residual.T).T
    return gradient - problem.ridge * theta if problem.ridge else gradient


def _newton(
    problem: _Problem, theta: np.ndarray, won: np.ndarray, n: np.ndarray
) -> np.ndarray:
    """One replicate, with steps no longer than 1 so that a near-separated one doesn't diverge."""
    for _ in range(_MAX_NEWTON_STEPS):
        p = expit(theta[problem.a] - theta[problem.b])
        information = hessian(
            n * p * (1 - p), problem.a, problem.b, problem.k, ridge=problem.ridge
        )
        gradient = problem.incidence.T @ (won - n * p) - problem.ridge * theta
        step = np.linalg.solve(information, gradient)
        longest = np.abs(step).max()
        theta = theta + step / max(1.0, longest)
        if longest < TOLERANCE:
            return theta
    raise ArithmeticError(f"A bootstrap replicate didn't converge in {_MAX_NEWTON_STEPS} steps.")
