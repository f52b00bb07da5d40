"""Judge reports: from a judge's slice and people's to an immutable JudgeReport."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from django.conf import settings

from arena.access import public_systems
from arena.models import Arena, System
from arena.styles import count_styles
from judges.models import Judge
from ratings import cells
from ratings.engine.alt_test import AltTest
from ratings.engine.figure import Figure
from ratings.engine.judge_report import Instances, JudgeFigures, PersonVotes, judge_report
from ratings.engine.majority import fold_both_bad, majority
from ratings.engine.rate import RatingTable, rate
from ratings.engine.surface_bias import longer_side, side_with
from ratings.engine.tallies import ClusteredTallies, tally_by_cluster
from ratings.models import JudgeReport
from ratings.slices import PEOPLE, Slice
from ratings.version import code_version

# More pairs than this make no clearer cloud of points, only a slower page.
MAX_PAIR_POINTS = 2000
TOLERANCE = 1e-9


def build(
    *,
    arena: Arena,
    slice: Slice,
    reference: str = PEOPLE,
    rounds: int | None = None,
    seed: int | None = None,
) -> JudgeReport:
    """The report of ``slice.judge`` against ``reference``; the one that is there when nothing changed.

    With ``slice.shared_with`` both sides are counted on the battles that both decided, else each on all
    of its own. Raises SliceError for an unknown judge.
    """
    rounds = settings.BOOTSTRAP_ROUNDS if rounds is None else rounds
    seed = slice.seed if seed is None else seed
    judge = Judge.objects.get(arena=arena, slug=slice.judge)
    other_side = side_of(reference, slice)
    started = perf_counter()
    # One cut through time for everything that the report counts.
    up_to = cells.watermark()
    own = cells.count(arena=arena, slice=slice, up_to=up_to)
    theirs = cells.count(arena=arena, slice=other_side, up_to=up_to)
    counted = perf_counter() - started
    data_digest = cells.joint_digest(own, theirs)
    identity = {
        "arena": arena,
        "slice_digest": slice.digest,
        "reference": reference,
        "data_digest": data_digest,
        "code_version": code_version(),
        "seed": seed,
        "rounds": rounds,
    }
    same = JudgeReport.objects.filter(**identity).first()
    if same:
        return same
    instances = _instances(arena, slice, other_side, up_to=up_to)
    started = perf_counter()
    figures, tables = compute(
        own, theirs, instances, arena=arena, judge=judge, rounds=rounds, seed=seed
    )
    timings = {"count": counted, "figures": perf_counter() - started}
    values = _values(
        figures, tables, own=own, theirs=theirs, judge=judge, slice=slice,
        timings=timings, n_instances=len(instances.judge),
    )  # fmt: skip
    # Whoever built the same report meanwhile has the same numbers.
    return JudgeReport.objects.get_or_create(**identity, defaults=values)[0]


def side_of(reference: str, slice: Slice) -> Slice:
    """What is counted of the reference of a judge's slice."""
    return replace(slice, judge=reference, shared_with=slice.judge if slice.shared_with else "")


def compute(
    own: cells.Cells,
    theirs: cells.Cells,
    instances: Instances,
    *,
    arena: Arena,
    judge: Judge,
    rounds: int,
    seed: int,
) -> tuple[JudgeFigures, list[RatingTable]]:
    """The numbers alone: the same arguments give the same numbers."""
    sides = _same_numbering(own, theirs)
    families, judge_family = _families(own.system_ids, judge)
    figures = judge_report(
        *sides,
        instances=instances,
        family=families,
        judge_family=judge_family,
        rounds=rounds,
        seed=seed,
    )
    unit = "clusters" if figures.resampled == "prompts" else "cells"
    return figures, [rate(side, interval=unit, rounds=rounds, seed=seed) for side in sides]


@dataclass(frozen=True, slots=True)
class Verification:
    """What recomputing a report showed. ``largest_difference`` is over all figures, each in its own unit."""

    report_id: int
    same_data: bool
    same_code: bool
    largest_difference: float

    @property
    def passed(self) -> bool:
        return self.same_data and self.largest_difference <= TOLERANCE


