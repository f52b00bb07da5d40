"""One judge against a reference ranking: every figure of its report, in one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ratings.engine.agreement_report import (
    RankingAgreement,
    ranking_agreement,
    replicate_strengths,
)
from ratings.engine.bias import Bias, family_bias, system_bias
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.ceiling import NoiseCeiling, SplitUnit, noise_ceiling
from ratings.engine.decisiveness import (
    Decisiveness,
    least_squares_decisiveness,
    maximum_likelihood_decisiveness,
)
from ratings.engine.figure import Figure, missing
from ratings.engine.judged_pairs import matching_pairs
from ratings.engine.kappa import InstanceAgreement, judge_against_majority
from ratings.engine.krippendorff import krippendorff_alpha
from ratings.engine.majority import MajorityRule, fold_votes
from ratings.engine.paired_resampling import PairedResampling, paired_resampling
from ratings.engine.reference_posterior import reference_posterior
from ratings.engine.report_notes import caveats
from ratings.engine.tallies import ClusteredTallies

# With fewer prompts a resampling of prompts is too narrow, and verdicts are resampled instead.
MIN_PROMPTS = 30
# More prompts than this are resampled in random groups of prompts, to bound memory.
_MAX_PROMPT_GROUPS = 4000
_MIN_REFERENCE_SYSTEMS = 3


@dataclass(frozen=True, slots=True)
class Instances:
    """Battle by battle: the judge's outcome (n,), people's votes (n, 4) by outcome, the prompt (n,)."""

    judge: np.ndarray
    votes: np.ndarray
    prompt: np.ndarray


@dataclass(frozen=True, slots=True)
class SideCounts:
    systems_ranked: int
    pairs: int
    prompts: int
    verdicts: int


@dataclass(frozen=True, slots=True)
class PairPoints:
    """A point for each of p pairs that both decided: win rates of A (raw, ties one half) and counts;
    `fitted_rate` the reference's rate from its strengths (nan where it does not rank both)."""

    a: np.ndarray
    b: np.ndarray
    reference_rate: np.ndarray
    fitted_rate: np.ndarray
    judge_rate: np.ndarray
    n_reference: np.ndarray
    n_judge: np.ndarray


@dataclass(frozen=True, slots=True)
class JudgeFigures:
    """The report. A figure whose value is None says why in its `reason`.

    judge_theta, reference_theta (K,) strengths in logits, nan where not ranked; `pairs` the points of the
    decisiveness curve; `instances` and `people_alpha` need instance-level votes; `notes` plain sentences
    on what the data are too few for, `resampled` what the intervals resample.
    """

    agreement: RankingAgreement
    ceiling: NoiseCeiling
    decisiveness: Decisiveness
    decisiveness_least_squares: Decisiveness
    bias: Bias
    family_bias: Figure
    instances: InstanceAgreement | None
    people_alpha: Figure
    judge_theta: np.ndarray
    reference_theta: np.ndarray
    judge_counts: SideCounts
    reference_counts: SideCounts
    n_shared_systems: int
    n_shared_pairs: int
    pairs: PairPoints
    resampled: Literal["prompts", "verdicts"]
    rounds: int
    level: float
    notes: list[str] = field(default_factory=list)

    @property
    def tau(self) -> Figure:
        return self.agreement.tau

    @property
    def alpha(self) -> Figure:
        return self.decisiveness.alpha

    @property
    def delta(self) -> Figure:
        return self.bias.delta


