"""What no judge could decide is put before voters first, until it has its votes."""

import random  # noqa: TID251 (the verbs take one)
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena.matchmaking import plan_pairs
from arena.models import Battle, Output, WantedBattle
from arena.wanted import draw_wanted, keep_wanted
from judges.ballots import TRICKLE, cast_ballot, next_ballot, skip_ballot, undo_ballot
from judges.models import Ballot, GoldItem, Outcome, Verdict
from judges.voters import crowd_of
from tests.cast import make_battle, make_prompt, make_system, make_voter

pytestmark = pytest.mark.django_db
ONLY_FRESH = {"overlap_share": 0, "repeat_share": 0, "gold_share": 0}


@pytest.fixture
def arena(small_arena):
    small_arena.policy = ONLY_FRESH
    small_arena.is_open = True
    small_arena.save()
    plan_pairs(arena=small_arena)
    return small_arena


@pytest.fixture
def carol(arena):
    return make_voter(crowd_of(arena), "carol")


def ids(arena):
    return list(Battle.objects.filter(arena=arena).order_by("pk").values_list("pk", flat=True))


def want(arena, battles, *, votes=5, source="cascade"):
    return keep_wanted(
        arena_id=arena.pk, source=source, among=ids(arena), wanted=set(battles), votes=votes
    )


def wanted():
    return set(WantedBattle.objects.values_list("battle", flat=True))


def ballots_of(arena, voter, n, seed=1):
    rng = random.Random(seed)
    for _ in range(n):
        ballot = next_ballot(arena=arena, voter=voter, rng=rng)
        yield ballot
        skip_ballot(ballot=ballot)


def test_wanted_battles_come_before_others_to_whoever_has_not_had_them(arena, carol, monkeypatch):
    monkeypatch.setattr("judges.ballots.TRICKLE", 0)
    asked = ids(arena)[5:9]
    want(arena, asked)
    dora = make_voter(crowd_of(arena), "dora")
    for voter in (carol, dora):
        met = [ballot.battle_id for ballot in ballots_of(arena, voter, 7)]
        assert set(met[:4]) == set(asked)
        assert not set(met[4:]) & set(asked)
        assert len(set(met)) == 7


def test_a_few_ballots_are_drawn_as_ever(arena, carol):
    asked = ids(arena)[:3]
    want(arena, asked, votes=1_000)
    rng, drawn = random.Random(5), Counter()
    for number in range(150):
        voter = make_voter(carol.judge, f"v{number}")
        drawn[next_ballot(arena=arena, voter=voter, rng=rng).battle_id in asked] += 1
    # Some that are drawn as ever are among the wanted ones: 3 of 36.
    assert drawn[False] / 150 == pytest.approx(TRICKLE * 33 / 36, abs=0.06)
    assert drawn[False] > 0


def test_gold_items_keep_their_share(arena, carol):
    arena.policy = ONLY_FRESH | {"gold_share": 0.5}
    arena.save()
    want(arena, ids(arena), votes=1_000)
    for number in range(30):
        GoldItem.objects.create(
            arena=arena, source_id=str(number), prompt="?", output_a="a", output_b="b", expected=0
        )
    purposes = Counter(ballot.purpose for ballot in ballots_of(arena, carol, 40))
    assert 10 <= purposes[Ballot.Purpose.GOLD] <= 30
    assert purposes[Ballot.Purpose.FRESH] == 40 - purposes[Ballot.Purpose.GOLD]


def test_voters_who_come_at_once_get_different_ones(arena, carol, monkeypatch):
    monkeypatch.setattr("judges.ballots.TRICKLE", 0)
    want(arena, ids(arena)[:10])
    rng = random.Random(3)
    voters = [make_voter(carol.judge, f"v{number}") for number in range(12)]
    met = {next_ballot(arena=arena, voter=voter, rng=rng).battle_id for voter in voters}
    assert len(met) > 4


