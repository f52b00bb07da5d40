"""How a few systems stand, for the page after a vote."""

import pytest
from django.urls import reverse

from tests.api_client import make_published_arena

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


def standing(client, arena, *systems, **headers):
    address = reverse("ratings:standing", args=[arena.slug])
    return client.get(address, {"system": systems}, **headers)


def test_the_systems_that_were_asked_for_are_shown_with_their_intervals(client, settings):
    settings.BOOTSTRAP_ROUNDS = 200
    arena = make_published_arena()
    page = standing(client, arena, "ada", "basil", **HTMX).content.decode()
    assert page.count('scope="row"') == 2
    assert "Cleo" not in page
    assert "by people" in page
    assert "<html" not in page


def test_opened_by_itself_it_is_a_page(client, settings):
    settings.BOOTSTRAP_ROUNDS = 200
    assert b"<h1>" in standing(client, make_published_arena(), "ada").content


def test_before_the_first_leaderboard_it_says_so(client, small_arena):
    page = standing(client, small_arena, "ada", **HTMX).content
    assert b"the first leaderboard is being computed" in page


def test_nobody_can_ask_for_a_thousand(client, settings, django_assert_max_num_queries):
    settings.BOOTSTRAP_ROUNDS = 200
    arena = make_published_arena()
    with django_assert_max_num_queries(12):
        page = standing(client, arena, *["ada"] * 1_000, **HTMX)
    assert page.content.count(b'scope="row"') == 1
