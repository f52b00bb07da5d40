"""The judges of an arena beside people, and the report of each."""

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from arena.access import visible_arena
from arena.downloads import as_csv, as_json
from arena.fragments import answers_in_parts, wants_part
from arena.markdown import printable
from arena.models import Arena
from judges.derived_figures import derived_figures
from judges.disclosure import disclosed
from judges.models import Judge
from judges.selections import id_from
from ratings import charts, wording
from ratings.judge_tables import (
    COLUMNS,
    DEFAULT_SORT,
    SORTS,
    VIEWS,
    drawn,
    judge_rows,
    people_among_themselves,
    state_in_words,
    tau_scale,
)
from ratings.models import JudgeReport
from ratings.publications import BATTLES, MAX_ATTEMPTS, publication_for, report_for
from ratings.report_tables import TABLES, bias_order, confusion_rows, win_rate_bins
from ratings.slices import Slice

FIGURES = ("ratings", "decisiveness", "bias")
# A page lists this many systems or judges; downloads have all.
LISTED = 200


@require_safe
def judges(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    kind = request.GET.get("kind", "")
    here = set(
        Judge.objects.filter(arena=place).order_by().values_list("kind", flat=True).distinct()
    )
    machines = [choice for choice in Judge.Kind.choices if choice[0] != Judge.Kind.CROWD]
    unknown_kind = bool(kind) and kind not in dict(machines)
    kinds = [choice for choice in machines if choice[0] in here or choice[0] == kind]
    sort = request.GET.get("sort", DEFAULT_SORT)
    if sort.removeprefix("-") not in SORTS:
        sort = DEFAULT_SORT
    rows = [] if unknown_kind else judge_rows(place, kind=kind, sort=sort)
    wanted = request.GET.get("format", "")
    if wanted == "csv":
        return as_csv(f"{place.slug}-judges", COLUMNS, (row.as_dict().values() for row in rows))
    if wanted == "json":
        content = {
            "arena": place.slug,
            "reference": "people",
            "battles": "shared",
            "level": wording.LEVEL,
            "judges": [row.as_dict() for row in rows],
        }
        return as_json(f"{place.slug}-judges", content)
    kept = {"kind": kind} if kind and not unknown_kind else {}
    shown = request.GET.get("show", "")
    if shown not in VIEWS:
        shown = next(iter(VIEWS))
    scale = tau_scale(rows)
    context = {
        "arena": place,
        "rows": drawn(rows[:LISTED], scale),
        "not_listed": max(len(rows) - LISTED, 0),
        "people": Judge.objects.filter(arena=place, kind=Judge.Kind.CROWD).defer("configuration"),
        "sentence": wording.judges_sentence(
            judges=len(rows), with_report=sum(row.report is not None for row in rows)
        ),
        "any_simulated": any(row.judge.is_simulated for row in rows),
        "kinds": kinds,
        "kind": kind,
        "views": VIEWS.items(),
        "shown": shown,
        "epsilon": wording.ALT_TEST_EPSILON,
        "unknown_kind": unknown_kind,
        "sort": sort,
        "scale": scale,
        "downloads": {form: urlencode({**kept, "format": form}) for form in ("csv", "json")},
        "alpha_like_people": wording.ALPHA_LIKE_PEOPLE,
    }
    return render(request, "ratings/judges.html", context)


@require_safe
@answers_in_parts
def judge(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    # Printable: PostgreSQL refuses a question with a NUL in it.
    who = get_object_or_404(Judge, arena=place, slug=printable(slug))
    if who.is_people:
        return _people(request, place, who)
    battles = request.GET.get("battles", BATTLES[0])
    if battles not in BATTLES:
        raise Http404(f"battles is one of {', '.join(BATTLES)}.")
    if "figure" in request.GET:
        return _figure(request, who)
    publication = report_for(arena=place, judge=who, battles=battles, by_page=True)
    report = publication.report
    if "format" in request.GET:
        return _download(request, place, who, report, battles=battles)
    context = _about(place, who) | {
        "publication": publication,
        "report": report,
        "battles": battles,
        "is_waiting": report is None and publication.attempts < MAX_ATTEMPTS,
        "state": state_in_words(publication),
    }
    if report:
        context |= _figures_of(report, who)
    template = "ratings/judge.html"
    if wants_part(request):
        # The polling of a page that waits for its report.
        template = "ratings/_judge_report.html"
    return render(request, template, context)


def _people(request: HttpRequest, place: Arena, who: Judge) -> HttpResponse:
    """People are what judges are measured by: they have no report, but agree with each other or not."""
    report, figures = people_among_themselves(place)
    snapshot = publication_for(arena=place, slice=Slice(), by_page=True).snapshot
    context = _about(place, who) | {
        "measured_on": report,
        "figures": figures,
        "snapshot": snapshot,
        "crowds": Judge.objects.filter(arena=place, kind=Judge.Kind.CROWD).count(),
    }
    return render(request, "ratings/judge_people.html", context)


def _about(place: Arena, who: Judge) -> dict[str, Any]:
    return {
        "arena": place,
        "judge": who,
        "configuration": disclosed(who.configuration),
        "kind": who.get_kind_display(),
        "derived": derived_figures(who),
        "can_be_compared": not who.is_people,
    }


def _figures_of(report: JudgeReport, who: Judge) -> dict[str, Any]:
    figures = report.figures
    systems = figures.get("systems") or []
    by_bias = bias_order(systems)
    confusion, n_compared = confusion_rows(figures.get("confusion"))
    return {
        "figures": figures,
        "clauses": wording.summary_of(figures, family=who.family),
        "systems": systems[:LISTED],
        "systems_not_listed": max(len(systems) - LISTED, 0),
        "by_bias": charts.ends_of(by_bias),
        "bias_shown": min(len(by_bias), charts.MOST_BIASES),
        "bias_known": len(by_bias),
        "bias_height": charts.bias_height(len(by_bias)),
        "bins": win_rate_bins(figures.get("pairs") or []),
        "confusion": confusion,
        "n_compared": n_compared,
        "alt_tests": [
            test | {"people": wording.PEOPLE_BY_EPSILON.get(test["epsilon"], "people")}
            for test in figures.get("alt_tests") or []
        ],
        "surface": [
            (wording.SURFACE.get(one["name"], one["name"]), one)
            for one in figures.get("surface") or []
        ],
        "separation": [
            (name, figures[key]) for key, name in wording.SEPARATION.items() if figures.get(key)
        ],
        "tau_bands": wording.TAU_BANDS[:-1],
        "alpha_like_people": wording.ALPHA_LIKE_PEOPLE,
        "gaps": wording.gaps_in_a_word(wording.Estimate.of(figures.get("alpha"))),
    }


def _figure(request: HttpRequest, who: Judge) -> HttpResponse:
    """One chart as JSON. A report never changes, so neither does what its address gives."""
    pk = id_from(request.GET.get("report"))
    report = get_object_or_404(JudgeReport, judge=who, pk=pk)
    figures = report.figures
    systems = figures.get("systems") or []
    wanted = request.GET["figure"]
    if wanted == "ratings":
        figure = charts.rating_scatter(systems, judge=str(who))
    elif wanted == "decisiveness":
        figure = charts.decisiveness(
            figures.get("pairs") or [], alpha=figures.get("alpha"), judge=str(who)
        )
    elif wanted == "bias":
        figure = charts.biases(systems)
    else:
        raise Http404(f"figure is one of {', '.join(FIGURES)}.")
    if figure is None:
        raise Http404("This report has too few data for the figure.")
    response = JsonResponse(figure)
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


def _download(
    request: HttpRequest, place: Arena, who: Judge, report: JudgeReport | None, *, battles: str
) -> HttpResponse:
    if report is None:
        raise Http404("There is no report of this judge yet.")
    name = f"{place.slug}-{who.slug}-{battles}"
    wanted = request.GET["format"]
    if wanted == "json":
        content = {
            "report": report.pk,
            "arena": place.slug,
            "judge": who.slug,
            "judge_digest": who.digest,
            "simulated": who.is_simulated,
            "reference": report.reference,
            "battles": battles,
            "slice": report.slice,
            "created_at": report.created_at.isoformat(),
            "n": {
                "systems": report.n_systems,
                "battles": report.n_battles,
                "prompts": report.n_prompts,
                "judge_verdicts": report.n_judge_verdicts,
                "reference_verdicts": report.n_reference_verdicts,
            },
            "data_digest": report.data_digest,
            "code_version": report.code_version,
            "seed": report.seed,
            "timings": report.timings,
            "figures": report.figures,
        }
        return as_json(name, content)
    table = TABLES.get(request.GET.get("table", "systems"))
    if wanted != "csv" or table is None:
        raise Http404(f"format is json, or csv with table one of {', '.join(TABLES)}.")
    columns, rows = table(report.figures)
    return as_csv(f"{name}-{request.GET.get('table', 'systems')}", columns, rows)
