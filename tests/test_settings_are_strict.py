"""Settings that are wrong stop the start with one sentence; SQLite is set up so that writers lose nothing."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config.endpoints import keys_by_endpoint
from config.environment import Environment

SECRET = "hunter2" * 6


# --- the readers ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "meant"),
    [("yes", True), ("No", False), ("TRUE", True), ("0", False), (" 1 ", True), (None, True)],
)
def test_a_flag_is_yes_or_no(value, meant):
    variables = {} if value is None else {"JURYBOX_DEBUG": value}
    assert Environment(variables).flag("JURYBOX_DEBUG", default=True) is meant


@pytest.mark.parametrize("value", ["", "on", "ja", "2", "yes please"])
def test_any_other_flag_is_refused(value):
    with pytest.raises(ImproperlyConfigured, match=r"^JURYBOX_DEBUG must be yes or no"):
        Environment({"JURYBOX_DEBUG": value}).flag("JURYBOX_DEBUG", default=True)


@pytest.mark.parametrize(("value", "meant"), [("3", 3), (" 20 ", 20), (None, 7)])
def test_a_number_is_a_whole_number(value, meant):
    variables = {} if value is None else {"JURYBOX_WORKERS": value}
    assert Environment(variables).number("JURYBOX_WORKERS", 7, at_least=1) == meant


@pytest.mark.parametrize("value", ["", "three", "1.5", "1e3", "0x10"])
def test_any_other_number_is_refused(value):
    with pytest.raises(ImproperlyConfigured, match=r"^JURYBOX_WORKERS must be a whole number"):
        Environment({"JURYBOX_WORKERS": value}).number("JURYBOX_WORKERS", 7)


def test_a_number_below_what_makes_sense_is_refused():
    with pytest.raises(ImproperlyConfigured, match=r"^JURYBOX_WORKERS must be at least 1, not 0"):
        Environment({"JURYBOX_WORKERS": "0"}).number("JURYBOX_WORKERS", 7, at_least=1)


def test_words_are_separated_by_commas():
    env = Environment({"JURYBOX_ALLOWED_HOSTS": " a.org, b.org,,"})
    assert env.words("JURYBOX_ALLOWED_HOSTS", "localhost") == ["a.org", "b.org"]
    assert Environment({}).words("JURYBOX_ALLOWED_HOSTS", "localhost") == ["localhost"]


@pytest.mark.parametrize(
    "value", [f"mysql://root:{SECRET}@db/name", f"{SECRET}", f"postgres:{SECRET}"]
)
def test_a_url_of_another_kind_is_refused_without_repeating_it(value):
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL must begin with") as error:
        Environment({"DATABASE_URL": value}).url("DATABASE_URL", "", schemes=("sqlite", "postgres"))
    assert SECRET not in str(error.value)


def test_a_name_that_nobody_reads_is_refused_with_those_that_are_read():
    env = Environment({"JURYBOX_WORKER": "3", "PATH": "/bin", "JURYBOX_DATA": "/data"})
    env.number("JURYBOX_WORKERS", 2)
    with pytest.raises(ImproperlyConfigured, match=r"JURYBOX_WORKER: .*JURYBOX_WORKERS\.$"):
        env.refuse_unknown(also=("JURYBOX_DATA",))


def test_names_that_are_read_or_not_ours_are_let_through():
    env = Environment({"JURYBOX_WORKERS": "3", "PATH": "/bin", "JURYBOX_DATA": "/data"})
    env.number("JURYBOX_WORKERS", 2)
    env.refuse_unknown(also=("JURYBOX_DATA",))


# --- endpoints and their keys ---------------------------------------------------------------------
OPENAI, NEARBY = "https://api.openai.com/v1", "http://127.0.0.1:8001/v1"


@pytest.mark.parametrize(
    ("endpoints", "keys", "expected"),
    [
        ([], [], {}),
        ([OPENAI, NEARBY], [], {OPENAI: (), NEARBY: ()}),
        ([f"{OPENAI}=A_KEY", NEARBY], [], {OPENAI: ("A_KEY",), NEARBY: ()}),
        ([f"{OPENAI}=A_KEY", f"{OPENAI}=B_KEY"], [], {OPENAI: ("A_KEY", "B_KEY")}),
        ([OPENAI], ["A_KEY"], {OPENAI: ("A_KEY",)}),
        ([], ["A_KEY"], {}),
    ],
)
def test_a_key_belongs_to_an_endpoint(endpoints, keys, expected):
    assert keys_by_endpoint(endpoints, keys) == expected


@pytest.mark.parametrize(
    ("endpoints", "keys", "words"),
    [
        ([OPENAI, NEARBY], ["A_KEY"], "JURYBOX_ENDPOINT_KEYS is for a single endpoint"),
        ([f"{OPENAI}=sk-{SECRET}"], [], "JURYBOX_ENDPOINTS: keys are given by the names"),
        ([f"{OPENAI}="], [], "JURYBOX_ENDPOINTS: keys are given by the names"),
        ([f"{OPENAI}=JURYBOX_SECRET_KEY"], [], "which is no key of an endpoint"),
        ([OPENAI], ["DATABASE_URL"], "which is no key of an endpoint"),
        ([f"https://judge:{SECRET}@api.example.com/v1=A_KEY"], [], "without a password"),
    ],
)
def test_a_key_that_belongs_to_no_endpoint_is_refused_without_repeating_it(endpoints, keys, words):
    with pytest.raises(ImproperlyConfigured, match=words) as error:
        keys_by_endpoint(endpoints, keys)
    assert SECRET not in str(error.value)


# --- the start ------------------------------------------------------------------------------------
def start(tmp_path: Path, code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A process of its own that reads the settings under these variables."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JURYBOX_") and name not in ("DATABASE_URL", "CELERY_BROKER_URL")
    }
    return subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", f"from config import settings as s\n{code}"],
        env={**clean, "JURYBOX_VAR_DIR": str(tmp_path), **variables},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JURYBOX_DEBUG", "maybe"),
        ("JURYBOX_BEHIND_TLS", "on"),
        ("JURYBOX_WORKERS", "many"),
        ("JURYBOX_WORKERS", "0"),
        ("JURYBOX_BOOTSTRAP_ROUNDS", "10"),
        ("JURYBOX_SECRET_KEY", "hunter2"),
        ("DATABASE_URL", f"mysql://root:{SECRET}@db/name"),
        ("CELERY_BROKER_URL", f"amqp://root:{SECRET}@mq"),
        ("JURYBOX_ENDPOINTS", f"https://judge:{SECRET}@api.example.com/v1"),
        ("JURYBOX_ENDPOINTS", "api.example.com/v1"),
        ("JURYBOX_ENDPOINT_KEYS", f"sk-{SECRET}"),
        ("JURYBOX_DEBUGG", SECRET),
    ],
)
def test_a_wrong_value_stops_the_start_with_a_sentence_that_names_it(tmp_path, name, value):
    ended = start(tmp_path, **{name: value})
    assert ended.returncode != 0
    sentence = ended.stderr.strip().splitlines()[-1]
    assert sentence.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert name in sentence
    assert "hunter2" not in ended.stdout + ended.stderr


def test_the_start_succeeds_with_the_defaults_and_keeps_its_key_to_itself(tmp_path):
    first, second = (start(tmp_path, "print(s.SECRET_KEY)") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    key = tmp_path / "secret_key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_text()) >= 50


def test_a_site_is_closed_unless_it_is_opened(tmp_path):
    ended = start(tmp_path, "print(s.DEBUG, s.ALLOWED_HOSTS)")
    assert ended.stdout.strip() == "False ['localhost', '127.0.0.1', '[::1]']"


# --- SQLite ---------------------------------------------------------------------------------------
WRITER = """
import django, sys, threading
django.setup()
from django.db import connection, connections, transaction
from django.db.models import F
from arena.models import Arena

