"""Decisiveness: does a judge exaggerate people's gaps between systems, or flatten them?

The judge's win rate is modelled as BetaCDF(p; α, α) of people's win rate p (JuStRank, arXiv
2412.09569): α > 1 amplifies gaps, α < 1 shrinks them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ratings.engine.beta_likelihood import GAP_NUDGE, VerdictLikelihood
from ratings.engine.beta_link import LOG_ALPHA_BOUNDS, link_table
from ratings.engine.figure import Figure, missing, percentile_interval
from ratings.engine.judged_pairs import (
    JudgedPairs,
    judged_pairs,
    matching_pairs,
    shared_errors,
)
from ratings.engine.majority import fold_votes
from ratings.engine.paired_resampling import PairedResampling
from ratings.engine.reference_posterior import (
    OUTCOME_VALUES,
    ReferencePosterior,
    incidence,
    plain_tallies,
)
from ratings.engine.tallies import ClusteredTallies, Outcome, Tallies

MIN_VERDICTS = 30
MIN_PAIRS = 3
# Least squares on raw win rates takes the noise of a pair's rate for indecision.
FEW_VERDICTS_A_PAIR = 100
# An interval that leaves α open by more than this factor either way says nothing.
WIDEST_FACTOR = 8.0
_LOG_NUDGE = 0.02


@dataclass(frozen=True, slots=True)
class Decisiveness:
    """One estimate of α, with what bias needs to be measured against it.

    `uncorrected` is α before the reference's own error was allowed for (None for least squares, which
    does not allow for it); `warning` a sentence or ""; `log_replicates` (R,) draws of log α; `rate`,
    `rate_slope`, `gap_slope` (p,) the judge's expected win rate in each judged pair and its derivatives
    in log α and in the reference's gap. Where alpha has no value the arrays are empty, or those of α = 1
    where the judge doesn't follow the reference's order.
    """

    alpha: Figure
    uncorrected: float | None
    warning: str
    n_pairs: int
    log_replicates: np.ndarray
    rate: np.ndarray
    rate_slope: np.ndarray
    gap_slope: np.ndarray


def undefined_decisiveness(alpha: Figure, *, n_pairs: int = 0) -> Decisiveness:
    """An α without a value, whose figure says why."""
    none = np.empty(0)
    return Decisiveness(
        alpha=alpha,
        uncorrected=None,
        warning="",
        n_pairs=n_pairs,
        log_replicates=none,
        rate=none,
        rate_slope=none,
        gap_slope=none,
    )


def _undefined(pairs: JudgedPairs, reason: str) -> Decisiveness:
    alpha = missing(n=pairs.n_verdicts, unit="verdicts", reason=reason)
    return undefined_decisiveness(alpha, n_pairs=len(pairs.pair))


def _unsuitable(judge: Tallies | ClusteredTallies, pairs: JudgedPairs) -> str:
    """Why these verdicts say nothing about α; "" where they do."""
    if pairs.n_verdicts < MIN_VERDICTS or len(pairs.pair) < MIN_PAIRS:
        return (
            f"The judge has {pairs.n_verdicts} verdicts on {len(pairs.pair)} pairs that the reference "
            f"ranks; decisiveness needs {MIN_VERDICTS} on {MIN_PAIRS} pairs or more."
        )
    answers = fold_votes(plain_tallies(judge).counts[pairs.pair]).sum(axis=0)
    if np.count_nonzero(answers) == 1:
        answer = Outcome(int(answers.argmax())).name
        return (
            f"The judge always answered {answer}, whatever the pair: that is no response to a gap."
        )
    return ""


def _gap_slope(likelihood: VerdictLikelihood, log_alpha: float) -> np.ndarray:
    """(p,) derivative of the expected win rate in the reference's gap."""
    above, below = (likelihood.rate(log_alpha, at=at) for at in (1, 2))
    return (above - below) / (2 * GAP_NUDGE)


def _at_bound(
    side: str, pairs: JudgedPairs, likelihood: VerdictLikelihood, *, rounds: int
) -> Decisiveness:
    """No α. A judge that doesn't follow the reference's order can still be said to favour systems: the
    expected rates are then the reference's own, those of α = 1."""
    undefined = _undefined(pairs, _why_at_bound(side, pairs))
    if side == "high":
        return undefined
    return replace(
        undefined,
        log_replicates=np.zeros(rounds),
        rate=likelihood.rate(0.0),
        rate_slope=np.zeros(len(pairs.pair)),
        gap_slope=_gap_slope(likelihood, 0.0),
    )


def _why_at_bound(side: str, pairs: JudgedPairs) -> str:
    if side == "high":
        return "The judge follows the reference's order almost without exception: α has no upper bound."
    if float(((pairs.wins - pairs.n / 2) * np.sign(pairs.gap)).sum()) < 0:
        return (
            "The judge's verdicts run against the reference's order; α says how strongly an order is "
            "followed, so it is not defined."
        )
    return "The judge's verdicts do not follow the reference's order: α is too near 0 to tell."


