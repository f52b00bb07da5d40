"""Judge reports made by hand, as the pages and charts read them."""

from typing import Any

from django.utils import timezone

from arena.models import Arena
from judges.models import Judge
from ratings.models import JudgeReport, Publication
from ratings.publications import report_slice


def estimate(
    value: float | None, lower: float | None = None, upper: float | None = None, **more: Any
) -> dict[str, Any]:
    figure = {"value": value, "lower": lower, "upper": upper, "n": 30, "unit": "verdicts"}
    return figure | {"reason": "" if value is not None else "Too few for this."} | more


def system_row(name: str, *, place: int = 0, bias: float | None = 0.0) -> dict[str, Any]:
    """A system of a report; its bias has an interval of ±.04."""
    return {
        "slug": name.lower(),
        "name": name,
        "organisation": f"{name} Labs",
        "judge_rating": 1100.0 - 50 * place,
        "judge_lower": 1060.0 - 50 * place,
        "judge_upper": 1140.0 - 50 * place,
        "reference_rating": 1050.0 - 20 * place,
        "reference_lower": 1030.0 - 20 * place,
        "reference_upper": 1070.0 - 20 * place,
        "bias": bias,
        "bias_lower": None if bias is None else bias - 0.04,
        "bias_upper": None if bias is None else bias + 0.04,
        "n": 40,
        "n_reference": 80,
    }


def alt_test(
    epsilon: float = 0.1, omega: float = 0.25, passes: bool | None = False, needed: int | None = 321
) -> dict[str, Any]:
    return {
        "epsilon": epsilon,
        "omega": estimate(omega, n=4, unit="people"),
        "rho": estimate(0.79, 0.74, 0.84, unit="votes"),
        "passes": passes,
        "n_people": 9,
        "n_battles": 60,
        "votes_needed": needed,
    }


def figures(**changed: Any) -> dict[str, Any]:
    """A report that has everything: near the ceiling, exaggerating, favouring Ada."""
    return {
        "tau": estimate(0.54, 0.41, 0.63, unit="systems"),
        "ceiling": estimate(0.66, 0.6, 0.71),
        "ceiling_of_halves": estimate(0.6, 0.55, 0.66, split="battles"),
        "spearman": estimate(0.7, 0.6, 0.8),
        "pearson": estimate(0.72, 0.6, 0.8),
        "alpha": estimate(1.84, 1.5, 2.2, estimator="maximum likelihood", warnings=[]),
        "alpha_least_squares": estimate(1.1, 1.0, 1.3, estimator="least squares", warnings=[]),
        "delta": estimate(0.085, 0.05, 0.12, unit="systems"),
        "delta_corrected": estimate(0.06, 0.03, 0.09),
        "family_bias": estimate(0.09, 0.02, 0.16, unit="systems of the judge's family"),
        "accuracy": estimate(0.62, 0.58, 0.66, rule="plurality"),
        "kappa": estimate(0.35, 0.28, 0.41, rule="plurality"),
        "kappa_without_ties": estimate(0.5, 0.4, 0.6, rule="plurality"),
        "krippendorff": estimate(0.29, 0.27, 0.31, unit="battles"),
        "separability": estimate(0.41, 0.32, 0.5, unit="pairs of systems"),
        "separability_of_people": estimate(0.38, 0.31, 0.47, unit="pairs of systems"),
        "agreement_with_confidence": estimate(0.87, 0.8, 0.92, unit="pairs of systems"),
        "brier": estimate(0.113, 0.081, 0.152, unit="pairs of systems"),
        "surface": [
            {
                "name": "characters",
                "judge": estimate(0.71, 0.66, 0.76, unit="battles"),
                "people": estimate(0.58, 0.54, 0.62, unit="battles"),
                "difference": estimate(0.13, 0.08, 0.18, unit="battles"),
            },
            {"name": "lists", **dict.fromkeys(("judge", "people", "difference"), estimate(None))},
        ],
        "alt_tests": [alt_test(0.2, 0.75, True, 0), alt_test(0.15, 0.5, True, 0), alt_test()],
        "alt_test_people": [
            {
                "n": 44,
                "judge": 0.81,
                "person": 0.8,
                "p": [0.001, 0.01, 0.0441],
                "replaceable": [True, True, False],
            }
        ],
        "systems": [
            system_row("Ada", place=0, bias=0.09),
            system_row("Basil", place=1, bias=-0.02),
            system_row("Cleo", place=2, bias=-0.07),
        ],
        "pairs": [[0.62, 0.8, 12], [0.7, 0.9, 12], [0.4, 0.3, 10]],
        "confusion": [[20, 6, 4], [5, 18, 2], [7, 5, 3]],
        "resampled": "prompts",
        "rounds": 1000,
        "level": 0.95,
        "notes": ["Only 3 systems are ranked by both: one exchange moves tau far."],
    } | changed


def make_report(judge: Judge, *, battles: str = "shared", **changed: Any) -> JudgeReport:
    """The report and the publication that shows it; ``changed`` are columns or, in ``figures``, figures."""
    slice = report_slice(judge, battles=battles)
    values = figures(**changed.pop("figures", {}))
    known = {name: values[name] or {} for name in ("tau", "alpha", "delta", "kappa", "accuracy")}
    report = JudgeReport.objects.create(
        **{
            "arena": judge.arena,
            "judge": judge,
            "reference": "people",
            "slice": slice.as_json(),
            "slice_digest": slice.digest,
            "data_digest": "d" * 64,
            "seed": 1,
            "code_version": "test",
            "rounds": 1000,
            "n_systems": 3,
            "n_battles": 70,
            "n_prompts": 35,
            "n_judge_verdicts": 70,
            "n_reference_verdicts": 140,
            "figures": values,
            **{name: figure.get("value") for name, figure in known.items()},
            **{
                f"{name}_{end}": known[name].get(end)
                for name in ("tau", "alpha")
                for end in ("lower", "upper")
            },
            **changed,
        }
    )
    make_publication(judge, battles=battles, report=report, refreshed_at=timezone.now())
    return report


def make_publication(judge: Judge, *, battles: str = "shared", **fields: Any) -> Publication:
    slice = report_slice(judge, battles=battles)
    return Publication.objects.create(
        arena=judge.arena,
        kind=Publication.Kind.REPORT,
        slice=slice.as_json(),
        slice_digest=slice.digest,
        judge=judge,
        counts_people=True,
        **fields,
    )


def make_panel(arena: Arena, size: int) -> list[Judge]:
    """So many LLM judges, each with a report; the first has the lowest τ."""
    judges = []
    for number in range(size):
        judge = Judge.objects.create(
            arena=arena, name=f"Judge {number:02}", slug=f"judge-{number:02}", kind=Judge.Kind.LLM
        )
        tau = round(0.1 + 0.8 * number / size, 3)
        make_report(judge, figures={"tau": estimate(tau, tau - 0.1, tau + 0.1)})
        judges.append(judge)
    return judges
