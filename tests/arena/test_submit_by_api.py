"""Submissions by the API: who may what, and what a program is told."""

import gzip
import json

import pytest
from django.core.cache import cache
from django.test import Client

from arena.models import Submission, System
from arena.submissions.verbs import publish
from arena.tokens import make_token
from tests import cast
from tests.accounts import make_member, make_user
from tests.api_client import make_submission

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_asked_before():
    cache.clear()


@pytest.fixture
def arena():
    return cast.make_small_arena()


@pytest.fixture
def owner(arena):
    return make_member(arena, "researcher", "owner")


def headers_of(user, scope: str = "write") -> dict[str, str]:
    if user is None:
        return {}
    return {"Authorization": f"Bearer {make_token(user=user, name='t', scope=scope, days=1)[1]}"}


def ask(
    user, path: str, body: bytes | None = None, *, kind: str = "application/jsonl", scope="write"
):
    method = "get" if body is None else "post"
    sent = {} if body is None else {"data": body, "content_type": kind}
    return getattr(Client(), method)(
        f"/api/v1/arenas/poems/submissions/{path}", headers=headers_of(user, scope), **sent
    )


def lines(arena, *, text: str = "An answer.") -> bytes:
    rows = [json.dumps({"prompt": p.text, "output": f"{text} {p.pk}"}) for p in arena.prompts.all()]
    return "\n".join(rows).encode()


def test_a_submission_is_sent_found_and_told_apart(arena, owner):
    response = ask(owner, "?name=Erik&version=1&size=7B&price_in=0.5", lines(arena))
    assert response.status_code == 201
    told = response.json()
    assert (told["system"], told["standing"], told["state"]) == ("erik-1", "private", "waiting")
    assert told["about"] == {"name": "Erik", "version": "1", "size": "7B", "price_in": "0.5"}
    assert told["page"] == f"http://testserver/a/poems/submissions/{told['id']}/"
    assert (told["n_outputs"], told["n_prompts"], told["place"]) == (6, 6, None)
    again = ask(owner, "?name=Erik&version=1&size=7B&price_in=0.5", lines(arena))
    assert (again.status_code, again.json()["id"]) == (200, told["id"])
    assert System.objects.filter(name="Erik").count() == 1
    listed = ask(owner, "?state=waiting").json()["results"]
    assert [one["id"] for one in listed] == [told["id"]]
    assert ask(owner, "?state=ranked").json()["results"] == []
    one = ask(owner, f"{told['id']}/").json()
    assert (one["problems"], one["rounds"], one["queued_before"]) == ([], [], None)


def test_a_packed_file_of_another_tool_tells_whose_outputs_they_are(arena, owner):
    items = [
        {"instruction": prompt.text, "output": f"An answer {prompt.pk}", "generator": "Erik"}
        for prompt in arena.prompts.all()
    ]
    bad = gzip.compress(json.dumps([*items, {"instruction": "?"}], indent=1).encode())
    response = ask(owner, "", bad, kind="application/gzip")
    assert response.status_code == 400
    assert '"output" is missing' in response.json()["errors"]["item 7"][0]
    [line, sentence] = Submission.objects.get().problems[0]
    assert (line, sentence) == (32, 'Item 7: "output" is missing.')
    packed = gzip.compress(json.dumps(items, indent=1).encode())
    told = ask(owner, "", packed, kind="application/gzip").json()
    assert (told["system"], told["n_outputs"], told["state"]) == ("erik", 6, "waiting")


def test_every_problem_is_told_with_its_line_and_a_check_stores_nothing(arena, owner):
    bad = b'{"prompt": "Nobody asked.", "output": "x"}\nnot json\n'
    for path in ("check/?name=Erik", "?name=Erik"):
        response = ask(owner, path, bad)
        assert response.status_code == 400, response.content
        assert {"line 2"} <= set(response.json()["errors"])
    assert Submission.objects.get().state == "refused"  # of the second one
    checked = ask(owner, "check/?name=Erik", lines(arena)).json()
    assert checked == {
        "name": "Erik", "version": "", "format": "jsonl", "outputs": 6, "prompts": 6, "missing": 0,
        "unused": [], "warnings": [],
    }  # fmt: skip
    assert Submission.objects.count() == 1


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("?name=", "name"),
        ("?name=E&price_in=-1", "price_in"),
        ("?name=E&price_in=NaN", "price_in"),
        ("?name=E&link=x", "link"),
        ("?name=E&private=yes", "private"),
        ("?name=E&format=xls", "format"),
        ("?name=E&follows=ada", "follows"),
        ("?name=E&colour=red", "colour"),
        (f"?name={'e' * 201}", "name"),
    ],
)
def test_a_parameter_that_cant_be_is_named(arena, owner, query, name):
    response = ask(owner, query, lines(arena))
    assert response.status_code == 400
    assert list(response.json()["errors"]) == [name]
    assert not Submission.objects.exists()


def test_what_isnt_ones_own_isnt_there(arena, owner):
    submission = make_submission(arena, owner)
    path = f"{submission.pk}/"
    people = {
        None: 401,
        make_user("stranger"): 404,
        make_member(arena, "voter"): 404,
        make_member(arena, "researcher", "other"): 404,
        make_member(cast.make_arena("other"), "maintainer", "elsewhere"): 404,
        owner: 200,
        make_member(arena, "maintainer"): 200,
        make_user("staff", is_staff=True): 200,
    }
    for user, status in people.items():
        assert ask(user, path).status_code == status, user
        seen = ask(user, "")
        if user is not None:
            assert len(seen.json()["results"]) == (1 if status == 200 else 0), user
        for verb in ("cancel", "retry", "publish", "withdraw"):
            if status != 200:
                assert ask(user, f"{path}{verb}/", b"").status_code == status, (user, verb)
    submission.refresh_from_db()
    assert (submission.state, submission.system.standing) == ("queued", "private")
    assert ask(owner, f"{path}publish/", b"", scope="read").status_code == 403
    for verb, state, standing in (
        ("cancel", "cancelled", "private"),
        ("retry", "queued", "private"),
        ("publish", "queued", "published"),
        ("withdraw", "cancelled", "deprecated"),
    ):
        told = ask(owner, f"{path}{verb}/", b"")
        assert told.status_code == 200, told.content
        assert (told.json()["state"], told.json()["standing"]) == (state, standing)
    publish(submission=submission, actor=owner)
    arena.is_public = False
    arena.save()
    assert ask(make_user("late"), path).status_code == 404


def test_who_may_not_submit_is_told_why_and_who_must_wait_how_long(arena, owner):
    for user in (make_member(arena, "voter"), make_user("stranger")):
        response = ask(user, "?name=Erik", lines(arena))
        assert response.status_code == 403
        assert "only its researchers submit" in response.json()["detail"]
    arena.submission_policy = {"most_private": 1, "most_a_week": 2}
    arena.save()
    assert ask(owner, "?name=One", lines(arena)).status_code == 201
    assert ask(owner, "?name=Two", lines(arena)).status_code == 409
    assert ask(owner, "?name=Two&private=false", lines(arena)).status_code == 201
    late = ask(owner, "?name=Three&private=false", lines(arena))
    assert late.status_code == 429
    assert int(late.headers["Retry-After"]) > 6 * 86_400
