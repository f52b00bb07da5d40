"""The examples of docs/api.md do what they say, one after the other."""

import io
import json
import re
import shlex
import textwrap
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client

from arena.models import Arena
from arena.tokens import make_token
from config.api_docs import openapi
from judges.models import Exclusion, JudgeRun
from tests import cast
from tests.accounts import make_member, make_user
from tests.api_client import DOT, make_published_arena

SITE = "https://arena.example.org"
TEXT = Path(settings.BASE_DIR, "docs", "api.md").read_text()
READING, MAKING, SUBMITTING, JUDGING = (
    re.search(rf"^## {title}$(.*?)^## ", TEXT, re.MULTILINE | re.DOTALL)[1]
    for title in ("Reading", "Making an arena", "Submitting a system", "Judges and runs")
)
FILES = {
    "roses.png": DOT,
    "ada.jsonl": '{"prompt_id": "p1", "output": "Light scatters."}\n',
    "basil.csv": "prompt_id,output\np1,It mirrors the sea.\n",
    "fred.jsonl": "\n".join(
        json.dumps({"prompt": f"Write poem number {n}.", "output": "No."}) for n in range(6)
    ),
    "gold.jsonl": json.dumps(
        {"id": "g1", "prompt": "?", "output_a": "4", "output_b": "5", "expected": "a"}
    ),
}


def commands(text: str) -> list[list[str]]:
    lines = re.findall(r"^    (curl (?:.*\\\n)*.*)$", text, re.MULTILINE)
    return [shlex.split(line.replace("\\\n", " ")) for line in lines]


def run(words: list[str], token: str = ""):
    """What curl would do, as far as the examples use it."""
    method, headers, body, address = None, {}, None, ""
    rest = iter(words[1:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = value.replace("$TOKEN", token)
        elif word in ("-d", "--data-binary"):
            data = next(rest)
            body = FILES[data.removeprefix("@")] if data.startswith("@") else data
        else:
            assert word.startswith(SITE), word
            address = word.removeprefix(SITE)
    kind = headers.pop("Content-Type", "application/x-www-form-urlencoded")
    method = method or ("GET" if body is None else "POST")
    return Client().generic(method, address, body or "", content_type=kind, headers=headers)


@pytest.fixture(autouse=True)
def nobody_asked_before():
    cache.clear()


def test_the_examples_of_reading_find_something(db, settings):
    settings.BOOTSTRAP_ROUNDS = 200
    make_published_arena()
    found = commands(READING)
    assert len(found) == 3
    for words in found:
        response = run(words)
        assert response.status_code == 200, words
        assert response.json()["results"], words


def test_the_examples_of_making_an_arena_make_one(db, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path
    token = make_token(user=make_user(), name="test", scope="write", days=1)[1]
    found = commands(MAKING)
    statuses = []
    for words in found:
        if any("quiet-otter" in word for word in words):
            arena = Arena.objects.get()
            judge = arena.judges.first() or cast.make_judge(arena)
            judge.voters.get_or_create(handle="quiet-otter")
        if "DELETE" in words:
            number = str(Arena.objects.get().invitations.get().pk)
            words = [word.replace("/1/", f"/{number}/") for word in words]
        if JudgeRun.objects.exists():
            number = str(JudgeRun.objects.get().pk)
            words = [word.replace("/runs/1/", f"/runs/{number}/") for word in words]
        response = run(words, token)
        assert response.status_code < 300, (words, response.content)
        statuses.append(response.status_code)
    assert statuses == [201, 201, 201, 201, 200, 200, 201, 201, 204, 201, 201, 201, 201, 200]
    arena = Arena.objects.get(slug="physics")
    assert arena.is_open
    assert arena.policy["gold_share"] == 0.05
    assert sorted(str(system) for system in arena.systems.all()) == ["Ada", "Basil 2", "Mini"]
    assert JudgeRun.objects.get().state == "queued"
    assert arena.invitations.get().revoked_at
    assert [one.is_excluded for one in Exclusion.objects.order_by("pk")] == [True, False]


def test_the_examples_of_submitting_submit_and_publish(db):
    arena = cast.make_small_arena()
    token = make_token(user=make_member(arena, "researcher"), name="t", scope="write", days=1)[1]
    statuses = []
    for words in commands(SUBMITTING):
        number = str(getattr(arena.submissions.first(), "pk", ""))
        answer = run([word.replace("/1/", f"/{number}/") for word in words], token)
        statuses.append(answer.status_code)
    assert statuses == [200, 201, 200, 200]
    assert arena.submissions.get().system.standing == "published"


@pytest.mark.parametrize("language", ["curl", "python"])
def test_the_examples_of_judging_make_a_judge_and_a_run(db, settings, monkeypatch, language):
    """The endpoint of the examples is nobody's: a worker's part is done here."""
    settings.WHO_ASKS_MODELS = "maintainers"
    arena = cast.make_small_arena()
    token = make_token(user=make_member(arena, "maintainer"), name="t", scope="write", days=1)[1]

    def number(word: str) -> str:
        run = JudgeRun.objects.first()
        return re.sub(r"(/runs/|/probe-reports/|run=)[12]\b", rf"\g<1>{run and run.pk}", word)

    if language == "curl":
        answers = [run([number(word) for word in words], token) for words in commands(JUDGING)]
        assert [answer.status_code for answer in answers] == [201, 201, *[200] * 4, 201, *[200] * 3]
        planned, state = answers[2].json(), answers[4].json()["state"]
        assert (answers[8].json()["state"], answers[9].json()["results"]) == ("queued", [])
        assert planned["battles"] == 36
        assert state == "queued"
        return

    def urlopen(sent):
        method = sent.get_method()
        headers = {name: value for name, value in sent.header_items() if name != "Content-type"}
        address = sent.full_url.removeprefix(SITE)
        answer = Client().generic(
            method, address, sent.data or b"", content_type="application/json", headers=headers
        )
        assert answer.status_code < 300, answer.content
        return io.BytesIO(answer.content)

    monkeypatch.setenv("TOKEN", token)
    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr("time.sleep", lambda seconds: JudgeRun.objects.update(state="done"))
    code = re.search(r"^    import json.*?\[\"results\"\]$", JUDGING, re.M | re.S)[0]
    names: dict = {}
    exec(textwrap.dedent(code), names)  # noqa: S102 (our own page)
    assert names["run"]["state"] == "done"
    assert names["verdicts"] == []


def test_every_address_that_the_page_names_is_there(db):
    described = {path.removeprefix("/api/v1/") for path in openapi()["paths"]}
    named = {
        re.sub("<(.*?)>", r"{\1}", path) for path in re.findall(r"^\| `(arenas/.*?)`", TEXT, re.M)
    }
    assert named <= described
    lists = {path for path in described if not re.search(r"\{(id|slug)\}/$", path)}
    assert lists - named == {"arenas/{arena}/log/"}  # named in a sentence
    assert "`arenas/<arena>/log/`" in TEXT
