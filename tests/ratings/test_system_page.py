import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from judges.models import Judge, Outcome
from tests import cast
from tests.ratings.published import hand_made, publish, text


def test_the_card_says_what_is_known_and_what_is_not_stated(small_arena, client):
    small_arena.systems.filter(slug="ada").update(
        family="Lovelace", link="https://example.org/ada", description="An *engine*."
    )
    response = client.get("/a/poems/systems/ada/")
    words = text(response)
    assert "Organisation Ada Labs" in words
    assert "Family Lovelace" in words
    assert "Licence not stated" in words
    assert 'href="https://example.org/ada"' in response.content.decode()
    assert "<em>engine</em>" in response.content.decode()


def test_every_judge_that_is_published_has_a_row(small_arena, client):
    publish(small_arena)
    publish(small_arena, judge="judge-llm")
    rows = client.get("/a/poems/systems/basil/").context["standing"].rows
    assert [row.judge.name for row in rows] == ["People", "Judge LLM"]
    assert [row.rating.n_verdicts for row in rows] == [36, 18]


def test_people_s_categories_have_rows_after_the_judges(small_arena, client):
    category = small_arena.categories.create(slug="short", name="Short")
    category.prompts.set(small_arena.prompts.all()[:3])
    publish(small_arena)
    publish(small_arena, category="short")
    rows = client.get("/a/poems/systems/basil/").context["standing"].rows
    assert [row.category and row.category.slug for row in rows] == [None, "short"]


def test_a_system_that_is_not_ranked_says_why(db, client):
    arena = cast.make_arena()
    cast.make_judge(arena)
    snapshot = hand_made(arena, n_systems=3, unranked=("unbounded_above",))
    system = snapshot.ratings.get(rank=None).system
    assert "Unbounded: it never lost to a ranked system" in text(
        client.get(f"/a/poems/systems/{system.slug}/")
    )


def test_the_record_counts_each_opponent_from_the_system_s_own_side(small_arena, client):
    arena = small_arena
    publish(arena)
    wanted = {}
    for system in arena.systems.all():
        met = client.get(f"/a/poems/systems/{system.slug}/").context["page"].object_list
        for one in met:
            wanted[system.slug, one.rating.system.slug] = one.record
    assert len(wanted) == 12
    for (one, other), record in wanted.items():
        wins = _wins(arena, one, other)
        assert (record.wins, record.losses) == (wins, _wins(arena, other, one)), (one, other)
        assert record.n == 12
        back = wanted[other, one]
        assert (back.wins, back.losses) == (record.losses, record.wins)
        assert record.win_rate + back.win_rate == pytest.approx(1)


def _wins(arena, one: str, other: str) -> int:
    """Counted the plain way, verdict by verdict."""
    wins = 0
    for verdict in arena.verdicts.filter(judge__slug="people").select_related(
        "battle__system_a", "battle__system_b"
    ):
        sides = [verdict.battle.system_a.slug, verdict.battle.system_b.slug]
        if {one, other} == set(sides) and verdict.outcome in (Outcome.A, Outcome.B):
            wins += sides[verdict.outcome] == one
    return wins


def test_the_record_follows_the_judge_of_the_address(small_arena, client):
    publish(small_arena, judge="judge-llm")
    response = client.get("/a/poems/systems/ada/", {"judge": "judge-llm"})
    assert {one.record.n for one in response.context["page"].object_list} == {6}
    assert "Decided by Judge LLM" in text(response)


def test_latest_battles_are_shown_and_lead_to_all(small_arena, client):
    response = client.get("/a/poems/systems/ada/")
    assert len(response.context["battles"]) == 5
    assert 'href="/a/poems/battles/?system=ada"' in response.content.decode()


def test_the_row_that_opens_in_a_leaderboard_is_the_same_record(small_arena, client):
    publish(small_arena)
    row = client.get("/a/poems/systems/ada/opponents/", headers={"HX-Request": "true"})
    assert row.content.decode().strip().startswith('<tr class="opponents"')
    assert len(row.context["met"]) == 3


def test_without_scripts_opening_a_row_leads_to_the_systems_page(small_arena, client):
    response = client.get("/a/poems/systems/ada/opponents/", {"judge": "judge-llm"})
    assert response.status_code == 302
    assert response.url == "/a/poems/systems/ada/?judge=judge-llm#opponents"


def test_an_unknown_system_is_not_found(small_arena, client):
    assert client.get("/a/poems/systems/zoe/").status_code == 404


@pytest.mark.parametrize("n_systems", [5, 50])
def test_queries_do_not_grow_with_opponents(db, client, n_systems):
    arena = cast.make_arena()
    cast.make_judge(arena)
    hand_made(arena, n_systems=n_systems)
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/a/poems/systems/s-0/")
    assert len(response.context["page"].object_list) == n_systems - 1
    assert len(queries) == 12, [query["sql"][:120] for query in queries]


def test_a_simulated_judge_is_called_simulated(small_arena, client):
    Judge.objects.filter(slug="judge-llm").update(is_simulated=True)
    publish(small_arena, judge="judge-llm")
    assert "Judge LLM simulated" in text(client.get("/a/poems/systems/ada/"))
