"""A system: what it is, how every judge rates it, and how it did against each opponent."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from arena.access import public_systems, seen_system, visible_arena
from arena.fragments import answers_in_parts, wants_part
from arena.matchmaking import how_often_drawn
from arena.submissions.verbs import variants_behind
from judges.records import Selection, battles_page, summaries
from ratings import records, standings
from ratings.leaderboards import state_of
from ratings.views.leaderboards import chosen_or_404

OPPONENTS_A_PAGE = 50
OPPONENTS_IN_A_ROW = 20
SAMPLE_BATTLES = 5


@require_safe
def system(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    who = seen_system(request.user, place, slug)
    chosen = chosen_or_404(request, place)
    state = state_of(arena=place, slice=chosen.slice)
    met = records.opponents(state.snapshot, system_id=who.pk) if state.snapshot else []
    battles = battles_page(
        Selection(arena=place, systems=(who,), viewer=request.user), size=SAMPLE_BATTLES
    ).battles
    words = summaries(battles)
    context = {
        "arena": place,
        "system": who,
        "chosen": chosen,
        "state": state,
        "snapshot": state.snapshot,
        "standing": standings.of_system(who, judges=chosen.judges, categories=chosen.categories),
        "drawn": how_often_drawn(who),
        "variants": variants_behind(who),
        "may_manage": request.user.is_authenticated and who.owner_id == request.user.pk,
        "before": who.follows if who.follows and not who.follows.is_hidden else None,
        "after": public_systems(place).filter(follows=who).order_by("pk"),
        "page": Paginator(met, OPPONENTS_A_PAGE).get_page(request.GET.get("page")),
        "battles": [(battle, words[battle.pk]) for battle in battles],
    }
    return render(request, "ratings/system.html", context)


@require_safe
@answers_in_parts
def opponents(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    """A row that opens below a leaderboard's; without scripts, the system's page."""
    place = visible_arena(request.user, arena)
    who = seen_system(request.user, place, slug)
    chosen = chosen_or_404(request, place)
    if not wants_part(request):
        address = reverse("ratings:system", args=[place.slug, who.slug])
        query = f"?{chosen.query}" if chosen.query else ""
        return redirect(f"{address}{query}#opponents")
    snapshot = state_of(arena=place, slice=chosen.slice).snapshot
    met = records.opponents(snapshot, system_id=who.pk) if snapshot else []
    context = {
        "arena": place,
        "system": who,
        "chosen": chosen,
        "met": met[:OPPONENTS_IN_A_ROW],
        "n_met": len(met),
    }
    return render(request, "ratings/_opponents_row.html", context)
