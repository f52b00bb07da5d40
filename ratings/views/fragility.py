"""How fragile the top of a leaderboard is: in sentences first, then what would have to go."""

from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import visible_arena
from arena.models import Arena, System
from judges.models import Outcome
from ratings.fragility import MAX_ATTEMPTS, fragility_of, why_not
from ratings.leaderboards import state_of
from ratings.models import Fragility, Snapshot
from ratings.views.leaderboards import chosen_or_404

# A row of what would have to go, or of what was left out: so many are on the page.
SHOWN = 20
# A rating that moves so far, in points, has no finite end.
FAR = 1500


class Change(NamedTuple):
    """One removal as a sentence has it: ``first`` leaves the top, ``other`` enters it."""

    figures: dict[str, Any]
    leaves: list[System]
    enters: list[System]
    rows: list[dict[str, Any]]

    @property
    def noun(self) -> str:
        return self.figures["unit"].removesuffix("s")

    @property
    def share(self) -> float:
        return self.figures["n"] / self.figures["of"] if self.figures["of"] else 0.0


@require_safe
def fragility(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    chosen = chosen_or_404(request, place)
    state = state_of(arena=place, slice=chosen.slice)
    snapshot = state.snapshot
    reason = why_not(snapshot) if snapshot else ""
    found = fragility_of(snapshot=snapshot) if snapshot and not reason else None
    if request.GET.get("format"):
        return _download(request.GET["format"], place, snapshot, found)
    context = {
        "arena": place,
        "chosen": chosen,
        "state": state,
        "snapshot": snapshot,
        "reason": reason,
        "fragility": found,
    }
    if found:
        context["has_given_up"] = bool(found.error) and found.attempts >= MAX_ATTEMPTS
        if found.computed_at:
            context |= _shown(place, found)
    return render(request, "ratings/fragility.html", context)


def _shown(place: Arena, found: Fragility) -> dict[str, Any]:
    """The figures with their systems. One query, whatever there is."""
    figures = found.figures
    systems = {system.slug: system for system in System.objects.filter(arena=place)}

    def named(slugs: list[str]) -> list[System]:
        return [systems[slug] for slug in slugs if slug in systems]

    words = {outcome.value: outcome.label for outcome in Outcome}
    changes = []
    for removal in figures["removals"]:
        rows = [
            item
            | {
                "a": systems.get(item.get("a", "")),
                "b": systems.get(item.get("b", "")),
                "outcome": words.get(item.get("outcome", -1), ""),
            }
            for item in removal["items"][:SHOWN]
        ]
        changes.append(Change(removal, named(removal["leaves"]), named(removal["enters"]), rows))
    separation = figures["separation"]
    return {
        "figures": figures,
        "first": systems.get(separation["first"]),
        "second": systems.get(separation["second"]),
        "changes": changes,
        "left_out": [
            (
                name,
                group,
                [
                    row | {"first": systems.get(row["first"]), "is_far": row["shift"] > FAR}
                    for row in group["rows"][:SHOWN]
                ],
            )
            for name, group in figures["left_out"].items()
        ],
        "curve": [
            (round(factor * figures["n"]["verdicts"]), factor, width)
            for factor, width in figures["curve"]
        ],
        "shown": SHOWN,
    }


def _download(
    wanted: str, place: Arena, snapshot: Snapshot | None, found: Fragility | None
) -> HttpResponse:
    if wanted != "json":
        raise Http404("format is json.")
    if snapshot is None or found is None:
        raise Http404("There is no such figure of this leaderboard.")
    if found.computed_at is None:
        response = HttpResponse(
            "It is being computed. Ask again in a moment.\n",
            content_type="text/plain; charset=utf-8",
            status=503,
        )
        response.headers["Retry-After"] = "5"
        return response
    content = {
        "arena": place.slug,
        "snapshot": snapshot.pk,
        "slice": snapshot.slice,
        "computed_at": found.computed_at.isoformat(),
        **found.figures,
    }
    return downloads.as_json(f"{place.slug}-fragility", content)
