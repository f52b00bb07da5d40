"""What voters will see, shown to a maintainer before the arena is open: nothing in it can be sent."""

from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena.access import managed_arena
from arena.models import Arena, Battle, Output
from judges.models import Ballot, Verdict
from judges.vote_views import _of_ballot


@require_safe
@login_required
def preview(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    ballot = _sample(place)
    context = _of_ballot(place, ballot) if ballot else {"arena": place, "ballot": None}
    return render(request, "judges/vote_preview.html", context)


def _sample(place: Arena) -> Ballot | None:
    """A ballot that is never stored, of the first prompt that two systems answer; None without one."""
    shown = Output.objects.filter(Q(leak=None) | Q(leak=""), arena=place).exclude(text="")
    other = shown.filter(prompt=OuterRef("prompt"), system__gt=OuterRef("system"))
    first = shown.filter(Exists(other)).select_related("prompt").order_by("prompt", "pk").first()
    if first is None:
        return None
    second = shown.filter(prompt=first.prompt_id, system__gt=first.system_id).first()
    battle = Battle(arena=place, prompt=first.prompt, output_a=first, output_b=second)
    return Ballot(arena=place, battle=battle, shown_first=Verdict.Side.A)
