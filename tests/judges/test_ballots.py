"""A ballot is issued by the arena's policy, decided once, and can be taken back."""

import random  # noqa: TID251 (the verbs take one)
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from arena.matchmaking import plan_pairs
from judges import ballots
from judges.ballots import (
    BallotDecided,
    BallotError,
    cast_ballot,
    last_decided,
    mark_shown,
    next_ballot,
    prepare_next,
    progress,
    skip_ballot,
    sweep_ballots,
    undo_ballot,
)
from judges.models import Ballot, GoldItem, Outcome, Retraction, Verdict
from judges.voters import crowd_of
from tests.cast import make_voter

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


def policy(arena, **shares):
    arena.policy = ONLY_FRESH | shares
    arena.save()


def vote(arena, voter, outcome=Outcome.A, seed=1):
    ballot = next_ballot(arena=arena, voter=voter, rng=random.Random(seed))
    return cast_ballot(ballot=ballot, outcome=outcome)


def cast_by(voter):
    return Verdict.objects.filter(voter=voter)


def test_the_open_ballot_comes_back_until_it_is_decided(arena, carol):
    first = next_ballot(arena=arena, voter=carol)
    assert next_ballot(arena=arena, voter=carol) == first
    cast_ballot(ballot=first, outcome=Outcome.TIE)
    assert next_ballot(arena=arena, voter=carol).battle_id != first.battle_id


def test_a_vote_is_a_verdict_in_the_battles_orientation(arena, carol):
    ballot = next_ballot(arena=arena, voter=carol)
    mark_shown(ballot)
    cast_ballot(ballot=ballot, outcome=Outcome.B, certainty=0.8, comment="B is to the point.")
    verdict = cast_by(carol).get()
    assert (verdict.battle, verdict.outcome, verdict.shown_first, verdict.confidence) == (
        ballot.battle,
        Outcome.B,
        ballot.shown_first,
        0.8,
    )
    assert verdict.trace.rationale == "B is to the point."
    assert Ballot.objects.get(pk=ballot.pk).dwell_ms >= 0


def test_sending_a_vote_twice_changes_nothing(arena, carol):
    ballot = next_ballot(arena=arena, voter=carol)
    for _ in range(2):
        assert cast_ballot(ballot=ballot, outcome=Outcome.A).state == Ballot.State.VOTED
    assert cast_by(carol).count() == 1


def test_another_decision_on_a_decided_ballot_is_refused(arena, carol):
    ballot = vote(arena, carol)
    with pytest.raises(BallotDecided, match="first decision counts"):
        cast_ballot(ballot=ballot, outcome=Outcome.B)
    with pytest.raises(BallotDecided):
        skip_ballot(ballot=ballot)
    assert cast_by(carol).get().outcome == Outcome.A


def test_criteria_get_verdicts_of_their_own(arena, carol):
    arena.criteria = ["accuracy", "style"]
    arena.save()
    ballot = next_ballot(arena=arena, voter=carol)
    cast_ballot(ballot=ballot, outcome=Outcome.A, criteria={"style": Outcome.B})
    assert dict(cast_by(carol).values_list("criterion", "outcome")) == {
        "": Outcome.A,
        "style": Outcome.B,
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"criteria": {"charm": Outcome.A}}, "no criterion 'charm'"),
        ({"reasons": {"a": ["dull"]}}, "'dull' is not one of"),
        ({"reasons": {"left": ["dull"]}}, "sides a and b"),
        ({"comment": "x" * 5_000}, "5,000 characters"),
    ],
)
def test_what_the_arena_does_not_ask_is_refused(arena, carol, given, words):
    ballot = next_ballot(arena=arena, voter=carol)
    with pytest.raises(BallotError, match=words):
        cast_ballot(ballot=ballot, outcome=Outcome.A, **given)
    assert not cast_by(carol).exists()


def test_reasons_are_kept_with_the_ballot(arena, carol):
    arena.reasons = ["made up", "dull"]
    arena.save()
    ballot = next_ballot(arena=arena, voter=carol)
    cast_ballot(ballot=ballot, outcome=Outcome.A, reasons={"a": [], "b": ["dull"]})
    assert Ballot.objects.get(pk=ballot.pk).reasons == {"b": ["dull"]}


