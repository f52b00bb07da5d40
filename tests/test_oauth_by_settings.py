"""Mail and OAuth are named by the environment: strictly, and only then loaded."""

import os
import subprocess
import sys

import pytest
from django.conf import settings

CLIENT = {"JURYBOX_GITHUB_ID": "an-id", "JURYBOX_GITHUB_SECRET": "hunter2hunter2"}
PAGE = """
import django; django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.test import Client
from django.test.utils import setup_test_environment
setup_test_environment()
page = Client().get("/accounts/login/")
print(page.status_code, "/accounts/github/login/" in page.text, page["Content-Security-Policy"])
sent = Client().post("/accounts/github/login/")
print(sent.status_code, sent.url.split("?")[0])
"""


def start(tmp_path, code: str = "from django.conf import settings; settings.DEBUG", **variables):
    inherited = {n: v for n, v in os.environ.items() if not n.startswith(("JURYBOX_", "DATABASE_"))}
    return subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", code],
        env=inherited
        | {"JURYBOX_VAR_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"}
        | variables,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_with_a_client_the_page_offers_github_and_the_policy_lets_the_form_through(tmp_path):
    ended = start(tmp_path, PAGE, JURYBOX_OAUTH="github", **CLIENT)
    assert ended.returncode == 0, ended.stderr
    page, sent = ended.stdout.splitlines()[-2:]
    assert page.startswith("200 True ")
    assert "form-action 'self' https://github.com;" in page
    assert sent == "302 https://github.com/login/oauth/authorize"


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"JURYBOX_OAUTH": "gitlab"}, "JURYBOX_OAUTH must be of github, google, not 'gitlab'"),
        ({"JURYBOX_OAUTH": "google", **CLIENT}, "JURYBOX_GOOGLE_ID and JURYBOX_GOOGLE_SECRET"),
        ({"JURYBOX_EMAIL_URL": "imap://a:hunter2@b"}, "JURYBOX_EMAIL_URL must begin with one of"),
        ({"JURYBOX_EMAIL_URL": "smtp:hunter2"}, "JURYBOX_EMAIL_URL must begin with one of"),
        ({"JURYBOX_EMAIL_URL": "smtp://:hunter2@"}, "JURYBOX_EMAIL_URL must look like"),
        ({"JURYBOX_EMAIL_URL": "smtp://a:hunter2@b:port"}, "JURYBOX_EMAIL_URL must look like"),
        ({"JURYBOX_EMAIL_URL": "smtp://b"}, "JURYBOX_EMAIL_FROM must be the address"),
        ({"JURYBOX_WHO_MAKES_ARENAS": "all"}, "must be accounts or staff, not 'all'"),
        ({"JURYBOX_WHO_ASKS_MODELS": "all"}, "must be maintainers or staff, not 'all'"),
    ],
)
def test_what_is_wrong_stops_the_start_without_repeating_a_password(tmp_path, variables, says):
    ended = start(tmp_path, **variables)
    assert ended.returncode != 0
    assert says in ended.stderr.splitlines()[-1]
    assert "hunter2" not in ended.stderr


def test_with_a_mail_server_addresses_are_confirmed(tmp_path):
    code = (
        "from django.conf import settings as s; print(s.ACCOUNT_EMAIL_VERIFICATION, s.EMAIL_HOST)"
    )
    ended = start(tmp_path, code, JURYBOX_EMAIL_URL="smtp://b", JURYBOX_EMAIL_FROM="a@example.org")
    assert ended.stdout.strip() == "mandatory b"