def test_a_battle_is_taken_off_when_it_has_its_votes(arena, carol, monkeypatch):
    monkeypatch.setattr("judges.ballots.TRICKLE", 0)
    battle = ids(arena)[0]
    want(arena, [battle], votes=4)  # alice and bob have voted on it
    for voter in (carol, make_voter(carol.judge, "dora")):
        assert wanted() == {battle}
        ballot = next_ballot(arena=arena, voter=voter)
        assert ballot.battle_id == battle
        cast_ballot(ballot=ballot, outcome=Outcome.A)
    assert wanted() == set()


def test_a_vote_that_was_taken_back_does_not_count_nor_do_judges_and_criteria(arena, carol):
    arena.criteria = ["style"]
    arena.save()
    battle = ids(arena)[0]
    want(arena, [battle], votes=4)
    for voter in (carol, make_voter(carol.judge, "dora")):
        ballot = Ballot.objects.create(
            arena=arena, voter=voter, battle_id=battle, shown_first=Verdict.Side.A
        )
        cast_ballot(ballot=ballot, outcome=Outcome.A, criteria={"style": Outcome.A})
        assert wanted() == {battle}  # three people; a judge has decided it too
        if voter == carol:
            undo_ballot(ballot=ballot)


def test_each_source_keeps_its_own(arena):
    first, second, third = ids(arena)[:3]
    assert want(arena, [first, second]) == 2
    turn = WantedBattle.objects.get(battle=second).pk
    assert want(arena, [second, third], source="other") == 2
    assert want(arena, [second]) == 1
    assert wanted() == {second, third}
    assert WantedBattle.objects.get(battle=second).pk == turn
    assert want(arena, []) == 0
    assert wanted() == {third}


def test_only_those_of_the_batch_are_looked_at(arena):
    first, second, third = ids(arena)[:3]
    want(arena, [first, third])
    keep_wanted(arena_id=arena.pk, source="cascade", among=[second], wanted=[], votes=3)
    assert wanted() == {first, third}


def test_what_can_not_be_shown_is_not_asked_about(arena, carol):
    first, second, third = Battle.objects.filter(arena=arena).order_by("pk")[:3]
    Output.objects.filter(pk=first.output_a_id).update(text="")
    Output.objects.filter(pk=second.output_b_id).update(leak="I am Cleo")
    shown = want(arena, ids(arena))
    assert not wanted() & {first.pk, second.pk}
    assert shown == len(wanted()) < len(ids(arena))
    # Found out only after it was put in the queue.
    WantedBattle.objects.exclude(battle=third).delete()
    Output.objects.filter(pk=third.output_a_id).update(leak="I am Ada")
    had = Ballot.objects.none().values("battle")
    assert draw_wanted(arena_id=arena.pk, seen=had, rng=random.Random(1)) is None


def test_other_arenas_queues_are_theirs(arena, carol):
    from tests.cast import make_arena

    other = make_arena("other")
    one, two = make_system(other, "Eve"), make_system(other, "Fay")
    battle = make_battle(one, two, make_prompt(other))
    keep_wanted(arena_id=other.pk, source="c", among=[battle.pk], wanted=[battle.pk], votes=3)
    assert next_ballot(arena=arena, voter=carol).battle.arena_id == arena.pk


def test_the_queue_costs_one_query_however_long_it_is(arena, carol):
    def queries_of_a_draw():
        had = Ballot.objects.filter(voter=carol).values("battle")
        with CaptureQueriesContext(connection) as queries:
            draw_wanted(arena_id=arena.pk, seen=had, rng=random.Random(1))
        return len(queries)

    assert queries_of_a_draw() == 1
    want(arena, ids(arena))
    assert queries_of_a_draw() == 1


def test_a_vote_costs_one_statement_more_whether_its_battle_was_wanted_or_not(arena, carol):
    def statements(voter):
        ballot = next_ballot(arena=arena, voter=voter)
        with CaptureQueriesContext(connection) as queries:
            cast_ballot(ballot=ballot, outcome=Outcome.A)
        return [q["sql"] for q in queries if "wantedbattle" in q["sql"]]

    assert len(statements(carol)) == 1
    want(arena, ids(arena), votes=1)
    assert len(statements(make_voter(carol.judge, "dora"))) == 1
