"""Runs by the API: planned, confirmed, watched and steered; their calls."""

from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache

from arena.models import AuditEntry
from arena.tokens import make_token
from judges import tasks
from judges.endpoints.interface import CallError, Failure
from judges.models import Judge, JudgeRun
from judges.programs import program_named
from judges.runs import make_program_judge, work_on
from tests import cast
from tests.accounts import client_of, make_member
from tests.judges.fake_llm import FakeEndpoint, make_arena, make_judge

pytestmark = pytest.mark.django_db
BASE = "/api/v1/arenas/poems/"
TIMEOUT = CallError(Failure.TIMEOUT, "No answer within 60 seconds.")


@pytest.fixture(autouse=True)
def begin(settings, monkeypatch):
    cache.clear()
    settings.WHO_ASKS_MODELS = "maintainers"
    monkeypatch.setattr(tasks.work_on_run, "delay", lambda key: None)


@pytest.fixture
def arena():
    return make_arena()


@pytest.fixture
def judge(arena, monkeypatch) -> Judge:
    return make_judge(arena, monkeypatch)


@pytest.fixture
def maya(arena):
    return make_member(arena, "maintainer", "maya")


@pytest.fixture
def api(arena, maya):
    """Asks below the arena as a maintainer, and expects a status."""
    client = client_of(maya)

    def ask(path: str, sent: Any = None, *, status: int = 200) -> Any:
        more = {} if sent is None else {"data": sent, "content_type": "application/json"}
        response = (client.get if sent is None else client.post)(BASE + path, **more)
        assert response.status_code == status, response.content
        return response.json()

    return ask


def test_a_run_is_planned_confirmed_watched_and_read(
    api, judge, maya, django_assert_max_num_queries
):
    sent = {"judge": judge.slug, "selection": {"battles": "existing"}, "budget": "2.5"}
    run = api("runs/", sent, status=201)
    assert (run["state"], run["budget"], run["subject"], run["kind"], run["by"]) == (
        "planned", "2.5000", "word-judge", "llm", maya.email,
    )  # fmt: skip
    assert api("runs/", sent)["id"] == run["id"]
    at = f"runs/{run['id']}/"
    plan = api(at + "plan/")
    assert (plan["battles"], plan["calls"], plan["preparations"]) == (12, 24, 0)
    assert 0 < plan["cost"] <= plan["most_cost"]
    assert api(at + "confirm/", {})["state"] == "queued"
    assert api(at + "confirm/", {})["state"] == "queued"
    assert AuditEntry.objects.filter(act="start run").count() == 1
    poems = ("Poem 2", "Poem 3")
    endpoint = FakeEndpoint(lambda lines: TIMEOUT if lines[0] in poems else "tie")
    work_on(JudgeRun.objects.get(), make_asker=endpoint)
    ended = api(at)
    assert [ended[name] for name in ("state", "total", "done", "failed", "verdicts_cast")] == [
        "done", 24, 12, 12, 6,
    ]  # fmt: skip
    assert Decimal(ended["cost"]) > 0
    [failure] = ended["failures"]
    assert (failure["failure"], failure["count"]) == ("timeout", 12)
    assert "60 seconds" in failure["example"]
    assert failure["what_to_do"]

    first = api(at + "calls/?limit=5")
    assert len(first["results"]) == 5
    with django_assert_max_num_queries(6):
        everything = api(at + "calls/?limit=200")["results"]
    assert [call["id"] for call in first["results"]] == [call["id"] for call in everything[:5]]
    failed = api(at + "calls/?state=error")["results"]
    assert failed == api(at + "calls/?failure=timeout")["results"]
    assert len(failed) == 12
    call = api(at + "calls/?state=done")["results"][0]
    assert [call[name] for name in ("text", "choice", "outcome", "confidence")] == [
        "tie", 2, "TIE", 0.75,
    ]  # fmt: skip
    assert (call["input_tokens"], call["output_tokens"], call["latency_ms"]) == (100, 1, 500)
    assert len(api(at + f"calls/?battle={call['battle']}")["results"]) == 2
    one = api(at + f"calls/{call['id']}/")
    assert "Poem" in one["request"]["messages"][0]["text"]
    assert one["request"]["model"] == "a-model"
    assert "KEY" not in str(one)

    again = api(at + "retry/", {"failure": "timeout"})
    assert (again["state"], again["failed"]) == ("running", 0)
    assert api(at + "retry/", {})["failed"] == 0
    verdicts = api(f"verdicts/?judge={judge.slug}")["results"]
    assert len(verdicts) == 6


