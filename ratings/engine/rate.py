"""From cells to a leaderboard's numbers, in one call."""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

import numpy as np

from ratings.engine.bootstrap import bootstrap_cells, bootstrap_clusters
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.ranks import rank_intervals, rank_upper_bound, tiers
from ratings.engine.scale import PER_LOG_STRENGTH, elo_scale
from ratings.engine.tallies import ClusteredTallies, Tallies
from ratings.engine.win_rates import records, win_rates


@dataclass(frozen=True, slots=True)
class RatingTable:
    """One row per system (K,). Ratings on the Elo scale; nan (ratings) or 0 (ranks) where not ranked."""

    rating: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    sd: np.ndarray
    theta: np.ndarray
    rank: np.ndarray
    rank_lower: np.ndarray
    rank_upper: np.ndarray
    rank_upper_bound: np.ndarray
    tier: np.ndarray
    status: np.ndarray
    n_verdicts: np.ndarray
    wins: np.ndarray
    losses: np.ndarray
    ties: np.ndarray
    win_rate: np.ndarray
    nu: float | None
    iterations: int
    timings: dict[str, float] = field(compare=False)


def rate(
    data: Tallies | ClusteredTallies,
    *,
    method: Literal["bt", "davidson"] = "bt",
    ridge: float = 0.0,
    interval: Literal["cells", "clusters"] = "cells",
    rounds: int = 1000,
    seed: int,
    level: float = 0.95,
    threads: int = 2,
) -> RatingTable:
    """Fit, resample, rank."""
    started = perf_counter()
    tallies = data.tallies if isinstance(data, ClusteredTallies) else data
    fit = fit_bradley_terry(tallies, ridge=ridge)
    fitted = perf_counter()
    if interval == "clusters":
        replicates = bootstrap_clusters(data, fit, rounds=rounds, seed=seed, threads=threads)
    else:
        replicates = bootstrap_cells(tallies, fit, rounds=rounds, seed=seed, threads=threads)
    resampled = perf_counter()
    k = tallies.n_systems
    ranked = fit.comparability.ranked
    lower, upper, sd = (np.full(k, np.nan) for _ in range(3))
    places = {name: np.zeros(k, dtype=np.int64) for name in ("rank", "low", "high", "bound", "tier")}
    if ranked.any():
        theta = replicates.theta[:, ranked]
        tail = (1 - level) / 2
        lower[ranked], upper[ranked] = np.quantile(theta, (tail, 1 - tail), axis=0)
        sd[ranked] = theta.std(axis=0, ddof=1)
        best_first = np.argsort(-fit.theta[ranked], kind="stable")
        rank = np.empty(len(best_first), dtype=np.int64)
        rank[best_first] = np.arange(1, len(best_first) + 1)
        places["rank"][ranked] = rank
        places["low"][ranked], places["high"][ranked] = rank_intervals(theta, level=level)
        places["bound"][ranked] = rank_upper_bound(lower[ranked], upper[ranked])
        places["tier"][ranked] = tiers(lower[ranked], upper[ranked], fit.theta[ranked])
    record = records(tallies)
    return RatingTable(
        rating=elo_scale(fit.theta),
        lower=elo_scale(lower),
        upper=elo_scale(upper),
        sd=PER_LOG_STRENGTH * sd,
        theta=fit.theta,
        rank=places["rank"],
        rank_lower=places["low"],
        rank_upper=places["high"],
        rank_upper_bound=places["bound"],
        tier=places["tier"],
        status=fit.comparability.status,
        n_verdicts=record.sum(axis=1),
        wins=record[:, 0],
        losses=record[:, 1],
        ties=record[:, 2],
        win_rate=win_rates(tallies),
        nu=None,
        iterations=fit.iterations,
        timings={
            "fit": fitted - started,
            "intervals": resampled - fitted,
            "ranks": perf_counter() - resampled,
        },
    )


def rate_elo(tallies: Tallies, *, rounds: int, seed: int) -> RatingTable:
    return rate(tallies, rounds=rounds, seed=seed)
