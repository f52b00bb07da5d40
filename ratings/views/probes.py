"""How robust a judge is to what should not matter: its runs of probes."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from arena.access import role_of, visible_arena
from arena.downloads import as_csv, as_json
from arena.fragments import answers_in_parts, wants_part
from arena.markdown import printable
from arena.models import Arena, Membership
from judges.models import Judge, JudgeRun, Outcome
from judges.probes import PROBES
from judges.runs.probing import begun
from judges.runs.progress import UNDER_WAY, progress_of
from judges.selections import id_from
from ratings.probes import Probed, fooled_page, probed, sentences

RUNS_LISTED = 20
COLUMNS = (
    "probe", "n", "unchanged", "unchanged_lower", "unchanged_upper", "retest", "beyond_noise",
    "beyond_noise_lower", "beyond_noise_upper", "n_fooled", "n_towards", "n_away", "p_towards",
)  # fmt: skip


@require_safe
@answers_in_parts
def probes(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    # Printable: PostgreSQL refuses a question with a NUL in it.
    judge = get_object_or_404(
        Judge.objects.exclude(kind=Judge.Kind.CROWD), arena=place, slug=printable(slug)
    )
    run, runs = _chosen(request, judge)
    if "format" in request.GET:
        return _download(request, place, judge, run)
    context: dict[str, Any] = {
        "arena": place,
        "judge": judge,
        "run": run,
        "runs": runs,
        "manages": role_of(request.user, place) == Membership.Role.MAINTAINER,
        "can_be_probed": judge.kind == Judge.Kind.LLM and "protocol_digest" in judge.configuration,
    }
    if run is not None:
        context |= _about(run, place)
        if wants_part(request) and request.GET.get("part") == "figures":
            return _part(request, run, context)
        context |= _fooled(request, run, place)
    return render(request, "ratings/probes.html", context)


def _part(request: HttpRequest, run: JudgeRun, context: dict[str, Any]) -> HttpResponse:
    """What an open page asks for: the figures so far, or to be loaded anew once it is over."""
    if run.state not in UNDER_WAY:
        response = HttpResponse()
        response.headers["HX-Refresh"] = "true"
        return response
    return render(request, "ratings/_probes.html", context)


def _chosen(request: HttpRequest, judge: Judge) -> tuple[JudgeRun | None, list[JudgeRun]]:
    """The run that the address names, else the latest; and the runs to choose from."""
    found = begun(JudgeRun.objects.filter(judge=judge)).order_by("-pk")
    runs = list(found[:RUNS_LISTED])
    if "run" not in request.GET:
        return (runs[0] if runs else None), runs
    return get_object_or_404(found, pk=id_from(request.GET["run"])), runs


def _about(run: JudgeRun, place: Arena) -> dict[str, Any]:
    found = probed(run, place)
    return {"found": found, "sentences": sentences(found), "progress": progress_of(run)}


def _fooled(request: HttpRequest, run: JudgeRun, place: Arena) -> dict[str, Any]:
    probe = request.GET.get("probe", "")
    if probe and probe not in run.probes["names"]:
        raise Http404("This run asked with no such probe.")
    after = None
    if "after" in request.GET and (after := id_from(request.GET["after"])) is None:
        raise Http404("after is the number of a comparison.")
    fooled, more = fooled_page(run, place, user=request.user, probe=probe, after=after)
    return {
        "fooled": fooled,
        "more": more,
        "is_first_page": after is None,
        "probe": PROBES.get(probe),
        "outcomes": dict(Outcome.choices),
    }


def _download(
    request: HttpRequest, place: Arena, judge: Judge, run: JudgeRun | None
) -> HttpResponse:
    if run is None:
        raise Http404("This judge has not been probed yet.")
    name, found = f"{place.slug}-{judge.slug}-probes", probed(run, place)
    wanted = request.GET["format"]
    if wanted == "json":
        return as_json(name, as_content(place, judge, run, found))
    if wanted != "csv":
        raise Http404("format is csv or json.")
    return as_csv(name, COLUMNS, (_cells(row.as_dict()) for row in found.rows))


def as_content(place: Arena, judge: Judge, run: JudgeRun, found: Probed) -> dict[str, Any]:
    """A run's figures as JSON, the same for downloads and for the API."""
    return {
        "arena": place.slug,
        "judge": judge.slug,
        "run": run.pk,
        "state": run.state,
        "seed": run.probes["seed"],
        "probes_version": run.probes["version"],
        "n_battles": found.n_battles,
        "n_prompts": found.n_prompts,
        "n_calls_failed": run.failed,
        "sentences": sentences(found),
        "retest": found.retest,
        "probes": [row.as_dict() for row in found.rows],
    }


def _cells(row: dict[str, Any]) -> list[Any]:
    flat = dict(row)
    for name in ("unchanged", "beyond_noise"):
        flat |= {f"{name}_{bound}": row[name][bound] for bound in ("lower", "upper")}
        flat[name] = row[name]["value"]
    flat["retest"] = row["retest"]["value"]
    return [flat[name] for name in COLUMNS]
