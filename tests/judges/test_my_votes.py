"""One's own votes: listed, compared with others', downloaded, taken back."""

import pytest
from django.test import Client
from django.urls import reverse

from arena.matchmaking import plan_pairs
from judges.ballots import cast_ballot, next_ballot
from judges.models import Ballot, GoldItem, Judge, Outcome, Retraction, Verdict
from judges.my_votes import Share, agreement_with_judges, agreement_with_people, win_rates
from judges.voters import find_crowd

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena(small_arena):
    small_arena.policy = {"overlap_share": 0, "repeat_share": 0, "gold_share": 0}
    small_arena.is_open = True
    small_arena.save()
    plan_pairs(arena=small_arena)
    return small_arena


def address(arena, name="my-votes", *args):
    return reverse(f"judges:{name}", args=[arena.slug, *args])


def voter_behind(client, arena):
    """Whoever opened the vote page last."""
    client.get(reverse("judges:vote", args=[arena.slug]))
    return find_crowd(arena).voters.latest("pk")


def vote(arena, voter, outcome=Outcome.A):
    return cast_ballot(ballot=next_ballot(arena=arena, voter=voter), outcome=outcome)


def test_who_has_not_voted_is_led_to_the_vote(client, arena):
    page = client.get(address(arena))
    assert b"No vote of yours yet" in page.content
    assert reverse("judges:vote", args=[arena.slug]).encode() in page.content


def test_votes_are_listed_with_what_others_said(client, arena):
    ballot = vote(arena, voter_behind(client, arena), Outcome.TIE)
    page = client.get(address(arena)).content.decode()
    assert reverse("judges:battle", args=[arena.slug, ballot.battle_id]) in page
    assert "(n = 2)" in page
    assert "<bdi>Tie</bdi>" in page


def test_another_browser_sees_none_of_it(client, arena):
    ballot = vote(arena, voter_behind(client, arena))
    stranger = Client()
    voter_behind(stranger, arena)
    assert b"No vote of yours yet" in stranger.get(address(arena)).content
    response = stranger.post(address(arena, "my-votes-retract", ballot.key))
    assert response.status_code == 404
    assert not Retraction.objects.exists()


def test_gold_items_are_not_listed(client, arena):
    voter = voter_behind(client, arena)
    Ballot.objects.all().delete()
    arena.policy = {"gold_share": 1, "overlap_share": 0, "repeat_share": 0}
    arena.save()
    GoldItem.objects.create(
        arena=arena, source_id="g", prompt="2 + 2?", output_a="4", output_b="5", expected=0
    )
    vote(arena, voter)
    assert b"No vote of yours yet" in client.get(address(arena)).content


def test_a_vote_is_taken_back_once(client, arena):
    ballot = vote(arena, voter_behind(client, arena))
    for _ in range(2):
        response = client.post(address(arena, "my-votes-retract", ballot.key), follow=True)
        assert b"was taken back" in response.content
    assert Retraction.objects.get().verdict.battle_id == ballot.battle_id
    assert not Ballot.objects.filter(state=Ballot.State.OPEN, battle=ballot.battle).exists()


def test_agreement_with_people_counts_battles_with_a_side(client, arena):
    voter = voter_behind(client, arena)
    expected = [0, 0]
    for number in range(30):
        outcome = [Outcome.A, Outcome.B, Outcome.TIE][number % 3]
        ballot = vote(arena, voter, outcome)
        others = Verdict.objects.filter(battle=ballot.battle, judge__name="People")
        lean = sum({0: 1, 1: -1}.get(verdict.outcome, 0) for verdict in others)
        if lean and outcome != Outcome.TIE:
            expected[1] += 1
            expected[0] += (lean > 0) == (outcome == Outcome.A)
    assert expected[1] > 0
    assert agreement_with_people(voter)[:2] == tuple(expected)


def test_agreement_with_a_judge_leaves_ties_out(client, arena):
    voter = voter_behind(client, arena)
    ballots = [vote(arena, voter, Outcome.A) for _ in range(20)]
    llm = Judge.objects.get(name="Judge LLM")
    outcomes = list(
        Verdict.objects.filter(
            judge=llm, battle__in=[ballot.battle_id for ballot in ballots]
        ).values_list("outcome", flat=True)
    )
    [(judge, share)] = agreement_with_judges(voter)
    assert judge == llm
    assert share.k == outcomes.count(Outcome.A)
    assert share.n == outcomes.count(Outcome.A) + outcomes.count(Outcome.B) < len(outcomes)


def test_a_vote_that_was_taken_back_compares_with_nothing(client, arena):
    voter = voter_behind(client, arena)
    ballot = vote(arena, voter)
    client.post(address(arena, "my-votes-retract", ballot.key))
    assert agreement_with_people(voter).n == 0
    assert agreement_with_judges(voter) == []
    assert win_rates(voter) == ([], 0)


def test_win_rates_wait_for_enough_votes(client, arena):
    voter = voter_behind(client, arena)
    for _ in range(36):
        vote(arena, voter, Outcome.A)
    wins, too_few = win_rates(voter)
    # Everybody met everybody on six prompts, and the lower id won.
    assert [(win.system.name, win.share.k, win.share.n) for win in wins] == [
        ("Ada", 18, 18),
        ("Basil", 12, 18),
        ("Cleo", 6, 18),
        ("Dora", 0, 18),
    ]
    assert too_few == 0


@pytest.mark.parametrize(
    ("k", "n", "lower", "upper"),
    # Wilson's interval without continuity correction; Newcombe 1998, table I.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_wilsons_interval(k, n, lower, upper):
    share = Share.of(k, n)
    assert (round(share.lower, 4), round(share.upper, 4)) == (lower, upper)


def test_the_download_holds_every_vote_and_no_formula(client, arena):
    arena.systems.filter(name="Ada").update(name="=HYPERLINK(1)")
    voter = voter_behind(client, arena)
    for _ in range(36):
        vote(arena, voter, Outcome.BOTH_BAD)
    response = client.get(address(arena), {"format": "csv"})
    lines = response.content.decode().splitlines()
    assert len(lines) == 37
    assert ",both_bad," in lines[1]
    assert "'=HYPERLINK(1)" in response.content.decode()
    assert ",=HYPERLINK" not in response.content.decode()


def test_pages_go_on_from_the_last_vote(client, arena, monkeypatch):
    monkeypatch.setattr("judges.my_votes.PAGE", 2)
    voter = voter_behind(client, arena)
    ballots = [vote(arena, voter) for _ in range(3)]
    first = client.get(address(arena)).content.decode()
    assert f"?before={ballots[1].pk}" in first
    second = client.get(address(arena), {"before": ballots[1].pk}).content.decode()
    assert reverse("judges:my-votes-retract", args=[arena.slug, ballots[0].key]) in second
    assert client.get(address(arena), {"before": "x"}).status_code == 404


def test_the_number_of_queries_does_not_grow(client, arena, django_assert_max_num_queries):
    voter = voter_behind(client, arena)
    for _ in range(3):
        for _ in range(10):
            vote(arena, voter)
        with django_assert_max_num_queries(12):
            client.get(address(arena))