def add():
    for _ in range({rounds}):
        with transaction.atomic():
            # Read, think, write: what loses updates under transactions that begin with a read lock.
            arena = Arena.objects.get(slug="counter")
            arena.description = str(int(arena.description) + 1)
            arena.save()
    connections.close_all()

threads = [threading.Thread(target=add) for _ in range({threads})]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def run(tmp_path: Path, code: str) -> subprocess.Popen[str]:
    variables = {n: v for n, v in os.environ.items() if not n.startswith("JURYBOX_")}
    variables |= {
        "JURYBOX_VAR_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'shared.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    return subprocess.Popen(  # noqa: S603 (our own code)
        [sys.executable, "-c", code],
        env=variables,
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "Error" not in err, err
    return out


def test_sqlite_is_in_wal_mode_takes_the_lock_first_and_waits_for_it(tmp_path):
    code = """
import django; django.setup()
from django.db import connection, transaction
with connection.cursor() as cursor:
    for pragma in ("journal_mode", "busy_timeout", "foreign_keys"):
        cursor.execute(f"PRAGMA {pragma}")
        print(cursor.fetchone()[0])
from django.conf import settings
print(settings.DATABASES["default"]["OPTIONS"]["transaction_mode"])
with transaction.atomic():
    import sqlite3
    other = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=0)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        print(error)
"""
    lines = finished(run(tmp_path, code)).splitlines()
    assert lines == ["wal", "20000", "1", "IMMEDIATE", "database is locked"]


def test_writers_that_read_first_lose_nothing(tmp_path):
    processes, threads, rounds = 3, 3, 15
    finished(
        run(
            tmp_path,
            "import django; django.setup()\n"
            "from django.core.management import call_command\n"
            "call_command('migrate', 'arena', verbosity=0)\n"
            "from arena.models import Arena\n"
            "Arena.objects.create(slug='counter', name='Counter', description='0')",
        )
    )
    code = WRITER.format(threads=threads, rounds=rounds)
    for process in [run(tmp_path, code) for _ in range(processes)]:
        finished(process)
    with sqlite3.connect(tmp_path / "shared.sqlite3") as database:
        (counted,) = database.execute("SELECT description FROM arena_arena").fetchone()
    database.close()
    assert int(counted) == processes * threads * rounds
