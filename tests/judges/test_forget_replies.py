"""Replies of models are kept for as long as the operator says."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from judges import tasks
from judges.endpoints import cache
from judges.models import CachedReply

pytestmark = pytest.mark.django_db


@pytest.fixture
def replies():
    """Seven, the oldest first: 6, 5 … 0 days old."""
    rows = CachedReply.objects.bulk_create(
        CachedReply(key=f"{n:064}", model="m", text="A", finish="stop", seconds=1) for n in range(7)
    )
    for row, days in zip(rows, range(6, -1, -1), strict=True):
        row.created_at = timezone.now() - timedelta(days=days, minutes=1)
    CachedReply.objects.bulk_update(rows, ["created_at"])


def test_what_is_older_is_forgotten_in_batches_and_nothing_else(replies, settings, monkeypatch):
    assert tasks.sweep_replies() == 0
    settings.REPLY_DAYS = 3
    monkeypatch.setattr(cache, "BATCH", 2)
    monkeypatch.setattr(cache, "SWEPT", 2)
    assert [tasks.sweep_replies() for _ in range(3)] == [2, 2, 0]
    young = timezone.now() - timedelta(days=3)
    assert CachedReply.objects.filter(created_at__gte=young).count() == 3
    assert CachedReply.objects.count() == 3


def test_a_sweep_that_finds_nothing_asks_for_no_more_than_the_oldest(replies):
    with CaptureQueriesContext(connection) as queries:
        assert cache.forget_old(days=30) == 0
    assert len(queries) == 1
    assert "LIMIT 200" in queries[0]["sql"]
