"""What others put on their own pages: small files at addresses that stay."""

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.feedgenerator import Atom1Feed
from django.views.decorators.http import require_safe

from arena.access import seen_system, visible_arena
from arena.markdown import printable
from arena.models import Arena
from ratings import taking_away

FRESH = 600  # seconds


@require_safe
def badge(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    # What may be kept by anyone says only what everybody may know.
    system = seen_system(None, place, slug)
    return _kept(place, HttpResponse(taking_away.badge(system), content_type="image/svg+xml"))


@require_safe
def citation(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    snapshot = taking_away.people_snapshot(place)
    page = (
        snapshot.get_absolute_url()
        if snapshot
        else reverse("ratings:leaderboard", args=[place.slug])
    )
    text = taking_away.bibtex(
        place,
        address=request.build_absolute_uri(page),
        snapshot=snapshot,
        seen=timezone.now(),
    )
    response = HttpResponse(text, content_type="application/x-bibtex; charset=utf-8")
    response.headers["Content-Disposition"] = f'inline; filename="{place.slug}.bib"'
    return _kept(place, response)


@require_safe
def feed(request: HttpRequest, arena: str) -> HttpResponse:
    """Atom: an entry for each snapshot by people in which the interval of somebody's ranks is another."""
    place = visible_arena(request.user, arena)
    name = printable(place.name)
    here = request.build_absolute_uri(request.path)
    atom = Atom1Feed(
        title=f"{name}: changes of ranks",
        link=request.build_absolute_uri(reverse("ratings:leaderboard", args=[place.slug])),
        description=f"Whose interval of ranks changed on the leaderboard of {name}, by people.",
        feed_url=here,
        language="en",
    )
    for change in taking_away.changes(place):
        said = [
            f"{printable(str(system))}: {now} (was: {old})" for system, old, now in change.moved
        ]
        if change.n_moved > len(said):
            said.append(f"and {change.n_moved - len(said)} more")
        address = request.build_absolute_uri(change.snapshot.get_absolute_url())
        count = "1 system" if change.n_moved == 1 else f"{change.n_moved} systems"
        atom.add_item(
            title=f"Ranks of {count} changed",
            link=address,
            unique_id=address,
            description=". ".join(said) + ".",
            updateddate=change.snapshot.created_at,
            pubdate=change.snapshot.created_at,
        )
    response = HttpResponse(
        atom.writeString("utf-8"), content_type="application/atom+xml; charset=utf-8"
    )
    return _kept(place, response)


def _kept(arena: Arena, response: HttpResponse) -> HttpResponse:
    """For a while by whoever asked, and by caches between where anybody may see it."""
    whose = "public" if arena.is_public else "private"
    response.headers["Cache-Control"] = f"{whose}, max-age={FRESH}"
    return response
