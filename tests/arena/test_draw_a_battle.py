"""Which battle comes next: pairs by their priority, never one that was had, by queries that don't grow."""

import random  # noqa: TID251 (the verb takes one)
from collections import Counter

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from arena.matchmaking import TRIES, draw_battle, plan_pairs, set_priorities
from arena.models import Battle, Output, Pair
from tests.cast import make_arena, make_output, make_prompt, make_system

pytestmark = pytest.mark.django_db
NONE = Battle.objects.none()


@pytest.fixture
def arena():
    """Four systems that answer three prompts."""
    arena = make_arena("quiz")
    prompts = [make_prompt(arena, f"Question {number}?") for number in range(3)]
    for name in ("Ada", "Basil", "Cleo", "Dora"):
        system = make_system(arena, name)
        for prompt in prompts:
            make_output(system, prompt, f"{name[0]} says {prompt.pk}.")
    plan_pairs(arena=arena)
    return arena


def draws(arena, times, seen=NONE):
    rng = random.Random(3)
    return [draw_battle(arena=arena, seen=seen, rng=rng) for _ in range(times)]


def had(battles):
    return Battle.objects.filter(pk__in=[battle.pk for battle in battles]).values("pk")


def test_pairs_are_drawn_in_proportion_to_their_priorities(arena):
    pairs = list(Pair.objects.filter(arena=arena).order_by("pk"))
    shares = dict(zip([pair.pk for pair in pairs], [1, 2, 3, 4, 0, 10], strict=True))
    set_priorities(arena=arena, priorities=shares)
    drawn = Counter(battle.pair_id for battle in draws(arena, 600))
    chi_square = sum(
        (drawn[pk] - 30 * share) ** 2 / (30 * share) for pk, share in shares.items() if share
    )
    assert chi_square < 18.5  # 4 degrees of freedom, p = .001
    assert drawn[pairs[4].pk] == 0


def test_every_prompt_of_a_pair_is_drawn(arena):
    assert len({battle.prompt_id for battle in draws(arena, 60)}) == 3


def test_nothing_comes_twice_until_all_have_come_and_then_nothing(arena):
    rng, got = random.Random(1), []
    for _ in range(6 * 3):
        got.append(draw_battle(arena=arena, seen=had(got), rng=rng))
    assert len({battle.pk for battle in got}) == 18
    assert draw_battle(arena=arena, seen=had(got), rng=rng) is None


def test_a_battle_has_its_pairs_systems_and_outputs(arena):
    for battle in draws(arena, 20):
        assert (battle.output_a.system_id, battle.output_b.system_id) == (
            battle.pair.system_a_id,
            battle.pair.system_b_id,
        )
        assert battle.output_a.prompt_id == battle.output_b.prompt_id == battle.prompt_id


@pytest.mark.parametrize("change", [{"leak": "I am Ada"}, {"text": ""}])
def test_what_is_blank_or_gives_itself_away_is_not_drawn(arena, change):
    Output.objects.filter(system__name="Ada").update(**change)
    names = {str(battle.system_a) for battle in draws(arena, 30)}
    assert "Ada" not in names
    seen = [battle for battle in draws(arena, 200) if battle]
    assert draw_battle(arena=arena, seen=had(seen), rng=random.Random(1)) is None


def test_pairs_of_no_priority_are_not_drawn_even_when_nothing_else_is_left(arena):
    only = Pair.objects.filter(arena=arena).first()
    set_priorities(arena=arena, priorities={only.pk: 1.0})
    got = []
    for seed in range(3):
        got.append(draw_battle(arena=arena, seen=had(got), rng=random.Random(seed)))
    assert {battle.pair_id for battle in got} == {only.pk}
    assert draw_battle(arena=arena, seen=had(got), rng=random.Random(1)) is None


def test_priorities_that_are_not_positive_count_as_none(arena):
    pairs = list(Pair.objects.filter(arena=arena).order_by("pk"))
    set_priorities(arena=arena, priorities={pairs[0].pk: -1.0, pairs[1].pk: 2.0})
    stored = dict(Pair.objects.filter(arena=arena).values_list("pk", "cumulative"))
    assert stored[pairs[1].pk] == 2.0
    assert [pk for pk, cumulative in stored.items() if cumulative is not None] == [pairs[1].pk]


def test_new_pairs_get_the_usual_priority(arena):
    set_priorities(
        arena=arena, priorities=dict.fromkeys(arena.pairs.values_list("pk", flat=True), 4.0)
    )
    late = make_system(arena, "Emil")
    make_output(late, arena.prompts.first(), "E.")
    assert plan_pairs(arena=arena) == 4
    assert set(arena.pairs.values_list("priority", flat=True)) == {4.0}
    assert arena.pairs.filter(cumulative=None).count() == 0


def test_an_arena_without_pairs_draws_nothing():
    assert draw_battle(arena=make_arena("empty"), seen=NONE, rng=random.Random(1)) is None


def test_queries_do_not_grow_with_pairs_even_for_who_has_had_everything(arena):
    def asked(some_arena, seen):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            draw_battle(arena=some_arena, seen=seen, rng=random.Random(2))
        return len(queries)

    everything = Battle.objects.values("pk")
    got = []
    while battle := draw_battle(arena=arena, seen=had(got), rng=random.Random(1)):
        got.append(battle)
    before = asked(arena, everything)
    assert before <= TRIES * 5 + 3
    for name in ("Fay", "Gus", "Hal"):
        system = make_system(arena, name)
        for prompt in arena.prompts.all():
            make_output(system, prompt, f"{name} too.")
    plan_pairs(arena=arena)
    Pair.objects.filter(arena=arena, system_b__name__in=["Fay", "Gus", "Hal"]).update(
        cumulative=None
    )
    assert asked(arena, everything) <= before
