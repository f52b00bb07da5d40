"""Probes by the API: planned like any run, read by everybody who sees the arena."""

import pytest
from django.core.cache import cache
from django.test import Client

from arena.models import System
from judges import tasks
from judges.models import JudgeRun, ProbeResult
from judges.programs import program_named
from judges.runs import make_program_judge, work_on
from tests.accounts import client_of, make_member
from tests.judges.fake_llm import FakeEndpoint, make_arena, make_judge

pytestmark = pytest.mark.django_db
BASE = "/api/v1/arenas/poems/"


@pytest.fixture(autouse=True)
def begin(settings, monkeypatch):
    cache.clear()
    settings.WHO_ASKS_MODELS = "maintainers"
    monkeypatch.setattr(tasks.work_on_run, "delay", lambda key: None)


@pytest.fixture
def arena():
    return make_arena()


def get(path: str, *, status: int = 200):
    response = Client().get(BASE + path)
    assert response.status_code == status, response.content
    return response.json()


def test_probes_are_planned_confirmed_and_read(arena, monkeypatch):
    judge = make_judge(arena, monkeypatch)
    maya = client_of(make_member(arena, "maintainer", "maya"))

    def post(path, sent):
        return maya.post(BASE + path, data=sent, content_type="application/json")

    sent = {"judge": judge.slug, "probes": {"names": ["swap", "padding"], "seed": 4}}
    planned = post("runs/", sent)
    assert planned.status_code == 201
    run = planned.json()
    assert run["probes"] == {"names": ["swap", "padding"], "seed": 4, "version": 1}
    assert run["selection"] == {"battles": "existing", "limit": 100}
    assert post("runs/", sent).json()["id"] == run["id"]
    plan = maya.get(f"{BASE}runs/{run['id']}/plan/").json()
    assert (plan["battles"], plan["calls"]) == (12, 48)
    assert get("probe-reports/")["results"] == []  # planned: nobody is to know yet
    get(f"probe-reports/{run['id']}/", status=404)
    assert post(f"runs/{run['id']}/confirm/", {}).json()["state"] == "queued"
    work_on(JudgeRun.objects.get(), make_asker=FakeEndpoint(lambda lines: "first"))

    [listed] = get(f"probe-reports/?judge={judge.slug}")["results"]
    assert (listed["judge"], listed["names"], listed["done"]) == (
        judge.slug,
        ["swap", "padding"],
        48,
    )
    found = get(f"probe-reports/{run['id']}/")
    assert (found["n_battles"], found["n_prompts"], found["retest"]["value"]) == (12, 4, 1.0)
    swap, padding = found["probes"]
    assert (swap["unchanged"]["value"], swap["n_towards"], swap["n_away"]) == (0, 12, 0)
    assert (padding["unchanged"]["value"], padding["n_fooled"]) == (1, 0)
    assert found["sentences"][-1].endswith("favour the answer that comes first")

    fooled = get("probe-results/?probe=swap&is_fooled=true")["results"]
    assert len(fooled) == 12
    assert {(row["before"], row["after"]) for row in fooled} == {("A", "B"), ("B", "A")}
    assert all(row["after"] == row["changed_side"] for row in fooled)
    assert len(get(f"probe-results/?run={run['id']}&probe=retest")["results"]) == 12
    calls = maya.get(f"{BASE}runs/{run['id']}/calls/").json()["results"]
    assert {call["purpose"] for call in calls} == {"probe"}
    assert calls[2]["probe"] == "swap"

    System.objects.filter(slug="cleo").update(standing="private")
    assert len(get("probe-results/?probe=swap")["results"]) == 4
    assert get(f"probe-reports/{run['id']}/")["n_battles"] == 4
    hidden = ProbeResult.objects.filter(battle__system_b__slug="cleo").first()
    get(f"probe-results/{hidden.pk}/", status=404)


@pytest.mark.parametrize(
    ("probes", "sentence"),
    [
        ({"names": ["nonsense"]}, "no probe"),
        ({}, "must be a list"),
        ({"names": ["swap"], "seed": "x"}, "seed must be"),
    ],
)
def test_probes_that_do_not_exist_are_refused(arena, monkeypatch, probes, sentence):
    judge = make_judge(arena, monkeypatch)
    maya = client_of(make_member(arena, "maintainer"))
    sent = {"judge": judge.slug, "probes": probes}
    answer = maya.post(f"{BASE}runs/", data=sent, content_type="application/json")
    assert answer.status_code == 409
    assert sentence in answer.content.decode()


def test_a_program_is_not_probed(arena):
    program = program_named("longer_is_better")
    judge = make_program_judge(arena=arena, program=program, name="Longer")
    maya = client_of(make_member(arena, "maintainer"))
    sent = {"judge": judge.slug, "probes": {"names": ["swap"]}}
    answer = maya.post(f"{BASE}runs/", data=sent, content_type="application/json")
    assert answer.status_code == 409
    assert "Probes ask an LLM judge" in answer.content.decode()