def test_a_run_is_paused_resumed_within_other_limits_and_cancelled(api, judge):
    at = f"runs/{api('runs/', {'judge': judge.slug}, status=201)['id']}/"
    refused = api(at + "pause/", {}, status=409)
    assert "only a run under way pauses" in refused["detail"]
    api(at + "confirm/", {})
    for _ in range(2):
        assert api(at + "pause/", {})["state"] == "paused"
    resumed = api(at + "resume/", {"budget": 3, "max_calls": 7})
    assert (resumed["state"], resumed["budget"], resumed["max_calls"]) == ("queued", "3.0000", 7)
    for _ in range(2):
        assert api(at + "cancel/", {})["state"] == "cancelled"
    assert "plan a new one" in api(at + "confirm/", {}, status=409)["detail"]


def test_runs_are_narrowed_by_judge_and_state_in_as_many_queries_however_many(
    api, arena, judge, django_assert_num_queries
):
    other = make_program_judge(
        arena=arena, program=program_named("longer_is_better"), name="Longer"
    )
    api("runs/", {"judge": judge.slug}, status=201)
    with django_assert_num_queries(4):
        assert len(api("runs/")["results"]) == 1
    for limit in (2, 3, 4):
        api("runs/", {"judge": judge.slug, "selection": {"limit": limit}}, status=201)
    started = api("runs/", {"judge": other.slug}, status=201)
    assert (started["state"], started["kind"]) == ("queued", "program")
    assert api("runs/", {"judge": other.slug})["id"] == started["id"]
    with django_assert_num_queries(4):
        assert len(api("runs/")["results"]) == 5
    assert [run["id"] for run in api(f"runs/?judge={other.slug}")["results"]] == [started["id"]]
    assert len(api("runs/?state=planned")["results"]) == 4
    assert "asks nobody" in api(f"runs/{started['id']}/plan/", status=409)["detail"]


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({}, 400, "judge: "),
        ({"judge": "nobody"}, 400, "has no judge 'nobody'"),
        ({"judge": "word-judge", "selection": []}, 400, "Must be an object"),
        ({"judge": "word-judge", "selection": {"half": "\ud800"}}, 400, "half of a character"),
        ({"judge": "word-judge", "selection": {"batles": "all"}}, 409, "has no 'batles'"),
        ({"judge": "word-judge", "budget": 0}, 400, "greater than or equal to"),
        ({"judge": "word-judge", "system": "ada"}, 400, "no such field"),
    ],
)
def test_what_no_run_can_be_made_of_is_said(api, judge, sent, status, said):
    assert said in api("runs/", sent, status=status)["detail"]
    assert not JudgeRun.objects.exists()


def test_who_may_not_have_models_asked_is_told_so(api, judge, settings):
    settings.WHO_ASKS_MODELS = "staff"
    run = api("runs/", {"judge": judge.slug}, status=201)
    refused = api(f"runs/{run['id']}/confirm/", {}, status=403)
    assert "only staff have models asked" in refused["detail"]
    assert api(f"runs/{run['id']}/")["state"] == "planned"


def test_the_calls_of_another_arena_are_not_there(api, judge, client):
    run = api("runs/", {"judge": judge.slug}, status=201)
    other = cast.make_arena("other")
    words = make_token(user=make_member(other, "maintainer"), name="t", scope="read", days=1)[1]
    for path in ("", "plan/", "calls/"):
        response = client.get(
            f"/api/v1/arenas/other/runs/{run['id']}/{path}",
            headers={"Authorization": f"Bearer {words}"},
        )
        assert response.status_code == 404
