"""Bias: which systems does a judge favour beyond what people's verdicts and its decisiveness explain?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratings.engine.decisiveness import Decisiveness, strength_noise
from ratings.engine.figure import Figure, missing, percentile_interval
from ratings.engine.judged_pairs import judged_pairs
from ratings.engine.paired_resampling import PairedResampling
from ratings.engine.reference_posterior import ReferencePosterior, incidence, plain_tallies
from ratings.engine.tallies import ClusteredTallies, Tallies

MIN_OPPONENTS = 3
MIN_VERDICTS_A_SYSTEM = 10
MIN_SYSTEMS = 3


@dataclass(frozen=True, slots=True)
class Bias:
    """Bias by system, in shares of battles won (.05 = five points too many); nan where too few.

    bias, lower, upper (K,); n_opponents, n_verdicts (K,); `delta` JuStRank's propensity for bias, the
    sample standard deviation of bias over systems; `delta_corrected` the same without the part that the
    noise of few verdicts adds; replicates (R, K); `reason` why nothing could be measured, or "".
    `baseline` is the α that bias was measured against: the judge's, or 1 (people's own win rates) where
    the judge doesn't follow people's order.
    """

    bias: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    n_opponents: np.ndarray
    n_verdicts: np.ndarray
    delta: Figure
    delta_corrected: Figure
    replicates: np.ndarray
    reason: str = ""
    baseline: float | None = None


def unmeasured_bias(n_systems: int, rounds: int, reason: str) -> Bias:
    """No bias for any system, and why."""
    nan, zero = np.full(n_systems, np.nan), np.zeros(n_systems, dtype=np.int64)
    delta = missing(n=0, unit="systems", reason=reason)
    return Bias(
        bias=nan,
        lower=nan,
        upper=nan,
        n_opponents=zero,
        n_verdicts=zero,
        delta=delta,
        delta_corrected=delta,
        replicates=np.full((rounds, n_systems), np.nan),
        reason=reason,
    )


def system_bias(
    judge: Tallies | ClusteredTallies,
    reference: Tallies | ClusteredTallies,
    *,
    posterior: ReferencePosterior,
    decisiveness: Decisiveness,
    resampling: PairedResampling,
    level: float = 0.95,
) -> Bias:
    """B'_s = mean over opponents b of WR_judge(s, b) - BetaCDF(WR_reference(s, b); α, α).

    WR_reference is the fitted one, σ(θ_s - θ_b) over its posterior, and α the maximum-likelihood one
    (`decisiveness`), so that a pair with few human votes does not look like bias (JuStRank uses raw win
    rates). Opponents count alike. Intervals: percentiles of the noise of the judge's verdicts, of the
    reference and of α, under `resampling`. Where the judge decided every pair on the reference's
    systems, B' sums to 0: a bias for some is one against others.
    """
    pairs = judged_pairs(judge, posterior)
    k = pairs.n_systems
    if not len(decisiveness.rate):
        reason = f"Bias is measured against α, which has no value. {decisiveness.alpha.reason}"
        return unmeasured_bias(k, resampling.rounds, reason)
    sides = np.concatenate([pairs.a, pairs.b])
    n_opponents = np.bincount(sides, minlength=k)
    n_verdicts = np.bincount(sides, weights=np.tile(pairs.n, 2), minlength=k)
    measured = (n_opponents >= MIN_OPPONENTS) & (n_verdicts >= MIN_VERDICTS_A_SYSTEM)
    if measured.sum() < MIN_SYSTEMS:
        reason = (
            f"Only {int(measured.sum())} systems have {MIN_VERDICTS_A_SYSTEM} verdicts of the judge "
            f"against {MIN_OPPONENTS} opponents or more."
        )
        return unmeasured_bias(k, resampling.rounds, reason)

    design = incidence(pairs.a, pairs.b, k)
    excess = pairs.wins / pairs.n - decisiveness.rate
    share = np.where(measured, 1.0 / np.maximum(n_opponents, 1), np.nan)
    bias = (design.T @ excess) * share

    spread = incidence(pairs.a, pairs.b, k) / pairs.n[:, None]
    n_judge_pairs = len(plain_tallies(judge).a)
    noise = _by_pair(
        resampling,
        judge,
        pairs.residual(judge, decisiveness.rate),
        spread,
        pairs.pair,
        n_judge_pairs,
    )
    expected_by_strength = (design * decisiveness.gap_slope[:, None]).T @ design
    noise -= strength_noise(reference, posterior, resampling) @ expected_by_strength.toarray()
    log_alpha = decisiveness.log_replicates - decisiveness.log_replicates.mean()
    noise -= log_alpha[:, None] * (design.T @ decisiveness.rate_slope)
    noise = (noise - noise.mean(axis=0)) * share
    replicates = bias + noise
    delta, delta_corrected = _deltas(bias[measured], noise[:, measured], level=level)
    tail = (1 - level) / 2
    lower, upper = np.quantile(replicates, (tail, 1 - tail), axis=0)
    return Bias(
        bias=bias,
        lower=lower,
        upper=upper,
        n_opponents=n_opponents,
        n_verdicts=np.rint(n_verdicts).astype(np.int64),
        delta=delta,
        delta_corrected=delta_corrected,
        replicates=replicates,
        baseline=1.0 if decisiveness.alpha.value is None else decisiveness.alpha.value,
    )


def _by_pair(resampling, judge, residual, spread, pair, n_pairs: int) -> np.ndarray:
    """Noise of the judged pairs' totals carried to the systems; rows of other pairs are zero."""
    from scipy.sparse import csr_array

    place = csr_array(
        (np.ones(len(pair)), (pair, np.arange(len(pair)))), shape=(n_pairs, len(pair))
    )
    return resampling.noise(judge, residual, place @ spread, side=0)


