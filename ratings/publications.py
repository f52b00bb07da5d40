"""What an arena keeps current: which figures, when they are stale, and their refresh."""

import logging
from collections.abc import Iterable
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from arena.models import Arena
from judges.models import Judge
from ratings import expiry
from ratings.models import JudgeReport, Publication, Snapshot
from ratings.slices import PEOPLE, Slice, judge_ids

log = logging.getLogger(__name__)

BATTLES = ("shared", "all")
# After so many failures in a row a publication rests until a new verdict or a person asks again.
MAX_ATTEMPTS = 3


class TooManyWaiting(Exception):
    """Pages have asked for so many figures of the arena that no other is taken on for now."""


def publication_for(*, arena: Arena, slice: Slice, by_page: bool = False) -> Publication:
    """The leaderboard of a slice; asked for when it is new. Raises SliceError for an unknown judge.

    ``by_page``: for anybody who opened a page. It is kept while people look at it, and TooManyWaiting is
    raised where too many others wait. Else it is kept for ever, as an arena's own leaderboards are.
    """
    lasts = not by_page or slice == Slice(judge=slice.judge)
    kind = Publication.Kind.LEADERBOARD
    if found := _found(arena=arena, kind=kind, slice=slice, lasts=lasts):
        return found
    if not lasts and expiry.is_full(arena.pk):
        raise TooManyWaiting
    return _asked_for(arena=arena, kind=kind, slice=slice, lasts=lasts)


def report_for(
    *, arena: Arena, judge: Judge, battles: str = "shared", by_page: bool = False
) -> Publication:
    """A judge's report against people, on the battles that both decided or on all of the judge's.

    Those on the shared battles, and those that weren't asked for ``by_page``, are kept for ever. There are
    no more than two of each judge, so none is refused.
    """
    if battles not in BATTLES:
        raise ValueError(f"battles: {battles!r} is not one of {', '.join(BATTLES)}.")
    lasts = not by_page or battles == BATTLES[0]
    kind, slice = Publication.Kind.REPORT, report_slice(judge, battles=battles)
    found = _found(arena=arena, kind=kind, slice=slice, lasts=lasts)
    return found or _asked_for(arena=arena, kind=kind, slice=slice, lasts=lasts)


def report_slice(judge: Judge, *, battles: str = "shared", reference: str = PEOPLE) -> Slice:
    return Slice(judge=judge.slug, shared_with=reference if battles == "shared" else "")


def _found(
    *, arena: Arena, kind: Publication.Kind, slice: Slice, lasts: bool
) -> Publication | None:
    """The publication that is there; from now on it lasts if it shall, and else somebody has looked."""
    found = (
        Publication.objects.filter(arena=arena, kind=kind, slice_digest=slice.digest)
        .select_related("snapshot__previous", "report")
        .first()
    )
    if found and lasts and not found.is_lasting:
        Publication.objects.filter(pk=found.pk).update(is_lasting=True)
        found.is_lasting = True
    elif found:
        expiry.note_look(found)
    return found


def _asked_for(*, arena: Arena, kind: Publication.Kind, slice: Slice, lasts: bool) -> Publication:
    ids = judge_ids(arena=arena, judge=slice.judge)
    publication, created = Publication.objects.get_or_create(
        arena=arena,
        kind=kind,
        slice_digest=slice.digest,
        defaults={
            "slice": slice.as_json(),
            "judge_id": None if slice.judge == PEOPLE else ids[0],
            "counts_people": kind == Publication.Kind.REPORT
            or PEOPLE in (slice.judge, slice.shared_with),
            "stale_since": timezone.now(),
            "is_lasting": lasts,
            "looked_on": None if lasts else timezone.now().date(),
        },
    )
    if created:
        request_refresh([publication.pk], countdown=0)
    return publication


def publish_defaults(*, arena: Arena) -> list[Publication]:
    """What every arena shows without being asked: everybody's leaderboard, every judge's, every report."""
    judges = list(Judge.objects.filter(arena=arena))
    slices = [Slice(judge=judge.slug) for judge in judges if not judge.is_people]
    if any(judge.is_people for judge in judges):
        slices.insert(0, Slice())
    publications = [publication_for(arena=arena, slice=slice) for slice in slices]
    if any(judge.is_people for judge in judges):
        publications += [
            report_for(arena=arena, judge=judge) for judge in judges if not judge.is_people
        ]
    return publications


def mark_stale(*, arena_id: int, judge_ids: Iterable[int]) -> int:
    """Note that these judges have new verdicts, and ask for a refresh; how many figures became stale.

    One UPDATE, and none of the rows is written again until it has been refreshed: a thousand votes a
    minute don't make it hot.
    """
    ids = list(judge_ids)
    judges = dict(Judge.objects.filter(pk__in=ids).values_list("slug", "kind"))
    affected = Q(judge_id__in=ids) | Q(slice__helped_by__in=list(judges))
    if Judge.Kind.CROWD in judges.values():
        affected |= Q(counts_people=True)
    known = Publication.objects.filter(affected, arena_id=arena_id)
    n_stale = _make_stale(known)
    if not n_stale and not known.filter(is_lasting=True).exists():
        # The first verdicts of these judges: their figures are published without being asked for.
        publish_defaults(arena=Arena.objects.get(pk=arena_id))
    return n_stale


def mark_categories_stale(*, arena_id: int, slugs: Iterable[str]) -> int:
    """Note that other prompts belong to these categories than before; how many figures became stale."""
    return _make_stale(
        Publication.objects.filter(arena_id=arena_id, slice__category__in=list(slugs))
    )


def mark_systems_stale(*, arena_id: int) -> int:
    """Note that other systems are counted than before; how many figures became stale."""
    return _make_stale(Publication.objects.filter(arena_id=arena_id))


