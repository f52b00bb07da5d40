"""By the API a maintainer says where a system is asked, and lets it answer prompts."""

import pytest
from django.core.cache import cache
from django.test import Client

from arena.models import System
from arena.tokens import make_token
from judges.models import JudgeRun
from judges.runs import work_on
from tests import cast
from tests.accounts import make_member
from tests.judges.test_answer_prompts import ENDPOINT, Model

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    cache.clear()
    arena = cast.make_arena()
    for number in range(4):
        cast.make_prompt(arena, f"Poem {number}")
    cast.make_system(arena, "Ada")
    return arena


@pytest.fixture
def api(arena):
    user = make_member(arena, "maintainer")
    words = make_token(user=user, name="test", scope="write", days=1)[1]

    def ask(method, path, sent=None, *, status):
        data = {} if sent is None else {"data": sent, "content_type": "application/json"}
        response = getattr(Client(), method)(
            f"/api/v1/arenas/poems/{path}", headers={"Authorization": f"Bearer {words}"}, **data
        )
        assert response.status_code == status, response.content
        return response.json()

    return ask


SENT = {"name": "Basil", "family": "Llama", "endpoint": ENDPOINT, "system_prompt": " Rhyme. "}


def test_a_system_is_made_planned_confirmed_and_followed(api, arena):
    made = api("post", "system-endpoints/", SENT, status=201)
    assert (made["system"], made["family"], made["system_prompt"]) == ("basil", "Llama", "Rhyme.")
    assert made["endpoint"].items() >= ENDPOINT.items()
    assert api("post", "system-endpoints/", SENT, status=200) == made
    assert api("get", "system-endpoints/basil/", status=200) == made
    assert api("get", "system-endpoints/", status=200)["results"] == [made]

    wanted = {"system": "basil", "limit": 3, "budget": "1.5000"}
    run = api("post", "answer-runs/", wanted, status=201)
    assert api("post", "answer-runs/", wanted, status=200) == run
    assert (run["state"], run["system"], run["selection"]) == ("planned", "basil", {"limit": 3})
    assert run["plan"].items() >= {"prompts": 3, "left_out": 0}.items()
    assert run["plan"]["cost"] <= run["plan"]["most_cost"]
    address, steered = f"answer-runs/{run['id']}/", f"runs/{run['id']}/"
    assert api("get", f"{steered}plan/", status=200)["calls"] == 3
    for _ in range(2):
        assert api("post", f"{steered}confirm/", {}, status=200)["state"] == "queued"
    assert api("get", address, status=200)["plan"] is None
    said: list[str] = []

    def answer(words: str) -> str:
        # Which prompts are drawn depends on their ids: that which comes first gets no answer.
        said.append(words)
        return "" if words == said[0] else "Yes."

    work_on(JudgeRun.objects.get(), make_asker=Model(answer))
    run = api("get", address, status=200)
    assert (run["state"], run["total"], run["outputs"], run["failed"]) == ("done", 3, 2, 1)
    assert [(f["failure"], f["count"]) for f in run["failures"]] == [("unreadable reply", 1)]
    assert api("post", f"{steered}retry/", {}, status=200)["state"] == "running"
    assert api("post", f"{steered}pause/", {}, status=200)["state"] == "paused"
    run = api("post", f"{steered}resume/", {"max_calls": 50}, status=200)
    assert (run["state"], run["max_calls"], run["budget"]) == ("running", 50, "1.5000")
    assert api("post", f"{steered}cancel/", {}, status=200)["state"] == "cancelled"
    assert len(api("get", "answer-runs/", status=200)["results"]) == 1
    assert api("get", "outputs/?system=basil", status=200)["results"][0]["text"] == "Yes."


def test_a_system_whose_outputs_were_uploaded_gets_an_endpoint(api, arena):
    api("post", "answer-runs/", {"system": "ada"}, status=409)
    made = api("post", "system-endpoints/", {"name": "Ada", "endpoint": ENDPOINT}, status=200)
    assert (made["system"], made["pictures"]) == ("ada", False)
    assert System.objects.count() == 1
    api("post", "answer-runs/", {"system": "ada"}, status=201)


def test_what_is_wrong_is_said_by_its_name_and_nothing_is_made(api, arena):
    for wrong, names in (
        ({"endpoint": {"url": "ftp://x", "model": "m"}}, ["endpoint.url"]),
        ({"endpoint": {**ENDPOINT, "model": "a\nb"}}, ["endpoint.model"]),
        ({"endpoint": {**ENDPOINT, "key_name": "sk-123"}}, ["endpoint.key_name"]),
        (
            {"endpoint": {**ENDPOINT, "parameters": {"stop": ["\0"]}}},
            ["endpoint.parameters.stop"],
        ),
        ({"endpoint": {**ENDPOINT, "api": "rerank"}}, ["endpoint.api"]),
        ({"endpoint": "x"}, ["endpoint"]),
        ({"name": "x" * 201}, ["name"]),
        ({"url": "x"}, ["url"]),
    ):
        problem = api("post", "system-endpoints/", SENT | wrong, status=400)
        assert list(problem["errors"]) == names
    for wrong, status in (
        ({"system": "nobody"}, 400),
        ({"system": "ada", "budget": "0"}, 409),
        ({"system": "ada", "prompts": [0]}, 400),
        ({"system": "ada", "systems": ["ada"]}, 400),
    ):
        api("post", "answer-runs/", wrong, status=status)
    assert not JudgeRun.objects.exists()
    assert System.objects.count() == 1
    api("post", "system-endpoints/", SENT, status=201)
    api("post", "system-endpoints/", SENT | {"system_prompt": "Else."}, status=200)
