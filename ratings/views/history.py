"""Snapshots of a slice over time, and the leaderboard for the pages of others."""

from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import visible_arena
from config.middleware import POLICY
from judges.archive.serving import download, too_soon
from ratings import history as history_of
from ratings import leaderboards
from ratings.leaderboards import state_of
from ratings.views.leaderboards import chosen_or_404

THEMES = ("light", "dark")
TOP, MOST = 10, 50  # systems of an embedded table
FRESH = 300  # seconds
# Only this page may stand in a frame: nobody can be made to press anything on it but a link.
IN_A_FRAME = POLICY.replace("frame-ancestors 'none'", "frame-ancestors *")


@require_safe
def history(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    chosen = chosen_or_404(request, place)
    before = request.GET.get("before")
    if before is not None and not (before.isascii() and before.isdigit() and len(before) < 19):
        raise Http404("before is the number of a snapshot.")
    page = history_of.page_of(
        arena=place, slice=chosen.slice, before=None if before is None else int(before)
    )
    context = {"arena": place, "chosen": chosen, "page": page, "is_first": before is None}
    return render(request, "ratings/history.html", context)


@require_safe
def history_csv(request: HttpRequest, arena: str) -> HttpResponseBase:
    """All ratings of all snapshots, sent while they are read."""
    place = visible_arena(request.user, arena)
    chosen = chosen_or_404(request, place)
    if request.method != "HEAD" and (refused := too_soon(request)):
        return refused
    blocks = history_of.all_ratings(arena=place, slice=chosen.slice)
    parts = (place.slug, "history", chosen.slice.judge, chosen.slice.category, chosen.slice.method)
    return download(
        request,
        downloads.csv_pieces(history_of.COLUMNS, blocks),
        name=f"{'-'.join(part for part in parts if part)}.csv",
        kind="text/csv; charset=utf-8",
        is_public=place.is_public,
    )


@require_safe
@xframe_options_exempt
def embed(request: HttpRequest, arena: str) -> HttpResponse:
    """The top of the leaderboard for a frame on somebody's page. Of public arenas only: cookies don't come."""
    place = visible_arena(AnonymousUser(), arena)
    chosen = chosen_or_404(request, place)
    state = state_of(arena=place, slice=chosen.slice)
    wanted = request.GET.get("top", "")
    most = (
        min(int(wanted), MOST) if wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else TOP
    )
    theme = request.GET.get("theme", "")
    context = {
        "arena": place,
        "chosen": chosen,
        "state": state,
        "snapshot": state.snapshot,
        "theme": theme if theme in THEMES else "",
    }
    if state.snapshot:
        extent = leaderboards.extent(state.snapshot)
        best = leaderboards.ranked(state.snapshot)[: max(most, 1)]
        context |= {
            "scale": extent.scale,
            "rows": list(leaderboards.rows(best, extent.scale, by_rank=True)),
        }
    response = render(request, "ratings/embed.html", context)
    response.headers["Content-Security-Policy"] = IN_A_FRAME
    response.headers["Cache-Control"] = f"public, max-age={FRESH}"
    return response
