"""Who sees, votes in and manages an arena: by role, one query whatever the number of arenas."""

import pytest
from django.contrib.auth.models import AnonymousUser
from django.http import Http404
from django.urls import reverse

from arena.access import (
    NEEDS_ACCOUNT,
    NEEDS_MEMBERSHIP,
    NOT_OPEN,
    managed_arena,
    may_make_arenas,
    may_vote,
    role_of,
    visible_arena,
    visible_arenas,
)
from arena.models import Arena, Membership
from tests import cast
from tests.accounts import client_of, make_member, make_user

pytestmark = pytest.mark.django_db

VOTER, RESEARCHER, MAINTAINER = Membership.Role.values
PEOPLE = ("visitor", "account", VOTER, RESEARCHER, MAINTAINER, "staff")
PAGES = (
    "arena:manage",
    "arena:manage-settings",
    "arena:manage-policy",
    "arena:manage-sharing",
    "arena:manage-prompts",
    "arena:manage-outputs",
    "arena:manage-members",
    "arena:manage-invitations",
    "arena:manage-log",
    "judges:manage-gold",
    "judges:manage-preview",
)
ACTS = ("arena:manage-open", "arena:manage-close")


def person(kind: str, arena: Arena):
    if kind == "visitor":
        return AnonymousUser()
    if kind == "account":
        return make_user("account")
    if kind == "staff":
        return make_user("staff", is_staff=True)
    return make_member(arena, kind)


@pytest.mark.parametrize("kind", PEOPLE)
def test_a_public_arena_is_seen_by_everybody(kind):
    arena = cast.make_arena()
    assert visible_arena(person(kind, arena), arena.slug) == arena


@pytest.mark.parametrize("kind", PEOPLE)
def test_another_is_seen_by_its_members_and_by_staff(kind):
    arena = cast.make_arena(is_public=False)
    other = cast.make_arena("other", is_public=False)
    user = person(kind, arena)
    seen = set(visible_arenas(user))
    if kind == "staff":
        assert seen == {arena, other}
    elif kind in Membership.Role.values:
        assert seen == {arena}
        with pytest.raises(Http404):
            visible_arena(user, "other")
    else:
        assert seen == set()


def test_the_arenas_of_a_member_are_one_query(django_assert_num_queries):
    user = make_user()
    for number in range(12):
        arena = cast.make_arena(f"arena-{number}", is_public=False)
        Membership.objects.create(arena=arena, user=user, role=VOTER)
    with django_assert_num_queries(1):
        assert len(visible_arenas(user)) == 12


@pytest.mark.parametrize("kind", PEOPLE)
def test_the_role_of_each(kind):
    arena = cast.make_arena()
    expected = {"visitor": None, "account": None, "staff": MAINTAINER}.get(kind, kind)
    assert role_of(person(kind, arena), arena) == expected


@pytest.mark.parametrize("kind", PEOPLE)
def test_only_maintainers_and_staff_manage(kind):
    arena = cast.make_arena()
    user = person(kind, arena)
    if kind in (MAINTAINER, "staff"):
        assert managed_arena(user, arena.slug) == arena
    else:
        with pytest.raises(Http404):
            managed_arena(user, arena.slug)


@pytest.mark.parametrize("kind", PEOPLE)
@pytest.mark.parametrize("who", ["anyone", "accounts", "members"])
def test_who_may_vote_in_a_public_arena(kind, who):
    arena = cast.make_arena(is_open=True, who_votes=who)
    why_not = may_vote(person(kind, arena), arena)
    if kind == "visitor":
        assert why_not == ("" if who == "anyone" else NEEDS_ACCOUNT)
    elif kind == "account":
        assert why_not == (NEEDS_MEMBERSHIP if who == "members" else "")
    else:
        assert why_not == ""


@pytest.mark.parametrize("kind", PEOPLE)
def test_in_an_arena_that_is_not_public_only_members_vote(kind):
    arena = cast.make_arena(is_open=True, who_votes="anyone", is_public=False)
    why_not = may_vote(person(kind, arena), arena)
    assert bool(why_not) == (kind in ("visitor", "account"))


@pytest.mark.parametrize("kind", PEOPLE)
def test_in_a_closed_arena_nobody_votes(kind):
    arena = cast.make_arena()
    assert may_vote(person(kind, arena), arena) == NOT_OPEN


@pytest.mark.parametrize("kind", PEOPLE)
def test_pages_of_maintainers_are_there_for_maintainers_and_staff_only(kind):
    arena = cast.make_arena()
    user = person(kind, arena)
    client = client_of(user if user.is_authenticated else None)
    may = kind in (MAINTAINER, "staff")
    for name in PAGES:
        response = client.get(reverse(name, args=[arena.slug]))
        if kind == "visitor":
            assert (response.status_code, response.url.split("?")[0]) == (302, "/accounts/login/")
        else:
            assert response.status_code == (200 if may else 404), name
    for name in ACTS:
        assert client.get(reverse(name, args=[arena.slug])).status_code == 405
        status = client.post(reverse(name, args=[arena.slug])).status_code
        assert status == (302 if may or kind == "visitor" else 404), name
    arena.refresh_from_db()
    assert not arena.is_open


@pytest.mark.parametrize("kind", PEOPLE)
def test_the_tab_to_manage_is_shown_to_those_who_may(kind):
    arena = cast.make_arena()
    user = person(kind, arena)
    page = client_of(user if user.is_authenticated else None).get(arena.get_absolute_url())
    shown = reverse("arena:manage", args=[arena.slug]) in page.text
    assert shown == (kind in (MAINTAINER, "staff"))


@pytest.mark.parametrize("who", ["accounts", "staff"])
def test_who_makes_arenas_is_a_setting(who, settings):
    settings.WHO_MAKES_ARENAS = who
    assert may_make_arenas(make_user("staff", is_staff=True))
    assert may_make_arenas(make_user("other")) == (who == "accounts")
    assert not may_make_arenas(AnonymousUser())


def test_where_only_staff_make_arenas_the_page_says_no(settings):
    settings.WHO_MAKES_ARENAS = "staff"
    assert client_of(make_user()).get(reverse("arena:new")).status_code == 403
