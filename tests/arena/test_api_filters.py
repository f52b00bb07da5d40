"""Filters of what is compared, and what the rows say."""

import pytest

from arena.models import Battle, Prompt
from tests import cast
from tests.api_client import get, rows


def test_an_arena_tells_its_guidelines_and_categories(small_arena):
    small_arena.guidelines = "Rhyme counts."
    small_arena.save()
    small_arena.categories.create(slug="odes", name="Odes")
    found = get("arenas/poems/")
    assert found["guidelines"] == "Rhyme counts."
    assert found["categories"] == [{"slug": "odes", "name": "Odes"}]


def test_systems_by_organisation_and_family(small_arena):
    small_arena.systems.filter(slug__in=["ada", "cleo"]).update(family="Bard")
    assert [row["slug"] for row in rows("arenas/poems/systems/?family=Bard")] == ["ada", "cleo"]
    found = rows("arenas/poems/systems/?family=Bard&organisation=Cleo+Labs")
    assert [row["slug"] for row in found] == ["cleo"]
    assert rows("arenas/poems/systems/?family=bard") == []


def test_the_owner_of_a_system_is_not_told(small_arena, django_user_model):
    small_arena.systems.update(owner=django_user_model.objects.create_user("mallory@example.org"))
    assert "mallory" not in str(get("arenas/poems/systems/"))
    assert "mallory" not in str(get("arenas/poems/systems/ada/"))


def test_prompts_by_category_language_source_and_digest(small_arena):
    first, second = small_arena.prompts.all()[:2]
    small_arena.categories.create(slug="odes", name="Odes").prompts.add(first)
    Prompt.objects.filter(pk=second.pk).update(language="de", source_id="q2")
    queries = {"category=odes": first, "language=de": second, "source_id=q2": second}
    queries[f"digest={first.digest}"] = first
    for query, prompt in queries.items():
        assert [row["id"] for row in rows(f"arenas/poems/prompts/?{query}")] == [prompt.pk]
    assert get(f"arenas/poems/prompts/{first.pk}/")["categories"] == ["odes"]


def test_outputs_by_system_and_prompt(small_arena):
    prompt = small_arena.prompts.first()
    found = rows(f"arenas/poems/outputs/?system=ada&prompt={prompt.pk}")
    assert [(row["system"], row["prompt"], row["text"]) for row in found] == [
        ("ada", prompt.pk, "Ada answers.")
    ]


def test_battles_by_system_opponent_pair_and_prompt(small_arena):
    ada = rows("arenas/poems/battles/?system=ada&limit=100")
    assert len(ada) == 18
    assert all("ada" in (row["system_a"], row["system_b"]) for row in ada)
    two = rows("arenas/poems/battles/?system=dora&opponent=basil")
    assert {(row["system_a"], row["system_b"]) for row in two} == {("basil", "dora")}
    assert len(two) == 6
    assert rows(f"arenas/poems/battles/?pair={two[0]['pair']}") == two
    one = rows(f"arenas/poems/battles/?pair={two[0]['pair']}&prompt={two[0]['prompt']}")
    assert one == two[:1]


def test_a_battle_without_outputs_says_so(small_arena):
    battle = Battle.objects.first()
    bare = Battle.objects.create(
        arena=small_arena, pair=battle.pair, prompt=battle.prompt, system_a=battle.system_a,
        system_b=battle.system_b, source_key=7,
    )  # fmt: skip
    found = get(f"arenas/poems/battles/{bare.pk}/")
    assert (found["output_a"], found["output_b"]) == (None, None)


def test_half_a_surrogate_pair_in_a_prompt_does_not_break_the_list(small_arena):
    # SQLite keeps what PostgreSQL refuses, so it is put in where both go on with it.
    row = {"text": "half \ud800 a pair", "n": 1}
    from config.api import Json

    assert Json().render(row) == rb'{"text":"half \ud800 a pair","n":1}'
    assert Json().render({"text": "é"}) == '{"text":"é"}'.encode()


@pytest.mark.parametrize("systems", [3, 12])
@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("", 2),
        ("systems/", 2),
        ("prompts/", 3),
        ("outputs/", 2),
        ("outputs/?system=s0", 3),
        ("battles/", 2),
        ("battles/?system=s0&opponent=s1", 4),
    ],
)
def test_the_number_of_queries_does_not_grow(db, django_assert_num_queries, systems, path, queries):
    arena = cast.make_arena()
    arena.categories.create(slug="odes", name="Odes")
    made = [cast.make_system(arena, f"s{number}") for number in range(systems)]
    for number in range(systems):
        prompt = cast.make_prompt(arena, f"Poem {number}")
        prompt.categories.set(arena.categories.all())
        cast.make_battle(made[0], made[1 + number % (systems - 1)], prompt)
    with django_assert_num_queries(queries):
        get(f"arenas/poems/{path}")
