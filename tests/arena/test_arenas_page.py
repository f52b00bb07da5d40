import re

from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import cast


def test_public_arenas_are_listed_with_their_counts(small_arena, client):
    html = client.get("/").content.decode()
    assert 'href="/a/poems/"' in html
    assert "4 systems · 6 prompts" in html


def test_counts_stop_where_nobody_needs_to_know(small_arena, client, monkeypatch):
    for module in ("arena.counts", "arena.prompts", "arena.templatetags.typeset"):
        monkeypatch.setattr(f"{module}.MOST_COUNTED", 5)
    assert "4 systems · 5+ prompts" in client.get("/").content.decode()
    assert "more than 10,000 prompts with" in client.get("/a/poems/").content.decode()


def test_private_arenas_are_listed_for_staff_only(db, client, admin_client):
    cast.make_arena("secret", is_public=False)
    assert "Secret" not in client.get("/").content.decode()
    assert "Secret" in admin_client.get("/").content.decode()
    assert client.get("/a/secret/").status_code == 404
    assert admin_client.get("/a/secret/").status_code == 200


def test_without_arenas_the_page_says_what_to_do(db, client):
    assert "import_dataset" in client.get("/").content.decode()


def test_queries_do_not_grow_with_arenas(db, client):
    counts = []
    for number in range(2):
        for more in range(5):
            cast.make_system(cast.make_arena(f"arena-{number}-{more}"), "Ada")
        with CaptureQueriesContext(connection) as queries:
            client.get("/")
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_an_arenas_page_loads_the_top_five_and_works_without_scripts(small_arena, client):
    html = client.get("/a/poems/").content.decode()
    assert 'hx-get="/a/poems/leaderboard/top/"' in html
    assert html.count('href="/a/poems/leaderboard/"') >= 2
    for page in ("judges", "matrix", "prompts", "battles"):
        assert f'href="/a/poems/{page}/"' in html


def test_guidelines_are_markdown_and_sanitised(small_arena, client):
    small_arena.guidelines = "Prefer the *better* one. <script>alert(1)</script>"
    small_arena.save()
    html = client.get("/a/poems/").content.decode()
    assert "<em>better</em>" in html
    assert "<script>alert" not in html


def test_an_arena_without_systems_says_what_is_missing(db, client):
    cast.make_arena()
    assert "Nothing to compare yet" in client.get("/a/poems/").content.decode()


def test_pages_run_no_inline_scripts(small_arena, client):
    response = client.get("/a/poems/")
    html = response.content.decode()
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    assert not re.findall(r"<script(?![^>]*\ssrc=)", html)
    assert not re.findall(r"<[^>]+\son[a-z]+=", html)


def test_an_unknown_address_leads_back_to_the_arenas(db, client):
    response = client.get("/nowhere/")
    assert response.status_code == 404
    assert "There is nothing at this address" in response.content.decode()
    assert 'href="/"' in response.content.decode()
