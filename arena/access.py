"""Who may see an arena: fetched and authorised in one step, so that no page holds one that it may not show."""

from typing import Any

from django.db.models import QuerySet
from django.http import Http404

from arena.models import Arena


def visible_arenas(user: Any) -> QuerySet[Arena]:
    """The public arenas; all of them for staff. ``user`` is a request's."""
    return Arena.objects.all() if user.is_staff else Arena.objects.filter(is_public=True)


def visible_arena(user: Any, slug: str) -> Arena:
    """The arena at this address; Http404 when there is none that this user may see."""
    arena = visible_arenas(user).filter(slug=slug).first()
    if arena is None:
        raise Http404("There is no public arena at this address.")
    return arena
