"""Bayesian bootstrap: all replicates of a fit in one batch, from the point estimate on.

Weights stay positive, so no replicate falls apart into islands, and no replicate is a row of resampled
verdicts: only the cells' weights are drawn. A replicate is solved by chord steps, Newton's method with
the point estimate's inverse for everybody; where that contracts slowly it gets an inverse of its own.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ratings.engine.bradley_terry import BradleyTerryFit
from ratings.engine.davidson import DavidsonFit
from ratings.engine.replicate_models import Bradley, Davidson, ReplicateModel
from ratings.engine.tallies import ClusteredTallies, Tallies

# A replicate is done when its step is shorter than this, in logits: two millionths of an Elo point.
TOLERANCE = 1e-8
_MAX_CHORD_STEPS = 14
_SLOW_CONTRACTION = 0.35
_MAX_NEWTON_STEPS = 100
# Numbers in one array (pairs, replicates) of a block: a few of them fit into a processor's cache.
_BLOCK = 400_000

Weights = tuple[np.ndarray, np.ndarray, np.ndarray]
Draw = Callable[[int, int, np.random.Generator], Weights]


@dataclass(frozen=True, slots=True)
class Replicates:
    """`theta` (R, K), every row with mean 0 over the ranked systems, nan for the others; `nu` (R,)."""

    theta: np.ndarray
    nu: np.ndarray | None = None


def bootstrap_cells(
    tallies: Tallies,
    fit: BradleyTerryFit | DavidsonFit,
    *,
    rounds: int = 1000,
    seed: int,
    threads: int = 2,
) -> Replicates:
    """Resample verdicts: every cell (pair, outcome) gets a Gamma(count) weight.

    That is the Bayesian bootstrap over single verdicts (Rubin 1981), summed by cell. The same seed gives
    the same replicates, whatever `threads` is. ValueError for rounds below 1; ArithmeticError if a
    replicate doesn't converge.
    """
    model = _model(tallies, fit)
    counts = tallies.counts[model.kept]
    # Ties and both-bad are one outcome to either model, so their weights are drawn together.
    cells = np.stack([counts[:, 0], counts[:, 1], counts[:, 2] + counts[:, 3]])
    filled = [np.flatnonzero(row) for row in cells]
    # In single precision, which is twice as fast and far finer than what a weight has to be.
    shapes = [
        row[used].astype(np.float32)[:, None] for row, used in zip(cells, filled, strict=True)
    ]

    def draw(start: int, stop: int, rng: np.random.Generator) -> Weights:
        rows = []
        for shape, used in zip(shapes, filled, strict=True):
            wanted = np.broadcast_to(shape, (len(used), stop - start))
            gammas = rng.standard_gamma(wanted, dtype=np.float32)
            if len(used) == len(counts):
                rows.append(gammas.astype(float))
                continue
            weights = np.zeros((len(counts), stop - start))
            weights[used] = gammas
            rows.append(weights)
        return rows[0], rows[1], rows[2]

    return _solve(
        model, draw, ranked=fit.comparability.ranked, rounds=rounds, seed=seed, threads=threads
    )


def cluster_weights(n_clusters: int, *, rounds: int, seed: int) -> np.ndarray:
    """(R, C) Gamma(1) weights: one seed gives one resampling of prompts to a judge and its reference."""
    return np.random.default_rng(seed).standard_exponential((rounds, n_clusters))


def bootstrap_clusters(
    clustered: ClusteredTallies,
    fit: BradleyTerryFit | DavidsonFit,
    *,
    rounds: int = 1000,
    seed: int,
    threads: int = 2,
    weights: np.ndarray | None = None,
) -> Replicates:
    """Resample whole clusters: each gets a Gamma(1) weight per replicate, or `weights` (R, C) as given.

    Verdicts in one cluster (a prompt, a voter) may depend on each other. Errors as in `bootstrap_cells`,
    and ValueError for weights of another width.
    """
    model = _model(clustered.tallies, fit)
    if weights is None:
        weights = cluster_weights(clustered.n_clusters, rounds=rounds, seed=seed)
    elif weights.shape[1] != clustered.n_clusters:
        raise ValueError(
            f"weights must have a column for each of {clustered.n_clusters} clusters, "
            f"not {weights.shape[1]}."
        )
    position = np.full(len(clustered.tallies.a), -1)
    position[model.kept] = np.arange(len(model.kept))
    pair = position[clustered.pair]
    outcome = np.minimum(clustered.outcome, 2)
    by_outcome = []
    for wanted in range(3):
        used = (pair >= 0) & (outcome == wanted)
        by_outcome.append(
            csr_array(
                (clustered.count[used], (pair[used], clustered.cluster[used])),
                shape=(len(model.kept), clustered.n_clusters),
            )
        )

    def take(start: int, stop: int, rng: np.random.Generator) -> Weights:
        block = np.ascontiguousarray(weights[start:stop].T)
        won, lost, tied = (cells @ block for cells in by_outcome)
        return won, lost, tied

    ranked = fit.comparability.ranked
    return _solve(model, take, ranked=ranked, rounds=len(weights), seed=seed, threads=threads)


def _model(tallies: Tallies, fit: BradleyTerryFit | DavidsonFit) -> ReplicateModel:
    # Without a tie, or with nothing else, there is no tie parameter to vary.
    if isinstance(fit, DavidsonFit) and 0 < fit.nu < np.inf:
        return Davidson(tallies, fit)
    return Bradley(tallies, fit)


def _solve(
    model: ReplicateModel,
    draw: Draw,
    *,
    ranked: np.ndarray,
    rounds: int,
    seed: int,
    threads: int,
) -> Replicates:
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}.")
    theta = np.full((rounds, len(ranked)), np.nan)
    nu = np.full(rounds, np.nan) if isinstance(model, Davidson) else None
    if not ranked.any():
        return Replicates(theta, nu)
    # Blocks don't depend on the number of threads, and each has a seed of its own: the same seed gives
    # the same replicates on any machine.
    size = int(np.clip(_BLOCK // max(len(model.kept), 1), 8, rounds))
    starts = range(0, rounds, size)
    seeds = np.random.SeedSequence(seed).spawn(len(starts))
    inverse = model.inverse()

    def work(start: int, block_seed: np.random.SeedSequence) -> None:
        stop = min(start + size, rounds)
        weights = draw(start, stop, np.random.default_rng(block_seed))
        found = _fit_block(model, weights, inverse)
        k = model.k
        theta[start:stop, ranked] = (found[:k] - found[:k].mean(axis=0)).T
        if nu is not None:
            nu[start:stop] = np.exp(found[k])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, starts, seeds))
    return Replicates(theta, nu)


def _fit_block(model: ReplicateModel, weights: Weights, inverse: np.ndarray) -> np.ndarray:
    """(parameters, rows) solutions for weights (pairs, rows) of A, B and tie."""
    rows = weights[0].shape[1]
    found = np.repeat(model.start[:, None], rows, axis=1)
    data = model.prepare(weights)
    # A replicate's information is the point estimate's, times its total weight, nearly.
    scale = model.total / data.total
    longest = np.full(rows, np.inf)
    slow = np.zeros(rows, dtype=bool)
    step = change = None
    for _ in range(_MAX_CHORD_STEPS):
        before, step = step, inverse @ model.gradient(found, data) * scale
        moved = np.abs(step).max(axis=0)
        slow |= moved > _SLOW_CONTRACTION * longest
        longest = moved
        if before is None:
            change = step
        else:
            # Anderson's acceleration of depth one: what the last step taught about the next.
            turn = step - before
            share = (step * turn).sum(axis=0) / np.maximum((turn * turn).sum(axis=0), 1e-300)
            change = step - share * (change + turn)
        # A replicate whose steps don't contract waits for an inverse of its own.
        change = np.where(slow, 0.0, change)
        found += change
        if (slow | (moved < TOLERANCE)).all():
            break
    for row in np.flatnonzero(slow | (longest >= TOLERANCE)):
        found[:, row] = _newton(model, found[:, row], data.row(row))
    return found


def _newton(model: ReplicateModel, start: np.ndarray, data) -> np.ndarray:
    found = start[:, None].copy()
    for _ in range(_MAX_NEWTON_STEPS):
        gradient = model.gradient(found, data)
        step = model.inverse(found[:, 0], data) @ gradient
        longest = np.abs(step).max()
        # Short steps, so that a replicate in which a system hardly ever loses doesn't overshoot.
        found += step * min(1.0, 1.0 / max(longest, TOLERANCE))
        if longest < TOLERANCE:
            return found[:, 0]
    raise ArithmeticError(f"A bootstrap replicate didn't converge in {_MAX_NEWTON_STEPS} steps.")
