"""The rooms know each other in one direction, ratings -> judges -> arena: read from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

ROOMS = ("arena", "judges", "ratings")
MAY_KNOW = {"arena": {"arena"}, "judges": {"arena", "judges"}, "ratings": set(ROOMS)}
ENGINE = "ratings.engine"
ROOT = Path(settings.BASE_DIR)
DOTTED = re.compile(rf"(?:{'|'.join(ROOMS)}|config)(?:\.\w+)+")
# Whatever takes a module or an app by its bare name; dotted names are seen wherever they stand.
IMPORTERS = {"import_module", "import_string", "__import__", "get_model", "find_spec"}


def imports(source: str, *, module: str) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a module imports, at any depth, by statement or by name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            words = [a.value for a in node.args if isinstance(a, ast.Constant)]
            if called in IMPORTERS and words and words[0] in ROOMS:
                yield node.lineno, words[0]
        elif (
            # "judges.Judge" of a foreign key, a task by its name, a module for import_module.
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and DOTTED.fullmatch(node.value)
        ):
            yield node.lineno, node.value


def violations(
    source: str, *, module: str, rooms_of_config: frozenset[str] = frozenset()
) -> list[str]:
    """What a module imports and may not; a sentence each.

    ``rooms_of_config`` are the modules of config that know rooms, which only config may know.
    """
    room = module.split(".")[0]
    below = module == ENGINE or module.startswith(f"{ENGINE}.")
    found = []
    for line, name in imports(source, module=module):
        first = name.split(".")[0]
        in_engine = name == ENGINE or name.startswith(f"{ENGINE}.")
        if below and (first in ("django", "rest_framework", "celery", "config") or first in ROOMS):
            wrong = not in_engine
        elif room in MAY_KNOW and first in ROOMS:
            wrong = first not in MAY_KNOW[room]
        elif room in MAY_KNOW and first == "config":
            wrong = any(name == m or name.startswith(f"{m}.") for m in rooms_of_config)
        else:
            wrong = False
        if wrong:
            found.append(f"{module}, line {line}: {name}")
    return found


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """(module, source) of every Python file of some packages."""
    for folder in folders:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            yield ".".join(p for p in parts if p != "__init__"), file.read_text()


def config_that_knows_rooms() -> frozenset[str]:
    return frozenset(
        module
        for module, source in sources("config")
        if any(name.split(".")[0] in ROOMS for _, name in imports(source, module=module))
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_is_below_it(room):
    knowing = config_that_knows_rooms()
    modules = list(sources(room))
    assert len(modules) > 5
    found = [
        sentence
        for module, source in modules
        for sentence in violations(source, module=module, rooms_of_config=knowing)
    ]
    assert not found


def test_the_engine_imports_nothing_of_django_and_nothing_of_ours_but_itself():
    modules = [(m, s) for m, s in sources("ratings/engine")]
    assert len(modules) > 5
    assert not [sentence for m, s in modules for sentence in violations(s, module=m)]


def test_only_config_knows_all_three_rooms_and_few_of_its_modules_do():
    assert config_that_knows_rooms() == {"config.api_urls", "config.settings", "config.urls"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("arena.models", "import judges"),
        ("arena.models", "import judges.models as j"),
        ("arena.views", "from ratings.models import Snapshot"),
        ("arena.views", "def f():\n    from judges import voting"),
        ("arena.views", "from ..judges import models"),
        ("arena.views", "import_module('ratings.snapshots')"),
        ("arena.views", "apps.get_model('judges', 'Judge')"),
        ("arena.models", "models.ForeignKey('judges.Judge', models.CASCADE)"),
        ("arena.tasks", "app.send_task('ratings.tasks.refresh')"),
        ("arena.api", "from config.api_urls import urlpatterns"),
        ("arena.api", "from config import urls"),
        ("judges.voting", "from ratings.publications import mark_stale"),
        ("judges.voting", "if TYPE_CHECKING:\n    from ratings import models"),
        ("judges.management.commands.ask", "from ratings import slices"),
        ("ratings.engine.rate", "from django.conf import settings"),
        ("ratings.engine.rate", "import django"),
        ("ratings.engine.rate", "from ratings.slices import Slice"),
        ("ratings.engine.rate", "from ratings import models"),
        ("ratings.engine.rate", "from arena.models import System"),
        ("ratings.engine.deep.inside", "from ...models import Rating"),
        ("ratings.engine", "from config import settings"),
    ],
)
def test_the_checker_sees_a_wrong_import(module, source):
    assert len(violations(source, module=module, rooms_of_config=config_that_knows_rooms())) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("arena.views", "from arena.models import Arena"),
        ("arena.views", "reverse('judges:battle', args=[1])"),
        ("arena.views", "'Judges and ratings are above.'"),
        ("arena.api", "from config.api import FilterSet"),
        ("arena.views", "import arenas_of_others"),
        ("judges.voting", "from arena.models import Battle"),
        ("judges.voting", "from . import models"),
        ("ratings.snapshots", "from judges.models import Verdict"),
        ("ratings.snapshots", "from ratings.engine.rate import rate"),
        ("ratings.engine.rate", "from ratings.engine import tallies"),
        ("ratings.engine.rate", "from .tallies import Tallies"),
        ("ratings.engine.rate", "import numpy as np"),
        ("config.urls", "import arena, judges, ratings"),
    ],
)
def test_the_checker_lets_right_imports_pass(module, source):
    assert not violations(source, module=module, rooms_of_config=config_that_knows_rooms())
