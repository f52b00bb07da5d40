"""Access tokens: made once, shown once, good for a while, for reading or for writing."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena.models import AccessToken
from arena.tokens import MOST, TokenError, find_token, make_token, revoke_token
from tests import cast
from tests.accounts import client_of, make_member, make_user

pytestmark = pytest.mark.django_db

PAGE = "/accounts/tokens/"
FORM = {"name": "night job", "scope": "write", "days": "30"}


@pytest.fixture(autouse=True)
def nobody_asked_before():
    cache.clear()


@pytest.fixture
def alice():
    return make_user()


def ask(path: str, words: str, method: str = "get", **options):
    return getattr(Client(), method)(
        f"/api/v1/{path}", headers={"Authorization": f"Bearer {words}"}, **options
    )


def made(user, scope: str = "read", **fields) -> tuple[AccessToken, str]:
    token, words = make_token(user=user, name="night job", scope=scope, days=30)
    AccessToken.objects.filter(pk=token.pk).update(**fields)
    return token, words


# --- the page ---------------------------------------------------------------------------------------------
def test_the_token_is_shown_once_and_only_its_digest_is_kept(alice):
    client = client_of(alice)
    page = client.post(PAGE, FORM)
    words = re.search(r"jurybox_[\w-]{40,}", page.text)[0]
    assert "no-store" in page.headers["Cache-Control"]
    assert words not in str(AccessToken.objects.values())
    assert find_token(words).user == alice
    again = client.get(PAGE)
    assert words not in again.text
    assert "night job" in again.text


def test_nobody_sees_or_revokes_those_of_another(alice):
    token, words = made(alice)
    client = client_of(make_user("bob"))
    assert "night job" not in client.get(PAGE).text
    assert client.post(reverse("arena:revoke-token", args=[token.pk])).status_code == 404
    assert find_token(words) == token


def test_its_owner_revokes_it(alice):
    token, words = made(alice)
    client = client_of(alice)
    for _ in range(2):
        page = client.post(reverse("arena:revoke-token", args=[token.pk]), follow=True)
        assert page.status_code == 200
    assert "revoked" in page.text
    assert ask("arenas/", words).status_code == 401


def test_visitors_are_sent_to_sign_in():
    assert Client().get(PAGE).url.startswith("/accounts/login/")
    assert Client().get(reverse("arena:revoke-token", args=[1])).status_code == 405


def test_the_account_leads_there(alice):
    assert f'href="{PAGE}"' in client_of(alice).get(reverse("judges:account")).text


@pytest.mark.parametrize("wrong", [{"days": "366"}, {"days": "0"}, {"name": " "}, {"scope": "all"}])
def test_what_is_wrong_in_the_form_is_said(alice, wrong):
    response = client_of(alice).post(PAGE, FORM | wrong)
    assert response.status_code == 422
    assert not AccessToken.objects.exists()


def test_an_account_has_so_many_and_no_more(alice):
    tokens = [made(alice)[0] for _ in range(MOST)]
    response = client_of(alice).post(PAGE, FORM)
    assert response.status_code == 422
    assert "revoke one" in response.text
    revoke_token(token=tokens[0])
    assert client_of(alice).post(PAGE, FORM).status_code == 200


def test_the_page_asks_as_many_queries_for_many_as_for_few(alice, django_assert_num_queries):
    client = client_of(alice)
    for _ in range(2):
        made(alice)
        client.get(PAGE)
        with django_assert_num_queries(3):
            client.get(PAGE)


def test_they_go_with_the_account(alice):
    made(alice)
    alice.delete()
    assert not AccessToken.objects.exists()


# --- in the shell -----------------------------------------------------------------------------------------
def test_a_command_makes_one_and_prints_nothing_else(alice):
    out = StringIO()
    call_command("create_token", "alice@example.org", scope="write", days=3, stdout=out)
    token = find_token(out.getvalue().strip())
    assert (token.user, token.scope) == (alice, "write")
    assert timedelta(days=2) < token.expires_at - timezone.now() < timedelta(days=4)


@pytest.mark.parametrize(
    ("user", "options"),
    [
        ("nobody@example.org", {}),
        ("alice@example.org", {"days": 0}),
        ("alice@example.org", {"name": ""}),
        ("alice@example.org", {"name": "x" * 81}),
    ],
)
def test_the_command_says_what_is_wrong(alice, user, options):
    with pytest.raises(CommandError):
        call_command("create_token", user, **options)
    assert not AccessToken.objects.exists()


def test_a_command_revokes_all_of_an_account(alice):
    mine, other = [made(alice)[1] for _ in range(2)], made(make_user("bob"))[1]
    for revoked in (2, 0):
        out = StringIO()
        call_command("revoke_tokens", "alice@example.org", stdout=out)
        assert out.getvalue() == f"{revoked} revoked.\n"
    assert [ask("arenas/", words).status_code for words in (*mine, other)] == [401, 401, 200]


# --- what it opens ----------------------------------------------------------------------------------------
def test_members_read_by_it_what_is_not_public():
    arena = cast.make_small_arena()
    arena.is_public = False
    arena.save()
    _, words = made(make_member(arena, "voter"))
    _, other = made(make_user("other"))
    for path in ("arenas/poems/", "arenas/poems/systems/", "arenas/poems/verdicts/?limit=3"):
        assert ask(path, words).status_code == 200
        assert ask(path, other).status_code == 404
        assert Client().get(f"/api/v1/{path}").status_code == 404
    assert [row["slug"] for row in ask("arenas/", words).json()["results"]] == ["poems"]
    assert ask("arenas/", other).json()["results"] == []


def test_so_does_whoever_is_signed_in():
    arena = cast.make_arena(is_public=False)
    assert client_of(make_member(arena, "voter")).get("/api/v1/arenas/poems/").status_code == 200


def test_what_is_for_one_account_is_kept_by_no_cache_of_others(alice):
    cast.make_arena()
    _, words = made(alice)
    mine = ask("arenas/", words)
    assert set(mine.headers["Cache-Control"].split(", ")) == {"private", "no-cache"}
    public = Client().get("/api/v1/arenas/")
    assert "public" in public.headers["Cache-Control"]
    assert {"Authorization", "Cookie"} <= set(public.headers["Vary"].split(", "))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expired"),
        ({"revoked_at": timezone.now()}, "was revoked"),
    ],
)
def test_one_that_is_no_longer_good_says_why(alice, fields, why):
    _, words = made(alice, **fields)
    response = ask("arenas/", words)
    assert response.status_code == 401
    assert why in response.json()["detail"]
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("words", ["", "jurybox_wrong", "\xff\xfe", "a b", "x" * 5000])
def test_another_string_is_no_token(words):
    response = ask("arenas/", words)
    assert response.status_code == 401
    assert "no such token" in response.json()["detail"]
    assert words not in response.json()["detail"] or not words


def test_one_of_an_account_that_was_closed_is_none(alice):
    _, words = made(alice)
    alice.is_active = False
    alice.save()
    with pytest.raises(TokenError, match="no such token"):
        find_token(words)


def test_other_ways_to_authorise_are_left_to_others(db):
    response = Client().get("/api/v1/arenas/", headers={"Authorization": "Basic YTpi"})
    assert response.status_code == 200


def test_the_day_of_its_last_use_is_noted_once_a_day(alice, django_assert_num_queries):
    token, words = made(alice)
    ask("arenas/", words)
    token.refresh_from_db()
    assert token.last_used_on == timezone.now().date()
    with django_assert_num_queries(2):  # the token with its account, and the arenas
        ask("arenas/", words)


def test_an_account_asks_so_often_in_a_minute_and_then_waits(alice, settings):
    settings.API_REQUESTS_PER_MINUTE = 3
    words = [made(alice)[1] for _ in range(2)]
    statuses = [ask("arenas/", words[number % 2]).status_code for number in range(4)]
    assert statuses == [200, 200, 200, 429]
    response = ask("arenas/", words[0])
    assert 0 < int(response.headers["Retry-After"]) <= 60
    assert response.headers["Content-Type"] == "application/problem+json"
    assert Client().get("/api/v1/arenas/").status_code == 200
    assert ask("arenas/", made(make_user("bob"))[1]).status_code == 200