def verify(*, report: JudgeReport) -> Verification:
    """Count and compute a report again, as the verdicts stood when it was made, and compare."""
    slice, arena = Slice.from_json(report.slice), report.arena
    other_side = side_of(report.reference, slice)
    up_to = cells.Cut(report.last_verdict_id, report.last_retraction_id, report.last_exclusion_id)
    # Systems may have been published since.
    among = set(public_systems(arena, at=report.created_at).values_list("pk", flat=True))
    own = cells.count(arena=arena, slice=slice, up_to=up_to, among=among)
    theirs = cells.count(arena=arena, slice=other_side, up_to=up_to, among=among)
    instances = _instances(arena, slice, other_side, up_to=up_to, among=among)
    figures, tables = compute(
        own,
        theirs,
        instances,
        arena=arena,
        judge=report.judge,
        rounds=report.rounds,
        seed=report.seed,
    )
    now = _values(
        figures, tables, own=own, theirs=theirs, judge=report.judge, slice=slice,
        timings={}, n_instances=len(instances.judge),
    )  # fmt: skip
    then = {name: getattr(report, name) for name in now}
    for name in ("judge", "slice", "timings"):
        del then[name]
    return Verification(
        report_id=report.pk,
        same_data=cells.joint_digest(own, theirs) == report.data_digest,
        same_code=code_version() == report.code_version,
        largest_difference=largest_difference(then, now),
    )


def largest_difference(then: Any, now: Any) -> float:
    """Between the numbers of two JSON values; infinite where one has a number that the other lacks.

    Words don't count: a system may have another name since, and a note other wording.
    """
    if isinstance(then, dict) and isinstance(now, dict):
        pairs = [(value, now.get(key)) for key, value in then.items()]
    elif isinstance(then, list) and isinstance(now, list):
        if len(then) != len(now):
            return float("inf")
        pairs = zip(then, now, strict=True)
    elif isinstance(then, str) or isinstance(now, str):
        return 0.0
    elif then is None or now is None:
        return 0.0 if then is now else float("inf")
    else:
        return float(abs(then - now)) if isinstance(now, int | float) else float("inf")
    return max((largest_difference(*pair) for pair in pairs), default=0.0)


def _same_numbering(own: cells.Cells, theirs: cells.Cells) -> list[ClusteredTallies]:
    """Both sides' cells over one list of prompts; systems are numbered alike already."""
    prompts = np.union1d(own.prompt_ids, theirs.prompt_ids)
    return [
        tally_by_cluster(
            side.a,
            side.b,
            side.outcome,
            np.searchsorted(prompts, side.prompt_ids)[side.prompt],
            n_systems=len(side.system_ids),
            n_clusters=len(prompts),
            count=side.count,
        )
        for side in (own, theirs)
    ]


def _instances(
    arena: Arena,
    slice: Slice,
    other_side: Slice,
    *,
    up_to: cells.Cut,
    among: Collection[int] | None = None,
) -> Instances:
    """Battle by battle, those that both decided: the judge's majority (none is a tie, whichever label comes
    first) and people's votes."""
    votes, prompts = zip(
        *(
            cells.votes_by_battle(arena=arena, slice=side, up_to=up_to, among=among)
            for side in (slice, other_side)
        ),
        strict=True,
    )
    shared = sorted(votes[0].keys() & votes[1].keys())
    own, people = (
        np.array([side[battle] for battle in shared], dtype=float).reshape(-1, 4) for side in votes
    )
    return Instances(
        judge=majority(own, rule="plurality_else_tie"),
        votes=people,
        prompt=np.array([prompts[1][battle] for battle in shared], dtype=np.int64),
        people=_person_votes(
            arena, other_side, up_to=up_to, battles=np.array(shared, dtype=np.int64), votes=people
        ),
        sides=_sides(arena, np.array(shared, dtype=np.int64)),
    )


def _sides(arena: Arena, battles: np.ndarray) -> dict[str, np.ndarray]:
    """Which output of each battle is longer, and which alone has lists, headers or bold passages."""
    count_styles(arena=arena)
    style_a, style_b = cells.styles_of(arena=arena, battles=battles)
    of = {name: at for at, name in enumerate(cells.STYLE_FEATURES)}
    return {
        "characters": longer_side(style_a[:, of["characters"]], style_b[:, of["characters"]]),
        **{
            name: side_with(style_a[:, of[name]], style_b[:, of[name]])
            for name in ("lists", "headers", "bold")
        },
    }


