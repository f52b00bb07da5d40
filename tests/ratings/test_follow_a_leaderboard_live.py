"""An open leaderboard asks, by the snapshot it shows, whether there is a newer one."""

import pytest

from ratings.models import Publication
from tests import cast
from tests.ratings.published import hand_made

URL = "/a/poems/leaderboard/"


@pytest.fixture
def arena(db):
    arena = cast.make_arena()
    cast.make_judge(arena)
    return arena


def ask(client, seen, **query):
    return client.get(URL, {"part": "live", "seen": seen, **query})


def test_the_page_says_which_snapshot_it_shows_and_how_to_reload_it_without_scripts(arena, client):
    snapshot = hand_made(arena, n_systems=3)
    html = client.get(URL).content.decode()
    assert f'data-snapshot="{snapshot.pk}" data-verdicts="12345"' in html
    assert f'<a href="{URL}">load it again</a>' in html
    assert html.count("<tr data-system=") + html.count('class="tier-start" data-system=') == 3


def test_while_nothing_is_new_the_answer_is_empty(arena, client):
    snapshot = hand_made(arena, n_systems=3)
    response = ask(client, snapshot.pk)
    assert response.status_code == 204
    assert response.content == b""


def test_asking_takes_as_many_queries_for_forty_systems_as_for_three(
    arena, client, django_assert_max_num_queries
):
    snapshot = hand_made(arena, n_systems=40)
    with django_assert_max_num_queries(4):
        assert ask(client, snapshot.pk).status_code == 204


def test_whoever_shows_an_older_snapshot_is_led_to_the_page_as_sorted_and_filtered(arena, client):
    snapshot = hand_made(arena, n_systems=3)
    response = ask(client, snapshot.pk - 1, sort="-rating", q="System")
    assert response.status_code == 302
    assert response.url == f"{URL}?sort=-rating&q=System"


@pytest.mark.parametrize("seen", ["", "x", "-1", "9" * 40])
def test_a_snapshot_that_never_was_leads_to_the_page(arena, client, seen):
    hand_made(arena, n_systems=3)
    assert ask(client, seen).url == f"{URL}?"


def test_where_nothing_has_been_computed_the_answer_is_empty(arena, client):
    client.get(URL)
    assert not Publication.objects.exclude(snapshot=None).exists()
    assert ask(client, "1").status_code == 204


def test_what_an_outsider_may_not_see_is_not_followed_either(arena, client):
    snapshot = hand_made(arena, n_systems=3)
    type(arena).objects.update(is_public=False)
    assert ask(client, snapshot.pk).status_code == 404
