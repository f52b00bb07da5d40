"""A voter is an account or a browser with a signed cookie; votes cast before signing in are kept."""

import pytest
from django.contrib.auth import get_user_model, login
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpResponse
from django.test import RequestFactory

from judges import voters
from judges.models import Judge, Voter
from judges.voters import COOKIE, claim_votes, crowd_of, remember_voter, voter_of, voters_of
from tests.cast import make_arena, make_judge

pytestmark = pytest.mark.django_db


def request_of(user=None, cookies=None):
    request = RequestFactory().get("/")
    request.user = user or AnonymousUser()
    request.session = SessionStore()
    request.COOKIES.update(cookies or {})
    return request


def first_visit(arena):
    """A new voter, and the cookies that the browser has then."""
    request = request_of()
    voter = voter_of(request, arena, create=True)
    response = remember_voter(request, HttpResponse())
    return voter, {name: morsel.value for name, morsel in response.cookies.items()}


def make_user(name="ada"):
    return get_user_model().objects.create_user(name, f"{name}@example.org")


def test_a_browser_is_known_by_its_cookie():
    arena = make_arena()
    voter, cookies = first_visit(arena)
    assert voter_of(request_of(cookies=cookies), arena) == voter
    assert voter_of(request_of(cookies=cookies), arena, create=True) == voter
    assert Voter.objects.count() == 1


def test_looking_makes_nobody_a_voter():
    arena = make_arena()
    assert voter_of(request_of(), arena) is None
    assert not Judge.objects.exists()


def test_a_cookie_that_was_changed_is_nobody():
    arena = make_arena()
    _, cookies = first_visit(arena)
    cookies[COOKIE] = "x" + cookies[COOKIE]
    assert voter_of(request_of(cookies=cookies), arena) is None


def test_the_cookie_is_out_of_reach_of_scripts():
    request = request_of()
    voter_of(request, make_arena(), create=True)
    morsel = remember_voter(request, HttpResponse()).cookies[COOKIE]
    assert morsel["httponly"]
    assert morsel["samesite"] == "Lax"


def test_one_browser_has_other_names_in_other_arenas():
    poems, code = make_arena("poems"), make_arena("code")
    voter, cookies = first_visit(poems)
    other = voter_of(request_of(cookies=cookies), code, create=True)
    assert other.handle != voter.handle


def test_an_account_is_one_voter_wherever_it_signs_in():
    arena, user = make_arena(), make_user()
    voter = voter_of(request_of(user), arena, create=True)
    assert voter_of(request_of(user), arena, create=True) == voter
    assert user.username not in voter.handle


def test_votes_cast_before_signing_in_are_kept():
    arena, user = make_arena(), make_user()
    anonymous, cookies = first_visit(arena)
    request = request_of(cookies=cookies)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    anonymous.refresh_from_db()
    assert anonymous.user == user
    assert voter_of(request_of(user), arena) == anonymous


def test_a_second_browser_of_an_account_is_the_same_person():
    arena, user = make_arena(), make_user()
    first = voter_of(request_of(user), arena, create=True)
    second, cookies = first_visit(arena)
    request = request_of(cookies=cookies)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    assert set(voters_of(first)) == {first, second}


def test_whoever_comes_after_an_account_has_signed_out_is_somebody_else():
    arena, user = make_arena(), make_user()
    first, cookies = first_visit(arena)
    login(request_of(cookies=cookies), user, backend="django.contrib.auth.backends.ModelBackend")
    assert voter_of(request_of(cookies=cookies), arena) is None
    request = request_of(cookies=cookies)
    after = voter_of(request, arena, create=True)
    assert after != first
    assert set(voters_of(after)) == {after}
    response = remember_voter(request, HttpResponse())
    kept = {name: morsel.value for name, morsel in response.cookies.items()}
    assert voter_of(request_of(cookies=kept), arena) == after


def test_votes_of_one_account_do_not_go_to_another():
    arena, ada, basil = make_arena(), make_user("ada"), make_user("basil")
    voter, cookies = first_visit(arena)
    token = request_of(cookies=cookies).get_signed_cookie(COOKIE, salt=COOKIE)
    assert claim_votes(user=ada, token=token) == 1
    assert claim_votes(user=basil, token=token) == 0
    voter.refresh_from_db()
    assert voter.user == ada


def test_two_first_ballots_at_the_same_moment_share_one_crowd(monkeypatch):
    arena = make_arena()
    made_meanwhile = crowd_of(arena)
    first_look = iter([None])
    look = voters.find_crowd
    monkeypatch.setattr(voters, "find_crowd", lambda arena: next(first_look, look(arena)))
    assert crowd_of(arena) == made_meanwhile


def test_the_crowd_of_the_browser_is_apart_from_imported_people():
    arena = make_arena()
    imported = make_judge(arena, "People")
    crowd = crowd_of(arena)
    assert crowd != imported
    assert crowd.kind == Judge.Kind.CROWD
    assert crowd_of(arena) == crowd
