"""What every list of the API promises: pages by id, strict parameters, ETags, only what is public."""

import pytest
from django.test import Client

from arena.models import Battle
from tests import cast
from tests.api_client import get, rows

LISTS = ("systems", "prompts", "outputs", "battles", "judges", "verdicts")
NOUNS = (*LISTS, "leaderboards", "snapshots", "judge-reports")


def walk(path: str, *, limit: int) -> list[dict]:
    """All pages of a list, one after the other."""
    found, address = [], f"/api/v1/{path}?limit={limit}"
    for _ in range(200):
        page = Client().get(address).json()
        assert len(page["results"]) <= limit
        found += page["results"]
        if page["next"] is None:
            return found
        address = page["next"]
    raise AssertionError("The pages have no end.")


@pytest.mark.parametrize("noun", LISTS)
def test_pages_hold_every_row_once_in_the_order_of_ids(small_arena, noun):
    whole = rows(f"arenas/poems/{noun}/?limit=200")
    assert walk(f"arenas/poems/{noun}/", limit=2 if len(whole) < 100 else 7) == whole
    ids = [row["id"] for row in whole]
    assert ids == sorted(set(ids))
    assert len(ids) == getattr(small_arena, noun).count()


def test_a_page_that_ends_with_the_last_row_has_no_next(small_arena):
    assert get("arenas/poems/systems/?limit=4")["next"] is None
    assert get("arenas/poems/systems/?limit=3")["next"] is not None


def test_rows_that_come_while_pages_are_read_are_seen_and_none_is_seen_twice(small_arena):
    first = get("arenas/poems/systems/?limit=3")
    cast.make_system(small_arena, "Aaron")
    second = Client().get(first["next"]).json()
    assert [row["name"] for row in first["results"] + second["results"]] == [
        "Ada", "Basil", "Cleo", "Dora", "Aaron",
    ]  # fmt: skip


def test_the_next_page_is_in_the_link_header_and_keeps_the_filters(small_arena):
    response = Client().get("/api/v1/arenas/poems/battles/?system=ada&limit=2")
    following = response.json()["next"]
    assert response.headers["Link"] == f'<{following}>; rel="next"'
    assert "system=ada" in following


@pytest.mark.parametrize("noun", NOUNS)
def test_an_unknown_parameter_is_refused_by_name(small_arena, noun):
    problem = get(f"arenas/poems/{noun}/?sytem=ada", status=400)
    assert list(problem["errors"]) == ["sytem"]
    assert "after" in problem["errors"]["sytem"][0]


def test_the_page_of_one_row_takes_no_parameters(small_arena):
    assert "limit" in get("arenas/poems/systems/ada/?limit=3", status=400)["errors"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%D9%A3", "limit"),
        ("after=1e3", "after"),
        ("after=99999999999999999999", "after"),
        ("after=9223372036854775808", "after"),
        ("prompt=+5", "prompt"),
        ("prompt=x", "prompt"),
        ("prompt=0", "prompt"),
        ("prompt=", "prompt"),
        ("system=ada&system=basil", "system"),
        ("system=nobody", "system"),
        ("system=%00", "system"),
        ("system=%ED%A0%80", "system"),
        ("system=" + "a" * 200, "system"),
    ],
)
def test_a_malformed_parameter_is_refused_by_name(small_arena, query, parameter):
    problem = get(f"arenas/poems/battles/?{query}", status=400)
    assert list(problem["errors"]) == [parameter]
    assert parameter in problem["detail"]


@pytest.mark.parametrize("query", ["after=9223372036854775807", "prompt=9223372036854775807"])
def test_the_largest_id_is_an_empty_list(small_arena, query):
    assert rows(f"arenas/poems/battles/?{query}") == []


