"""One judge against a reference ranking: every figure of its report, in one call."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ratings.engine.agreement_report import (
    RankingAgreement,
    ranking_agreement,
    replicate_strengths,
)
from ratings.engine.alt_test import EPSILON, AltTest, alt_test
from ratings.engine.bias import Bias, family_bias, system_bias, unmeasured_bias
from ratings.engine.bradley_terry import BradleyTerryFit, fit_bradley_terry
from ratings.engine.ceiling import NoiseCeiling, SplitUnit, noise_ceiling
from ratings.engine.decisiveness import (
    Decisiveness,
    least_squares_decisiveness,
    maximum_likelihood_decisiveness,
    undefined_decisiveness,
)
from ratings.engine.figure import Figure, missing
from ratings.engine.judged_pairs import matching_pairs
from ratings.engine.kappa import InstanceAgreement, judge_against_majority
from ratings.engine.krippendorff import krippendorff_alpha
from ratings.engine.majority import MajorityRule, fold_votes
from ratings.engine.paired_resampling import PairedResampling, paired_resampling
from ratings.engine.reference_posterior import reference_posterior
from ratings.engine.report_notes import caveats
from ratings.engine.separation import Separation, separation
from ratings.engine.surface_bias import SurfacePreference, surface_preference
from ratings.engine.tallies import ClusteredTallies

# With fewer prompts a resampling of prompts is too narrow, and verdicts are resampled instead.
MIN_PROMPTS = 30
_MIN_REFERENCE_SYSTEMS = 3


@dataclass(frozen=True, slots=True)
class PersonVotes:
    """Who said what: `instance` (v,) a row of Instances, `person` (v,), `label` (v,) A, B or tie."""

    instance: np.ndarray
    person: np.ndarray
    label: np.ndarray


@dataclass(frozen=True, slots=True)
class Instances:
    """Battle by battle: the judge's outcome (n,), people's votes (n, 4) by outcome, the prompt (n,); `people`
    where it is known who said what; `sides` (n,) by name which side has more of something: 1 A, -1 B."""

    judge: np.ndarray
    votes: np.ndarray
    prompt: np.ndarray
    people: PersonVotes | None = None
    sides: dict[str, np.ndarray] = field(default_factory=dict)


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
    decisiveness curve; `instances` and `people_alpha` need instance-level votes, `alt_tests` (by epsilon; none
    where it isn't known who voted) also who cast them; `notes` plain sentences on what the data are too few
    for, `resampled` what the intervals resample.
    """

    agreement: RankingAgreement
    ceiling: NoiseCeiling
    decisiveness: Decisiveness
    decisiveness_least_squares: Decisiveness
    bias: Bias
    family_bias: Figure
    separation: Separation
    alt_tests: dict[float, AltTest]
    surface: dict[str, SurfacePreference]
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
    resampling = paired_resampling(unit=unit, rounds=rounds, seed=seed, n_prompts=judge.n_clusters)
    fits = [fit_bradley_terry(side.tallies) for side in (judge, reference)]
    theta_judge, theta_reference = (fit.theta for fit in fits)
    drawn = [
        replicate_strengths(side, fit, resampling, side=number, threads=threads)
        for number, (side, fit) in enumerate(zip((judge, reference), fits, strict=True))
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
        ceiling_split=ceiling_split,
        seed=seed,
        level=level,
    )
    if family is None:
        own = missing(n=0, unit="systems of the judge's family", reason="No families were given.")
    else:
        own = family_bias(against["bias"], family=family, judge_family=judge_family, level=level)
    by_battle, people = _instance_figures(
        instances,
        rule=majority_rule,
        by_prompt=unit == "prompts",
        rounds=rounds,
        seed=seed,
        level=level,
    )
    points = _pair_points(judge, reference, theta_reference)
    figures = JudgeFigures(
        agreement=agreement,
        separation=separation(
            theta_judge,
            theta_reference,
            judge_replicates=drawn[0],
            reference_replicates=drawn[1],
            level=level,
        ),
        alt_tests=_alt_tests(instances, level=level),
        surface=_surface(instances, level=level),
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
    return replace(figures, notes=caveats(figures, n_prompts=n_prompts))


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


def _against_reference(
    judge: ClusteredTallies,
    reference: ClusteredTallies,
    *,
    ranked: np.ndarray,
    fitted: np.ndarray,
    resampling: PairedResampling,
    ceiling_split: SplitUnit,
    seed: int,
    level: float,
) -> dict:
    """The figures that need the reference's strengths: ceiling, both decisivenesses, bias."""
    if ranked.sum() < _MIN_REFERENCE_SYSTEMS:
        reason = (
            f"The reference ranks {int(ranked.sum())} systems; "
            f"at least {_MIN_REFERENCE_SYSTEMS} that can be compared are needed."
        )
        absent = missing(n=0, unit="verdicts", reason=reason)
        undefined = undefined_decisiveness(absent)
        return {
            "ceiling": NoiseCeiling(half=absent, full=absent, split=ceiling_split),
            "decisiveness": undefined,
            "decisiveness_least_squares": undefined,
            "bias": unmeasured_bias(len(ranked), resampling.rounds, reason),
        }
    posterior = reference_posterior(reference, ranked=ranked)
    decisiveness = maximum_likelihood_decisiveness(
        judge, reference, posterior=posterior, fitted=fitted, resampling=resampling, level=level
    )
    return {
        "ceiling": noise_ceiling(
            reference, posterior=posterior, split=ceiling_split, seed=seed, level=level
        ),
        "decisiveness": decisiveness,
        "decisiveness_least_squares": least_squares_decisiveness(
            judge, reference, posterior=posterior, resampling=resampling, level=level
        ),
        "bias": system_bias(
            judge,
            reference,
            posterior=posterior,
            decisiveness=decisiveness,
            resampling=resampling,
            level=level,
        ),
    }


def _instance_figures(
    instances: Instances | None,
    *,
    rule: MajorityRule,
    by_prompt: bool,
    rounds: int,
    seed: int,
    level: float,
) -> tuple[InstanceAgreement | None, Figure]:
    if instances is None:
        return None, missing(n=0, unit="battles", reason="No votes by battle were given.")
    compared = judge_against_majority(
        instances.judge,
        instances.votes,
        rule=rule,
        cluster=instances.prompt if by_prompt else None,
        rounds=rounds,
        seed=seed,
        level=level,
    )
    people = krippendorff_alpha(fold_votes(instances.votes), rounds=rounds, seed=seed, level=level)
    return compared, people


def _alt_tests(instances: Instances | None, *, level: float) -> dict[float, AltTest]:
    if instances is None or instances.people is None:
        return {}
    people = instances.people
    return {
        epsilon: alt_test(
            people.instance,
            people.person,
            people.label,
            instances.judge,
            epsilon=epsilon,
            level=level,
        )
        for epsilon in EPSILON.values()
    }


def _surface(instances: Instances | None, *, level: float) -> dict[str, SurfacePreference]:
    if instances is None:
        return {}
    return {
        name: surface_preference(
            instances.judge, instances.votes, side, instances.prompt, level=level
        )
        for name, side in instances.sides.items()
    }


def _counts(side: ClusteredTallies, fit: BradleyTerryFit) -> SideCounts:
    return SideCounts(
        systems_ranked=int(fit.comparability.ranked.sum()),
        pairs=len(side.tallies.a),
        prompts=len(np.unique(side.cluster)),
        verdicts=round(side.tallies.n),
    )


def _pair_points(
    judge: ClusteredTallies, reference: ClusteredTallies, theta: np.ndarray
) -> PairPoints:
    from scipy.special import expit

    places = matching_pairs(judge, reference)
    cells = (judge.tallies, reference.tallies)
    n_judge, n_reference = (c.n_per_pair[at] for c, at in zip(cells, places, strict=True))
    wins_judge, wins_reference = (c.wins_a[at] for c, at in zip(cells, places, strict=True))
    a, b = judge.tallies.a[places[0]], judge.tallies.b[places[0]]
    return PairPoints(
        a=a,
        b=b,
        reference_rate=wins_reference / n_reference,
        fitted_rate=expit(theta[a] - theta[b]),
        judge_rate=wins_judge / n_judge,
        n_reference=n_reference,
        n_judge=n_judge,
    )
