"""The vote in the browser: blind, plain forms, a reveal, and what comes next."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from arena.matchmaking import plan_pairs
from arena.models import Arena, WhoVotes
from judges.models import Ballot, GoldItem, Outcome, Retraction, Verdict
from judges.voters import find_crowd
from tests.cast import make_arena

pytestmark = pytest.mark.django_db

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def arena(small_arena):
    small_arena.policy = {"overlap_share": 0, "repeat_share": 0, "gold_share": 0}
    small_arena.is_open = True
    small_arena.save()
    plan_pairs(arena=small_arena)
    return small_arena


def address(arena, name="vote", *args):
    return reverse(f"judges:{name}", args=[arena.slug, *args])


def key_on(response):
    return re.search(rb'name="ballot" value="([0-9a-f-]{36})"', response.content)[1].decode()


def open_ballot(client, arena):
    response = client.get(address(arena))
    assert response.status_code == 200
    return Ballot.objects.get(key=key_on(response))


def send(client, arena, ballot, outcome="first", **more):
    headers = {name: more.pop(name) for name in list(more) if name.startswith("HTTP_")}
    form = {"ballot": str(ballot.key), "outcome": outcome, **more}
    return client.post(address(arena, "vote-cast"), form, **headers)


def cast_here(arena):
    return Verdict.objects.filter(judge=find_crowd(arena))


def test_nothing_on_the_page_tells_whose_answers_they_are(client, arena):
    for system in arena.systems.all():
        system.outputs.update(text="A neutral answer.")
    page = client.get(address(arena)).content.decode()
    ballot = Ballot.objects.get()
    for system in arena.systems.all():
        for word in (system.name, system.slug, system.organisation):
            assert not re.search(rf"\b{re.escape(word)}\b", page), word
    assert f"battles/{ballot.battle_id}" not in page
    assert page.count("A neutral answer.") == 4  # two answers, formatted and as written


@pytest.mark.parametrize("shown_first", [0, 1])
def test_the_left_answer_is_the_one_that_was_shown_first(client, arena, shown_first):
    ballot = open_ballot(client, arena)
    Ballot.objects.update(shown_first=shown_first)
    battle = ballot.battle
    texts = [battle.output_a.text, battle.output_b.text]
    page = client.get(address(arena)).content.decode()
    assert (page.index(texts[0]) < page.index(texts[1])) == (shown_first == 0)
    send(client, arena, ballot, "first")
    verdict = cast_here(arena).get()
    assert (verdict.outcome, verdict.shown_first) == (shown_first, shown_first)


@pytest.mark.parametrize(
    ("choice", "outcome"), [("tie", Outcome.TIE), ("both_bad", Outcome.BOTH_BAD)]
)
def test_ties_and_both_bad_are_said_apart(client, arena, choice, outcome):
    send(client, arena, open_ballot(client, arena), choice)
    assert cast_here(arena).get().outcome == outcome


def test_after_a_vote_the_names_are_told(client, arena):
    ballot = open_ballot(client, arena)
    response = send(client, arena, ballot)
    assert response.status_code == 302
    page = client.get(response.url).content.decode()
    assert "You said: A is better" in page
    for system in (ballot.battle.system_a, ballot.battle.system_b):
        assert system.name in page
    assert "Other people:" in page


def test_the_reveal_speaks_of_the_letters_on_the_screen(client, arena):
    ballot = open_ballot(client, arena)
    Ballot.objects.update(shown_first=1)
    Verdict.objects.filter(battle=ballot.battle, judge__name="People").update(outcome=Outcome.A)
    page = client.get(send(client, arena, ballot, "first").url).content.decode()
    assert page.index(ballot.battle.system_b.name) < page.index(ballot.battle.system_a.name)
    assert "Other people: 2 for B (n = 2)." in page


def test_nothing_is_revealed_before_the_vote(client, arena):
    ballot = open_ballot(client, arena)
    response = client.get(address(arena, "vote-reveal", ballot.key))
    assert response.url == address(arena)


def test_a_ballot_belongs_to_its_voter(client, arena):
    ballot = open_ballot(client, arena)
    stranger = Client()
    open_ballot(stranger, arena)
    assert stranger.get(address(arena, "vote-reveal", ballot.key)).status_code == 404
    assert stranger.get(address(arena, "vote-following", ballot.key)).status_code == 404
    assert send(stranger, arena, ballot).url == address(arena)
    assert not cast_here(arena).exists()


def test_a_vote_that_is_sent_twice_is_answered_twice_and_counted_once(client, arena):
    ballot = open_ballot(client, arena)
    first, second = (send(client, arena, ballot) for _ in range(2))
    assert first.url == second.url
    assert cast_here(arena).count() == 1


def test_a_second_thought_after_the_reveal_is_not_counted(client, arena):
    ballot = open_ballot(client, arena)
    send(client, arena, ballot, "tie")
    page = send(client, arena, ballot, "first", **HTMX)
    assert b"your first decision counts" in page.content
    assert cast_here(arena).get().outcome == Outcome.TIE


def test_with_htmx_only_the_stage_is_answered(client, arena):
    page = send(client, arena, open_ballot(client, arena), **HTMX).content
    assert b"<html" not in page
    assert b"You said: A is better" in page


def test_the_next_ballot_can_be_fetched_while_one_is_read(client, arena):
    ballot = open_ballot(client, arena)
    fetched = client.get(address(arena, "vote-following", ballot.key), **HTMX)
    prepared = Ballot.objects.get(key=key_on(fetched))
    assert prepared.shown_at is None
    assert prepared.battle_id != ballot.battle_id
    send(client, arena, ballot, **HTMX)
    assert open_ballot(client, arena) == prepared


def test_skipping_goes_to_another_battle(client, arena):
    ballot = open_ballot(client, arena)
    assert send(client, arena, ballot, "skip").url == address(arena)
    assert open_ballot(client, arena).battle_id != ballot.battle_id
    assert not cast_here(arena).exists()


def test_undo_takes_the_last_vote_back_however_often_it_is_sent(client, arena):
    for choice in ("first", "tie"):
        ballot = open_ballot(client, arena)
        send(client, arena, ballot, choice)
    open_ballot(client, arena)
    for _ in range(2):
        response = client.post(address(arena, "vote-undo"), follow=True)
        assert b"Your vote was taken back" in response.content
        assert Ballot.objects.get(key=key_on(response)).battle != ballot.battle
    assert Retraction.objects.get().verdict.battle == ballot.battle


def test_a_nul_in_a_comment_is_left_out(client, arena):
    Arena.objects.update(asks_comment=True)
    ballot = open_ballot(client, arena)
    assert send(client, arena, ballot, comment="fi\x00ne").status_code == 302
    assert cast_here(arena).get().trace.rationale == "fine"


def test_undo_of_a_skip_brings_the_battle_back(client, arena):
    ballot = open_ballot(client, arena)
    send(client, arena, ballot, "skip")
    for _ in range(2):
        response = client.post(address(arena, "vote-undo"), follow=True)
        assert Ballot.objects.get(key=key_on(response)).battle == ballot.battle


def test_undo_without_a_vote_says_so(client, arena):
    open_ballot(client, arena)
    response = client.post(address(arena, "vote-undo"), follow=True)
    assert b"no vote of yours to take back" in response.content


def test_a_vote_without_a_decision_keeps_what_was_typed(client, arena):
    arena.asks_comment, arena.asks_certainty = True, True
    arena.criteria, arena.reasons = ["accuracy"], ["made up", "dull"]
    arena.save()
    ballot = open_ballot(client, arena)
    typed = {
        "comment": "Both <b>try</b>.",
        "certainty": "80",
        "criterion-0": "tie",
        "reasons-second": ["dull"],
    }
    response = send(client, arena, ballot, "", **typed)
    page = response.content.decode()
    assert response.status_code == 422
    assert "Choose one of the four" in page
    assert "Both &lt;b&gt;try&lt;/b&gt;." in page
    assert re.search(r'name="criterion-0" value="tie" checked', page)
    assert re.search(r'name="reasons-second" value="dull" checked', page)
    assert not re.search(r'name="reasons-first" value="dull" checked', page)
    assert 'value="80"' in page


def test_what_the_arena_asks_is_stored(client, arena):
    arena.asks_comment, arena.asks_certainty = True, True
    arena.criteria, arena.reasons = ["accuracy"], ["made up", "dull"]
    arena.save()
    ballot = open_ballot(client, arena)
    Ballot.objects.update(shown_first=1)
    given = {"comment": "B invents.", "certainty": "80", "criterion-0": "first"}
    send(client, arena, ballot, "first", **given, **{"reasons-second": ["made up"]})
    overall = cast_here(arena).get(criterion="")
    assert (overall.confidence, overall.trace.rationale) == (0.8, "B invents.")
    assert cast_here(arena).get(criterion="accuracy").outcome == Outcome.B
    assert Ballot.objects.get(pk=ballot.pk).reasons == {"a": ["made up"]}


@pytest.mark.parametrize("certainty", ["45", "", "1000", "-5", "٥٠"])
def test_certainty_may_stay_unsaid(client, arena, certainty):
    arena.asks_certainty = True
    arena.save()
    send(client, arena, open_ballot(client, arena), certainty=certainty)
    assert cast_here(arena).get().confidence is None


def test_a_reason_that_the_arena_does_not_have_is_refused(client, arena):
    response = send(client, arena, open_ballot(client, arena), **{"reasons-first": ["mine"]})
    assert response.status_code == 422
    assert not cast_here(arena).exists()


def test_a_gold_item_looks_like_any_other_and_tells_nothing(client, arena):
    arena.policy = {"gold_share": 1, "overlap_share": 0, "repeat_share": 0}
    arena.save()
    GoldItem.objects.create(
        arena=arena, source_id="g1", prompt="2 + 2?", output_a="4", output_b="5", expected=Outcome.A
    )
    page = client.get(address(arena))
    assert b"gold" not in page.content.lower()
    ballot = Ballot.objects.get(key=key_on(page))
    response = send(client, arena, ballot, **HTMX)
    assert b"your answer is noted" in response.content
    assert b"gold" not in response.content.lower()
    assert Ballot.objects.get(pk=ballot.pk).outcome is not None


def test_who_votes_too_fast_is_told_to_wait_and_loses_nothing(client, arena, settings):
    settings.VOTES_PER_MINUTE = 1
    arena.asks_comment = True
    arena.save()
    send(client, arena, open_ballot(client, arena))
    response = send(client, arena, open_ballot(client, arena), comment="Typed already.")
    assert response.status_code == 429
    assert int(response["Retry-After"]) > 50
    assert b"Typed already." in response.content
    assert cast_here(arena).count() == 1


def test_a_closed_arena_takes_no_votes(client, arena):
    ballot = open_ballot(client, arena)
    arena.is_open = False
    arena.save()
    assert b"open for votes" in client.get(address(arena)).content
    assert send(client, arena, ballot).status_code == 403
    assert not cast_here(arena).exists()


def test_where_votes_need_an_account_the_page_offers_to_sign_in(client, arena):
    arena.who_votes = WhoVotes.ACCOUNTS
    arena.save()
    page = client.get(address(arena)).content.decode()
    assert "Sign in" in page
    assert f"next={address(arena)}" in page


def test_a_private_arena_is_not_there_for_strangers(client, arena):
    arena.is_public = False
    arena.save()
    assert client.get(address(arena)).status_code == 404


def test_a_browser_without_cookies_is_told(arena):
    ballot = open_ballot(Client(), arena)
    response = send(Client(), arena, ballot, **HTMX)
    assert response["HX-Redirect"] == address(arena)


def test_an_arena_without_battles_says_what_it_needs(client):
    arena = make_arena("empty", is_open=True)
    assert b"needs two systems" in client.get(address(arena)).content


def test_the_end_is_said(client, arena):
    for _ in range(36):
        send(client, arena, open_ballot(client, arena), "skip")
    assert b"You have seen every battle there is for you" in client.get(address(arena)).content


def test_scripts_and_forms_from_elsewhere_are_refused(arena):
    strict = Client(enforce_csrf_checks=True)
    ballot = open_ballot(strict, arena)
    assert send(strict, arena, ballot).status_code == 403


def test_the_number_of_queries_does_not_grow(client, arena, django_assert_max_num_queries):
    send(client, arena, open_ballot(client, arena))
    for _ in range(5):
        with django_assert_max_num_queries(30):
            ballot = open_ballot(client, arena)
        with django_assert_max_num_queries(40):
            send(client, arena, ballot, **HTMX)
