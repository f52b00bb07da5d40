"""The web process starts light: what only workers, imports and tests need isn't loaded with it."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings

# celery.worker itself is there: Celery's support for Django imports it, for 12 modules and 1 MB. What a worker
# really runs on isn't.
HEAVY = (
    "numpy", "scipy", "choix", "plotly", "pandas", "sklearn", "pyarrow", "celery.worker.consumer",
    "celery.concurrency.prefork", "openai", "httpx2", "PIL", "pygments.lexers.python",
    "tqdm", "ijson", "hypothesis", "pytest",
)  # fmt: skip
START = """
import json, sys
import config.wsgi
from importlib import import_module
import_module(config.wsgi.application.__class__.__module__)
from django.urls import get_resolver
resolver = get_resolver()
resolver.reverse_dict, resolver.url_patterns
{more}
print(json.dumps(sorted(sys.modules)))
"""


def modules_of_a_web_process(tmp_path, more: str = "") -> set[str]:
    """The modules that are loaded once every address is known."""
    inherited = {name: value for name, value in os.environ.items() if "COV" not in name}
    ended = subprocess.run(  # noqa: S603 (our own code)
        [sys.executable, "-c", START.format(more=more)],
        env=inherited
        | {"JURYBOX_VAR_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stdout.splitlines()[-1]))


def heavy(modules: set[str]) -> list[str]:
    return [name for name in HEAVY if name in modules]


def test_a_web_process_loads_nothing_heavy(tmp_path):
    modules = modules_of_a_web_process(tmp_path)
    assert {"config.urls", "config.api_urls", "arena.api", "judges.api", "ratings.api"} <= modules
    assert heavy(modules) == []


@pytest.mark.parametrize("name", ["numpy", "tqdm"])
def test_the_check_sees_a_heavy_module(tmp_path, name):
    assert heavy(modules_of_a_web_process(tmp_path, more=f"import {name}")) == [name]