def test_a_voter_meets_every_battle_once_and_then_none(arena, carol):
    met = []
    while ballot := next_ballot(arena=arena, voter=carol):
        cast_ballot(ballot=ballot, outcome=Outcome.TIE)
        met.append(ballot.battle_id)
    assert len(met) == len(set(met)) == 36  # six pairs on six prompts
    assert {ballot.purpose for ballot in Ballot.objects.all()} == {"fresh"}


def test_skipped_battles_do_not_come_back(arena, carol):
    first = next_ballot(arena=arena, voter=carol)
    skip_ballot(ballot=first)
    skip_ballot(ballot=first)
    met = set()
    while ballot := next_ballot(arena=arena, voter=carol):
        skip_ballot(ballot=ballot)
        met.add(ballot.battle_id)
    assert first.battle_id not in met
    assert not cast_by(carol).exists()


def test_undo_takes_the_vote_back_and_the_battle_never_comes_again(arena, carol):
    before, ballot = vote(arena, carol, Outcome.B), vote(arena, carol, Outcome.A)
    for _ in range(2):
        assert undo_ballot(ballot=last_decided(voter=carol)) is None
    assert undo_ballot(ballot=ballot) is None
    assert Retraction.objects.get().verdict == cast_by(carol).get(battle=ballot.battle)
    assert cast_by(carol).get(retraction=None).battle == before.battle
    with pytest.raises(BallotDecided):
        cast_ballot(ballot=ballot, outcome=Outcome.B)
    met = set()
    while following := next_ballot(arena=arena, voter=carol):
        skip_ballot(ballot=following)
        met.add(following.battle_id)
    assert ballot.battle_id not in met


def test_undo_of_a_skip_brings_the_battle_back(arena, carol):
    skipped = skip_ballot(ballot=next_ballot(arena=arena, voter=carol))
    again = undo_ballot(ballot=skipped)
    assert again.battle == skipped.battle
    assert cast_ballot(ballot=again, outcome=Outcome.A).state == Ballot.State.VOTED
    assert not Retraction.objects.exists()


def test_the_prepared_ballot_is_the_one_that_comes_next(arena, carol):
    ballot = next_ballot(arena=arena, voter=carol)
    following = prepare_next(ballot=ballot)
    assert following.battle_id != ballot.battle_id
    assert prepare_next(ballot=ballot) == following
    assert next_ballot(arena=arena, voter=carol) == ballot
    cast_ballot(ballot=ballot, outcome=Outcome.A)
    assert next_ballot(arena=arena, voter=carol) == following


def test_both_sides_come_first_about_equally_often(arena):
    crowd = crowd_of(arena)
    first = Counter()
    for number in range(20):
        voter = make_voter(crowd, f"voter {number}")
        for seed in range(10):
            ballot = next_ballot(arena=arena, voter=voter, rng=random.Random(100 * number + seed))
            first[ballot.shown_first] += 1
            skip_ballot(ballot=ballot)
    assert 70 <= first[0] <= 130  # 200 ballots: four standard deviations


def test_gold_items_measure_the_voter_and_are_no_verdicts(arena, carol):
    policy(arena, gold_share=1)
    item = GoldItem.objects.create(
        arena=arena, source_id="g1", prompt="2 + 2?", output_a="4", output_b="5", expected=Outcome.A
    )
    ballot = next_ballot(arena=arena, voter=carol)
    assert (ballot.gold_item, ballot.battle) == (item, None)
    cast_ballot(ballot=ballot, outcome=Outcome.A, reasons={})
    assert Ballot.objects.get(pk=ballot.pk).outcome == Outcome.A
    assert not cast_by(carol).exists()
    # Each once; then battles.
    assert next_ballot(arena=arena, voter=carol).battle is not None


def test_the_first_answer_to_a_gold_item_stays(arena, carol):
    policy(arena, gold_share=1)
    GoldItem.objects.create(
        arena=arena, source_id="g1", prompt="2 + 2?", output_a="4", output_b="5", expected=Outcome.A
    )
    ballot = cast_ballot(ballot=next_ballot(arena=arena, voter=carol), outcome=Outcome.B)
    assert undo_ballot(ballot=ballot) is None
    assert Ballot.objects.exclude(gold_item=None).get().outcome == Outcome.B
    assert Ballot.objects.get(pk=ballot.pk).state == Ballot.State.VOTED


