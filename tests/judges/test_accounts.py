"""Accounts: made, confirmed, signed in and out, reset, and deleted with or without their votes."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from arena.models import Membership, Prompt
from config.mail import settings_of
from judges.models import Outcome, Ranking, Retraction, Verdict, VerdictTrace, Voter
from judges.signals import rankings_changed, verdicts_changed
from judges.voters import COOKIE
from tests import cast
from tests.accounts import client_of, make_member, make_user

pytestmark = pytest.mark.django_db

PASSWORD = "a long enough secret"
ADDRESS = "alice@example.org"


@pytest.fixture(autouse=True)
def nobody_has_tried_yet():
    """Limits are counted in the cache, which outlives a test."""
    cache.clear()
    yield
    cache.clear()


def sign_up(client: Client, **more):
    return client.post(reverse("account_signup"), {"email": ADDRESS, "password1": PASSWORD} | more)


def link_in_the_mail(kind: str) -> str:
    return re.search(rf"http://testserver(/accounts/{kind}/\S+)", mail.outbox[-1].body)[1]


def sign_in(client: Client, password: str = PASSWORD, **more):
    return client.post(reverse("account_login"), {"login": ADDRESS, "password": password} | more)


def test_an_account_takes_an_address_and_a_password_and_its_name_says_nothing():
    client = Client()
    assert sign_up(client).url == "/"
    user = get_user_model().objects.get()
    assert user.email == ADDRESS
    assert re.fullmatch(r"account-[0-9a-f]{16}", user.username)
    assert client.get(reverse("judges:account")).status_code == 200


def test_with_mail_the_address_is_confirmed_before_signing_in(settings):
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    client = Client()
    assert sign_up(client).url == reverse("account_email_verification_sent")
    assert client.get(reverse("judges:account")).status_code == 302
    assert mail.outbox[-1].subject.startswith("[Jurybox] ")
    link = link_in_the_mail("confirm-email")
    page = client.get(link)
    assert ADDRESS in page.text
    client.post(link)
    assert sign_in(Client()).url == "/"


def test_the_way_back_is_kept_through_signing_in_and_leads_nowhere_else():
    make_user().set_password(PASSWORD)
    user = get_user_model().objects.get()
    user.set_password(PASSWORD)
    user.save()
    client = Client()
    page = client.get(reverse("account_login"), {"next": "/a/poems/"})
    assert '<input type="hidden" name="next" value="/a/poems/">' in page.text
    assert sign_in(client, next="/a/poems/").url == "/a/poems/"
    assert sign_in(Client(), next="https://elsewhere.example/").url == "/"


def test_a_wrong_password_says_so_beside_the_form_and_many_are_stopped():
    sign_up(Client())
    client = Client()
    says = [sign_in(client, f"wrong {n}").text for n in range(12)]
    assert "correct" in says[0]
    assert ADDRESS in says[0]
    assert "Too many failed login attempts" in says[-1]


def test_a_password_that_is_too_simple_is_refused_with_what_to_do():
    response = sign_up(Client(), password1="short")
    assert "at least 10 characters" in response.text
    assert 'aria-describedby="id_password1_helptext id_password1_error"' in response.text
    assert not get_user_model().objects.exists()


def test_a_forgotten_password_is_replaced_by_a_link():
    sign_up(Client())
    client = Client()
    client.post(reverse("account_reset_password"), {"email": ADDRESS})
    form = client.get(link_in_the_mail("password/reset/key"), follow=True)
    assert "Choose a new password" in form.text
    client.post(
        form.redirect_chain[-1][0],
        {"password1": "quite another secret", "password2": "quite another secret"},
    )
    assert sign_in(Client(), "quite another secret").url == "/"
    again = Client().get(link_in_the_mail("password/reset/key"), follow=True)
    assert "isn’t good any more" in again.text


def test_a_reset_doesnt_tell_who_has_an_account():
    sign_up(Client())
    answers = {
        Client().post(reverse("account_reset_password"), {"email": email}, follow=True).text
        for email in (ADDRESS, "nobody@example.org")
    }
    assert len(answers) == 1


def test_signing_out_takes_a_post():
    client = client_of(make_user())
    assert "Sign out" in client.get(reverse("account_logout")).text
    assert client.get(reverse("judges:account")).status_code == 200
    client.post(reverse("account_logout"))
    assert client.get(reverse("judges:account")).status_code == 302


def test_every_page_of_an_account_is_ours():
    client = client_of(make_user())
    for name in ("account_email", "account_change_password", "account_reauthenticate"):
        response = client.get(reverse(name), follow=True)
        assert response.status_code == 200
        assert 'class="site-header"' in response.text


def test_the_account_page_lists_the_arenas_in_the_same_number_of_queries(
    django_assert_max_num_queries,
):
    user = make_user()
    for number in range(15):
        arena = cast.make_arena(f"arena-{number}", is_public=False)
        Membership.objects.create(arena=arena, user=user, role="voter")
    client = client_of(user)
    with django_assert_max_num_queries(5):
        page = client.get(reverse("judges:account"))
    assert "Arena-14" in page.text


# --- deleting ---------------------------------------------------------------------------------------------
@pytest.fixture
def voted():
    """An account with three verdicts, one of which it has taken back, and one comment."""
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil")]
    user, people = make_member(arena, "maintainer", "alice"), cast.make_judge(arena)
    voter = Voter.objects.create(judge=people, handle="voter-1", user=user)
    for number in range(3):
        battle = cast.make_battle(*systems, cast.make_prompt(arena, f"Prompt {number}"))
        verdict = cast.make_verdict(battle, people, Outcome.A, voter)
        cast.make_verdict(battle, people, Outcome.A, cast.make_voter(people, f"bob-{number}"))
    Retraction.objects.create(verdict=verdict)
    VerdictTrace.objects.create(verdict=Verdict.objects.filter(voter=voter)[0], rationale="Mine.")
    return user


def delete(client: Client, **fields):
    return client.post(
        reverse("judges:account-delete"), {"votes": "keep", "confirmation": ADDRESS} | fields
    )


def test_the_page_says_what_becomes_of_the_votes_and_of_arenas(voted):
    page = client_of(voted).get(reverse("judges:account-delete"))
    assert "You have cast 2 votes in 1 arena" in page.text
    assert "Nobody else maintains" in page.text


def test_an_account_goes_and_its_votes_stay_without_a_link(voted):
    client = client_of(voted)
    client.cookies[COOKIE] = "token"
    response = delete(client)
    assert response.url == "/"
    assert response.cookies[COOKIE]["max-age"] == 0
    assert not get_user_model().objects.exists()
    assert Voter.objects.get(handle="voter-1").user is None
    assert Verdict.objects.filter(retraction=None).count() == 5
    assert VerdictTrace.objects.exists()
    assert "nothing ties them to you" in client.get("/").text


def test_on_request_the_votes_are_taken_back_and_the_comments_erased(voted):
    told = []

    def listen(sender, **sent):
        told.append(sent["judge_ids"])

    verdicts_changed.connect(listen)
    try:
        delete(client_of(voted), votes="retract")
    finally:
        verdicts_changed.disconnect(listen)
    assert len(told) == 1
    assert Verdict.objects.count() == 6
    assert Verdict.objects.filter(retraction=None).count() == 3
    assert not VerdictTrace.objects.exists()


def test_on_request_orders_are_taken_back_like_votes(voted):
    voter = Voter.objects.get(handle="voter-1")
    ranking = Ranking.objects.create(
        arena=voter.judge.arena, voter=voter, prompt=Prompt.objects.first(), state="decided",
        is_ordered=True, decided_at=timezone.now(), comment="Mine.",
    )  # fmt: skip
    told = []

    def listen(sender, **sent):
        told.append(sent["arena_id"])

    rankings_changed.connect(listen)
    try:
        delete(client_of(voted), votes="retract")
    finally:
        rankings_changed.disconnect(listen)
    ranking.refresh_from_db()
    assert (ranking.state, ranking.comment, told) == ("undone", "", [ranking.arena_id])


@pytest.mark.parametrize("typed", ["", "bob@example.org"])
def test_without_the_right_address_nothing_is_deleted(voted, typed):
    response = delete(client_of(voted), confirmation=typed)
    assert response.status_code in (200, 422)
    assert "id_confirmation_error" in response.text
    assert get_user_model().objects.exists()


# --- the settings -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "smtps://a%40b.org:p%3Aw@mail.example.org",
            ("mail.example.org", 465, "a@b.org", "p:w", True, False),
        ),
        ("smtp+tls://mail.example.org:2525", ("mail.example.org", 2525, "", "", False, True)),
        ("smtp://localhost", ("localhost", 25, "", "", False, False)),
    ],
)
def test_a_mail_server_is_named_by_a_url(url, expected):
    found = settings_of(url)
    names = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_SSL", "USE_TLS")
    assert tuple(found[f"EMAIL_{name}"] for name in names) == expected
