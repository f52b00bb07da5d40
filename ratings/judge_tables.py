"""Every judge of an arena beside people: the rows of the judges' page and of its downloads."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from django.db.models.fields.json import KeyTransform

from arena.models import Arena
from judges.models import Judge
from ratings.models import JudgeReport, Publication
from ratings.publications import MAX_ATTEMPTS, report_slice
from ratings.scales import Bar, Scale
from ratings.wording import ALT_TEST_EPSILON, Estimate, decimal, gaps_in_a_word

# What the table can be sorted by, and whether the most interesting end is the high one.
SORTS = {
    "name": False,
    "tau": True,
    "alpha": True,
    "delta": False,
    "kappa": True,
    "accuracy": True,
    "verdicts": True,
    "systems": True,
    "battles": True,
    "omega": True,
    "rho": True,
    "separability": True,
    "agreement_with_confidence": True,
    "brier": False,
}
# Beside the columns of a report: read from its figures.
MORE = ("separability", "agreement_with_confidence", "brier", "alt_tests")
# What the table shows: how it ranks systems, or whether it could stand in for people.
VIEWS = {"ranking": "How it ranks systems", "replacing": "Whether it may replace people"}
DEFAULT_SORT = "-tau"

COLUMNS = (
    *("judge", "name", "kind", "family", "simulated"),
    *("tau", "tau_lower", "tau_upper", "ceiling", "ceiling_lower", "ceiling_upper"),
    *("alpha", "alpha_lower", "alpha_upper", "gaps", "delta", "kappa", "accuracy"),
    *("verdicts", "systems", "battles"),
    *(
        "alt_test_epsilon",
        "alt_test_passes",
        "omega",
        "rho",
        "rho_lower",
        "rho_upper",
        "votes_needed",
    ),
    *("separability", "agreement_with_confidence", "brier", "computed_at", "note"),
)


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """A judge and its latest report on the battles shared with people; ``why`` there is none of either."""

    judge: Judge
    report: JudgeReport | None
    ceiling: Estimate | None
    why: str = ""
    # Where τ and the noise ceiling stand on the scale that the rows share.
    bar: Bar | None = None
    ceiling_at: float | None = None
    # The entries of MORE, as the report has them.
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def tau(self) -> Estimate | None:
        if self.report is None or self.report.tau is None:
            return None
        return Estimate(self.report.tau, self.report.tau_lower, self.report.tau_upper)

    @property
    def alpha(self) -> Estimate | None:
        if self.report is None or self.report.alpha is None:
            return None
        return Estimate(self.report.alpha, self.report.alpha_lower, self.report.alpha_upper)

    @property
    def gaps(self) -> str:
        return gaps_in_a_word(self.alpha)

    @property
    def alt_test(self) -> dict[str, Any]:
        """The alternative annotator test with the allowance of a crowd; empty where the report has none."""
        tests = self.more.get("alt_tests") or []
        return next((test for test in tests if test["epsilon"] == ALT_TEST_EPSILON), {})

    def figure(self, name: str) -> Estimate | None:
        source = self.alt_test if name in ("omega", "rho") else self.more
        return Estimate.of(source.get(name))

    @property
    def separability(self) -> Estimate | None:
        return self.figure("separability")

    @property
    def agreement_with_confidence(self) -> Estimate | None:
        return self.figure("agreement_with_confidence")

    @property
    def brier(self) -> Estimate | None:
        return self.figure("brier")

    @property
    def omega(self) -> Estimate | None:
        return self.figure("omega")

    @property
    def rho(self) -> Estimate | None:
        return self.figure("rho")

    def value(self, column: str) -> Any:
        """What the table is sorted by; None sorts last in both directions."""
        if column == "name":
            return str(self.judge).casefold()
        if self.report is None:
            return None
        if column in ("omega", "rho", "separability", "agreement_with_confidence", "brier"):
            found = self.figure(column)
            return found and found.value
        names = {"verdicts": "n_judge_verdicts", "systems": "n_systems", "battles": "n_battles"}
        return getattr(self.report, names.get(column, column))

    def as_dict(self) -> dict[str, Any]:
        """Under COLUMNS; empty where there is no report."""
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        row |= {
            "judge": self.judge.slug,
            "name": str(self.judge),
            "kind": self.judge.kind,
            "family": self.judge.family,
            "simulated": self.judge.is_simulated,
            "note": self.why,
        }
        if self.report is None:
            return row
        own = ("tau", "tau_lower", "tau_upper", "alpha", "alpha_lower", "alpha_upper", "delta")
        row |= {name: getattr(self.report, name) for name in (*own, "kappa", "accuracy")}
        row |= {name: self.value(name) for name in ("verdicts", "systems", "battles")}
        if self.alt_test:
            row |= {
                "alt_test_epsilon": self.alt_test["epsilon"],
                "alt_test_passes": self.alt_test["passes"],
                "votes_needed": self.alt_test["votes_needed"],
            }
        for name in ("omega", "rho", "separability", "agreement_with_confidence", "brier"):
            row[name] = self.value(name)
        if self.rho:
            row |= {f"rho_{end}": getattr(self.rho, end) for end in ("lower", "upper")}
        row |= {"gaps": self.gaps, "computed_at": self.report.created_at.isoformat()}
        if self.ceiling:
            row["ceiling"] = self.ceiling.value
            row |= {f"ceiling_{end}": getattr(self.ceiling, end) for end in ("lower", "upper")}
        return row


def judge_rows(arena: Arena, *, kind: str = "", sort: str = DEFAULT_SORT) -> list[JudgeRow]:
    """A row for each judge that isn't people, sorted. Two queries, whatever the number of judges.

    ``sort`` is a key of SORTS, with "-" in front for the highest first; anything else is DEFAULT_SORT.
    """
    judges = Judge.objects.filter(arena=arena).exclude(kind=Judge.Kind.CROWD)
    if kind:
        judges = judges.filter(kind=kind)
    found = list(judges.defer("configuration", "description"))
    # The figures of a report may be large, and two of them are all that is read here.
    publications = (
        Publication.objects.filter(arena=arena, kind=Publication.Kind.REPORT, judge__in=judges)
        .select_related("report")
        .defer("report__figures", "report__slice", "report__timings", "slice")
        .annotate(
            ceiling=KeyTransform("ceiling", "report__figures"),
            why_no_tau=KeyTransform("reason", KeyTransform("tau", "report__figures")),
            **{name: KeyTransform(name, "report__figures") for name in MORE},
        )
    )
    by_digest = {publication.slice_digest: publication for publication in publications}
    rows = [_row(judge, by_digest.get(report_slice(judge).digest)) for judge in found]
    return sorted_rows(rows, sort)


def tau_scale(rows: Sequence[JudgeRow]) -> Scale:
    """From 0, or where the lowest interval ends, to 1."""
    ends = [row.tau.lower if row.tau.has_interval else row.tau.value for row in rows if row.tau]
    lowest = min([0.0, *ends])
    return Scale(
        -1.0 if lowest < -0.5 else -0.5 if lowest < 0 else 0.0, 1.0, partial(decimal, digits=1)
    )


def drawn(rows: Sequence[JudgeRow], scale: Scale) -> list[JudgeRow]:
    """The rows with their places on the scale."""
    return [
        replace(
            row,
            bar=row.tau and scale.bar(row.tau.value, row.tau.lower, row.tau.upper),
            ceiling_at=row.ceiling and scale.position(row.ceiling.value),
        )
        for row in rows
    ]


def sorted_rows(rows: Sequence[JudgeRow], sort: str) -> list[JudgeRow]:
    column, highest_first = sort.removeprefix("-"), sort.startswith("-")
    if column not in SORTS:
        column, highest_first = DEFAULT_SORT.removeprefix("-"), True
    by_name = sorted(rows, key=lambda row: (row.value("name"), row.judge.pk))
    known = [row for row in by_name if row.value(column) is not None]
    unknown = [row for row in by_name if row.value(column) is None]
    return sorted(known, key=lambda row: row.value(column), reverse=highest_first) + unknown


def _row(judge: Judge, publication: Publication | None) -> JudgeRow:
    if publication is None:
        return JudgeRow(judge, None, None, "No report yet: opening the judge’s page asks for one.")
    report = publication.report
    if report is None:
        return JudgeRow(judge, None, None, state_in_words(publication))
    why = ""
    if report.tau is None:
        why = publication.why_no_tau or "Too few battles shared with people."
    more = {name: getattr(publication, name) for name in MORE}
    return JudgeRow(judge, report, Estimate.of(publication.ceiling), why, more=more)


def state_in_words(publication: Publication) -> str:
    """Why there is no report yet."""
    if publication.error:
        again = "" if publication.attempts >= MAX_ATTEMPTS else " It will be tried again."
        return f"The report could not be computed: {publication.error}.{again}"
    return "The report is being computed."


def people_among_themselves(arena: Arena) -> tuple[JudgeReport | None, dict[str, Any]]:
    """What is known of how well people agree, from the report that rests on most of their verdicts."""
    publication = (
        Publication.objects.filter(
            arena=arena, kind=Publication.Kind.REPORT, report__reference="people"
        )
        .select_related("report__judge")
        .defer("report__figures")
        .annotate(
            **{
                name: KeyTransform(name, "report__figures")
                for name in ("krippendorff", "ceiling", "ceiling_of_halves")
            }
        )
        .order_by("-report__n_reference_verdicts", "pk")
        .first()
    )
    if publication is None:
        return None, {}
    names = ("krippendorff", "ceiling", "ceiling_of_halves")
    return publication.report, {name: getattr(publication, name) for name in names}