def maximum_likelihood_decisiveness(
    judge: Tallies | ClusteredTallies,
    reference: Tallies | ClusteredTallies,
    *,
    posterior: ReferencePosterior,
    fitted: np.ndarray,
    resampling: PairedResampling,
    level: float = 0.95,
) -> Decisiveness:
    """α that makes the judge's verdicts most likely, given the reference's strengths (the default).

    p(A wins) = E[BetaCDF(σ(θ_a - θ_b); α, α)] over `posterior`, the reference's strengths with their
    uncertainty; ties and both-bad count half. Errors in plugged-in strengths shrink α; the expectation
    over the posterior undoes that. Errors that judge and people share, because they judged the same
    battles, are estimated from the products of their residuals and taken out of the score. Both are our
    own; `uncorrected` is the plug-in α at the `fitted` (K,) strengths. The interval carries the noise of
    both sides through the score, under `resampling`. n counts the judge's verdicts. No value where they
    don't follow the reference's order, follow it without exception, or leave α open too far.
    """
    pairs = judged_pairs(judge, posterior)
    unsuitable = _unsuitable(judge, pairs)
    if unsuitable:
        return _undefined(pairs, unsuitable)
    likelihood = VerdictLikelihood.of(pairs, pairs.gap, pairs.gap_variance)
    first = likelihood.maximum()
    if isinstance(first, str):
        return _at_bound(first, pairs, likelihood, rounds=resampling.rounds)
    products = shared_errors(judge, reference, posterior, pairs, likelihood.rate(first))
    likelihood = VerdictLikelihood(
        pairs=pairs,
        gaps=likelihood.gaps,
        shared=_shared_covariance(judge, reference, posterior, pairs, products),
    )
    log_alpha = likelihood.maximum()
    if isinstance(log_alpha, str):
        return _at_bound(log_alpha, pairs, likelihood, rounds=resampling.rounds)
    information = (
        likelihood.score(log_alpha - _LOG_NUDGE) - likelihood.score(log_alpha + _LOG_NUDGE)
    ) / (2 * _LOG_NUDGE)
    weight, rate = likelihood.weight(link_table(log_alpha))
    gap_slope = _gap_slope(likelihood, log_alpha)
    pull = np.zeros((len(plain_tallies(judge).a), 1))
    pull[pairs.pair, 0] = weight
    noise = resampling.noise(judge, pairs.residual(judge, rate), pull, side=0)[:, 0]
    through_gaps = incidence(pairs.a, pairs.b, pairs.n_systems).T @ (pairs.n * weight * gap_slope)
    noise = noise - strength_noise(reference, posterior, resampling) @ through_gaps
    log_replicates = log_alpha + (noise - noise.mean()) / max(information, 1e-12)
    lower, upper = percentile_interval(log_replicates, level=level)
    if lower is None or upper is None or upper - lower > 2 * np.log(WIDEST_FACTOR):
        return _undefined(
            pairs,
            f"The verdicts leave α open by more than a factor of {WIDEST_FACTOR:.0f} either way.",
        )
    plug_in = VerdictLikelihood.of(pairs, fitted[pairs.a] - fitted[pairs.b], None).maximum()
    return Decisiveness(
        alpha=Figure(
            value=float(np.exp(log_alpha)),
            lower=float(np.exp(lower)),
            upper=float(np.exp(upper)),
            n=pairs.n_verdicts,
            unit="verdicts",
        ),
        uncorrected=None if isinstance(plug_in, str) else float(np.exp(plug_in)),
        warning="",
        n_pairs=len(pairs.pair),
        log_replicates=log_replicates,
        rate=rate,
        rate_slope=weight * rate * (1 - rate),
        gap_slope=gap_slope,
    )


def strength_noise(
    reference: Tallies | ClusteredTallies,
    posterior: ReferencePosterior,
    resampling: PairedResampling,
) -> np.ndarray:
    """(R, K) draws of the error of the reference's posterior mean strengths (linear in the votes)."""
    tallies = plain_tallies(reference)
    residual = np.nan_to_num(OUTCOME_VALUES[None, :] - posterior.rate[:, None])
    design = incidence(tallies.a, tallies.b, tallies.n_systems)
    pulled = resampling.noise(reference, residual, design, side=1)
    return pulled @ posterior.covariance / posterior.dispersion


def _shared_covariance(judge, reference, posterior, pairs, products) -> np.ndarray:
    """(p,) covariance of the judge's residual total and the error of the gap, from `products` (p,).

    A vote's residual moves its own pair's gap by gap_variance / dispersion; the fit has already followed
    it by the pair's leverage, so the residual that is left is too small by that share.
    """
    people = np.zeros(len(plain_tallies(judge).a))
    at_judge, at_reference = matching_pairs(judge, reference)
    curvature = plain_tallies(reference).n_per_pair * posterior.rate * (1 - posterior.rate)
    people[at_judge] = np.nan_to_num(curvature[at_reference])
    pull = pairs.gap_variance / posterior.dispersion
    leverage = np.minimum(pull * people[pairs.pair], 0.9)
    return pull * products / (1 - leverage)


