"""A badge, a citation and a feed: what others show of a leaderboard says no more than the data do."""

import csv
import xml.etree.ElementTree as ET

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from arena.models import Arena
from arena.templatetags.typeset import span, whole
from judges.models import Judge, Outcome
from ratings.models import Rating, Snapshot
from ratings.publications import mark_stale, refresh_all
from ratings.taking_away import bibtex, changes, people_snapshot, rank_in_words
from tests import cast
from tests.accounts import client_of, make_member

pytestmark = pytest.mark.django_db
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def arena(small_arena, settings):
    settings.BOOTSTRAP_ROUNDS = 200
    refresh_all(arena=small_arena)
    return small_arena


def parsed(content):
    return ET.fromstring(content)  # noqa: S314 (our own)


def get(client, name, arena, *args):
    return client.get(reverse(f"ratings:{name}", args=[arena.slug, *args]))


def test_a_badge_shows_the_interval_of_the_rank(client, arena):
    response = get(client, "badge", arena, "ada")
    assert response.headers["Content-Type"] == "image/svg+xml"
    assert response.headers["Cache-Control"] == "public, max-age=600"
    root = parsed(response.content)
    shown = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    rating = Rating.objects.get(snapshot=people_snapshot(arena), system__slug="ada")
    assert shown == ["Poems", rank_in_words(rating, n_ranked=4)]
    assert f"rank {rating.rank_lower}" in shown[1]
    assert shown[1].endswith("of 4")


def test_an_interval_of_one_place_is_one_place_and_nothing_is_said_of_the_unranked(arena):
    rating = Rating(rank_lower=2, rank_upper=2)
    assert rank_in_words(rating, n_ranked=9) == "rank 2 of 9"
    rating.rank_upper = 4
    assert rank_in_words(rating, n_ranked=9) == "rank 2–4 of 9"
    assert (
        rank_in_words(Rating(), n_ranked=9) == rank_in_words(None, n_ranked=9) == "not ranked yet"
    )


def test_names_of_strangers_stay_text_in_every_form(client, arena):
    arena.name = 'A </text><script>alert(1)</script> & {b}_c% "d"'
    arena.save()
    svg = get(client, "badge", arena, "ada").content.decode()
    assert "<script>" not in svg
    parsed(svg)
    bib = get(client, "citation", arena).content.decode()
    assert r"\& \{b\}\_c\%" in bib
    assert bib.count("{") - bib.count(r"\{") == bib.count("}") - bib.count(r"\}")
    parsed(get(client, "feed", arena).content)


def test_a_citation_names_the_very_figures(client, arena):
    snapshot = people_snapshot(arena)
    response = get(client, "citation", arena)
    text = response.content.decode()
    assert response.headers["Content-Type"].startswith("application/x-bibtex")
    assert text.startswith("@misc{jurybox-poems,")
    assert f"http://testserver{snapshot.get_absolute_url()}" in text
    assert f"Snapshot {snapshot.pk} of" in text
    assert snapshot.data_digest[:12] in text
    assert "4 systems ranked by 72 verdicts of 2 voters" in text


def test_before_the_first_figures_there_is_something_honest_to_show(client):
    arena = cast.make_arena("new")
    system = cast.make_system(arena, "Ada")
    assert "not ranked yet" in get(client, "badge", arena, system.slug).content.decode()
    text = bibtex(arena, address="http://x/", snapshot=None, seen=timezone.now())
    assert "Snapshot" not in text
    assert changes(arena) == []
    assert parsed(get(client, "feed", arena).content).findall(f"{ATOM}entry") == []


def vote_for_the_last(arena, n):
    """Dora beats everybody, again and again."""
    people = arena.judges.get(kind=Judge.Kind.CROWD)
    for number in range(n):
        voter = cast.make_voter(people, f"new-{number}-{Snapshot.objects.count()}")
        for battle in arena.battles.filter(system_b__slug="dora"):
            cast.make_verdict(battle, people, Outcome.B, voter)
    mark_stale(arena_id=arena.pk, judge_ids={people.pk})


def test_the_feed_has_an_entry_for_each_snapshot_that_moved_somebody(client, arena):
    first = people_snapshot(arena)
    vote_for_the_last(arena, 6)
    refresh_all(arena=arena)
    second = people_snapshot(arena)
    assert second != first
    root = parsed(get(client, "feed", arena).content)
    entries = root.findall(f"{ATOM}entry")
    ids = [entry.find(f"{ATOM}id").text for entry in entries]
    assert ids == [f"http://testserver{s.get_absolute_url()}" for s in (second, first)]
    newest = entries[0].find(f"{ATOM}summary").text
    dora = {s.pk: s.ratings.get(system__slug="dora") for s in (first, second)}
    assert (
        f"Dora: {rank_in_words(dora[second.pk], n_ranked=second.n_ranked)} "
        f"(was: {rank_in_words(dora[first.pk], n_ranked=4)})"
    ) in newest


def test_a_snapshot_that_moves_nobody_is_no_change(arena):
    before = changes(arena)
    people = arena.judges.get(kind=Judge.Kind.CROWD)
    battle = arena.battles.first()
    cast.make_verdict(battle, people, Outcome.TIE, cast.make_voter(people, "carol"))
    snapshots = Snapshot.objects.filter(arena=arena).count()
    copy = people_snapshot(arena)
    rows = list(copy.ratings.all())
    copy.pk, copy._state.adding, copy.seed = None, True, copy.seed + 1
    copy.save()
    for row in rows:
        row.pk, row._state.adding, row.snapshot = None, True, copy
    Rating.objects.bulk_create(rows)
    assert Snapshot.objects.filter(arena=arena).count() == snapshots + 1
    after = changes(arena)
    assert [change.snapshot.pk for change in after] == [change.snapshot.pk for change in before]


