"""The database itself refuses what must not be, whoever writes."""

import pytest
from django.db import IntegrityError, connection, transaction

from arena.models import Battle, Output, Pair, Prompt
from judges.models import Judge, JudgeCall, JudgeRun, Outcome, Verdict
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def battle():
    arena = cast.make_arena()
    ada, basil = cast.make_system(arena, "Ada"), cast.make_system(arena, "Basil")
    return cast.make_battle(ada, basil, cast.make_prompt(arena))


@pytest.fixture
def elsewhere():
    return cast.make_arena("recipes")


def refuses(action) -> None:
    """Foreign keys are deferred to the commit, so they are checked by hand inside the test."""
    with pytest.raises(IntegrityError), transaction.atomic():
        action()
        connection.check_constraints()


def test_a_battle_needs_the_lower_system_as_a(battle):
    swapped = {
        "system_a": battle.system_b,
        "system_b": battle.system_a,
        "output_a": battle.output_b,
        "output_b": battle.output_a,
    }
    refuses(lambda: Battle.objects.filter(pk=battle.pk).update(**swapped))


def test_a_pair_needs_the_lower_system_as_a(battle):
    pair = battle.pair
    refuses(
        lambda: Pair.objects.create(
            arena=pair.arena, system_a=pair.system_b, system_b=pair.system_a
        )
    )


def test_both_sides_answer_the_prompt_of_the_battle(battle):
    other = cast.make_prompt(battle.arena, "Write another poem.")
    refuses(lambda: Battle.objects.filter(pk=battle.pk).update(prompt=other))


@pytest.mark.parametrize("side", ["output_a", "output_b"])
def test_an_output_in_a_battle_is_that_of_its_side(battle, side):
    carla = cast.make_system(battle.arena, "Carla")
    output = cast.make_output(carla, battle.prompt)
    refuses(lambda: Battle.objects.filter(pk=battle.pk).update(**{side: output}))


def test_a_battle_has_both_outputs_or_neither(battle):
    refuses(lambda: Battle.objects.filter(pk=battle.pk).update(output_b=None))


def test_two_outputs_meet_once(battle):
    fields = ("arena", "pair", "prompt", "system_a", "system_b", "output_a", "output_b")
    refuses(lambda: Battle.objects.create(**{name: getattr(battle, name) for name in fields}))


def test_a_system_answers_a_prompt_once(battle):
    refuses(lambda: cast.make_output(battle.system_a, battle.prompt))


def test_an_output_stays_in_one_arena(battle, elsewhere):
    stranger = cast.make_prompt(elsewhere, "Boil an egg.")
    refuses(
        lambda: Output.objects.create(
            arena=battle.arena, system=battle.system_a, prompt=stranger, text="…"
        )
    )


def test_a_pair_stays_in_one_arena(battle, elsewhere):
    stranger = cast.make_system(elsewhere, "Zoe")
    refuses(
        lambda: Pair.objects.create(arena=battle.arena, system_a=battle.system_a, system_b=stranger)
    )


def test_a_prompt_is_known_by_its_content(battle):
    refuses(lambda: cast.make_prompt(battle.arena, "Write a poem."))


def test_a_judge_decides_a_battle_once(battle):
    llm = cast.make_judge(battle.arena, "LLM", Judge.Kind.LLM)
    cast.make_verdict(battle, llm, Outcome.A)
    refuses(lambda: cast.make_verdict(battle, llm, Outcome.B))


def test_a_voter_decides_a_battle_once(battle):
    people = cast.make_judge(battle.arena)
    alice, bob = cast.make_voter(people), cast.make_voter(people, "bob")
    cast.make_verdict(battle, people, Outcome.A, alice)
    cast.make_verdict(battle, people, Outcome.A, bob)
    refuses(lambda: cast.make_verdict(battle, people, Outcome.B, alice))


def test_a_voter_belongs_to_the_crowd_that_the_verdict_names(battle):
    people, others = cast.make_judge(battle.arena), cast.make_judge(battle.arena, "Experts")
    refuses(lambda: cast.make_verdict(battle, people, Outcome.A, cast.make_voter(others)))


def test_a_judge_decides_in_its_own_arena_only(battle, elsewhere):
    stranger = cast.make_judge(elsewhere, "LLM", Judge.Kind.LLM)
    refuses(lambda: cast.make_verdict(battle, stranger, Outcome.A))


@pytest.mark.parametrize("copy", ["pair", "prompt"])
def test_the_copies_in_a_verdict_are_those_of_its_battle(battle, copy):
    carla = cast.make_system(battle.arena, "Carla")
    other = cast.make_battle(
        battle.system_a, carla, cast.make_prompt(battle.arena, "Write another.")
    )
    verdict = cast.make_verdict(battle, cast.make_judge(battle.arena), Outcome.A)
    refuses(lambda: Verdict.objects.filter(pk=verdict.pk).update(**{copy: getattr(other, copy)}))


@pytest.mark.parametrize("outcome", [4, 7])
def test_an_outcome_is_one_of_four(battle, outcome):
    refuses(lambda: cast.make_verdict(battle, cast.make_judge(battle.arena), outcome))


def test_the_digest_of_a_prompt_follows_its_content():
    messages = [{"role": "user", "content": "Hello"}]
    digest = Prompt.content_digest(messages)
    assert digest == Prompt.content_digest([{"content": "Hello", "role": "user"}])
    assert digest != Prompt.content_digest(messages, source_id="7")
    assert digest != Prompt.content_digest([{"role": "user", "content": "Hello!"}])


def test_a_run_is_of_a_judge_or_of_a_system_of_its_arena(battle, elsewhere):
    llm = cast.make_judge(battle.arena, "LLM", Judge.Kind.LLM)
    stranger = cast.make_system(elsewhere, "Carla")
    ada = battle.system_a
    for subject in ({}, {"judge": llm, "system": ada}, {"system": stranger}):
        refuses(lambda subject=subject: JudgeRun.objects.create(arena=battle.arena, **subject))
    assert JudgeRun.objects.create(arena=battle.arena, system=ada).subject == ada
    assert JudgeRun.objects.create(arena=battle.arena, judge=llm).subject == llm


def test_a_run_asks_a_prompt_for_an_answer_once(battle):
    run = JudgeRun.objects.create(arena=battle.arena, system=battle.system_a)
    of_prompt = {"arena": battle.arena, "run": run, "prompt": battle.prompt, "purpose": "answer"}
    JudgeCall.objects.create(**of_prompt)
    refuses(lambda: JudgeCall.objects.create(**of_prompt))
    other = of_prompt | {"prompt": cast.make_prompt(battle.arena, "Another.")}
    refuses(lambda: JudgeCall.objects.create(**other, output=battle.output_a))
