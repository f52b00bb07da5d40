"""A judge's ranking beside the reference's: every measure of agreement with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratings.engine import agreement
from ratings.engine.bootstrap import bootstrap_cells, bootstrap_clusters
from ratings.engine.bradley_terry import BradleyTerryFit
from ratings.engine.figure import Figure, estimate, missing
from ratings.engine.paired_resampling import PairedResampling
from ratings.engine.reference_posterior import plain_tallies
from ratings.engine.tallies import ClusteredTallies, Tallies

MIN_SHARED_SYSTEMS = 3
UNIT = "systems"


@dataclass(frozen=True, slots=True)
class RankingAgreement:
    """`tau` and the others over the systems that both rank (n of each figure)."""

    tau: Figure
    spearman: Figure
    pearson: Figure
    top_k_overlap: Figure
    rank_biased_overlap: Figure


def replicate_strengths(
    tallies: Tallies | ClusteredTallies,
    fit: BradleyTerryFit,
    resampling: PairedResampling,
    *,
    side: int,
    threads: int,
) -> np.ndarray:
    """(R, K) refitted strengths under the report's resampling; `side` 0 is the judge, 1 the reference."""
    if resampling.weights is not None and isinstance(tallies, ClusteredTallies):
        replicates = bootstrap_clusters(
            resampling.grouped(tallies),
            fit,
            rounds=resampling.rounds,
            seed=resampling.seed,
            threads=threads,
            weights=resampling.weights,
        )
    else:
        replicates = bootstrap_cells(
            plain_tallies(tallies),
            fit,
            rounds=resampling.rounds,
            seed=2 * resampling.seed + side,
            threads=threads,
        )
    return replicates.theta


def ranking_agreement(
    judge: np.ndarray,
    reference: np.ndarray,
    *,
    judge_replicates: np.ndarray,
    reference_replicates: np.ndarray,
    top_k: int,
    persistence: float,
    level: float = 0.95,
) -> RankingAgreement:
    """Agreement of two strength vectors (K,), nan where not ranked, with replicates (R, K) of each.

    Intervals are percentiles of the replicates shifted to the data's own value (see `figure.estimate`).
    """
    shared = agreement.ranked_by_both(judge, reference)
    n = int(shared.sum())
    x, y = judge[shared], reference[shared]
    # Strengths that differ by rounding alone (a judge of only ties) are tied.
    x, y = np.round(x, 9), np.round(y, 9)
    reason = ""
    if n < MIN_SHARED_SYSTEMS:
        reason = (
            f"The judge and the reference both rank {n} systems; "
            f"a comparison of rankings needs {MIN_SHARED_SYSTEMS}."
        )
    elif not (np.ptp(x) and np.ptp(y)):
        who = "The judge" if not np.ptp(x) else "The reference"
        reason = f"{who} ties all {n} systems: there is no order to compare."
    if reason:
        absent = missing(n=n, unit=UNIT, reason=reason)
        return RankingAgreement(absent, absent, absent, absent, absent)
    drawn_x, drawn_y = judge_replicates[:, shared], reference_replicates[:, shared]

    def figure(value: float, replicates: np.ndarray, low: float) -> Figure:
        return estimate(
            value, replicates, n=n, unit=UNIT, level=level, recentre=True, bounds=(low, 1.0)
        )

    places = [np.argsort(np.argsort(-drawn, axis=1), axis=1) for drawn in (drawn_x, drawn_y)]
    depth_shared = np.maximum(*places)
    if n < top_k:
        top = missing(
            n=n, unit=UNIT, reason=f"Only {n} systems are ranked by both, fewer than {top_k}."
        )
    else:
        in_both = (depth_shared < top_k).sum(axis=1) / top_k
        top = figure(agreement.top_k_overlap(x, y, k=top_k), in_both, 0.0)
    return RankingAgreement(
        tau=figure(
            agreement.kendall_tau_b(x, y), agreement.kendall_tau_b_rows(drawn_x, drawn_y), -1.0
        ),
        spearman=figure(agreement.spearman(x, y), agreement.spearman_rows(drawn_x, drawn_y), -1.0),
        pearson=figure(agreement.pearson(x, y), agreement.pearson_rows(drawn_x, drawn_y), -1.0),
        top_k_overlap=top,
        rank_biased_overlap=figure(
            agreement.rank_biased_overlap(x, y, p=persistence),
            _overlap_rows(depth_shared, persistence),
            0.0,
        ),
    )


def _overlap_rows(depth_shared: np.ndarray, p: float) -> np.ndarray:
    """Rank-biased overlap of rows without ties; `depth_shared` (R, n) where both have met a system."""
    rounds, n = depth_shared.shape
    flat = depth_shared + n * np.arange(rounds)[:, None]
    met = np.bincount(flat.ravel(), minlength=rounds * n).reshape(rounds, n)
    depth = np.arange(1, n + 1)
    shared = np.cumsum(met, axis=1) / depth
    return shared[:, -1] * p**n + (1 - p) / p * (shared * p**depth).sum(axis=1)
