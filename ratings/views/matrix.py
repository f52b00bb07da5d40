"""Win rates of every system against every other."""

from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import visible_arena
from arena.models import Arena
from ratings import leaderboards, records
from ratings.leaderboards import state_of
from ratings.models import Rating, Snapshot
from ratings.views.leaderboards import chosen_or_404

SYSTEMS_A_PAGE = 40
COLUMNS = ("system", "opponent", "wins", "losses", "ties", "both_bad", "n_verdicts", "win_rate")


@require_safe
def matrix(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    chosen = chosen_or_404(request, place)
    state = state_of(arena=place, slice=chosen.slice)
    if "format" in request.GET:
        if request.GET["format"] not in downloads.FORMATS:
            raise Http404(f"format is one of {', '.join(downloads.FORMATS)}.")
        if state.snapshot is None:
            raise Http404(state.why_nothing)
        name = f"{place.slug}-win-rates-{chosen.slice.judge}"
        return _download(request.GET["format"], name, place, state.snapshot)
    context = {"arena": place, "chosen": chosen, "state": state, "snapshot": state.snapshot}
    if state.snapshot:
        rows = _page(state.snapshot, request.GET.get("page"))
        across = request.GET.get("columns")
        columns = _page(state.snapshot, across) if across else rows
        context |= {
            "rows_page": rows,
            "columns_page": columns,
            "columns": list(columns.object_list),
            "matrix": records.matrix(
                state.snapshot, rows=list(rows.object_list), columns=list(columns.object_list)
            ),
            "ramp": [step / 5 for step in range(6)],
        }
    return render(request, "ratings/matrix.html", context)


def _page(snapshot: Snapshot, number: str | None) -> Page:
    page = Paginator(leaderboards.ranked(snapshot), SYSTEMS_A_PAGE).get_page(number)
    page.object_list = list(page.object_list)
    return page


def _download(wanted: str, name: str, place: Arena, snapshot: Snapshot) -> HttpResponse:
    """A line for every ordered pair that met, of all systems, the unranked too."""
    slugs = dict(Rating.objects.filter(snapshot=snapshot).values_list("system_id", "system__slug"))
    found = records.records(snapshot, of=set(slugs))
    rows = (
        (slugs[one], slugs[other], *record, record.n, round(record.win_rate, 6))
        for (one, other), record in sorted(found.items())
    )
    if wanted == "csv":
        return downloads.as_csv(name, COLUMNS, rows)
    content = {
        "snapshot": snapshot.pk,
        "arena": place.slug,
        "slice": snapshot.slice,
        "created_at": snapshot.created_at.isoformat(),
        "data_digest": snapshot.data_digest,
        "pairs": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
    }
    return downloads.as_json(name, content)
