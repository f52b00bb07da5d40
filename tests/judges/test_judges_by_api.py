"""Judges by the API: made, configured anew, tried; their checklists; juries and cascades."""

from typing import Any

import pytest
from django.core.cache import cache

from judges import tasks
from judges.derivations import derive
from judges.models import CascadeRequest, Judge, Trial
from tests import cast
from tests.accounts import client_of, make_member
from tests.api_client import ASKED, NOWHERE

pytestmark = pytest.mark.django_db
BASE = "/api/v1/arenas/poems/"


@pytest.fixture(autouse=True)
def begin(settings, monkeypatch):
    cache.clear()
    settings.WHO_ASKS_MODELS = "maintainers"
    settings.ENDPOINTS = [NOWHERE]
    for task in (tasks.work_on_run, tasks.try_judge):
        monkeypatch.setattr(task, "delay", lambda key: None)


@pytest.fixture
def arena():
    return cast.make_small_arena()


@pytest.fixture
def api(arena):
    client = client_of(make_member(arena, "maintainer", "maya"))

    def ask(path: str, sent: Any = None, *, status: int = 200, **headers: str) -> Any:
        more = {} if sent is None else {"data": sent, "content_type": "application/json"}
        do = client.get if sent is None else client.post
        response = do(BASE + path, headers=headers, **more)
        assert response.status_code == status, response.content
        return response.json()

    return ask


def llm(**changed: Any) -> dict[str, Any]:
    return {"kind": "llm", "name": "Strict", "configuration": ASKED | changed}


def test_an_llm_judge_is_made_once_and_configured_anew(api):
    sent = llm() | {"family": "GPT", "description": "Asks for reasons."}
    made = api("judges/", sent, status=201)
    assert (made["slug"], made["kind"], made["family"], made["version"]) == (
        "strict",
        "llm",
        "GPT",
        1,
    )
    assert made["configuration"]["endpoint"]["concurrency"] == 8
    assert api("judges/", sent)["id"] == made["id"]
    again = {"configuration": ASKED | {"repetitions": 3}}
    second = api("judges/strict/versions/", again, status=201)
    assert (second["slug"], second["version"], second["family"]) == ("strict-v2", 2, "GPT")
    assert api("judges/strict/versions/", again)["id"] == second["id"]
    taken = api("judges/", llm(margin=2), status=400)
    assert "make a new version" in taken["errors"]["name"][0]


