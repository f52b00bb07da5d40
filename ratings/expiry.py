"""Figures that only a page asked for: kept while somebody looks at them, and deleted afterwards.

Anybody can ask for the leaderboard of any judge, category and method by opening a page, and so can a
crawler. What an arena shows by itself and what a command asked for is kept for ever.
"""

from datetime import date, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from ratings.models import JudgeReport, Publication, Snapshot
from ratings.slices import PEOPLE

KEPT_DAYS = 14
# How many of them one arena may have waiting for their first result.
MOST_WAITING = 20
# One sweep deletes so many, and the next goes on: ratings go with them, and a sweep should be short.
DELETED_AT_ONCE = 50


def wanted() -> Q:
    """The publications that are kept for ever, or that somebody looked at lately."""
    return Q(is_lasting=True) | Q(looked_on__gte=_first_day())


def note_look(publication: Publication) -> None:
    """Somebody looked at it: written at most once a day, so that reading a page is no write."""
    today = timezone.now().date()
    if publication.is_lasting or publication.looked_on == today:
        return
    Publication.objects.filter(pk=publication.pk).update(looked_on=today)
    publication.looked_on = today


def is_full(arena_id: int) -> bool:
    """Whether as many figures as may be wait for their first result, those that rest left out."""
    waiting = Publication.objects.filter(
        wanted(),
        Q(stale_since__isnull=False, error="") | Q(claimed_until__isnull=False),
        arena_id=arena_id,
        is_lasting=False,
        snapshot=None,
        report=None,
    )
    return waiting.order_by()[:MOST_WAITING].count() >= MOST_WAITING


def delete_expired() -> int:
    """Delete what nobody has looked at for KEPT_DAYS, with its results; how many publications went."""
    expired = Publication.objects.unclaimed().filter(is_lasting=False, looked_on__lt=_first_day())
    found = list(expired.order_by("looked_on", "pk")[:DELETED_AT_ONCE])
    return sum(_delete(publication) for publication in found)


@transaction.atomic
def _delete(publication: Publication) -> bool:
    # One conditional DELETE: whoever looks or claims at this moment keeps it.
    gone, _ = (
        Publication.objects.unclaimed()
        .filter(pk=publication.pk, is_lasting=False, looked_on__lt=_first_day())
        .delete()
    )
    if not gone:
        return False
    of_slice = {"arena_id": publication.arena_id, "slice_digest": publication.slice_digest}
    if publication.kind == Publication.Kind.LEADERBOARD:
        shown = Publication.objects.filter(snapshot__isnull=False).values("snapshot")
        old = Snapshot.objects.filter(**of_slice).exclude(pk__in=shown)
        # The newest first: each refers to the one before.
        for snapshot in old.order_by(F("pk").desc()):
            snapshot.delete()
    else:
        shown = Publication.objects.filter(report__isnull=False).values("report")
        JudgeReport.objects.filter(**of_slice, reference=PEOPLE).exclude(pk__in=shown).delete()
    return True


def _first_day() -> date:
    return timezone.now().date() - timedelta(days=KEPT_DAYS)
