"""Bayesian bootstrap: all replicates of a fit in one batch, from the point estimate on.

Weights stay positive, so no replicate falls apart into islands, and no replicate is a row of resampled
verdicts: only the cells' weights are drawn. A replicate is solved by chord steps, Newton's method with
the point estimate's inverse for everybody; where that contracts slowly it gets a factor of its own.

Blocks of replicates are solved on threads of this module. BLAS should have one thread then
(OPENBLAS_NUM_THREADS=1 before numpy is imported): on a busy machine the two kinds fight for the cores.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from ratings.engine.bradley_terry import BradleyTerryFit
from ratings.engine.davidson import DavidsonFit
from ratings.engine.gamma import CellWeights
from ratings.engine.replicate_models import (
    Bradley,
    Davidson,
    ReplicateModel,
    WeightedBattles,
    Weights,
)
from ratings.engine.tallies import ClusteredTallies, Tallies

# A replicate is done when its step is shorter than this, in logits: two millionths of an Elo point.
TOLERANCE = 1e-8
_MAX_CHORD_STEPS = 14
_SLOW_CONTRACTION = 0.35
# With so many slow ones in a block the others' steps aren't worth waiting for either.
_MANY_SLOW = 0.5
_OWN_CONTRACTION = 0.1
_MAX_NEWTON_STEPS = 200
_ROUNDING = 1e-15
# Numbers in one array (pairs, replicates) of a block: a few of them fit into a processor's cache.
_BLOCK = 200_000

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
    cells = [
        CellWeights(column) for column in (counts[:, 0], counts[:, 1], counts[:, 2] + counts[:, 3])
    ]

    def draw(start: int, stop: int, rng: np.random.Generator) -> Weights:
        won, lost, tied = (column.draw(stop - start, rng) for column in cells)
        return won, lost, tied

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

    Verdicts in one cluster (a prompt, a voter) may depend on each other. With fewer than about 30 clusters
    intervals come out too narrow, and a single one has no spread at all. Without `weights`, clusters that
    touch one cell only are drawn together (their weights add up to a Gamma), so that a million prompts of
    one verdict each cost no more than their cells. Errors as in `bootstrap_cells`, and ValueError for
    weights of another width.
    """
    model = _model(clustered.tallies, fit)
    m = len(model.kept)
    position = np.full(len(clustered.tallies.a), -1)
    position[model.kept] = np.arange(m)
    used = position[clustered.pair] >= 0
    # Cells of A's wins, then of B's, then of ties and both-bad.
    cell = (np.minimum(clustered.outcome, 2) * m + position[clustered.pair])[used]
    count, cluster = clustered.count[used], clustered.cluster[used]
    if weights is not None:
        if weights.shape[1] != clustered.n_clusters:
            raise ValueError(
                f"weights must have a column for each of {clustered.n_clusters} clusters, "
                f"not {weights.shape[1]}."
            )
        rounds, given = len(weights), weights
        sums = csr_array((count, (cell, cluster)), shape=(3 * m, clustered.n_clusters))

        def block_weights(start: int, stop: int, rng: np.random.Generator) -> np.ndarray:
            return np.ascontiguousarray(given[start:stop].T)
    else:
        column, shapes = _merged_clusters(cell, count, cluster, clustered.n_clusters)
        # The clusters of a group are as many entries of one cell, and add up to one cluster's count.
        sums = csr_array(
            ((count / shapes[column]).astype(np.float32), (cell, column)),
            shape=(3 * m, len(shapes)),
        )

        def block_weights(start: int, stop: int, rng: np.random.Generator) -> np.ndarray:
            wanted = np.broadcast_to(shapes[:, None], (len(shapes), stop - start))
            return rng.standard_gamma(wanted, dtype=np.float32)

    def take(start: int, stop: int, rng: np.random.Generator) -> Weights:
        cells = (sums @ block_weights(start, stop, rng)).astype(float, copy=False)
        return cells[:m], cells[m : 2 * m], cells[2 * m :]

    return _solve(
        model,
        take,
        ranked=fit.comparability.ranked,
        rounds=rounds,
        seed=seed,
        threads=threads,
        width=sums.shape[1],
    )


def _merged_clusters(
    cell: np.ndarray, count: np.ndarray, cluster: np.ndarray, n_clusters: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) column of each entry, and (columns,) the shape of each column's Gamma weight.

    Clusters with one entry and the same cell and count share a column: the sum of g Gamma(1) is a
    Gamma(g).
    """
    entries = np.bincount(cluster, minlength=n_clusters)
    single = entries[cluster] == 1
    column = np.empty(len(cell), dtype=np.int64)
    shared, column[~single] = np.unique(cluster[~single], return_inverse=True)
    levels, level = np.unique(count[single], return_inverse=True)
    _, group, sizes = np.unique(
        cell[single] * max(len(levels), 1) + level, return_inverse=True, return_counts=True
    )
    column[single] = len(shared) + group
    return column, np.concatenate([np.ones(len(shared)), sizes]).astype(np.float32)


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
    width: int = 0,
) -> Replicates:
    """`width` is how many numbers a replicate's `draw` needs besides the pairs."""
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}.")
    theta = np.full((rounds, len(ranked)), np.nan)
    nu = np.full(rounds, np.nan) if isinstance(model, Davidson) else None
    if not ranked.any():
        return Replicates(theta, nu)
    # Blocks don't depend on the number of threads, and each has a seed of its own: the same seed gives
    # the same replicates on any machine.
    size = int(np.clip(_BLOCK // max(len(model.kept), width, 1), 8, rounds))
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
    step: np.ndarray | None = None
    change = np.zeros_like(found)
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
        if (slow | (moved < TOLERANCE)).all() or slow.mean() > _MANY_SLOW:
            break
    for row in np.flatnonzero(slow | (longest >= TOLERANCE)):
        found[:, row] = _newton(model, found[:, row], data.row(int(row)))
    return found


def _newton(model: ReplicateModel, start: np.ndarray, data: WeightedBattles) -> np.ndarray:
    """One replicate; its factor serves for as many steps as it contracts well."""
    found = start[:, None].copy()
    solve, longest = None, np.inf
    for _ in range(_MAX_NEWTON_STEPS):
        gradient = model.gradient(found, data)
        if solve is None:
            solve = model.factor(found[:, 0], data)
        step = solve(gradient)
        before, longest = longest, np.abs(step).max()
        if longest > _OWN_CONTRACTION * before:
            solve = None
        # Short steps, so that a replicate in which a system hardly ever loses doesn't overshoot.
        found += step * min(1.0, 1.0 / max(longest, TOLERANCE))
        # Where nearly all the weight is on a few verdicts, rounding ends the search.
        if longest < TOLERANCE or np.abs(gradient).max() < _ROUNDING * data.total[0]:
            return found[:, 0]
    raise ArithmeticError(f"A bootstrap replicate didn't converge in {_MAX_NEWTON_STEPS} steps.")