def least_squares_decisiveness(
    judge: Tallies | ClusteredTallies,
    reference: Tallies | ClusteredTallies,
    *,
    posterior: ReferencePosterior,
    resampling: PairedResampling,
    level: float = 0.95,
) -> Decisiveness:
    """JuStRank's α: BetaCDF(·; α, α) fitted by least squares to raw pairwise win rates.

    Minimises Σ (WR_judge - BetaCDF(WR_reference; α, α))² over log α, both directions of every pair that
    both decided, each pair alike (the paper does not state its objective: this one is our reading).
    The noise of a pair's win rate counts as indecision, so α is far too small unless both have hundreds
    of verdicts a pair; `warning` says so below that. n counts the judge's verdicts in those pairs. The
    interval carries noise, not that bias.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import betainc

    pairs = judged_pairs(judge, posterior)
    unsuitable = _unsuitable(judge, pairs)
    if unsuitable:
        return _undefined(pairs, unsuitable)
    at_judge, at_reference = matching_pairs(judge, reference)
    inside = np.isin(at_judge, pairs.pair)
    at_judge, at_reference = at_judge[inside], at_reference[inside]
    sides = [(plain_tallies(judge), at_judge), (plain_tallies(reference), at_reference)]
    n_judge, n_people = (cells.n_per_pair[at] for cells, at in sides)
    if len(at_judge) < MIN_PAIRS:
        return _undefined(pairs, f"The judge and the reference share {len(at_judge)} pairs only.")
    rate_judge, rate_people = (cells.wins_a[at] / cells.n_per_pair[at] for cells, at in sides)

    def link(log_alpha: float) -> np.ndarray:
        alpha = np.exp(log_alpha)
        return betainc(alpha, alpha, rate_people)

    # One direction of a pair suffices: the other has the same squared error.
    found = minimize_scalar(
        lambda log_alpha: float(((rate_judge - link(log_alpha)) ** 2).sum()),
        bounds=LOG_ALPHA_BOUNDS,
        method="bounded",
        options={"xatol": 1e-6},
    )
    log_alpha = float(found.x)
    if min(abs(log_alpha - bound) for bound in LOG_ALPHA_BOUNDS) < 1e-3:
        side = "low" if log_alpha < 0 else "high"
        return _undefined(pairs, _why_at_bound(side, pairs))
    slope = (link(log_alpha + _LOG_NUDGE) - link(log_alpha - _LOG_NUDGE)) / (2 * _LOG_NUDGE)
    edge = 1e-6
    inner = np.clip(rate_people, edge, 1 - edge)
    alpha = np.exp(log_alpha)
    density = (
        betainc(alpha, alpha, np.minimum(inner + edge, 1.0))
        - betainc(alpha, alpha, np.maximum(inner - edge, 0.0))
    ) / (2 * edge)
    information = max(float((slope**2).sum()), 1e-12)
    noise = np.zeros(resampling.rounds)
    factors = (slope / n_judge, -slope * density / n_people)
    for number, ((cells, at), tallies, factor) in enumerate(
        zip(sides, (judge, reference), factors, strict=True)
    ):
        # About a smoothed rate: a pair that was never split would else seem to have no noise.
        smooth = (cells.wins_a + 0.5) / (cells.n_per_pair + 1.0)
        projection = np.zeros((len(cells.a), 1))
        projection[at, 0] = factor / information
        residual = OUTCOME_VALUES[None, :] - smooth[:, None]
        noise += resampling.noise(tallies, residual, projection, side=number)[:, 0]
    log_replicates = log_alpha + noise - noise.mean()
    lower, upper = percentile_interval(log_replicates, level=level)
    n_verdicts = round(float(n_judge.sum()))
    typical = float(np.median(np.minimum(n_judge, n_people)))
    warning = ""
    if typical < FEW_VERDICTS_A_PAIR:
        warning = (
            f"Least squares needs hundreds of verdicts a pair and has {typical:g} in the median pair: "
            "its α is far too small. Read the maximum-likelihood one."
        )
    none = np.empty(0)
    return Decisiveness(
        alpha=Figure(
            value=float(alpha),
            lower=None if lower is None else float(np.exp(lower)),
            upper=None if upper is None else float(np.exp(upper)),
            n=n_verdicts,
            unit="verdicts",
        ),
        uncorrected=None,
        warning=warning,
        n_pairs=len(at_judge),
        log_replicates=log_replicates,
        rate=none,
        rate_slope=none,
        gap_slope=none,
    )
