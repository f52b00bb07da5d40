"""The leaderboard of a slice, and its top five for other pages."""

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import visible_arena
from arena.fragments import answers_in_parts, wants_part
from arena.models import Arena
from ratings import leaderboards
from ratings.leaderboards import State, state_of
from ratings.models import Snapshot
from ratings.slice_choices import Chosen, chosen_slice
from ratings.slices import Slice, SliceError
from ratings.tables import COLUMNS, rating_rows, snapshot_as_json
from ratings.taken_back import taken_back_since

STANDING_SYSTEMS = 5


def chosen_or_404(request: HttpRequest, arena: Arena) -> Chosen:
    try:
        return chosen_slice(request.GET, arena=arena)
    except SliceError as error:
        raise Http404(str(error)) from error


@require_safe
def leaderboard(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    chosen = chosen_or_404(request, place)
    state = state_of(arena=place, slice=chosen.slice)
    wanted = request.GET.get("format", "")
    if wanted:
        return _download(wanted, place, chosen, state)
    context = {"arena": place, "chosen": chosen, "state": state, "snapshot": state.snapshot}
    if request.GET.get("part") == "live":
        return _only_if_newer(request, state)
    if request.GET.get("part") == "freshness":
        context["seen"] = request.GET.get("seen", "")
        return render(request, "ratings/_freshness.html", context)
    if state.snapshot:
        # In memory only: the snapshot's own page says what was taken back when it was counted.
        state.snapshot.n_retracted += taken_back_since(state.snapshot)
        context |= table_context(request, state.snapshot)
    return render(request, "ratings/leaderboard.html", context)


@require_safe
def file(request: HttpRequest, arena: str, form: str) -> HttpResponse:
    """The same as ?format=, at an address that says what it is."""
    place = visible_arena(request.user, arena)
    chosen = chosen_or_404(request, place)
    return _download(form, place, chosen, state_of(arena=place, slice=chosen.slice))


def _only_if_newer(request: HttpRequest, state: State) -> HttpResponse:
    """For who has the page open: nothing while ``?seen=`` is the latest snapshot, else on to the page."""
    if state.snapshot is None or request.GET.get("seen", "") == str(state.snapshot.pk):
        return HttpResponse(status=204)
    query = request.GET.copy()
    for name in ("part", "seen"):
        query.pop(name, None)
    return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")


@require_safe
@answers_in_parts
def top(request: HttpRequest, arena: str) -> HttpResponse:
    """A part of the arena's page; opened by itself it is a small page of its own."""
    place = visible_arena(request.user, arena)
    chosen = chosen_or_404(request, place)
    state = state_of(arena=place, slice=chosen.slice)
    context = {"arena": place, "chosen": chosen, "state": state, "snapshot": state.snapshot}
    if state.snapshot:
        extent = leaderboards.extent(state.snapshot)
        best = leaderboards.ranked(state.snapshot)[: leaderboards.TOP]
        context |= {
            "scale": extent.scale,
            "rows": list(leaderboards.rows(best, extent.scale, by_rank=True)),
            "is_short": True,
        }
    template = "ratings/_top.html" if wants_part(request) else "ratings/top.html"
    return render(request, template, context)


@require_safe
@answers_in_parts
def standing(request: HttpRequest, arena: str) -> HttpResponse:
    """How a few systems (``?system=``, by address) stand among all: a part of the page after a vote."""
    place = visible_arena(request.user, arena)
    state = state_of(arena=place, slice=Slice())
    context = {"arena": place, "state": state, "snapshot": state.snapshot}
    if state.snapshot:
        extent = leaderboards.extent(state.snapshot)
        asked = request.GET.getlist("system")[:STANDING_SYSTEMS]
        found = leaderboards.ranked(state.snapshot).filter(system__slug__in=asked)
        context |= {
            "scale": extent.scale,
            "rows": list(leaderboards.rows(found, extent.scale, by_rank=True)),
            "is_short": True,
        }
    template = "ratings/_standing.html" if wants_part(request) else "ratings/standing.html"
    return render(request, template, context)


def table_context(request: HttpRequest, snapshot: Snapshot) -> dict:
    """What the table of a snapshot shows: filtered and cut into pages by the database."""
    sort = leaderboards.sort_key(request.GET.get("sort", ""))
    words = request.GET.get("q", "").replace("\x00", "").strip()[:100]
    found = leaderboards.ranked(snapshot, sort=sort, words=words)
    page = Paginator(found, leaderboards.ROWS_A_PAGE).get_page(request.GET.get("page"))
    extent = leaderboards.extent(snapshot)
    by_rank = sort == leaderboards.DEFAULT_SORT
    unranked = (
        leaderboards.unranked(snapshot)[: leaderboards.UNRANKED_SHOWN] if extent.left_out else []
    )
    return {
        "sort": sort,
        "q": words,
        "page": page,
        "scale": extent.scale,
        "extent": extent,
        "rows": list(
            leaderboards.rows(
                page.object_list,
                extent.scale,
                by_rank=by_rank,
                alone=_alone(snapshot),
            )
        ),
        "by_rank": by_rank,
        "unranked": unranked,
    }


def _alone(snapshot: Snapshot) -> dict[str, list[float]]:
    """What stands beside each rating, by slug: people alone, or what isn't held equal. Mostly nothing."""
    if snapshot.style:
        return {slug: [rating] for slug, rating in snapshot.style["plain"].items()}
    return snapshot.helped.get("alone", {})


def _download(wanted: str, place: Arena, chosen: Chosen, state: State) -> HttpResponse:
    if wanted not in downloads.FORMATS:
        raise Http404(f"format is one of {', '.join(downloads.FORMATS)}.")
    if state.snapshot is None:
        response = HttpResponse(
            f"{state.why_nothing}\n", content_type="text/plain; charset=utf-8", status=503
        )
        response.headers["Retry-After"] = "300" if state.is_refused else "5"
        return response
    parts = (
        place.slug,
        "leaderboard",
        chosen.slice.judge,
        chosen.slice.category,
        chosen.slice.method,
        chosen.slice.helped_by and f"helped-by-{chosen.slice.helped_by}",
    )
    return snapshot_download(wanted, "-".join(part for part in parts if part), state.snapshot)


def snapshot_download(wanted: str, name: str, snapshot: Snapshot) -> HttpResponse:
    """The whole snapshot. In the CSV every row says which snapshot it is from: tables get concatenated."""
    if wanted == "json":
        return downloads.as_json(name, snapshot_as_json(snapshot))
    origin = {
        "snapshot": snapshot.pk,
        "computed_at": snapshot.created_at.isoformat(timespec="seconds"),
        "judge": snapshot.slice.get("judge", ""),
        "category": snapshot.slice.get("category", ""),
        "criterion": snapshot.slice.get("criterion", ""),
        "method": snapshot.slice.get("method", ""),
        "helped_by": snapshot.slice.get("helped_by", ""),
        "interval": snapshot.interval,
        "rounds": snapshot.rounds,
        "data_digest": snapshot.data_digest,
        "engine": snapshot.code_version,
    }
    rows = ([*row.values(), *origin.values()] for row in rating_rows(snapshot))
    return downloads.as_csv(name, [*COLUMNS, *origin], rows)