def _person_votes(
    arena: Arena, slice: Slice, *, up_to: cells.Cut, battles: np.ndarray, votes: np.ndarray
) -> PersonVotes | None:
    """Who said what about the battles that more than one vote was cast on; None where nobody is known.

    Of a person's votes on one battle the first counts: later ones are repeats that measure the person.
    """
    several = battles[votes.sum(axis=1) > 1]
    if not several.size:
        return None
    rows = cells.votes_by_voter(
        arena=arena, slice=slice, up_to=up_to, battles=set(several.tolist())
    )
    if not len(rows):
        return None
    _, first = np.unique(rows[:, :2], axis=0, return_index=True)
    battle, voter, outcome = rows[np.sort(first)].T
    return PersonVotes(
        instance=np.searchsorted(battles, battle), person=voter, label=fold_both_bad(outcome)
    )


def _families(system_ids: np.ndarray, judge: Judge) -> tuple[np.ndarray | None, int]:
    """The systems' families as labels in canonical order, and the judge's; None where it has none."""
    if not judge.family:
        return None, -1
    rows = {
        pk: family
        or organisation  # where a source tells only who made a system, that is the family
        for pk, family, organisation in System.objects.filter(
            pk__in=system_ids.tolist()
        ).values_list("pk", "family", "organisation")
    }
    names = [rows[pk] for pk in system_ids.tolist()]
    known = {name: label for label, name in enumerate(sorted({n for n in names if n}))}
    labels = np.array([known.get(name, -1) for name in names])
    return labels, known.get(judge.family, -1)


def _values(
    figures: JudgeFigures,
    tables: list[RatingTable],
    *,
    own: cells.Cells,
    theirs: cells.Cells,
    judge: Judge,
    slice: Slice,
    timings: dict[str, float],
    n_instances: int,
) -> dict[str, Any]:
    """The columns of a report beside those that identify it."""
    instances = figures.instances
    return {
        "slice": slice.as_json(),
        "judge": judge,
        "timings": timings,
        "last_verdict_id": own.cut.verdict,
        "last_retraction_id": own.cut.retraction,
        "last_exclusion_id": own.cut.exclusion,
        "tau": figures.tau.value,
        "tau_lower": figures.tau.lower,
        "tau_upper": figures.tau.upper,
        "alpha": figures.alpha.value,
        "alpha_lower": figures.alpha.lower,
        "alpha_upper": figures.alpha.upper,
        "delta": figures.delta.value,
        "kappa": instances.kappa_ties_in.value if instances else None,
        "accuracy": instances.accuracy_ties_in.value if instances else None,
        "n_systems": figures.n_shared_systems,
        "n_battles": n_instances,
        "n_prompts": figures.judge_counts.prompts,
        "n_judge_verdicts": figures.judge_counts.verdicts,
        "n_reference_verdicts": figures.reference_counts.verdicts,
        "n_set_aside": own.n_set_aside + theirs.n_set_aside,
        "figures": as_json(figures, tables, system_ids=own.system_ids.tolist()),
    }


def as_json(
    figures: JudgeFigures, tables: list[RatingTable], *, system_ids: list[int]
) -> dict[str, Any]:
    """Every figure of a report, ready for JSON: no nan, and a reason where there is no value."""
    instances = figures.instances
    least_squares = figures.decisiveness_least_squares
    found: dict[str, Any] = {
        "tau": _figure(figures.tau),
        "ceiling": _figure(figures.ceiling.full),
        "ceiling_of_halves": _figure(figures.ceiling.half) | {"split": figures.ceiling.split},
        "spearman": _figure(figures.agreement.spearman),
        "pearson": _figure(figures.agreement.pearson),
        "top_k_overlap": _figure(figures.agreement.top_k_overlap),
        "rank_biased_overlap": _figure(figures.agreement.rank_biased_overlap),
        "alpha": _figure(figures.alpha)
        | {
            "estimator": "maximum likelihood",
            "uncorrected": figures.decisiveness.uncorrected,
            "warnings": [figures.decisiveness.warning] if figures.decisiveness.warning else [],
        },
        "alpha_least_squares": _figure(least_squares.alpha)
        | {
            "estimator": "least squares",
            "warnings": [least_squares.warning] if least_squares.warning else [],
        },
        "delta": _figure(figures.delta),
        "delta_corrected": _figure(figures.bias.delta_corrected),
        "bias_baseline": figures.bias.baseline,
        "family_bias": _figure(figures.family_bias),
        "krippendorff": _figure(figures.people_alpha),
        "separability": _figure(figures.separation.separability),
        "separability_of_people": _figure(figures.separation.separability_of_reference),
        "agreement_with_confidence": _figure(figures.separation.agreement_with_confidence),
        "brier": _figure(figures.separation.brier),
        "alt_tests": [_alt_test(test) for test in figures.alt_tests.values()],
        "surface": [
            {
                "name": name,
                "judge": _figure(found.judge),
                "people": _figure(found.people),
                "difference": _figure(found.difference),
            }
            for name, found in figures.surface.items()
        ],
        "alt_test_people": _alt_test_people(list(figures.alt_tests.values())),
        "resampled": figures.resampled,
        "rounds": figures.rounds,
        "level": figures.level,
        "systems": _systems(figures, tables, system_ids),
        "pairs": _pairs(figures),
        "notes": list(figures.notes),
    }
    for name in ("accuracy", "kappa"):
        for suffix, ties in (("", "ties_in"), ("_without_ties", "ties_out")):
            value = getattr(instances, f"{name}_{ties}") if instances else None
            found[name + suffix] = _figure(value) | {"rule": instances.rule} if value else None
    # Rows are people's majority, columns the judge: A, B, tie.
    found["confusion"] = instances.confusion.T.astype(int).tolist() if instances else None
    return found


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "value": figure.value,
        "lower": figure.lower,
        "upper": figure.upper,
        "n": figure.n,
        "unit": figure.unit,
        "reason": figure.reason,
    }