def test_a_vote_that_was_repeated_can_be_taken_back(arena, carol):
    for _ in range(ballots.REPEAT_AFTER + 2):
        vote(arena, carol)
    policy(arena, repeat_share=1)
    repeat = next_ballot(arena=arena, voter=carol)
    assert repeat.purpose == Ballot.Purpose.REPEAT
    first = Ballot.objects.get(voter=carol, battle=repeat.battle, repetition=0)
    assert undo_ballot(ballot=first) is None
    assert Retraction.objects.get().verdict.battle == repeat.battle


def test_repeats_come_late_swapped_once_and_are_not_counted(arena, carol):
    for _ in range(ballots.REPEAT_AFTER + 2):
        vote(arena, carol)
    n_verdicts = cast_by(carol).count()
    policy(arena, repeat_share=1)
    repeats = []
    for seed in range(3):
        ballot = next_ballot(arena=arena, voter=carol, rng=random.Random(seed))
        cast_ballot(ballot=ballot, outcome=Outcome.A)
        if ballot.purpose == Ballot.Purpose.REPEAT:
            repeats.append(ballot)
    assert len(repeats) >= 2
    for repeat in repeats:
        first = Ballot.objects.get(voter=carol, battle=repeat.battle, repetition=0)
        assert repeat.shown_first == 1 - first.shown_first
        assert repeat.repetition == 1
    assert len({repeat.battle_id for repeat in repeats}) == len(repeats)
    assert cast_by(carol).count() == n_verdicts + 3 - len(repeats)


def test_overlap_gives_a_battle_to_as_many_voters_as_the_policy_says(arena, carol):
    policy(arena, overlap_share=1, overlap_voters=3)
    battle = vote(arena, carol).battle_id
    crowd = crowd_of(arena)
    given = []
    for number in range(4):
        voter = make_voter(crowd, f"voter {number}")
        ballot = next_ballot(arena=arena, voter=voter, rng=random.Random(number))
        given.append((ballot.battle_id, ballot.purpose))
        if number < 2:
            cast_ballot(ballot=ballot, outcome=Outcome.A)
        else:
            skip_ballot(ballot=ballot)
    assert given[:2] == [(battle, "overlap")] * 2
    assert given[2][1] == given[3][1] == "fresh"


def test_outputs_that_name_their_system_are_not_shown(arena, carol):
    for battle in arena.battles.select_related("output_a"):
        battle.output_a.leak = "I am Ada"
        battle.output_a.save()
    assert next_ballot(arena=arena, voter=carol) is None


def test_progress_counts_votes_and_not_skips(arena, carol):
    arena.votes_wanted = 50
    arena.save()
    vote(arena, carol)
    skip_ballot(ballot=next_ballot(arena=arena, voter=carol))
    assert progress(arena=arena, voter=carol) == (1, 1, 1, 50)


def test_forgotten_ballots_are_swept_and_networks_erased(arena, carol):
    decided = next_ballot(arena=arena, voter=carol)
    cast_ballot(ballot=decided, outcome=Outcome.A, network="abc")
    waiting = next_ballot(arena=arena, voter=carol)
    assert sweep_ballots() == 0
    long_ago = timezone.now() - timedelta(days=2)
    Ballot.objects.update(created_at=long_ago)
    Ballot.objects.filter(pk=decided.pk).update(decided_at=long_ago)
    assert sweep_ballots() == 2
    assert not Ballot.objects.filter(pk=waiting.pk).exists()
    assert Ballot.objects.get(pk=decided.pk).network == ""


def test_finding_the_next_battle_takes_a_constant_number_of_queries(
    arena, carol, django_assert_max_num_queries
):
    policy(arena, overlap_share=0.3, repeat_share=0.3, gold_share=0.2)
    vote(arena, carol)  # the first of a crowd also publishes its figures
    for _ in range(20):
        # 10 to 17 as a rule; more where hardly anything is left, since several pairs are tried in turn.
        with django_assert_max_num_queries(32):
            ballot = next_ballot(arena=arena, voter=carol)
        with django_assert_max_num_queries(16):
            cast_ballot(ballot=ballot, outcome=Outcome.A)
