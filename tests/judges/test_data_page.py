"""The data page of an arena, and its files over HTTP."""

import asyncio
import io
import json
import sys
import zipfile

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.core.signals import request_finished
from django.db import close_old_connections, connections
from django.test import AsyncClient
from django.urls import reverse

from arena.models import Arena, System
from judges.archive import serving
from judges.archive.scope import whole
from judges.archive.writing import digest_of
from judges.importing import import_dataset
from judges.models import GoldItem, Outcome
from tests import cast
from tests.accounts import client_of, make_member, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nobody_has_downloaded_yet():
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def arena(small_arena) -> Arena:
    GoldItem.objects.create(
        arena=small_arena, source_id="g", prompt="?", output_a="x", output_b="y", expected=Outcome.A
    )
    hidden = cast.make_system(small_arena, "Secret", standing="private")
    battle = cast.make_battle(hidden, small_arena.systems.first(), small_arena.prompts.first())
    cast.make_verdict(battle, small_arena.judges.get(slug="judge-llm"), Outcome.A)
    return small_arena


def address(arena, name="data", *args):
    return reverse(f"judges:{name}", args=[arena.slug, *args])


def lines(response) -> list[dict]:
    return [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]


def gone(response) -> None:
    """What a server does when whoever asked has gone; the database of the test stays open."""
    request_finished.disconnect(close_old_connections)
    try:
        response.close()
    finally:
        request_finished.connect(close_old_connections)


def test_the_page_says_what_is_in_it_and_what_is_held_back(client, arena):
    page = client.get(address(arena)).text
    for name in ("verdicts", "outputs", "prompts", "systems"):
        assert address(arena, "data-table", name, "jsonl") in page
        assert address(arena, "data-table", name, "parquet") in page
    assert "gold" not in page
    assert address(arena, "data-everything") not in page
    assert "http://testserver/a/poems/data/verdicts.jsonl" in page
    assert "http://testserver/a/poems/embed/" in page
    arena.sharing = {"outputs": False, "newest_verdicts": 5}
    arena.save()
    page = client.get(address(arena)).text
    assert address(arena, "data-table", "outputs", "jsonl") not in page
    assert "the newest 5" in page
    maintainer = client_of(make_member(arena, "maintainer"))
    assert address(arena, "data-everything") in maintainer.get(address(arena)).text


def test_a_table_comes_in_pieces_and_has_nothing_hidden(client, arena):
    response = client.get(address(arena, "data-table", "verdicts", "jsonl"))
    assert response.streaming
    assert response.headers["Content-Type"] == "application/jsonl"
    assert response.headers["Content-Disposition"] == 'attachment; filename="poems-verdicts.jsonl"'
    rows = lines(response)
    assert len(rows) == 6 * 6 * 3
    assert "secret" not in str(rows)
    systems = lines(client.get(address(arena, "data-table", "systems", "jsonl")))
    assert [row["system"] for row in systems] == ["ada", "basil", "cleo", "dora"]


@pytest.mark.parametrize(
    ("table", "form"),
    [("gold_items", "jsonl"), ("nothing", "jsonl"), ("verdicts", "csv"), ("outputs", "jsonl")],
)
def test_what_is_not_shared_is_not_there(client, arena, table, form):
    Arena.objects.update(sharing={"outputs": False})
    assert client.get(address(arena, "data-table", table, form)).status_code == 404


def test_what_maintainers_get_comes_back_whole(arena, tmp_path):
    maintainer = client_of(make_member(arena, "maintainer"))
    path = tmp_path / "everything.zip"
    path.write_bytes(b"".join(maintainer.get(address(arena, "data-everything")).streaming_content))
    import_dataset(format="jurybox", path=path, arena="copy")
    assert digest_of(whole(Arena.objects.get(slug="copy"))) == digest_of(whole(arena))
    assert System.objects.filter(arena__slug="copy", standing="private").count() == 1


@pytest.mark.parametrize("who", [None, "account", "voter", "researcher"])
def test_everything_is_for_maintainers_and_a_closed_arena_for_its_members(arena, who):
    user = make_user(who) if who == "account" else who and make_member(arena, who)
    client = client_of(user)
    assert client.get(address(arena, "data-everything")).status_code == (404 if who else 302)
    archive = b"".join(client.get(address(arena, "data-archive")).streaming_content)
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        assert "gold_items.jsonl" not in bundle.namelist()
        assert b"ecret" not in b"".join(map(bundle.read, bundle.namelist())).replace(
            b"secrets", b""
        )
    Arena.objects.update(is_public=False)
    for name, *args in (("data",), ("data-archive",), ("data-table", "verdicts", "jsonl")):
        expected = 200 if who in ("voter", "researcher") else 404
        response = client.get(address(arena, name, *args))
        assert response.status_code == expected
        if response.streaming:
            assert response.headers["Cache-Control"] == "private, no-store"
            b"".join(response.streaming_content)


def test_parquet_without_pyarrow_is_said_to_be_missing(client, arena, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for name, *args in (("data-archive-parquet",), ("data-table", "verdicts", "parquet")):
        response = client.get(address(arena, name, *args))
        assert response.status_code == 501
        assert "pyarrow" in response.text


def test_parquet_is_read_back(client, arena):
    parquet = pytest.importorskip("pyarrow.parquet")
    response = client.get(address(arena, "data-table", "verdicts", "parquet"))
    found = parquet.read_table(io.BytesIO(b"".join(response.streaming_content)))
    assert found.num_rows == 6 * 6 * 3


def test_nobody_fetches_too_often_or_all_places_at_once(client, arena, settings):
    settings.DOWNLOADS_PER_HOUR = 3
    target = address(arena, "data-table", "systems", "jsonl")
    assert client.head(target).status_code == 200  # isn't counted, and makes nothing
    for _ in range(3):
        assert len(lines(client.get(target))) == 4
    refused = client.get(target)
    assert (refused.status_code, "3 downloads within an hour" in refused.text) == (429, True)
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    other = client_of(make_user("other"))
    under_way = [other.get(target) for _ in range(serving.AT_ONCE)]
    full = other.get(target)
    assert (full.status_code, full.headers["Retry-After"]) == (503, "60")
    for response in under_way:
        gone(response)
    cache.clear()
    assert len(lines(other.get(target))) == 4


def test_settings_that_cannot_be_followed_share_nothing(client, arena):
    Arena.objects.update(sharing={"outputs": "maybe"})
    response = client.get(address(arena, "data-archive"))
    assert (response.status_code, "isn't settled" in response.text) == (503, True)
    assert "until a maintainer has settled" in client.get(address(arena)).text


@pytest.mark.django_db(transaction=True)
def test_under_asgi_it_comes_in_pieces_too(small_arena, monkeypatch):
    monkeypatch.setattr("judges.archive.tables.WIDE", 20)

    async def fetched() -> list[bytes]:
        response = await AsyncClient().get(address(small_arena, "data-table", "verdicts", "jsonl"))
        assert response.is_async
        pieces = [piece async for piece in response.streaming_content]
        # Else the thread that asked the database stays connected to it.
        await sync_to_async(connections.close_all)()
        return pieces

    pieces = [piece.count(b"\n") for piece in asyncio.run(fetched())]
    assert max(pieces) == 20
    assert sum(pieces) == 6 * 6 * 3
