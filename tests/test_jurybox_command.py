"""The command jurybox against the API, and what it says when the site doesn't answer."""

import io
import json
import subprocess
import sys
from email.message import Message
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client as DjangoClient
from typer.testing import CliRunner

from arena.models import Submission
from arena.tokens import make_token
from jurybox.cli import app
from jurybox.client import Client, ClientError
from tests import cast
from tests.accounts import make_member

SITE = "http://127.0.0.1:8000"


class Site:
    """Stands in for the network: requests go to Django. ``before`` are answers that come first."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str, int]] = []
        self.before: list = []

    def open(self, request, timeout):
        parts = urlsplit(request.full_url)
        body = request.data or b""
        kind = request.get_header("Content-type", "")
        self.asked.append((request.get_method(), parts.path, kind, len(body)))
        if self.before:
            failure = self.before.pop(0)
            if isinstance(failure, Exception):
                raise failure
            raise self.error(*failure)
        answer = DjangoClient().generic(
            request.get_method(),
            f"{parts.path}?{parts.query}",
            body,
            content_type=kind,
            headers={"Authorization": request.get_header("Authorization")},
        )
        if answer.status_code >= 400:
            raise self.error(answer.status_code, answer.content, dict(answer.headers))
        return io.BytesIO(answer.content)

    @staticmethod
    def error(status: int, content: bytes = b"", headers: dict | None = None) -> HTTPError:
        message = Message()
        for name, value in (headers or {}).items():
            message[name] = value
        return HTTPError(SITE, status, "Said no", message, io.BytesIO(content))


@pytest.fixture
def site(monkeypatch) -> Site:
    site = Site()
    monkeypatch.setattr("jurybox.client.build_opener", lambda *handlers: site)
    monkeypatch.setattr("jurybox.client.time.sleep", lambda seconds: None)
    cache.clear()
    return site


@pytest.fixture
def arena(db, monkeypatch):
    arena = cast.make_small_arena()
    words = make_token(user=make_member(arena, "researcher"), name="t", scope="write", days=1)[1]
    monkeypatch.setenv("JURYBOX_TOKEN", words)
    monkeypatch.setenv("JURYBOX_ARENA", "poems")
    return arena


@pytest.fixture
def file(arena, tmp_path):
    path = tmp_path / "outputs.jsonl"
    rows = [
        json.dumps({"prompt": p.text, "output": f"Answer {p.pk}."}) for p in arena.prompts.all()
    ]
    path.write_text("\n".join(rows))
    return path


def run(*words: str, status: int = 0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, (result.output, result.exception)
    return result


def test_a_file_is_checked_submitted_watched_and_published(site, file):
    assert (
        "Nothing is wrong: 6 outputs of Fred 2"
        in run("submit", file, "--name", "Fred", "--version", "2", "--check").stdout
    )
    assert not Submission.objects.exists()
    result = run("submit", file, "--name", "Fred", "--version", "2", "--watch", "--size", "7B")
    submission = Submission.objects.get()
    assert f"Submission {submission.pk}: http://" in result.stderr
    assert result.stdout.startswith("waiting: This arena has no automatic judge")
    assert (str(submission.system), submission.system.size) == ("Fred 2", "7B")
    assert submission.file_name == "outputs.jsonl"
    run("submit", file, "--name", "Fred", "--version", "2", "--size", "7B")
    assert Submission.objects.count() == 1
    place = {
        "judge": "j", "rating": 1001.4, "lower": 900.0, "upper": 1100.0, "width": 200.0, "rank_lower": 1,
        "rank_upper": 3, "n_ranked": 5, "n_verdicts": 9, "n_battles": 9, "at": "2026-11-23T12:00:00+00:00",
    }  # fmt: skip
    Submission.objects.update(state="ranked", reason="It is narrow.", place=place)
    said = run("status", submission.pk, "--watch").stdout
    assert said == "ranked: It is narrow.; place 1 to 3 of 5, rating 1001 [900, 1100]\n"
    assert run("list").stdout.startswith(f"{submission.pk}\tranked\tprivate\tFred 2\tplace 1 to 3")
    run("publish", submission.pk)
    run("withdraw", submission.pk)
    submission.system.refresh_from_db()
    assert submission.system.standing == "deprecated"
    assert "nothing to cancel" in run("cancel", submission.pk, status=1).stderr


def test_every_problem_is_listed_with_its_place(site, file):
    file.write_text('{"prompt": "Who?", "output": ""}\nno json\n')
    said = run("submit", file, "--name", "Fred", status=1).stderr
    assert said.startswith("2 problems; nothing was stored:\n  line 1: ")
    assert "  line 2: It isn't JSON" in said
    assert "Nothing" not in run("submit", file, "--name", "Ada", "--link", "x", status=1).stdout


def test_a_failure_ends_with_status_1_and_its_reason(site, file):
    run("submit", file, "--name", "Fred")
    Submission.objects.update(state="failed", reason="The judge is gone.")
    pk = Submission.objects.get().pk
    assert run("status", pk, "--watch", status=1).stdout == "failed: The judge is gone.\n"


def test_a_large_file_travels_compressed_and_the_same_each_time(site, file, arena):
    long = "word " * 4_000
    rows = [json.dumps({"prompt": p.text, "output": long + str(p.pk)}) for p in arena.prompts.all()]
    file.write_text("\n".join(rows))
    for _ in range(2):
        run("submit", file, "--name", "Fred")
    sent = [(kind, size) for method, _, kind, size in site.asked if method == "POST"]
    assert [kind for kind, _ in sent] == ["application/gzip"] * 2
    assert max(size for _, size in sent) < file.stat().st_size / 20
    assert Submission.objects.count() == 1


def test_what_passes_is_tried_again_and_what_doesnt_is_told(site, file):
    site.before = [URLError("refused"), (503,), (429, b"", {"Retry-After": "7"})]
    said = run("submit", file, "--name", "Fred").stderr
    assert "trying again in 7 s" in said
    assert Submission.objects.count() == 1
    site.before = [URLError("refused")] * 5
    assert "can't be reached: refused" in run("list", status=1).stderr
    site.before = [(429, b'{"detail": "Next week."}', {"Retry-After": "500000"})]
    assert run("list", status=1).stderr == "Next week.\n"
    site.before = [(500, b"<html>")]
    assert "says 500 Said no, and no more" in run("list", status=1).stderr
    site.before = [(401, b'{"detail": "Unknown token."}')]
    assert "Is JURYBOX_TOKEN the token" in run("list", status=1).stderr


def test_a_token_is_needed_and_never_sent_in_clear_or_elsewhere(monkeypatch, tmp_path):
    monkeypatch.delenv("JURYBOX_TOKEN", raising=False)
    file = tmp_path / "f.jsonl"
    file.write_text("{}")
    assert "JURYBOX_TOKEN isn't set" in run("submit", file, "--arena", "a", status=2).stderr
    missing = run("submit", tmp_path / "none.jsonl", "--arena", "a", status=2).stderr
    assert missing.endswith("can't be read: No such file or directory.\n")
    for server, said in (
        ("http://arena.example.org", "use https"),
        ("ftp://a", "must look like https"),
        ("arena.example.org", "must look like https"),
    ):
        with pytest.raises(ClientError, match=said):
            Client(server=server, arena="a", token="t")
    monkeypatch.setenv("JURYBOX_TOKEN", "t")
    assert (
        "use https" in run("list", "--arena", "a", "--server", "http://b.example", status=1).stderr
    )


def test_it_starts_without_django_and_the_engine(tmp_path):
    code = (
        "import sys, jurybox.cli; "
        "print([m for m in ('django', 'numpy', 'celery', 'rest_framework', 'requests') if m in sys.modules])"
    )
    ended = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "[]\n"
