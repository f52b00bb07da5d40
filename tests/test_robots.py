"""/robots.txt keeps crawlers away from what each visit would have computed."""

import fnmatch

import pytest


@pytest.fixture
def refused(client):
    response = client.get("/robots.txt")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = response.content.decode().splitlines()
    assert lines[0] == "User-agent: *"
    rules = [line.removeprefix("Disallow: ").replace("?", "[?]") + "*" for line in lines[1:]]
    return lambda path: any(fnmatch.fnmatchcase(path, rule) for rule in rules)


@pytest.mark.parametrize(
    "path",
    [
        "/a/poems/leaderboard/?judge=judge-llm&category=odes",
        "/a/poems/leaderboard/top/?method=elo",
        "/a/poems/matrix/?method=elo",
        "/a/poems/fragility/?category=odes",
        "/a/poems/what-if/?ties=out",
        "/a/poems/systems/ada/?judge=judge-llm",
        "/a/poems/judges/judge-llm/?battles=all",
        "/a/poems/data/verdicts.jsonl",
        "/a/poems/data/archive.zip",
        "/a/poems/leaderboard.csv?judge=judge-llm",
        "/a/poems/history.csv",
        "/api/v1/arenas/",
        "/admin/",
    ],
)
def test_filtered_figures_and_the_api_are_left_alone(refused, path):
    assert refused(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a/poems/",
        "/a/poems/data/",
        "/a/poems/history/",
        "/a/poems/leaderboard/",
        "/a/poems/systems/ada/",
        "/a/poems/battles/?before=9",
    ],
)
def test_pages_as_they_are_may_be_read(refused, path):
    assert not refused(path)
