"""manage.py where the database isn't as a command needs it."""

import os
import subprocess
import sys

import pytest
from django.conf import settings


def manage(tmp_path, *arguments, **environment):
    database = {"DATABASE_URL": f"sqlite:///{tmp_path / 'empty.sqlite3'}", **environment}
    return subprocess.run(  # noqa: S603
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "JURYBOX_VAR_DIR": str(tmp_path), **database},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", ["rate --arena poems", "load_demo", "verify_snapshot 1"])
def test_without_tables_a_command_says_to_migrate(tmp_path, command):
    done = manage(tmp_path, *command.split())
    assert done.returncode == 1
    assert done.stderr.startswith(
        "The database isn't set up for this release: run manage.py migrate"
    )
    assert "no such table" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_errors_of_the_database_are_not_taken_for_that(tmp_path):
    away = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}
    done = manage(tmp_path, "rate", "--arena", "poems", **away)
    assert done.returncode == 1
    assert "migrate" not in done.stderr.splitlines()[-1]
    assert "Traceback" in done.stderr