@pytest.mark.parametrize("path", ["arenas/", *(f"arenas/poems/{noun}/" for noun in NOUNS)])
def test_a_client_that_has_the_list_is_told_so(small_arena, path):
    first = Client().get(f"/api/v1/{path}")
    again = Client().get(f"/api/v1/{path}", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"]


def test_a_new_row_changes_the_etag(small_arena):
    first = Client().get("/api/v1/arenas/poems/systems/")
    cast.make_system(small_arena, "Aaron")
    again = Client().get(
        "/api/v1/arenas/poems/systems/", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert again.status_code == 200
    assert again.headers["ETag"] != first.headers["ETag"]


def test_lists_may_be_cached_by_anyone_and_must_be_asked_for_again(small_arena):
    response = Client().get("/api/v1/arenas/poems/systems/")
    assert set(response.headers["Cache-Control"].split(", ")) == {"public", "no-cache"}
    assert not response.cookies


def test_a_head_request_has_the_headers_of_a_get(small_arena):
    get_, head = (
        getattr(Client(), method)("/api/v1/arenas/poems/systems/") for method in ("get", "head")
    )
    assert head.headers["ETag"] == get_.headers["ETag"]
    assert head.content == b""


@pytest.mark.parametrize("noun", NOUNS)
def test_nothing_of_an_arena_that_is_not_public_is_there(small_arena, noun):
    small_arena.is_public = False
    small_arena.save()
    assert get(f"arenas/poems/{noun}/", status=404)["status"] == 404
    assert rows("arenas/") == []
    get("arenas/poems/", status=404)


def test_a_row_of_another_arena_is_not_there(small_arena):
    other = cast.make_arena("songs")
    battle = Battle.objects.first()
    get(f"arenas/poems/battles/{battle.pk}/")
    get(f"arenas/{other.slug}/battles/{battle.pk}/", status=404)
    assert rows(f"arenas/{other.slug}/battles/") == []
    errors = get(f"arenas/{other.slug}/battles/?system=ada", status=400)["errors"]
    assert errors == {"system": ["The arena songs has no system 'ada'."]}


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_nothing_can_be_written(small_arena, method):
    response = getattr(Client(), method)("/api/v1/arenas/poems/systems/")
    assert response.status_code == 405
    assert response.headers["Content-Type"] == "application/problem+json"
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    "path",
    [
        "nothing/",
        "arenas/Not-A-Slug/",
        "arenas/poems/battles/x/",
        "arenas/poems/battles/99999999999999999999999/",
        "arenas/poems/battles/9999999999999999999/",
        "arenas/poems/systems/%00/",
        "arenas/poems/nothing/?a=b",
    ],
)
def test_what_is_not_there_is_a_problem_and_not_a_page(small_arena, path):
    assert get(path, status=404)["title"] == "Not Found"


def test_a_forgotten_slash_leads_to_the_address_with_it(small_arena):
    response = Client().get("/api/v1/arenas/poems?x=1")
    assert (response.status_code, response.headers["Location"]) == (
        301,
        "/api/v1/arenas/poems/?x=1",
    )


def test_whatever_a_client_accepts_it_gets_json(small_arena):
    get("arenas/", Accept="text/html")
    get("nothing/", status=404, Accept="text/html")


def test_a_failure_says_nothing_of_the_inside_and_is_logged(small_arena, monkeypatch, caplog):
    def fail(self):
        raise RuntimeError("postgres://user:hunter2@db/name")

    monkeypatch.setattr("arena.api.SystemViewSet.get_queryset", fail)
    response = Client(raise_request_exception=False).get("/api/v1/arenas/poems/systems/")
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/problem+json"
    assert b"hunter2" not in response.content
    assert any(record.exc_info for record in caplog.records)


def test_a_method_that_is_not_there_is_said_before_its_parameters(client, db):
    arena = cast.make_arena()
    for method in ("TRACE", "PUT"):
        response = client.generic(method, f"/api/v1/arenas/{arena.slug}/battles/?limit=5&after=1")
        assert response.status_code == 405
        assert response.headers["Content-Type"] == "application/problem+json"
