"""Who may do what in an arena: fetched and authorised in one step, so that no page holds one that it may
not show."""

from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404

from arena.models import HIDDEN, Arena, Membership, Pair, Submission, System, WhoVotes

NOT_OPEN = "This arena isn’t open for votes. Its leaderboard stays, and votes cast so far count."
NEEDS_ACCOUNT = "In this arena votes need an account. Sign in or make one, and you come back here."
NEEDS_MEMBERSHIP = (
    "In this arena only members vote. Ask whoever runs it for an invitation: it makes you a member."
)


def visible_arenas(user: Any) -> QuerySet[Arena]:
    """The public arenas and those that the user is a member of; all of them for staff.

    ``user`` is a request's. One query whatever the number of arenas and memberships.
    """
    if user.is_staff:
        return Arena.objects.all()
    if not user.is_authenticated:
        return Arena.objects.filter(is_public=True)
    member = Membership.objects.filter(arena=OuterRef("pk"), user=user)
    return Arena.objects.filter(Q(is_public=True) | Exists(member))


def visible_arena(user: Any, slug: str) -> Arena:
    """The arena at this address; Http404 when there is none that this user may see."""
    arena = visible_arenas(user).filter(slug=slug).first()
    if arena is None:
        raise Http404("There is no public arena at this address.")
    return arena


def role_of(user: Any, arena: Arena) -> Membership.Role | None:
    """What the user is in the arena; staff are maintainers of every arena. None: not a member."""
    if user.is_staff:
        return Membership.Role.MAINTAINER
    if not user.is_authenticated:
        return None
    role = Membership.objects.filter(arena=arena, user=user).values_list("role", flat=True).first()
    return Membership.Role(role) if role else None


def seen_systems(user: Any, arena: Arena) -> QuerySet[System]:
    """The arena's systems that the user may see: hidden ones are for their owner and the maintainers."""
    return System.objects.filter(arena=arena).exclude(pk__in=unseen_systems(user, arena))


def unseen_systems(user: Any, arena: Arena) -> QuerySet:
    """The ids of systems that the user may not know of, as a subquery: for ``exclude(system_a__in=…)``.

    ``user`` None is the public. Staff and maintainers may know of all.
    """
    hidden = System.objects.filter(arena=arena, standing__in=HIDDEN).order_by().values("pk")
    if user is None or not user.is_authenticated:
        return hidden
    if role_of(user, arena) == Membership.Role.MAINTAINER:
        return hidden.none()
    return hidden.exclude(owner=user)


def unseen_pairs(user: Any, arena: Arena) -> QuerySet:
    """The ids of pairs with a system that the user may not know of, as a subquery: for their battles."""
    unseen = unseen_systems(user, arena)
    pairs = Pair.objects.filter(arena=arena).order_by()
    return pairs.filter(Q(system_a__in=unseen) | Q(system_b__in=unseen)).values("pk")


def public_systems(arena: Arena, *, at: Any = None) -> QuerySet[System]:
    """Those that everybody who sees the arena may know of, now or at a time."""
    public = System.objects.filter(arena=arena).exclude(standing__in=HIDDEN)
    return public if at is None else public.filter(Q(published_at=None) | Q(published_at__lte=at))


def seen_system(user: Any, arena: Arena, slug: str) -> System:
    """The system at this address; Http404 when there is none that this user may see."""
    system = seen_systems(user, arena).filter(slug=slug).first()
    if system is None:
        raise Http404("There is no system at this address.")
    system.arena = arena
    return system


def seen_submissions(user: Any, arena: Arena) -> QuerySet[Submission]:
    """One's own; all of the arena's for maintainers."""
    if not user.is_authenticated:
        return Submission.objects.none()
    there = Submission.objects.filter(arena=arena)
    if role_of(user, arena) == Membership.Role.MAINTAINER:
        return there
    return there.filter(owner=user)


def managed_arenas(user: Any) -> QuerySet[Arena]:
    """The arenas that the user is a maintainer of; all of them for staff."""
    if user.is_staff:
        return Arena.objects.all()
    if not user.is_authenticated:
        return Arena.objects.none()
    maintains = Membership.objects.filter(
        arena=OuterRef("pk"), user=user, role=Membership.Role.MAINTAINER
    )
    return Arena.objects.filter(Exists(maintains))


def managed_arena(user: Any, slug: str) -> Arena:
    """The arena at this address; Http404 for whoever isn't a maintainer of it."""
    arena = managed_arenas(user).filter(slug=slug).first()
    if arena is None:
        raise Http404("There is no arena at this address that you are a maintainer of.")
    return arena


def may_vote(user: Any, arena: Arena) -> str:
    """Empty when the user may vote here; otherwise a sentence that says why not and what to do."""
    if not arena.is_open:
        return NOT_OPEN
    if arena.is_public and arena.who_votes == WhoVotes.ANYONE:
        return ""
    if not user.is_authenticated:
        return NEEDS_ACCOUNT
    if arena.is_public and arena.who_votes == WhoVotes.ACCOUNTS:
        return ""
    # An arena that isn't public is seen by its members only, whoever else might vote in it.
    return "" if role_of(user, arena) else NEEDS_MEMBERSHIP


def may_ask_models(user: Any) -> str:
    """Empty when the maintainer may have models asked; otherwise a sentence: see JURYBOX_WHO_ASKS_MODELS.

    ``user`` is None where a command asks: whoever runs commands is the operator.
    """
    if user is None or user.is_staff or settings.WHO_ASKS_MODELS == "maintainers":
        return ""
    return (
        "On this site only staff have models asked, since that may cost money: ask whoever runs it to do this, "
        "or to set JURYBOX_WHO_ASKS_MODELS to maintainers."
    )


def may_make_arenas(user: Any) -> bool:
    """Whether the account may make arenas: see the setting JURYBOX_WHO_MAKES_ARENAS."""
    return user.is_staff or (user.is_authenticated and settings.WHO_MAKES_ARENAS == "accounts")
