"""The table of settings in the operator's guide says what config/settings.py does."""

import ast
import re

import pytest
from django.conf import settings

READERS = ("text", "flag", "number", "words", "url")
ROW = re.compile(r"^\| `([A-Z_]+)` \| (.+?) \| (.+) \|$", re.MULTILINE)


def settings_that_are_read() -> dict[str, object]:
    """Variable -> default, read from the source; the default is None where it isn't a literal."""
    tree = ast.parse((settings.BASE_DIR / "config" / "settings.py").read_text())
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if getattr(node.func.value, "id", "") != "env":
            continue
        if node.func.attr in READERS:
            arguments = [*node.args[1:], *(k.value for k in node.keywords if k.arg == "default")]
            default = arguments[0]
            found[ast.literal_eval(node.args[0])] = (
                default.value if isinstance(default, ast.Constant) else None
            )
        elif node.func.attr == "refuse_unknown":
            found |= dict.fromkeys(ast.literal_eval(node.keywords[0].value))
    return found


def settings_that_are_described() -> dict[str, str]:
    """Variable -> its default as the guide states it."""
    guide = (settings.BASE_DIR / "docs" / "operators-guide.md").read_text()
    section = guide.split("## Settings", 1)[1].split("\n## ", 1)[0]
    return {name: default for name, default, _ in ROW.findall(section)}


def test_every_setting_is_described_and_nothing_else_is():
    assert sorted(settings_that_are_described()) == sorted(settings_that_are_read())


@pytest.mark.parametrize("name", sorted(settings_that_are_read()))
def test_the_guide_states_the_default(name: str):
    default = settings_that_are_read()[name]
    described = settings_that_are_described()[name]
    if default in (None, ""):
        assert described, "A default that the environment decides is described in words."
    elif isinstance(default, bool):
        assert described == f"`{'yes' if default else 'no'}`"
    else:
        assert described == f"`{default}`"