@pytest.mark.parametrize(
    ("sent", "status", "name", "said"),
    [
        (llm(endpoint={"url": "ftp://x", "model": "m"}), 400, "endpoint.url", "https://"),
        (llm(endpoint={"url": NOWHERE, "model": "m", "key": "sk"}), 400, "endpoint.key", ""),
        (llm(protocol={"name": "oracle"}), 400, "protocol", "is no protocol"),
        (llm(margin=10**400), 400, "configuration", "too large"),
        (llm() | {"kind": "cascade"}, 400, "kind", "not a valid choice"),
        (llm() | {"kind": "jury", "configuration": {"members": ["x"]}}, 400, "configuration.members", "'x'"),
        (llm() | {"kind": "jury", "configuration": {"rule": []}}, 400, "configuration.rule", ""),
        (llm() | {"kind": "jury", "configuration": {}}, 409, "", "needs members"),
        (llm() | {"kind": "jury", "configuration": {"rule": "council"}}, 409, "", "two systems"),
        (
            llm() | {"kind": "jury", "configuration": {"rule": "council", "options": {"protocol": "battle"}}},
            400, "protocol", "must be an object",
        ),
        (llm() | {"kind": "program", "configuration": {"program": "x"}}, 400, "configuration.program", "rouge"),
        (
            llm() | {"kind": "program", "configuration": {"program": "regex", "parameters": {"x": 1}}},
            400, "configuration.parameters", "",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_by_its_name(api, sent, status, name, said):
    before = Judge.objects.count()
    refused = api("judges/", sent, status=status)
    assert said in refused["detail"]
    assert not name or name in refused["errors"]
    assert Judge.objects.count() == before


def test_a_jury_a_program_and_their_figures(api, arena, django_assert_num_queries):
    program = {
        "kind": "program",
        "name": "Longer",
        "configuration": {"program": "longer_is_better"},
    }
    longer = api("judges/", program, status=201)
    assert api("judges/", program)["id"] == longer["id"]
    cast.make_judge(arena, "Second", Judge.Kind.IMPORTED)
    for number, rule in enumerate(("majority", "weighted")):
        chosen = {"rule": rule, "members": ["judge-llm", "second"], "options": {"quorum": 1}}
        jury = {"kind": "jury", "name": f"Jury {number}", "configuration": chosen}
        made = api("judges/", jury, status=201)
        assert api("judges/", jury)["id"] == made["id"]
        derive(judge=Judge.objects.get(pk=made["id"]))
    with django_assert_num_queries(4):
        assert [row["judge"] for row in api("derivations/?kind=jury")["results"]] == [
            "jury-0", "jury-1",
        ]  # fmt: skip
    assert api("derivations/?kind=cascade")["results"] == []
    found = api("derivations/jury-1/")
    assert found["rule"].startswith("a vote weighted")
    first, second = found["members"]
    assert (first["slug"], first["voted"]) == ("judge-llm", 36)
    assert first["exam"]["weight"] > second["exam"]["weight"] == 0
    assert found["tiers"] == []
    assert found["figures"]


def test_protocols_say_what_can_be_chosen(api):
    found = api("judge-protocols/")
    battle = next(one for one in found["protocols"] if one["name"] == "battle")
    assert battle["judges_battles"]
    assert battle["options"]["reply"] == "json"
    preset = found["presets"][0]["configuration"]
    api("judges/", llm() | {"configuration": ASKED | preset}, status=201)


def test_a_judge_is_tried_before_and_after_it_is_made(api, arena):
    battle = arena.battles.first().pk
    api("judges/", llm(), status=201)
    key = {"Idempotency-Key": "first"}
    made = api("trials/", {"judge": "strict", "battle": battle}, status=201, **key)
    assert (made["state"], made["judge"], made["steps"], made["decisions"]) == (
        "queued", "strict", [], [],
    )  # fmt: skip
    again = api("trials/", {"judge": "strict", "battle": battle}, **key)
    assert again["id"] == made["id"]
    other = api("trials/", {"configuration": ASKED, "battle": battle}, status=201)
    assert (other["judge"], other["id"] != made["id"]) == (None, True)
    Trial.objects.update(state="done", decisions=[{"criterion": "", "outcome": 2}])
    assert api(f"trials/{made['id']}/")["decisions"] == [{"criterion": "", "outcome": "TIE"}]
    assert len(api("trials/")["results"]) == 2
    unlisted = ASKED | {"endpoint": {"url": "https://x.org", "model": "m"}}
    for sent, status in (
        ({"battle": battle}, 400),
        ({"judge": "strict", "battle": 10**9}, 400),
        ({"judge": "judge-llm", "battle": battle}, 409),
        ({"configuration": unlisted, "battle": battle}, 409),
    ):  # fmt: skip
        api("trials/", sent, status=status)
    assert Trial.objects.count() == 2


def test_a_checklist_is_set(api, arena):
    api("judges/", llm(protocol={"name": "checklist"}), status=201)
    prompt = arena.prompts.first().pk
    sent = {"judge": "strict", "prompt": prompt, "questions": ["Does it  rhyme?"]}
    made = api("checklists/", sent, status=201)
    assert made["questions"] == ["Does it rhyme?"]
    assert "maya" in made["by"]
    assert api("checklists/", sent)["id"] == made["id"]
    assert api("checklists/", sent | {"questions": ["Why?"]})["questions"] == ["Why?"]
    assert len(api(f"checklists/?judge=strict&prompt={prompt}")["results"]) == 1
    assert "1 to 10 questions" in api("checklists/", sent | {"questions": []}, status=409)["detail"]
    refused = api("checklists/", sent | {"judge": "judge-llm"}, status=409)
    assert "by no checklist" in refused["detail"]


def test_a_cascade_is_asked_for_once(api):
    sent = {
        "name": "Careful",
        "tiers": [{"judge": "judge-llm", "confidence": "none"}],
        "target": 0.8,
    }
    key = {"Idempotency-Key": "one"}
    asked = api("cascade-requests/", sent, status=201, **key)
    assert (asked["state"], asked["judge"], asked["terms"]["votes"]) == ("queued", None, 3)
    assert api("cascade-requests/", sent, **key)["id"] == asked["id"]
    assert "tells no confidence" in api(
        "cascade-requests/", sent | {"tiers": [{"judge": "judge-llm", "confidence": "much"}]}, status=409
    )["detail"]  # fmt: skip
    assert "people" in api(
        "cascade-requests/", sent | {"tiers": [{"judge": "people"}]}, status=409
    )["detail"].lower()  # fmt: skip
    api("cascade-requests/", sent | {"target": 2}, status=400)
    judge = Judge.objects.get(slug="judge-llm")
    CascadeRequest.objects.update(state="done", judge=judge)
    assert api(f"cascade-requests/{asked['id']}/")["judge"] == "judge-llm"
    assert CascadeRequest.objects.count() == 1
