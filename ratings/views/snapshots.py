"""A published snapshot: how it was computed, and how to compute it again."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import visible_arena
from ratings.models import Snapshot
from ratings.slices import METHODS
from ratings.views.leaderboards import snapshot_download, table_context


@require_safe
def snapshot(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = visible_arena(request.user, arena)
    found = get_object_or_404(
        Snapshot.objects.select_related("arena", "previous"), arena=place, pk=pk
    )
    if "format" in request.GET:
        wanted = request.GET["format"]
        if wanted not in downloads.FORMATS:
            raise Http404(f"format is one of {', '.join(downloads.FORMATS)}.")
        return snapshot_download(wanted, f"{place.slug}-snapshot-{found.pk}", found)
    context = {
        "arena": place,
        "snapshot": found,
        "following": Snapshot.objects.filter(previous=found).order_by("pk").first(),
        "slice": {key: value for key, value in found.slice.items() if value not in ("", 0, 0.0)},
        "method": METHODS.get(found.slice.get("method", ""), found.slice.get("method", "")),
        "total_seconds": sum(found.timings.values()),
        **table_context(request, found),
    }
    return render(request, "ratings/snapshot.html", context)
