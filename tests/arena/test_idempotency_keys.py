"""A request that is sent again under its Idempotency-Key is done once and answered like the first time."""

import json
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from arena import kept_answers
from arena.models import KeptAnswer, Prompt
from arena.tokens import make_token
from config.api_docs import openapi
from tests import cast
from tests.accounts import make_member

pytestmark = pytest.mark.django_db
ROWS = [{"prompt": "One more."}]


@pytest.fixture
def arena():
    cache.clear()
    return cast.make_small_arena()


@pytest.fixture
def ask(arena):
    def headers_of(user) -> dict[str, str]:
        words = make_token(user=user, name="t", scope="write", days=1)[1]
        return {"Authorization": f"Bearer {words}"}

    known = {name: headers_of(make_member(arena, "maintainer", name)) for name in ("ada", "bob")}

    def ask(path: str, sent, *, key: str = "k", who: str = "ada"):
        body = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        return Client().post(
            f"/api/v1/{path}",
            body,
            content_type="application/json",
            headers=known[who] | {"Idempotency-Key": key},
        )

    return ask


def test_the_same_again_is_answered_like_the_first_and_done_once(ask):
    first = ask("arenas/poems/prompts/", ROWS)
    again = ask("arenas/poems/prompts/", ROWS)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json() == {**first.json(), "added": 1}
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    # The same deed under another key is looked at anew.
    assert ask("arenas/poems/prompts/", ROWS, key="other").json()["added"] == 0
    assert Prompt.objects.filter(messages__0__content="One more.").count() == 1
    # Keys are each account's own.
    assert ask("arenas/poems/prompts/", ROWS, who="bob").status_code == 200


def test_a_key_belongs_to_one_request(ask):
    ask("arenas/poems/prompts/", ROWS)
    for path, sent in (
        ("arenas/poems/prompts/", [{"prompt": "Another."}]),
        ("arenas/poems/prompts/?check=true", ROWS),
        ("arenas/", {"slug": "odes", "name": "Odes"}),
    ):
        refused = ask(path, sent)
        assert refused.status_code == 422
        assert "another request" in refused.json()["detail"]
    assert not Prompt.objects.filter(messages__0__content="Another.").exists()


def test_what_was_refused_may_be_sent_again_under_its_key(ask, arena):
    assert ask("arenas/poems/prompts/", [{"prompt": ""}]).status_code == 400
    assert ask("arenas/poems/prompts/", b"no json").status_code == 400
    assert ask("arenas/nowhere/prompts/", ROWS).status_code == 404
    assert not KeptAnswer.objects.exists()
    assert ask("arenas/poems/prompts/", ROWS).status_code == 201
    for key in ("", "x" * 201, "\x07"):
        refused = ask("arenas/poems/prompts/", ROWS, key=key)
        assert refused.status_code == 400
        assert list(refused.json()["errors"]) == ["Idempotency-Key"]


def test_one_that_is_under_way_is_waited_for_and_a_dead_ones_is_done_again(ask):
    first = ask("arenas/poems/prompts/", ROWS)
    KeptAnswer.objects.update(status=None, body="")
    waits = ask("arenas/poems/prompts/", ROWS)
    assert waits.status_code == 409
    assert 1 <= int(waits.headers["Retry-After"]) <= 5
    KeptAnswer.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    done = ask("arenas/poems/prompts/", ROWS)
    assert (done.status_code, done.json()["added"]) == (200, 0)
    assert first.json()["added"] == 1
    assert KeptAnswer.objects.get().status == 200


def test_what_fails_inside_isnt_kept(ask, monkeypatch):
    def fails(**given):
        raise RuntimeError("away")

    monkeypatch.setattr("arena.api_write.Prompts.add", staticmethod(fails))
    client = Client(raise_request_exception=False)
    monkeypatch.setattr("tests.arena.test_idempotency_keys.Client", lambda: client)
    assert ask("arenas/poems/prompts/", ROWS).status_code == 500
    assert not KeptAnswer.objects.exists()


def test_answers_are_forgotten_after_a_week(ask):
    ask("arenas/poems/prompts/", ROWS)
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(days=6))
    assert kept_answers.sweep() == 0
    KeptAnswer.objects.update(created_at=timezone.now() - timedelta(days=8))
    assert kept_answers.sweep() == 1


def test_every_post_takes_a_key_and_says_so():
    posts = [methods["post"] for methods in openapi()["paths"].values() if "post" in methods]
    assert len(posts) > 20
    for operation in posts:
        named = {parameter["name"] for parameter in operation["parameters"]}
        assert "Idempotency-Key" in named, operation["operationId"]
        assert {"409", "422"} <= set(operation["responses"]), operation["operationId"]