def _alt_test(test: AltTest) -> dict[str, Any]:
    return {
        "epsilon": test.epsilon,
        "omega": _figure(test.omega),
        "rho": _figure(test.rho),
        "passes": test.passes,
        "n_people": test.n_people,
        "n_battles": test.n_instances,
        "votes_needed": test.votes_needed,
    }


def _alt_test_people(tests: list[AltTest]) -> list[dict[str, Any]]:
    """A row for each person who was tested, without who it is; p and whether replaceable are by epsilon."""
    if not tests:
        return []
    people = tests[0].people
    return [
        {
            "n": int(people.n[at]),
            "judge": _number(people.judge_wins[at], digits=5),
            "person": _number(people.person_wins[at], digits=5),
            "p": [_number(test.people.p[at], digits=8) for test in tests],
            "replaceable": [bool(test.people.rejected[at]) for test in tests],
        }
        for at in np.argsort(-people.n, kind="stable").tolist()
    ]


def _systems(
    figures: JudgeFigures, tables: list[RatingTable], system_ids: list[int]
) -> list[dict[str, Any]]:
    """One dict per system that either side rates, best by people first."""
    judge, reference = tables
    described = {
        pk: {"slug": slug, "name": f"{name} {version}".strip(), "organisation": organisation}
        for pk, slug, name, version, organisation in System.objects.filter(
            pk__in=system_ids
        ).values_list("pk", "slug", "name", "version", "organisation")
    }
    rows = []
    for index, pk in enumerate(system_ids):
        if not (np.isfinite(judge.rating[index]) or np.isfinite(reference.rating[index])):
            continue
        row = described[pk] | {
            "n": int(judge.n_verdicts[index]),
            "n_reference": int(reference.n_verdicts[index]),
        }
        for side, table in (("judge", judge), ("reference", reference)):
            for name, values in (
                ("rating", table.rating),
                ("lower", table.lower),
                ("upper", table.upper),
            ):
                row[f"{side}_{name}"] = _number(values[index], digits=2)
        for name, values in (
            ("bias", figures.bias.bias),
            ("bias_lower", figures.bias.lower),
            ("bias_upper", figures.bias.upper),
        ):
            row[name] = _number(values[index], digits=5)
        rows.append(row)
    return sorted(rows, key=lambda row: -(row["reference_rating"] or float("-inf")))


def _pairs(figures: JudgeFigures) -> list[list[float]]:
    """[people's fitted win rate, the judge's win rate, its verdicts], the pairs with most verdicts."""
    points = figures.pairs
    known = np.flatnonzero(np.isfinite(points.fitted_rate))
    known = known[np.argsort(-points.n_judge[known], kind="stable")][:MAX_PAIR_POINTS]
    return [
        [
            round(float(points.fitted_rate[i]), 4),
            round(float(points.judge_rate[i]), 4),
            int(points.n_judge[i]),
        ]
        for i in known
    ]


def _number(value: float, *, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None
