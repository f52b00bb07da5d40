"""Who votes: an account, or a browser with a signed cookie. Every arena knows them by another pseudonym."""

import secrets
from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

from arena.models import Arena
from judges.models import Judge, Voter
from judges.registers import unique_slugs

COOKIE = "jurybox_voter"
COOKIE_SECONDS = 2 * 365 * 24 * 3600
# What marks the crowd of those who vote in the browser among the crowds of an arena.
CONFIGURATION = {"votes": "in the browser"}


def find_crowd(arena: Arena) -> Judge | None:
    """The crowd of those who vote in the browser, if anybody has."""
    crowds = Judge.objects.filter(arena=arena, kind=Judge.Kind.CROWD)
    found = crowds.filter(configuration=CONFIGURATION).order_by("pk").first()
    if found:
        found.arena = arena
    return found


def crowd_of(arena: Arena) -> Judge:
    """The same, made when it is missing. Imported and simulated people stay in crowds of their own."""
    if found := find_crowd(arena):
        return found
    with transaction.atomic():
        # One after the other: of two who open the first ballots at once, the second mustn't see the first
        # one's crowd only when it looks for a name, and make another beside it.
        Arena.objects.select_for_update().get(pk=arena.pk)
        return find_crowd(arena) or _make_crowd(arena)


def _make_crowd(arena: Arena) -> Judge:
    judges = Judge.objects.filter(arena=arena)
    names = set(judges.values_list("name", flat=True))
    name = next(
        name
        for name in ("People", "Voters", *(f"Voters {n}" for n in range(2, 1_000)))
        if name not in names
    )
    slug = unique_slugs(
        [name], taken=set(judges.values_list("slug", flat=True)) | {"people"}, longest=120
    )[0]
    return Judge.objects.create(
        arena=arena,
        name=name,
        slug=slug,
        kind=Judge.Kind.CROWD,
        configuration=CONFIGURATION,
    )


def voter_of(request: HttpRequest, arena: Arena, *, create: bool = False) -> Voter | None:
    """The voter behind a request: that of the account, else that of the browser's cookie.

    ``create``: made when it is missing; then the response must go through remember_voter.
    """
    crowd = crowd_of(arena) if create else find_crowd(arena)
    if crowd is None:
        return None
    found = _find_voter(request, crowd, create=create)
    if found:
        found.judge = crowd
    return found


def _find_voter(request: HttpRequest, crowd: Judge, *, create: bool) -> Voter | None:
    if request.user.is_authenticated:
        found = Voter.objects.filter(judge=crowd, user=request.user).order_by("pk").first()
        if found or not create:
            return found
        handle = _handle(crowd, f"account {request.user.pk}")
        return Voter.objects.get_or_create(
            judge=crowd, handle=handle, defaults={"user": request.user}
        )[0]
    token = _token(request)
    if token is None:
        if not create:
            return None
        token = request.new_voter_token = secrets.token_urlsafe(24)
    found = Voter.objects.filter(judge=crowd, handle=_handle(crowd, token)).first()
    if found and found.user_id:
        # These votes became an account's, and nobody is signed in: whoever it is begins anew.
        found = None
        if create:
            token = request.new_voter_token = secrets.token_urlsafe(24)
    if found is None and create:
        found, _ = Voter.objects.get_or_create(judge=crowd, handle=_handle(crowd, token))
    return found


def voters_of(voter: Voter) -> QuerySet[Voter]:
    """All rows of the crowd that are the same person: an account may have voted before signing in."""
    same = Voter.objects.filter(judge_id=voter.judge_id)
    return same.filter(user_id=voter.user_id) if voter.user_id else same.filter(pk=voter.pk)


def remember_voter(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Give a new voter its cookie: signed, out of reach of scripts, and of no use elsewhere."""
    if token := getattr(request, "new_voter_token", None):
        response.set_signed_cookie(
            COOKIE,
            token,
            salt=COOKIE,
            max_age=COOKIE_SECONDS,
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
    return response


@transaction.atomic
def claim_votes(*, user: Any, token: str) -> int:
    """Make what a browser voted without an account the account's own; how many voters that were.

    What belongs to another account already stays there.
    """
    crowds = Judge.objects.filter(kind=Judge.Kind.CROWD, configuration=CONFIGURATION)
    handles = {crowd.pk: _handle(crowd, token) for crowd in crowds.only("pk")}
    found = Voter.objects.filter(
        judge_id__in=list(handles), handle__in=list(handles.values()), user=None
    )
    mine = [voter.pk for voter in found if handles[voter.judge_id] == voter.handle]
    return Voter.objects.filter(pk__in=mine, user=None).update(user=user)


@receiver(user_logged_in)
def keep_votes_cast_before_signing_in(request: HttpRequest, user: Any, **kwargs: Any) -> None:
    if request is not None and (token := _token(request)):
        claim_votes(user=user, token=token)


def _token(request: HttpRequest) -> str | None:
    return request.get_signed_cookie(COOKIE, default=None, salt=COOKIE, max_age=COOKIE_SECONDS)


def _handle(crowd: Judge, person: str) -> str:
    """A pseudonym that can't be traced from one arena to the next."""
    return "voter-" + salted_hmac("judges.voters", f"{crowd.pk} {person}").hexdigest()[:16]