def test_a_private_arena_shows_nothing_to_strangers_and_is_kept_by_no_cache(client, arena):
    arena.is_public = False
    arena.save()
    member = client_of(make_member(arena, "voter"))
    for name, args in (("badge", ["ada"]), ("citation", []), ("feed", [])):
        assert get(client, name, arena, *args).status_code == 404
        assert get(member, name, arena, *args).headers["Cache-Control"].startswith("private")


def test_a_feed_takes_as_many_queries_for_many_snapshots_as_for_few(client, arena):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            get(client, "feed", arena)
        return len(captured)

    before = queries()
    vote_for_the_last(arena, 2)
    refresh_all(arena=arena)
    assert len(changes(arena)) == 2
    assert queries() == before


def test_the_pages_lead_there(client, arena):
    board = client.get(f"/a/{arena.slug}/leaderboard/").content.decode()
    assert reverse("ratings:citation", args=[arena.slug]) in board
    assert reverse("ratings:feed", args=[arena.slug]) in board
    page = client.get(f"/a/{arena.slug}/systems/ada/").content.decode()
    assert f"![rank](http://testserver/a/{arena.slug}/systems/ada/badge.svg)" in page


# --- files, history, a frame ------------------------------------------------------------------------------
def test_the_leaderboard_is_a_file_at_an_address_that_says_so(client, arena):
    snapshot = people_snapshot(arena)
    told = get(client, "leaderboard-json", arena).json()
    assert (told["snapshot"], told["data_digest"]) == (snapshot.pk, snapshot.data_digest)
    assert told["code_version"] == snapshot.code_version
    rows = list(csv.DictReader(get(client, "leaderboard-csv", arena).text.splitlines()))
    assert [row["system"] for row in rows] == [row["system"] for row in told["systems"]]
    first, rating = rows[0], snapshot.ratings.get(rank=1)
    assert (float(first["lower"]), int(first["rank_upper"])) == (rating.lower, rating.rank_upper)
    assert (first["n_verdicts"], first["engine"]) == (
        str(rating.n_verdicts),
        snapshot.code_version,
    )
    by_llm = client.get(reverse("ratings:leaderboard-json", args=[arena.slug]), {"judge": "nobody"})
    assert by_llm.status_code == 404


def test_the_history_has_every_snapshot_and_every_rating(client, arena, monkeypatch):
    battle = arena.battles.first()
    for repetition in (1, 2):
        cast.make_verdict(
            battle, Judge.objects.get(slug="people"), Outcome.B, None, repetition=repetition
        )
        mark_stale(arena_id=arena.pk, judge_ids=[battle.verdicts.first().judge_id])
        refresh_all(arena=arena)
    snapshots = Snapshot.objects.filter(
        arena=arena, slice_digest=people_snapshot(arena).slice_digest
    )
    assert snapshots.count() == 3
    page = get(client, "history", arena).text
    assert all(snapshot.get_absolute_url() in page for snapshot in snapshots)
    monkeypatch.setattr("ratings.history.A_PAGE", 2)
    monkeypatch.setattr("ratings.history.AT_ONCE", 2)
    oldest = snapshots.last()
    page = get(client, "history", arena).text
    assert oldest.get_absolute_url() not in page
    assert f"?before={snapshots[1].pk}" in page
    address = reverse("ratings:history", args=[arena.slug])
    assert oldest.get_absolute_url() in client.get(address, {"before": snapshots[1].pk}).text
    assert client.get(address, {"before": "x"}).status_code == 404
    response = get(client, "history-csv", arena)
    content = b"".join(response.streaming_content).decode()
    rows = list(csv.DictReader(content.splitlines()))
    assert [int(row["snapshot"]) for row in rows[::4]] == [s.pk for s in reversed(snapshots)]
    assert {row["system"] for row in rows[:4]} == {"Ada", "Basil", "Cleo", "Dora"}
    assert float(rows[0]["rating"]) == oldest.ratings.get(rank=1).rating


def test_the_embedded_table_may_stand_in_a_frame_and_nothing_else_may(client, arena):
    response = get(client, "embed", arena)
    assert "frame-ancestors *" in response.headers["Content-Security-Policy"]
    assert "script-src" not in response.text
    assert "<script" not in response.text
    assert "X-Frame-Options" not in response.headers
    assert not response.cookies
    rating = Rating.objects.get(snapshot=people_snapshot(arena), rank=1)
    assert whole(rating.rating) in response.text
    assert span(rating.lower, rating.upper) in response.text
    assert reverse("ratings:leaderboard", args=[arena.slug]) in response.text
    few = client.get(
        reverse("ratings:embed", args=[arena.slug]),
        {"top": 2, "theme": "dark", "judge": "judge-llm"},
    )
    assert few.text.count('<th scope="row"') == 2 or "Nobody can be ranked yet" in few.text
    strange = client.get(
        reverse("ratings:embed", args=[arena.slug]), {"top": "x", "theme": '"><b>'}
    )
    assert "<b>" not in strange.text
    assert 'data-theme="dark"' in few.text
    for name in ("leaderboard", "history"):
        other = get(client, name, arena)
        assert "frame-ancestors 'none'" in other.headers["Content-Security-Policy"]
        assert other.headers["X-Frame-Options"] == "DENY"


def test_a_closed_arena_is_in_no_frame_and_its_history_is_for_members(client, arena):
    Arena.objects.update(is_public=False)
    member = client_of(make_member(arena, "voter"))
    for name in ("embed", "history", "history-csv", "leaderboard-csv", "leaderboard-json"):
        assert get(client, name, arena).status_code == 404
        assert get(member, name, arena).status_code == (404 if name == "embed" else 200)
