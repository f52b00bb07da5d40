from judges.models import Judge, Outcome
from tests import cast
from tests.ratings.published import hand_made, publish, text


def test_a_snapshot_says_how_to_compute_it_again(small_arena, client):
    snapshot = publish(small_arena)
    words = text(client.get(f"/a/poems/snapshots/{snapshot.pk}/"))
    assert f"manage.py verify_snapshot {snapshot.pk}" in words
    for fact in (snapshot.data_digest, snapshot.slice_digest, snapshot.code_version):
        assert fact in words
    assert f"Seed {snapshot.seed}" in words
    assert "Judge people" in words
    assert "Method Bradley-Terry" in words


def test_snapshots_of_a_slice_are_linked_in_order(small_arena, client):
    first = publish(small_arena)
    voter = cast.make_voter(Judge.objects.get(slug="people"), "carol")
    cast.make_verdict(small_arena.battles.first(), voter.judge, Outcome.A, voter)
    small_arena.publications.update(stale_since=small_arena.created_at)
    second = publish(small_arena)
    assert second.pk != first.pk
    before = client.get(f"/a/poems/snapshots/{first.pk}/").content.decode()
    after = client.get(f"/a/poems/snapshots/{second.pk}/").content.decode()
    assert f'rel="next" href="/a/poems/snapshots/{second.pk}/"' in before
    assert f'rel="prev" href="/a/poems/snapshots/{first.pk}/"' in after
    assert "No later snapshot" in after


def test_a_snapshot_downloads(small_arena, client):
    snapshot = publish(small_arena)
    url = f"/a/poems/snapshots/{snapshot.pk}/"
    assert client.get(url, {"format": "json"}).json()["data_digest"] == snapshot.data_digest
    csv = client.get(url, {"format": "csv"})
    assert csv.headers["Content-Disposition"] == (
        f'attachment; filename="poems-snapshot-{snapshot.pk}.csv"'
    )
    assert client.get(url, {"format": "xls"}).status_code == 404


def test_its_ratings_come_in_pages(db, client):
    arena = cast.make_arena()
    snapshot = hand_made(arena, n_systems=101)
    response = client.get(f"/a/poems/snapshots/{snapshot.pk}/", {"page": 2})
    assert [row.rating.rank for row in response.context["rows"]] == [101]


def test_a_snapshot_of_another_arena_is_not_found(small_arena, client):
    cast.make_arena("tales")
    snapshot = publish(small_arena)
    assert client.get(f"/a/tales/snapshots/{snapshot.pk}/").status_code == 404
