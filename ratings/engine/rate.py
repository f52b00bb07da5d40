"""From cells to a leaderboard's numbers, in one call."""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

import numpy as np

from ratings.engine.bootstrap import bootstrap_cells, bootstrap_clusters
from ratings.engine.bradley_terry import BradleyTerryFit, fit_bradley_terry
from ratings.engine.comparability import comparability
from ratings.engine.davidson import DavidsonFit, fit_davidson
from ratings.engine.elo import elo
from ratings.engine.prediction_powered import (
    BattleRows,
    PredictionPowered,
    fit_prediction_powered,
)
from ratings.engine.ranks import rank_intervals, rank_upper_bound, tiers
from ratings.engine.sandwich import sandwich_covariance
from ratings.engine.scale import CENTRE, PER_LOG_STRENGTH, elo_scale
from ratings.engine.style_control import StyleControl, StyledBattles, fit_style_control
from ratings.engine.tallies import ClusteredTallies, Tallies
from ratings.engine.win_rates import records, win_rates

Interval = Literal["sandwich", "cells", "clusters"]


@dataclass(frozen=True, slots=True)
class RatingTable:
    """One entry per system (K,). `rating`, `lower`, `upper`, `sd` on the Elo scale, nan where a system
    isn't ranked (`status` says why); ranks and `tier` count from 1, 0 where it isn't. `win_rate` and the
    counts are raw, nan or 0 without a verdict. `nu` is Davidson's. `timings` in seconds."""

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
    interval: Interval = "cells",
    rounds: int = 1000,
    seed: int,
    level: float = 0.95,
    threads: int = 2,
) -> RatingTable:
    """Fit, resample, rank. The same arguments give the same numbers, whatever `threads` is.

    `interval`: "cells" resamples verdicts, "clusters" whole clusters (needs ClusteredTallies),
    "sandwich" draws the replicates from the closed form (Bradley-Terry only). ValueError for arguments
    that don't fit together.
    """
    started = perf_counter()
    tallies = data.tallies if isinstance(data, ClusteredTallies) else data
    if method not in ("bt", "davidson"):
        raise ValueError(f"method must be bt or davidson, not {method!r}.")
    fit = (fit_davidson if method == "davidson" else fit_bradley_terry)(tallies, ridge=ridge)
    fitted = perf_counter()
    theta = _replicates(data, fit, interval=interval, rounds=rounds, seed=seed, threads=threads)
    resampled = perf_counter()
    nu = fit.nu if isinstance(fit, DavidsonFit) else None
    return _table(
        tallies,
        rating=elo_scale(fit.theta),
        replicates=elo_scale(theta),
        status=fit.comparability.status,
        level=level,
        nu=nu if nu is not None and np.isfinite(nu) else None,
        iterations=fit.iterations,
        started=started,
        timings={"fit": fitted - started, "intervals": resampled - fitted},
    )


def rate_powered(
    rows: BattleRows, *, rounds: int = 1000, seed: int, level: float = 0.95
) -> tuple[RatingTable, PredictionPowered]:
    """People's ratings sharpened by a judge: see `prediction_powered`.

    Replicates, from which intervals and ranks follow, are drawn from the covariance in closed form. The
    table's `n_verdicts` and records are people's.
    """
    started = perf_counter()
    found = fit_prediction_powered(rows, rounds=rounds, seed=seed, level=level)
    fitted = perf_counter()
    table = _table(
        found.tallies,
        rating=elo_scale(found.theta),
        replicates=elo_scale(_normal(found.theta, found.covariance, rounds=rounds, seed=seed)),
        status=found.comparability.status,
        level=level,
        nu=None,
        iterations=0,
        started=started,
        timings={"fit": fitted - started, "intervals": perf_counter() - fitted},
    )
    return table, found


def rate_styled(
    battles: StyledBattles, *, rounds: int = 1000, seed: int, level: float = 0.95
) -> tuple[RatingTable, StyleControl]:
    """Ratings with style held equal: see `style_control`. Replicates are drawn from the covariance."""
    started = perf_counter()
    found = fit_style_control(battles, seed=seed, level=level)
    fitted = perf_counter()
    table = _table(
        found.tallies,
        rating=elo_scale(found.theta),
        replicates=elo_scale(_normal(found.theta, found.covariance, rounds=rounds, seed=seed)),
        status=found.comparability.status,
        level=level,
        nu=None,
        iterations=0,
        started=started,
        timings={"fit": fitted - started, "intervals": perf_counter() - fitted},
    )
    return table, found


