"""Stale, claimed, refreshed, swept: the row is the record of work."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from judges.models import Outcome
from judges.voting import cast_verdict
from ratings import publications, snapshots, tasks
from ratings.models import Publication, Snapshot
from ratings.slices import Slice, SliceError
from tests import cast


@pytest.fixture
def queued(monkeypatch):
    """What was sent to the queue: (publication id, countdown)."""
    sent = []
    monkeypatch.setattr(
        tasks.refresh_publication,
        "apply_async",
        lambda args, countdown, retry: sent.append((args[0], countdown)),
    )
    return sent


@pytest.fixture
def people(small_arena, queued, settings):
    """The people's leaderboard, current."""
    settings.BOOTSTRAP_ROUNDS = 200
    publication = publications.publication_for(arena=small_arena, slice=Slice())
    publications.refresh(publication.pk)
    queued.clear()
    return Publication.objects.get(pk=publication.pk)


def vote(arena, handle="carol"):
    judge = arena.judges.get(slug="people")
    battle = arena.battles.first()
    return cast_verdict(
        battle=battle, judge=judge, voter=cast.make_voter(judge, handle), outcome=Outcome.TIE
    )


def test_a_new_publication_is_asked_for_once(
    small_arena, queued, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        first = publications.publication_for(arena=small_arena, slice=Slice())
        second = publications.publication_for(arena=small_arena, slice=Slice())
    assert first == second
    assert first.is_pending
    assert queued == [(first.pk, 0)]


def test_an_unknown_judge_makes_no_publication(small_arena):
    with pytest.raises(SliceError, match="no judge 'nobody'"):
        publications.publication_for(arena=small_arena, slice=Slice(judge="nobody"))
    assert not Publication.objects.exists()


def test_a_refresh_publishes_a_snapshot(people):
    assert people.snapshot.n_verdicts == 72
    assert not people.is_pending


def test_refreshing_what_is_current_does_nothing(people):
    assert publications.refresh(people.pk) is False
    assert Snapshot.objects.count() == 1


def test_a_vote_makes_the_leaderboard_stale_and_asks_for_one_debounced_refresh(
    small_arena, people, queued, settings, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        vote(small_arena, "carol")
    with django_capture_on_commit_callbacks(execute=True):
        vote(small_arena, "dave")
    people.refresh_from_db()
    assert people.stale_since is not None
    assert queued == [(people.pk, settings.REFRESH_DEBOUNCE_SECONDS)]


def test_the_vote_of_a_person_leaves_the_leaderboards_of_other_judges_alone(
    small_arena, people, queued, django_capture_on_commit_callbacks
):
    llm = publications.publication_for(arena=small_arena, slice=Slice(judge="judge-llm"))
    publications.refresh(llm.pk)
    with django_capture_on_commit_callbacks(execute=True):
        vote(small_arena)
    llm.refresh_from_db()
    assert llm.stale_since is None


def test_a_vote_makes_the_reports_of_judges_stale_too(
    small_arena, people, queued, django_capture_on_commit_callbacks
):
    report = publications.report_for(
        arena=small_arena, judge=small_arena.judges.get(slug="judge-llm")
    )
    Publication.objects.filter(pk=report.pk).update(stale_since=None)
    with django_capture_on_commit_callbacks(execute=True):
        vote(small_arena)
    report.refresh_from_db()
    assert report.stale_since is not None


def test_a_refresh_after_a_vote_counts_it_and_says_what_changed(small_arena, people):
    vote(small_arena)
    publications.mark_stale(
        arena_id=small_arena.pk, judge_ids=[small_arena.judges.get(slug="people").pk]
    )
    publications.refresh(people.pk)
    people.refresh_from_db()
    assert people.snapshot.n_verdicts == 73
    assert people.snapshot.previous.n_verdicts == 72
    assert all(rating.change is not None for rating in people.snapshot.ratings.all())


def test_a_publication_that_somebody_works_on_is_left_to_them(people):
    Publication.objects.filter(pk=people.pk).update(stale_since=timezone.now())
    assert Publication.objects.claim(people.pk)
    assert publications.refresh(people.pk) is False


def test_a_vote_during_a_refresh_is_not_forgotten(
    small_arena, people, queued, monkeypatch, django_capture_on_commit_callbacks
):
    build = snapshots.build

    def slow_build(**arguments):
        snapshot = build(**arguments)
        vote(small_arena, "late")
        publications.mark_stale(
            arena_id=small_arena.pk, judge_ids=[small_arena.judges.get(slug="people").pk]
        )
        return snapshot

    monkeypatch.setattr(snapshots, "build", slow_build)
    Publication.objects.filter(pk=people.pk).update(stale_since=timezone.now())
    with django_capture_on_commit_callbacks(execute=True):
        assert publications.refresh(people.pk)
    people.refresh_from_db()
    assert people.stale_since is not None
    assert people.claimed_until is None
    assert people.pk in [key for key, _ in queued]


def test_a_failed_refresh_says_why_and_keeps_the_last_snapshot(people, monkeypatch):
    def broken(**arguments):
        raise MemoryError("no room")

    monkeypatch.setattr(snapshots, "build", broken)
    Publication.objects.filter(pk=people.pk).update(stale_since=timezone.now())
    with pytest.raises(MemoryError):
        publications.refresh(people.pk)
    people.refresh_from_db()
    assert people.error == "MemoryError: no room"
    assert people.snapshot is not None
    assert people.stale_since is not None
    assert people.claimed_until is None


def test_the_sweeper_asks_again_for_what_a_dead_worker_dropped(
    people, queued, django_capture_on_commit_callbacks
):
    past = timezone.now() - timedelta(seconds=1)
    Publication.objects.filter(pk=people.pk).update(claimed_until=past, attempts=1)
    with django_capture_on_commit_callbacks(execute=True):
        assert publications.sweep() == 1
    assert queued == [(people.pk, 0)]
    assert publications.refresh(people.pk)


def test_the_sweeper_leaves_alone_what_is_current_or_being_worked_on(people, queued):
    assert publications.sweep() == 0
    Publication.objects.filter(pk=people.pk).update(stale_since=timezone.now())
    Publication.objects.claim(people.pk)
    assert publications.sweep() == 0


def test_the_sweeper_gives_up_after_three_attempts_until_a_new_verdict(
    small_arena, people, queued, django_capture_on_commit_callbacks
):
    Publication.objects.filter(pk=people.pk).update(
        stale_since=timezone.now(), attempts=publications.MAX_ATTEMPTS, error="broken"
    )
    assert publications.sweep() == 0
    with django_capture_on_commit_callbacks(execute=True):
        vote(small_arena)
    people.refresh_from_db()
    assert (people.attempts, people.error) == (0, "")
    assert queued


def test_a_worker_that_died_three_times_leaves_the_reason(people, queued):
    past = timezone.now() - timedelta(seconds=1)
    Publication.objects.filter(pk=people.pk).update(
        claimed_until=past, attempts=publications.MAX_ATTEMPTS
    )
    assert publications.sweep() == 0
    people.refresh_from_db()
    assert people.error == "The worker died 3 times while it computed this."
    assert people.claimed_until is None


def test_first_verdicts_publish_figures_without_being_asked(
    small_arena, queued, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        vote(small_arena)
    kinds = Publication.objects.order_by("kind", "pk").values_list("kind", "slice__judge")
    assert list(kinds) == [
        ("leaderboard", "people"),
        ("leaderboard", "judge-llm"),
        ("report", "judge-llm"),
    ]


def test_what_a_vote_makes_stale_is_undone_with_the_vote(small_arena, people):
    with pytest.raises(RuntimeError), transaction.atomic():
        vote(small_arena)
        raise RuntimeError("the connection broke")
    people.refresh_from_db()
    assert people.stale_since is None


def test_a_broker_that_is_away_loses_no_vote_and_no_work(
    small_arena, people, monkeypatch, caplog, django_capture_on_commit_callbacks
):
    def away(**arguments):
        raise OperationalError("connection refused")

    monkeypatch.setattr(tasks.refresh_publication, "apply_async", away)
    with django_capture_on_commit_callbacks(execute=True):
        vote(small_arena)
    people.refresh_from_db()
    assert people.stale_since is not None
    assert "the sweeper will ask again" in caplog.text


def test_a_thousand_votes_write_the_publication_once(
    small_arena, people, django_assert_num_queries
):
    judge = small_arena.judges.get(slug="people")
    publications.mark_stale(arena_id=small_arena.pk, judge_ids=[judge.pk])
    with django_assert_num_queries(3):  # is it people's? what is fresh? is any known? no UPDATE
        publications.mark_stale(arena_id=small_arena.pk, judge_ids=[judge.pk])
