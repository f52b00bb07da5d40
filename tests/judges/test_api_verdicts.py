"""Judges and verdicts in the read API."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from judges.models import Judge, Outcome, Verdict, VerdictTrace
from judges.voting import retract_verdict
from tests import cast
from tests.api_client import get, rows


def test_a_verdict_says_who_decided_what_and_is_in_the_orientation_of_its_battle(small_arena):
    verdict = Verdict.objects.filter(voter__handle="bob", outcome=Outcome.B).first()
    found = get(f"arenas/poems/verdicts/{verdict.pk}/")
    expected = {
        "battle": verdict.battle_id,
        "prompt": verdict.prompt_id,
        "system_a": verdict.battle.system_a.slug,
        "system_b": verdict.battle.system_b.slug,
        "judge": "people",
        "voter": "bob",
        "criterion": "",
        "outcome": "B",
        "shown_first": None,
        "retracted_at": None,
        "trace": None,
    }
    assert {name: found[name] for name in expected} == expected


def test_the_account_behind_a_voter_is_not_told(small_arena, django_user_model):
    user = django_user_model.objects.create_user("robert.smith", email="robert@example.org")
    small_arena.judges.get(slug="people").voters.filter(handle="bob").update(user=user)
    verdict = Verdict.objects.filter(voter__handle="bob").first()
    for path in ("verdicts/", f"verdicts/{verdict.pk}/", "judges/", "judges/people/"):
        text = str(get(f"arenas/poems/{path}"))
        assert "robert" not in text
        assert "smith" not in text


def test_the_words_behind_a_verdict_are_with_the_single_verdict_only(small_arena):
    verdict = Verdict.objects.filter(judge__slug="judge-llm").first()
    VerdictTrace.objects.create(
        verdict=verdict, rationale="It rhymes.", completion="[[A]]", parse={"x": [1]}, cost="0.01"
    )
    assert get(f"arenas/poems/verdicts/{verdict.pk}/")["trace"] == {
        "rationale": "It rhymes.",
        "completion": "[[A]]",
        "parse": {"x": [1]},
        "tokens": None,
        "cost": "0.010000",
        "latency_ms": None,
    }
    assert "trace" not in rows("arenas/poems/verdicts/")[0]


def test_a_verdict_that_was_taken_back_stays_and_says_when(small_arena):
    verdict = Verdict.objects.first()
    retraction = retract_verdict(verdict=verdict, reason="Bob's secret reason")
    found = rows("arenas/poems/verdicts/?limit=1")[0]
    assert found["id"] == verdict.pk
    assert found["retracted_at"] == retraction.created_at.isoformat().replace("+00:00", "Z")
    assert "secret" not in str(found)


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("side", [*Verdict.Side, None])
def test_outcomes_and_sides_are_told_by_name(small_arena, outcome, side):
    battle = small_arena.battles.first()
    judge = cast.make_judge(small_arena, "Another", Judge.Kind.PROGRAM)
    cast.make_verdict(battle, judge, outcome, shown_first=side)
    (found,) = rows("arenas/poems/verdicts/?judge=another")
    assert found["outcome"] == outcome.name
    assert found["shown_first"] == (None if side is None else "AB"[side])
    assert rows(f"arenas/poems/verdicts/?judge=another&outcome={outcome.name}") == [found]


def test_verdicts_by_judge_battle_voter_outcome_and_criterion(small_arena):
    verdict = Verdict.objects.filter(voter__handle="alice", outcome=Outcome.A).first()
    cast.make_verdict(verdict.battle, verdict.judge, Outcome.B, verdict.voter, criterion="rhyme")
    expected = {
        "judge=judge-llm": {"judge__slug": "judge-llm"},
        f"battle={verdict.battle_id}": {"battle": verdict.battle},
        "voter=alice": {"voter__handle": "alice"},
        "outcome=TIE": {"outcome": Outcome.TIE},
        "criterion=rhyme": {"criterion": "rhyme"},
        f"voter=alice&battle={verdict.battle_id}&outcome=A": {"pk": verdict.pk},
    }
    for query, conditions in expected.items():
        ids = [row["id"] for row in rows(f"arenas/poems/verdicts/?limit=500&{query}")]
        assert ids == list(Verdict.objects.filter(**conditions).values_list("pk", flat=True))
        assert ids


def test_a_pseudonym_in_another_arena_is_another_person(small_arena):
    songs = cast.make_arena("songs")
    cast.make_voter(cast.make_judge(songs), "alice")
    assert rows("arenas/songs/verdicts/?voter=alice") == []
    assert "voter" in get("arenas/songs/verdicts/?voter=bob", status=400)["errors"]


def test_an_outcome_that_does_not_exist_is_refused_with_those_that_do(small_arena):
    problem = get("arenas/poems/verdicts/?outcome=a", status=400)
    assert problem["errors"] == {"outcome": ["Must be one of A, B, TIE, BOTH_BAD."]}


def test_secrets_in_the_configuration_of_a_judge_are_not_told(small_arena):
    cast.make_judge(
        small_arena,
        "Sly",
        Judge.Kind.LLM,
        configuration={"model": "m", "api_key": "hunter2", "max_tokens": 5},
        is_simulated=True,
    )
    found = get("arenas/poems/judges/sly/")
    assert found["configuration"]["model"] == "m"
    assert found["configuration"]["max_tokens"] == 5
    assert "hunter2" not in str(found)
    assert found["is_simulated"]
    assert "configuration" not in rows("arenas/poems/judges/")[0]


def test_judges_by_kind_and_family(small_arena):
    assert [row["slug"] for row in rows("arenas/poems/judges/?kind=crowd")] == ["people"]
    small_arena.judges.filter(slug="judge-llm").update(family="Bard")
    assert [row["slug"] for row in rows("arenas/poems/judges/?family=Bard")] == ["judge-llm"]


@pytest.mark.parametrize("voters", [2, 9])
@pytest.mark.parametrize(
    ("path", "queries"),
    [("judges/", 2), ("verdicts/", 2), ("verdicts/?judge=people", 3), ("verdicts/?voter=v0", 3)],
)
def test_the_number_of_queries_does_not_grow(db, django_assert_num_queries, voters, path, queries):
    arena = cast.make_arena()
    people = cast.make_judge(arena)
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil")]
    for number in range(voters):
        voter = cast.make_voter(people, f"v{number}")
        battle = cast.make_battle(*systems, cast.make_prompt(arena, f"Poem {number}"))
        retract_verdict(verdict=cast.make_verdict(battle, people, Outcome.A, voter))
    with django_assert_num_queries(queries):
        get(f"arenas/poems/{path}")


def test_the_verdicts_of_a_judge_are_found_by_id_and_not_sorted(small_arena):
    """Otherwise every page would sort all verdicts of the judge: seconds, at a million."""
    with CaptureQueriesContext(connection) as captured:
        rows("arenas/poems/verdicts/?judge=people")
    (sql,) = (q["sql"] for q in captured.captured_queries if 'FROM "judges_verdict"' in q["sql"])
    assert '"judges_verdict"."judge_id" + 0' in sql
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            assert "ORDER BY" not in " ".join(step[3] for step in cursor.fetchall())
