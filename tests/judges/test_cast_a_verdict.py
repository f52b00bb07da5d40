import pytest

from judges.models import Judge, Outcome, Retraction, Verdict
from judges.signals import verdicts_changed
from judges.voting import VerdictConflict, cast_verdict, retract_verdict
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def battle():
    arena = cast.make_arena()
    ada, basil = cast.make_system(arena, "Ada"), cast.make_system(arena, "Basil")
    return cast.make_battle(ada, basil, cast.make_prompt(arena))


@pytest.fixture
def llm(battle):
    return cast.make_judge(battle.arena, "LLM", Judge.Kind.LLM)


@pytest.fixture
def heard():
    """What the rooms above are told."""
    told = []

    def listen(sender, arena_id, judge_ids, **kwargs):
        told.append((arena_id, set(judge_ids)))

    verdicts_changed.connect(listen)
    yield told
    verdicts_changed.disconnect(listen)


def test_a_verdict_repeats_its_battle(battle, llm):
    verdict = cast_verdict(battle=battle, judge=llm, outcome=Outcome.A)
    assert (verdict.pair, verdict.prompt) == (battle.pair, battle.prompt)


def test_sending_the_same_verdict_twice_changes_nothing(battle, llm, heard):
    first = cast_verdict(battle=battle, judge=llm, outcome=Outcome.TIE)
    second = cast_verdict(battle=battle, judge=llm, outcome=Outcome.TIE)
    assert first == second
    assert Verdict.objects.count() == 1
    assert heard == [(battle.arena_id, {llm.pk})]


def test_another_verdict_on_the_same_battle_is_refused_and_the_first_one_stays(battle, llm):
    cast_verdict(battle=battle, judge=llm, outcome=Outcome.A)
    with pytest.raises(VerdictConflict, match="retract it"):
        cast_verdict(battle=battle, judge=llm, outcome=Outcome.B)
    assert Verdict.objects.get().outcome == Outcome.A


def test_both_bad_is_not_a_tie(battle, llm):
    cast_verdict(battle=battle, judge=llm, outcome=Outcome.BOTH_BAD)
    with pytest.raises(VerdictConflict):
        cast_verdict(battle=battle, judge=llm, outcome=Outcome.TIE)


def test_alice_and_bob_both_vote(battle):
    people = cast.make_judge(battle.arena)
    for handle in ("alice", "bob"):
        voter = cast.make_voter(people, handle)
        cast_verdict(battle=battle, judge=people, voter=voter, outcome=Outcome.B)
    assert Verdict.objects.count() == 2


def test_the_words_behind_a_verdict_are_kept_beside_it(battle, llm):
    verdict = cast_verdict(
        battle=battle, judge=llm, outcome=Outcome.A, rationale="A rhymes.", completion="[[A]]"
    )
    assert (verdict.trace.rationale, verdict.trace.completion) == ("A rhymes.", "[[A]]")


def test_a_retraction_keeps_the_verdict_and_counts_once(battle, llm, heard):
    verdict = cast_verdict(battle=battle, judge=llm, outcome=Outcome.A)
    heard.clear()
    retract_verdict(verdict=verdict, reason="misclick")
    retract_verdict(verdict=verdict)
    assert Verdict.objects.count() == 1
    assert Retraction.objects.get().reason == "misclick"
    assert heard == [(battle.arena_id, {llm.pk})]


@pytest.mark.parametrize("outcome", Outcome)
def test_mirroring_an_outcome_twice_gives_it_back(outcome):
    assert outcome.mirrored.mirrored == outcome
    assert (outcome.mirrored == outcome) == (outcome in (Outcome.TIE, Outcome.BOTH_BAD))


def test_the_configuration_of_a_judge_never_changes(llm):
    from django.core.exceptions import ValidationError

    llm.description = "A careful reader."
    llm.save()
    llm.configuration = {"model": "another"}
    with pytest.raises(ValidationError, match="new version"):
        llm.save()
