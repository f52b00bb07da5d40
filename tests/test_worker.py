"""A real worker takes work from a real queue, and what a killed worker leaves behind is finished."""

import time

import pytest

from ratings import publications
from ratings.models import Publication
from ratings.slices import Slice
from ratings.tasks import refresh_publication, sweep
from tests import cast
from tests.workers import Installation


@pytest.fixture
def publication(installation: Installation, monkeypatch) -> Publication:
    """A leaderboard that nobody has computed, and that nobody has been asked to compute."""
    monkeypatch.setattr(publications, "request_refresh", lambda keys, countdown: None)
    return publications.publication_for(arena=cast.make_small_arena(), slice=Slice())


def test_a_worker_takes_a_task_from_the_queue(installation: Installation, publication: Publication):
    installation.start_worker()
    installation.queue(refresh_publication, publication.pk)

    def is_built() -> bool:
        publication.refresh_from_db()
        return publication.snapshot is not None

    installation.wait_until(is_built)
    assert publication.snapshot.ratings.count() == 4
    assert (publication.stale_since, publication.attempts, publication.error) == (None, 0, "")


def test_what_a_killed_worker_left_is_asked_for_again_by_the_sweeper_and_finished(
    installation: Installation, publication: Publication
):
    # So many rounds that it is killed in the middle of them.
    doomed = installation.start_worker(JURYBOX_BOOTSTRAP_ROUNDS="300000")
    installation.queue(refresh_publication, publication.pk)

    def is_claimed() -> bool:
        publication.refresh_from_db()
        return publication.claimed_until is not None

    installation.wait_until(is_claimed)
    installation.kill(doomed)
    publication.refresh_from_db()
    assert publication.claimed_until is not None
    assert publication.snapshot is None

    installation.start_worker()
    asked = 0.0

    def is_finished() -> bool:
        nonlocal asked
        if time.monotonic() - asked > 1:  # as beat does, only more often
            installation.queue(sweep)
            asked = time.monotonic()
        publication.refresh_from_db()
        return publication.snapshot is not None

    installation.wait_until(is_finished)
    assert (publication.claimed_until, publication.attempts) == (None, 0)
    assert publication.snapshot.ratings.count() == 4