def _deltas(bias: np.ndarray, noise: np.ndarray, *, level: float) -> tuple[Figure, Figure]:
    """δ as JuStRank defines it, and without the variance that noise adds to it.

    A replicate holds the noise of the data and that of the resampling, so its variance is lowered by one
    share of noise for the raw figure and by two for the corrected one.
    """
    n = len(bias)
    raw = float(bias.var(ddof=1))
    added = float(noise.var(axis=1, ddof=1).mean())
    drawn = (bias + noise).var(axis=1, ddof=1)
    figures = []
    for shares in (0, 1):
        value = float(np.sqrt(max(raw - shares * added, 0.0)))
        replicates = np.sqrt(np.maximum(drawn - (shares + 1) * added, 0.0))
        lower, upper = percentile_interval(replicates, level=level)
        figures.append(Figure(value=value, lower=lower, upper=upper, n=n, unit="systems"))
    return figures[0], figures[1]


def family_bias(
    bias: Bias, *, family: np.ndarray, judge_family: int, level: float = 0.95
) -> Figure:
    """Mean B' of the judge's own family minus the mean of the others; n = systems of the family.

    `family` (K,) int labels, -1 for unknown (left out); `judge_family` the judge's label, -1 for none.
    A judge whose family has one system (itself) gets its self-bias.
    """
    family = np.asarray(family)
    if family.shape != bias.bias.shape:
        raise ValueError(
            f"Give one family label for each of the {bias.bias.size} systems; got {family.size}."
        )
    unit = "systems of the judge's family"
    if bias.reason:
        return missing(n=0, unit=unit, reason=bias.reason)
    if judge_family < 0:
        return missing(n=0, unit=unit, reason="The judge belongs to no known family.")
    known = np.isfinite(bias.bias)
    own, others = known & (family == judge_family), known & (family != judge_family) & (family >= 0)
    n = int(own.sum())
    if not n or others.sum() < 2:
        which = "of the judge's family" if not n else "of other families"
        return missing(n=n, unit=unit, reason=f"Too few systems {which} have a measured bias.")
    value = float(bias.bias[own].mean() - bias.bias[others].mean())
    drawn = bias.replicates[:, own].mean(axis=1) - bias.replicates[:, others].mean(axis=1)
    lower, upper = percentile_interval(drawn, level=level)
    return Figure(value=value, lower=lower, upper=upper, n=n, unit=unit)
