"""An address that gives htmx a part of its page says so to caches."""

from pathlib import Path

import pytest
from django.conf import settings

from tests.ratings.judge_reports import make_report

ROOMS = ("arena", "judges", "ratings", "config")
PAGES = (
    "battles/",
    "judges/judge-llm/",
    "leaderboard/top/",
    "systems/ada/opponents/",
)


@pytest.fixture
def arena(small_arena):
    make_report(small_arena.judges.get(slug="judge-llm"))
    return small_arena


@pytest.mark.parametrize("page", PAGES)
def test_parts_and_pages_are_kept_apart(arena, client, page):
    part = client.get(f"/a/poems/{page}", headers={"HX-Request": "true"})
    whole = client.get(f"/a/poems/{page}")
    assert b"<html" not in part.content
    assert whole.status_code == 302 or b"<html" in whole.content
    for response in (part, whole):
        named = {name.strip() for name in response.headers["Vary"].split(",")}
        assert {"HX-Request", "HX-History-Restore-Request"} <= named


def test_a_history_that_is_restored_is_the_whole_page(arena, client):
    headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
    assert b"<html" in client.get("/a/poems/battles/", headers=headers).content
    assert b"<html" in client.get("/a/poems/leaderboard/top/", headers=headers).content


def test_no_other_view_chooses_by_htmx_without_saying_so():
    """Views ask wants_part, and a module that does has views with the decorator."""
    root = Path(settings.BASE_DIR)
    for path in (path for room in ROOMS for path in (root / room).rglob("*.py")):
        source = path.read_text()
        if path.name != "fragments.py":
            assert "request.htmx" not in source, path
            assert ("wants_part(" in source) == ("@answers_in_parts" in source), path
