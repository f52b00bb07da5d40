"""My systems: in one arena, or in all."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import role_of, visible_arena
from arena.submissions.policy import may_submit
from ratings.own_systems import MOST_SYSTEMS, OwnSystem, own_systems

COLUMNS = (
    "arena", "system", "version", "standing", "judge", "rating", "lower", "upper", "rank_lower", "rank_upper",
    "n_verdicts",
)  # fmt: skip


@require_safe
@login_required
def own(request: HttpRequest, arena: str = "") -> HttpResponse:
    place = visible_arena(request.user, arena) if arena else None
    systems = own_systems(request.user, arena=place)
    wanted = request.GET.get("format", "")
    if wanted:
        if wanted not in downloads.FORMATS:
            raise Http404(f"format is one of {', '.join(downloads.FORMATS)}.")
        rows = [row for one in systems for row in _rows(one)]
        name = f"{place.slug}-my-systems" if place else "my-systems"
        if wanted == "csv":
            return downloads.as_csv(name, COLUMNS, rows)
        listed = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        return downloads.as_json(name, {"systems": listed})
    context: dict[str, Any] = {
        "arena": place,
        "systems": systems,
        "are_there_more": len(systems) == MOST_SYSTEMS,
        "refusal": place and may_submit(request.user, place, role=role_of(request.user, place)),
    }
    return render(request, "ratings/own_systems.html", context)


def _rows(one: OwnSystem) -> list[tuple]:
    """A row per judge that rated it; one without figures where nobody has."""
    system = one.system
    about = (system.arena.slug, system.name, system.version, system.standing)
    rated = [("people", one.people)] if one.people else []
    figures = COLUMNS[5:]
    rows = [
        (*about, name, *(getattr(rating, key) for key in figures))
        for name, rating in [*rated, *one.judges]
    ]
    return rows or [(*about, "", *(None for _ in figures))]