def judge_report(
    judge: ClusteredTallies,
    reference: ClusteredTallies,
    *,
    instances: Instances | None = None,
    family: np.ndarray | None = None,
    judge_family: int = -1,
    majority_rule: MajorityRule = "plurality",
    top_k: int = 10,
    persistence: float = 0.9,
    ceiling_split: SplitUnit = "battles",
    resample: Literal["auto", "prompts", "verdicts"] = "auto",
    rounds: int = 1000,
    seed: int,
    level: float = 0.95,
    threads: int = 2,
) -> JudgeFigures:
    """Everything that is reported about one judge, against people or another reference.

    Both tallies number the same systems 0..K-1 and the same prompts 0..C-1 (ValueError otherwise).
    `resample`: "prompts" gives judge and reference the same prompt weights; "verdicts" resamples each
    side's verdicts; "auto" takes prompts where both judged at least 30 of them. `family` (K,) int labels
    (-1 unknown) and `judge_family` for self-preference. Figures that the data cannot support have no
    value and a reason; nothing raises for want of data.
    """
    _check(judge, reference, instances)
    n_prompts = len(np.intersect1d(judge.cluster, reference.cluster))
    unit = resample
    if unit == "auto":
        unit = "prompts" if n_prompts >= MIN_PROMPTS else "verdicts"
    grouped = _group_prompts(judge, reference, seed=seed) if unit == "prompts" else (judge, reference)
    resampling = paired_resampling(
        unit=unit, rounds=rounds, seed=seed, n_prompts=grouped[0].n_clusters
    )
    fits = [fit_bradley_terry(side.tallies) for side in (judge, reference)]
    theta_judge, theta_reference = (fit.theta for fit in fits)
    drawn = [
        replicate_strengths(side, fit, resampling, side=number, threads=threads)
        for number, (side, fit) in enumerate(zip(grouped, fits, strict=True))
    ]
    agreement = ranking_agreement(
        theta_judge,
        theta_reference,
        judge_replicates=drawn[0],
        reference_replicates=drawn[1],
        top_k=top_k,
        persistence=persistence,
        level=level,
    )
    ranked = fits[1].comparability.ranked
    against = _against_reference(
        judge,
        reference,
        ranked=ranked,
        fitted=theta_reference,
        resampling=resampling,
        grouped=grouped,
        ceiling_split=ceiling_split,
        seed=seed,
        level=level,
    )
    if family is None:
        own = missing(n=0, unit="systems of the judge's family", reason="No families were given.")
    else:
        own = family_bias(against["bias"], family=family, judge_family=judge_family, level=level)
    by_battle, people = _instance_figures(
        instances, rule=majority_rule, by_prompt=unit == "prompts", rounds=rounds, seed=seed, level=level
    )
    points = _pair_points(judge, reference, theta_reference)
    figures = JudgeFigures(
        agreement=agreement,
        **against,
        family_bias=own,
        instances=by_battle,
        people_alpha=people,
        judge_theta=theta_judge,
        reference_theta=theta_reference,
        judge_counts=_counts(judge, fits[0]),
        reference_counts=_counts(reference, fits[1]),
        n_shared_systems=int((np.isfinite(theta_judge) & ranked).sum()),
        n_shared_pairs=len(points.a),
        pairs=points,
        resampled=unit,
        rounds=rounds,
        level=level,
    )
    figures.notes.extend(caveats(figures, n_prompts=n_prompts))
    return figures


def _check(
    judge: ClusteredTallies, reference: ClusteredTallies, instances: Instances | None
) -> None:
    sizes = [(side.tallies.n_systems, side.n_clusters) for side in (judge, reference)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            "The judge and the reference must number the same systems and prompts; the judge has "
            f"{sizes[0][0]} systems and {sizes[0][1]} prompts, the reference {sizes[1][0]} and "
            f"{sizes[1][1]}. Tally both with the same lists."
        )
    if instances is not None and not (
        len(instances.judge) == len(instances.votes) == len(instances.prompt)
    ):
        raise ValueError(
            f"Instances must have one length; outcomes have {len(instances.judge)}, votes "
            f"{len(instances.votes)}, prompts {len(instances.prompt)}."
        )


def _group_prompts(
    judge: ClusteredTallies, reference: ClusteredTallies, *, seed: int
) -> tuple[ClusteredTallies, ClusteredTallies]:
    """The tallies with prompts merged into random groups, where there are very many."""
    if judge.n_clusters <= _MAX_PROMPT_GROUPS:
        return judge, reference
    group = np.random.default_rng(seed).permutation(judge.n_clusters) % _MAX_PROMPT_GROUPS
    merged = [
        ClusteredTallies(
            tallies=side.tallies,
            n_clusters=_MAX_PROMPT_GROUPS,
            pair=side.pair,
            outcome=side.outcome,
            cluster=group[side.cluster],
            count=side.count,
        )
        for side in (judge, reference)
    ]
    return merged[0], merged[1]