def rate_elo(
    tallies: Tallies, *, rounds: int = 1000, seed: int, level: float = 0.95
) -> RatingTable:
    """Elo: medians over 100 random orders; the interval holds `level` of `rounds` orders of resampled
    verdicts, so it shows the dependence on the order too. The largest weak component is ranked."""
    started = perf_counter()
    found = elo(tallies, seed=seed)
    fitted = perf_counter()
    drawn = elo(tallies, shuffles=rounds, seed=seed + 1, resample=True)
    # Elo stays finite where nobody ever lost, but islands that never met have no common scale.
    linked = comparability(tallies, ridge=1.0)
    return _table(
        tallies,
        rating=np.where(linked.ranked, found.rating, np.nan),
        replicates=drawn.orders,
        status=linked.status,
        level=level,
        nu=None,
        iterations=found.n_used,
        started=started,
        timings={"fit": fitted - started, "intervals": perf_counter() - fitted},
    )


def _replicates(
    data: Tallies | ClusteredTallies,
    fit: BradleyTerryFit | DavidsonFit,
    *,
    interval: Interval,
    rounds: int,
    seed: int,
    threads: int,
) -> np.ndarray:
    """(R, K) replicates of theta."""
    if interval == "clusters":
        if not isinstance(data, ClusteredTallies):
            raise ValueError("Resampling clusters needs tallies by cluster.")
        return bootstrap_clusters(data, fit, rounds=rounds, seed=seed, threads=threads).theta
    tallies = data.tallies if isinstance(data, ClusteredTallies) else data
    if interval == "cells":
        return bootstrap_cells(tallies, fit, rounds=rounds, seed=seed, threads=threads).theta
    if interval != "sandwich":
        raise ValueError(f"interval must be sandwich, cells or clusters, not {interval!r}.")
    if isinstance(fit, DavidsonFit):
        raise ValueError("The sandwich is that of Bradley-Terry: Davidson's model is resampled.")
    return _normal(fit.theta, sandwich_covariance(data, fit), rounds=rounds, seed=seed)


def _normal(theta: np.ndarray, covariance: np.ndarray, *, rounds: int, seed: int) -> np.ndarray:
    """(R, K) draws about strengths (K,), nan where they are."""
    ranked = np.isfinite(theta)
    drawn = np.full((rounds, len(ranked)), np.nan)
    if ranked.any():
        rng = np.random.default_rng(seed)
        drawn[:, ranked] = rng.multivariate_normal(
            theta[ranked],
            covariance[np.ix_(ranked, ranked)],
            rounds,
            method="eigh",
            check_valid="ignore",
        )
    return drawn


def _table(
    tallies: Tallies,
    *,
    rating: np.ndarray,
    replicates: np.ndarray,
    status: np.ndarray,
    level: float,
    nu: float | None,
    iterations: int,
    started: float,
    timings: dict[str, float],
) -> RatingTable:
    k = tallies.n_systems
    ranked = np.isfinite(rating)
    lower, upper, sd = (np.full(k, np.nan) for _ in range(3))
    rank, rank_lower, rank_upper, bound, tier = (np.zeros(k, dtype=np.int64) for _ in range(5))
    if ranked.any():
        drawn = replicates[:, ranked]
        tail = (1 - level) / 2
        lower[ranked], upper[ranked] = np.quantile(drawn, (tail, 1 - tail), axis=0)
        sd[ranked] = drawn.std(axis=0, ddof=1)
        order = np.argsort(-rating[ranked], kind="stable")
        places = np.empty(len(order), dtype=np.int64)
        places[order] = np.arange(1, len(order) + 1)
        rank[ranked] = places
        low, high = rank_intervals(drawn, level=level)
        # A percentile of resampled ranks may miss the rank in the data itself by one.
        rank_lower[ranked], rank_upper[ranked] = np.minimum(low, places), np.maximum(high, places)
        bound[ranked] = rank_upper_bound(lower[ranked], upper[ranked])
        tier[ranked] = tiers(lower[ranked], upper[ranked], rating[ranked])
    record = records(tallies)
    spent = timings["fit"] + timings["intervals"]
    return RatingTable(
        rating=rating,
        lower=lower,
        upper=upper,
        sd=sd,
        theta=(rating - CENTRE) / PER_LOG_STRENGTH,
        rank=rank,
        rank_lower=rank_lower,
        rank_upper=rank_upper,
        rank_upper_bound=bound,
        tier=tier,
        status=status,
        n_verdicts=record.sum(axis=1),
        wins=record[:, 0],
        losses=record[:, 1],
        ties=record[:, 2],
        win_rate=win_rates(tallies),
        nu=nu,
        iterations=iterations,
        timings=timings | {"ranks": perf_counter() - started - spent},
    )
