"""What only a page asked for is kept while somebody looks at it; the rest for ever."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from ratings import expiry, publications
from ratings.models import JudgeReport, Publication, Rating, Snapshot
from ratings.slices import Slice
from tests import cast
from tests.ratings.published import publish, text

URL = "/a/poems/leaderboard/"
ELO = Slice(method="elo")


@pytest.fixture
def by_elo(small_arena, client, settings):
    """A leaderboard that a page asked for, computed."""
    settings.BOOTSTRAP_ROUNDS = 200
    publish(small_arena)
    client.get(URL, {"method": "elo"})
    publication = Publication.objects.get(slice_digest=ELO.digest)
    publications.refresh(publication.pk)
    publication.refresh_from_db()
    return publication


def days_ago(publication, days):
    day = timezone.now().date() - timedelta(days=days)
    Publication.objects.filter(pk=publication.pk).update(looked_on=day)
    publication.refresh_from_db()


def test_what_a_page_asked_for_expires_and_what_an_arena_shows_by_itself_lasts(small_arena, client):
    client.get(URL)
    client.get(URL, {"judge": "judge-llm"})
    client.get("/a/poems/judges/judge-llm/")
    assert set(Publication.objects.values_list("is_lasting", flat=True)) == {True}
    client.get(URL, {"method": "elo"})
    client.get("/a/poems/judges/judge-llm/", {"battles": "all"})
    passing = Publication.objects.filter(is_lasting=False)
    assert set(passing.values_list("kind", "looked_on")) == {
        ("leaderboard", timezone.now().date()),
        ("report", timezone.now().date()),
    }


def test_a_look_is_written_once_a_day(by_elo, client):
    days_ago(by_elo, 3)
    written = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as queries:
            client.get(URL, {"method": "elo"})
        written.append(sum(query["sql"].startswith("UPDATE") for query in queries))
    assert written == [1, 0]
    by_elo.refresh_from_db()
    assert by_elo.looked_on == timezone.now().date()


def test_reading_it_by_the_api_is_a_look_too(by_elo, client):
    days_ago(by_elo, 3)
    assert client.get(f"/api/v1/arenas/poems/leaderboards/{by_elo.pk}/").status_code == 200
    by_elo.refresh_from_db()
    assert by_elo.looked_on == timezone.now().date()


def test_a_command_makes_it_last(by_elo, small_arena):
    publications.publication_for(arena=small_arena, slice=ELO)
    by_elo.refresh_from_db()
    assert by_elo.is_lasting


def test_after_two_weeks_without_a_look_it_goes_with_its_snapshots(by_elo, small_arena):
    days_ago(by_elo, expiry.KEPT_DAYS)
    assert expiry.delete_expired() == 0
    vote = small_arena.verdicts.filter(judge__slug="people").first()
    cast.make_verdict(vote.battle, vote.judge, 0, cast.make_voter(vote.judge, "carol"))
    publications.refresh_now(by_elo)
    assert Snapshot.objects.filter(slice_digest=ELO.digest).count() == 2
    days_ago(by_elo, expiry.KEPT_DAYS + 1)
    publications.sweep()
    assert not Publication.objects.filter(pk=by_elo.pk).exists()
    assert not Snapshot.objects.filter(slice_digest=ELO.digest).exists()
    # The arena's own leaderboard stays, with its ratings.
    kept = Snapshot.objects.get()
    assert Publication.objects.get(snapshot=kept).is_lasting
    assert Rating.objects.filter(snapshot=kept).count() == 4


def test_a_report_that_nobody_looks_at_goes_and_one_against_another_judge_stays(
    small_arena, client, settings
):
    settings.BOOTSTRAP_ROUNDS = 200
    client.get("/a/poems/judges/judge-llm/", {"battles": "all"})
    publication = Publication.objects.get(kind="report")
    publications.refresh(publication.pk)
    report = JudgeReport.objects.get()
    report.pk, report._state.adding, report.reference = None, True, "judge-llm"
    report.save()
    days_ago(publication, expiry.KEPT_DAYS + 1)
    assert expiry.delete_expired() == 1
    assert JudgeReport.objects.get().reference == "judge-llm"


def test_what_a_worker_is_at_is_left_to_it(by_elo):
    Publication.objects.claim(by_elo.pk)
    days_ago(by_elo, 100)
    assert expiry.delete_expired() == 0


def test_what_has_expired_is_not_refreshed(by_elo, small_arena):
    days_ago(by_elo, 100)
    people = small_arena.judges.get(slug="people")
    publications.mark_stale(arena_id=small_arena.pk, judge_ids=[people.pk])
    by_elo.refresh_from_db()
    assert by_elo.stale_since is None
    Publication.objects.filter(pk=by_elo.pk).update(stale_since=timezone.now())
    assert not publications.work().filter(pk=by_elo.pk).exists()


def test_pages_may_have_only_so_many_waiting(small_arena, client, monkeypatch):
    monkeypatch.setattr(expiry, "MOST_WAITING", 2)
    for slug in ("one", "two", "three"):
        small_arena.categories.create(slug=slug, name=slug.title())
        response = client.get(URL, {"category": slug})
    assert response.status_code == 200
    assert "can’t be asked for right now" in text(response)
    assert "every 2s" not in response.content.decode()
    assert Publication.objects.filter(is_lasting=False).count() == 2
    download = client.get(URL, {"category": "three", "format": "csv"})
    assert (download.status_code, download.headers["Retry-After"]) == (503, "300")
    assert "Too many other leaderboards" in download.content.decode()
    for page in ("leaderboard/top/", "matrix/", "systems/ada/"):
        response = client.get(f"/a/poems/{page}", {"category": "three"})
        assert "oo many other" in text(response), page
    assert client.get("/a/poems/matrix/?category=three&format=csv").status_code == 404
    # Neither the arena's own leaderboards nor a command nor another arena is kept waiting.
    assert "being computed" in text(client.get(URL))
    publications.publication_for(arena=small_arena, slice=Slice(category="three"))
    assert not expiry.is_full(cast.make_arena("tales").pk)


def test_computed_ones_make_room_for_others(small_arena, client, monkeypatch, settings):
    settings.BOOTSTRAP_ROUNDS = 200
    monkeypatch.setattr(expiry, "MOST_WAITING", 1)
    client.get(URL, {"method": "elo"})
    assert expiry.is_full(small_arena.pk)
    publications.refresh(Publication.objects.get(is_lasting=False).pk)
    assert not expiry.is_full(small_arena.pk)


def test_what_does_not_last_has_a_day_of_the_last_look(by_elo):
    with pytest.raises(IntegrityError), transaction.atomic():
        Publication.objects.filter(pk=by_elo.pk).update(looked_on=None)