def mark_priorities_stale(*, arena_id: int) -> int:
    """Have people's leaderboard looked at again, which writes the priorities of pairs; how many there are."""
    return _make_stale(
        Publication.objects.filter(
            arena_id=arena_id, kind=Publication.Kind.LEADERBOARD, slice_digest=Slice().digest
        )
    )


def _make_stale(known: QuerySet[Publication]) -> int:
    # Those that gave up are tried again: what is new may have mended what failed.
    fresh = known.filter(expiry.wanted(), Q(stale_since=None) | Q(attempts__gte=MAX_ATTEMPTS))
    keys = list(fresh.values_list("pk", flat=True))
    if not keys:
        return 0
    Publication.objects.filter(pk__in=keys).update(stale_since=timezone.now(), attempts=0, error="")
    request_refresh(keys, countdown=settings.REFRESH_DEBOUNCE_SECONDS)
    return len(keys)


def request_refresh(keys: Iterable[int], *, countdown: float) -> None:
    """Queue refreshes after the commit."""
    for key in keys:
        transaction.on_commit(partial(_queue, key, countdown=countdown))


def _queue(key: int, *, countdown: float) -> None:
    """Send the message. A vote mustn't fail because the broker is away: the row says what is to be done,
    and the sweeper asks again."""
    from ratings.tasks import refresh_publication

    try:
        refresh_publication.apply_async(args=[key], countdown=countdown, retry=False)
    except OperationalError as error:
        log.warning("The broker didn't take a refresh; the sweeper will ask again: %s", error)


def refresh(key: int) -> bool:
    """Rebuild a publication if it is stale and nobody else is at it; whether it was rebuilt.

    A failure is kept on the row with its reason and raised again.
    """
    if not work().filter(pk=key).exists() or not Publication.objects.claim(key):
        return False
    # From here on a new verdict makes it stale again.
    Publication.objects.filter(pk=key).update(stale_since=None)
    publication = Publication.objects.select_related("arena", "judge").get(pk=key)
    mine = Publication.objects.filter(pk=key, claimed_until=publication.claimed_until)
    try:
        result = _build(publication)
    except Exception as error:
        # Kept where people see it; the sweeper tries again a few times.
        mine.update(
            claimed_until=None,
            stale_since=timezone.now(),
            error=f"{type(error).__name__}: {error}",
        )
        raise
    mine.update(**result, claimed_until=None, attempts=0, error="", refreshed_at=timezone.now())
    _write_priorities(key)
    if Publication.objects.filter(pk=key).exclude(stale_since=None).exists():
        request_refresh([key], countdown=settings.REFRESH_DEBOUNCE_SECONDS)
    return True


def _write_priorities(key: int) -> None:
    """After the leaderboard is out: whoever waits for it needn't wait for this."""
    from ratings import priorities

    publication = Publication.objects.select_related("arena", "snapshot__tallies").get(pk=key)
    if priorities.are_of(publication):
        priorities.refresh(publication=publication)


def _build(publication: Publication) -> dict[str, Snapshot | JudgeReport]:
    # Imported here: the web process imports this module, and needs neither numpy nor the engine.
    slice = Slice.from_json(publication.slice)
    if publication.kind == Publication.Kind.REPORT:
        from ratings import reports

        return {"report": reports.build(arena=publication.arena, slice=slice)}
    from ratings import snapshots

    return {"snapshot": snapshots.build(arena=publication.arena, slice=slice)}


def work() -> QuerySet[Publication]:
    """Publications to refresh: stale ones, and those whose worker died, if anybody still wants them."""
    now = timezone.now()
    return Publication.objects.filter(
        expiry.wanted(),
        Q(stale_since__isnull=False, claimed_until=None) | Q(claimed_until__lt=now),
    )


def sweep() -> int:
    """Ask again for all work that is due: whatever message or worker was lost. How many were asked for.

    Deletes first what nobody looks at any more.
    """
    if deleted := expiry.delete_expired():
        log.info("Deleted %d publications that nobody has looked at for long.", deleted)
    due = work()
    due.filter(attempts__gte=MAX_ATTEMPTS, claimed_until__isnull=False).update(
        claimed_until=None,
        stale_since=timezone.now(),
        error=f"The worker died {MAX_ATTEMPTS} times while it computed this.",
    )
    keys = list(due.filter(attempts__lt=MAX_ATTEMPTS).values_list("pk", flat=True))
    request_refresh(keys, countdown=0)
    if keys:
        log.info("Asked again for %d publications.", len(keys))
    return len(keys)


def refresh_all(*, arena: Arena) -> list[Publication]:
    """Bring everything of an arena up to date in this process; commands and the demo use it.

    Figures that another release of the engine computed are computed again.
    """
    from ratings.version import code_version

    publish_defaults(arena=arena)
    Publication.objects.filter(
        Q(snapshot__isnull=False) & ~Q(snapshot__code_version=code_version())
        | Q(report__isnull=False) & ~Q(report__code_version=code_version()),
        arena=arena,
        stale_since=None,
    ).update(stale_since=timezone.now())
    keys = work().filter(arena=arena).order_by(F("kind").asc(), "pk").values_list("pk", flat=True)
    for key in list(keys):
        refresh(key)
    return list(Publication.objects.filter(arena=arena).select_related("snapshot", "report"))


def refresh_now(publication: Publication) -> Publication:
    """The publication, rebuilt in this process if the verdicts have changed, whoever else is at it.

    For commands, where a person waits for the answer. A snapshot of unchanged data is not made twice.
    """
    Publication.objects.filter(pk=publication.pk).update(
        stale_since=timezone.now(), claimed_until=None, attempts=0
    )
    refresh(publication.pk)
    return Publication.objects.select_related("arena", "snapshot", "report").get(pk=publication.pk)
