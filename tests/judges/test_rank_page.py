"""Putting answers in order in the browser: blind, by plain forms, a reveal, and what comes next."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from arena.models import Output, WhoVotes
from judges.models import RankedOutput, Ranking, Verdict
from judges.rankings import cast_ranking, next_ranking
from judges.voters import crowd_of
from tests.cast import make_voter

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena(small_arena):
    small_arena.rank_size = 4
    small_arena.is_open = True
    small_arena.save()
    return small_arena


def address(arena, name="rank", *args):
    return reverse(f"judges:{name}", args=[arena.slug, *args])


def open_ranking(client, arena):
    response = client.get(address(arena))
    assert response.status_code == 200
    key = re.search(rb'name="ranking" value="([0-9a-f-]{36})"', response.content)[1].decode()
    return Ranking.objects.get(key=key)


def send(client, arena, ranking, places="1234", act="rank", **more):
    form = {"ranking": str(ranking.key), "act": act, **more}
    form |= {f"place-{number}": place for number, place in enumerate(places) if place != "-"}
    return client.post(address(arena, "rank-cast"), form)


def ranks_of(ranking):
    return list(RankedOutput.objects.filter(ranking=ranking).values_list("rank", flat=True))


def test_nothing_on_the_page_tells_whose_answers_they_are(client, arena):
    Output.objects.update(text="A neutral answer.")
    response = client.get(address(arena))
    page = response.content.decode()
    for system in arena.systems.all():
        for word in (system.name, system.slug, system.organisation):
            assert not re.search(rf"\b{re.escape(word)}\b", page), word
    ranking = Ranking.objects.get()
    assert page.count("A neutral answer.") == 8  # four answers, formatted and as written
    assert f"prompts/{ranking.prompt_id}" not in page
    assert "no-cache" in response.headers["Cache-Control"]
    assert {context.get("ranking") for context in response.context} >= {ranking}


def test_the_answers_stand_in_the_order_that_was_drawn(client, arena):
    ranking = open_ranking(client, arena)
    texts = [shown.output.text for shown in ranking.outputs.select_related("output")]
    page = client.get(address(arena)).content.decode()
    positions = [page.index(text) for text in texts]
    assert positions == sorted(positions)


def test_after_the_order_the_names_are_told(client, arena):
    ranking = open_ranking(client, arena)
    response = send(client, arena, ranking, "4321")
    assert response.url == address(arena, "rank-reveal", ranking.key)
    page = client.get(response.url).content.decode()
    names = [shown.system.name for shown in ranking.outputs.select_related("system")]
    where = [page.index(f"<bdi>{name}</bdi>") for name in names]
    assert where == sorted(where, reverse=True)
    assert "You are the first" in page
    assert not Verdict.objects.filter(judge=crowd_of(arena)).exists()


def test_the_reveal_says_where_others_put_the_answers(client, arena):
    ranking = open_ranking(client, arena)
    for handle in ("dan", "eve"):
        voter = make_voter(crowd_of(arena), handle)
        while other := next_ranking(arena=arena, voter=voter):
            places = {0: 1, 1: 2, 2: 3, 3: 4}
            cast_ranking(ranking=other, places=places)
    page = client.get(send(client, arena, ranking).url).content.decode()
    assert page.count("(n = 2)") == 4


def test_ties_are_taken(client, arena):
    ranking = open_ranking(client, arena)
    send(client, arena, ranking, "1131")
    assert ranks_of(ranking) == [1, 1, 4, 1]


def test_an_order_with_holes_says_which_and_keeps_what_was_chosen(client, arena):
    arena.asks_comment = True
    arena.save()
    ranking = open_ranking(client, arena)
    response = send(client, arena, ranking, "2-1-", comment="Long <b>ones</b>.")
    page = response.content.decode()
    assert response.status_code == 422
    assert "from 1 to 4: B and D have none. What you chose so far is kept." in page
    chosen = re.findall(r'<option value="(\d)" selected>', page)
    assert chosen == ["2", "1"]
    assert page.count('aria-invalid="true"') == 2
    assert "Long &lt;b&gt;ones&lt;/b&gt;." in page
    assert Ranking.objects.get(pk=ranking.pk).state == "open"


@pytest.mark.parametrize("place", ["0", "5", "x", "１", "-1", ""])
def test_no_other_place_is_taken(client, arena, place):
    ranking = open_ranking(client, arena)
    response = send(client, arena, ranking, ["1", "2", "3", place])
    assert response.status_code == 422
    assert b"D has none" in response.content


def test_nothing_is_revealed_before_the_order(client, arena):
    ranking = open_ranking(client, arena)
    assert client.get(address(arena, "rank-reveal", ranking.key)).url == address(arena)


def test_a_ranking_belongs_to_its_voter(client, arena):
    ranking = open_ranking(client, arena)
    stranger = Client()
    open_ranking(stranger, arena)
    assert stranger.get(address(arena, "rank-reveal", ranking.key)).status_code == 404
    assert send(stranger, arena, ranking).url == address(arena)
    assert stranger.post(address(arena, "rank-undo"), {"ranking": ranking.key}).status_code == 302
    assert Ranking.objects.get(pk=ranking.pk).state == "open"


def test_an_order_that_is_sent_twice_is_counted_once_and_the_first_counts(client, arena):
    ranking = open_ranking(client, arena)
    first, second = (send(client, arena, ranking) for _ in range(2))
    assert first.url == second.url
    page = client.get(send(client, arena, ranking, "4321").url).content
    assert b"your first order counts" in page
    assert ranks_of(ranking) == [1, 2, 3, 4]


def test_skipping_goes_to_another_prompt(client, arena):
    ranking = open_ranking(client, arena)
    assert send(client, arena, ranking, "", act="skip").url == address(arena)
    assert open_ranking(client, arena).prompt_id != ranking.prompt_id


def test_undo_takes_the_last_order_back(client, arena):
    ranking = open_ranking(client, arena)
    send(client, arena, ranking)
    response = client.post(address(arena, "rank-undo"), follow=True)
    assert b"Your order was taken back" in response.content
    assert open_ranking(client, arena).prompt_id != ranking.prompt_id
    assert Ranking.objects.get(pk=ranking.pk).state == "undone"


def test_undo_without_an_order_says_so(client, arena):
    open_ranking(client, arena)
    response = client.post(address(arena, "rank-undo"), follow=True)
    assert b"no order of yours to take back" in response.content


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rank_size": 0}, "nobody is asked"),
        ({"is_open": False}, "open for votes"),
        ({"who_votes": WhoVotes.ACCOUNTS}, "need an account"),
        ({"who_votes": WhoVotes.MEMBERS}, "need an account"),
    ],
)
def test_who_may_not_vote_may_not_rank(client, arena, change, words):
    ranking = open_ranking(client, arena)
    type(arena).objects.update(**change)
    page = client.get(address(arena)).content.decode()
    assert words in page
    assert send(client, arena, ranking).status_code == 403
    assert client.post(address(arena, "rank-undo")).status_code == 403
    assert Ranking.objects.get(pk=ranking.pk).state == "open"


def test_too_many_in_a_minute_are_refused_and_keep_what_was_chosen(client, arena, settings):
    settings.VOTES_PER_MINUTE = 2
    for _ in range(2):
        send(client, arena, open_ranking(client, arena))
    response = send(client, arena, open_ranking(client, arena), "4321")
    assert response.status_code == 429
    assert int(response.headers["Retry-After"]) > 0
    assert re.findall(r'<option value="(\d)" selected>', response.content.decode()) == list("4321")


def test_when_nothing_is_left_the_page_says_so(client, arena):
    for _ in range(6):
        send(client, arena, open_ranking(client, arena))
    assert b"You have had every prompt" in client.get(address(arena)).content


def test_an_arena_with_too_few_systems_says_what_it_needs(client, arena):
    arena.rank_size = 5
    arena.save()
    assert b"at least 5 systems have answered" in client.get(address(arena)).content


def test_hostile_answers_are_text(client, arena):
    Output.objects.update(text="<script>alert(1)</script> **bold**")
    page = client.get(address(arena)).content.decode()
    assert "<script>alert" not in page
    assert "<strong>bold</strong>" in page


def test_the_arena_links_to_it_only_where_it_is_asked(client, arena):
    home = arena.get_absolute_url()
    assert address(arena) in client.get(home).content.decode()
    type(arena).objects.update(rank_size=0)
    assert address(arena) not in client.get(home).content.decode()


def test_pages_take_a_constant_number_of_queries(client, arena, django_assert_max_num_queries):
    send(client, arena, open_ranking(client, arena))
    for _ in range(3):
        with django_assert_max_num_queries(24):
            ranking = open_ranking(client, arena)
        with django_assert_max_num_queries(24):
            response = send(client, arena, ranking)
        with django_assert_max_num_queries(14):
            client.get(response.url)
