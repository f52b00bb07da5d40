"""How a leaderboard came to be: the snapshots of one slice, and every rating in them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from arena.models import Arena
from ratings.models import Rating, Snapshot
from ratings.slices import Slice

A_PAGE = 50
AT_ONCE = 20  # snapshots whose ratings are read by one query
COLUMNS = (
    "snapshot", "computed_at", "n_verdicts_of_all", "data_digest", "engine", "system", "version", "rank_lower",
    "rank_upper", "rating", "lower", "upper", "n_verdicts", "status",
)  # fmt: skip


class Page(NamedTuple):
    """Snapshots, the newest first; ``older`` is the id before which to go on, None at the end."""

    snapshots: list[Snapshot]
    older: int | None


def page_of(*, arena: Arena, slice: Slice, before: int | None = None) -> Page:
    found = Snapshot.objects.filter(arena=arena, slice_digest=slice.digest).order_by("-pk")
    if before is not None:
        found = found.filter(pk__lt=before)
    snapshots = list(found[: A_PAGE + 1])
    more, snapshots = len(snapshots) > A_PAGE, snapshots[:A_PAGE]
    for snapshot in snapshots:
        snapshot.arena = arena
    return Page(snapshots, snapshots[-1].pk if more else None)


def all_ratings(*, arena: Arena, slice: Slice) -> Iterator[list[tuple[Any, ...]]]:
    """Every rating in every snapshot under COLUMNS, the oldest first, in blocks of a few snapshots."""
    beyond = 0
    while True:
        found = Snapshot.objects.filter(
            arena=arena, slice_digest=slice.digest, pk__gt=beyond
        ).order_by("pk")
        about = {
            pk: (pk, at.isoformat(timespec="seconds"), *others)
            for pk, at, *others in found.values_list(
                "pk", "created_at", "n_verdicts", "data_digest", "code_version"
            )[:AT_ONCE]
        }
        if not about:
            return
        ratings = Rating.objects.filter(snapshot_id__in=list(about)).order_by(
            "snapshot_id", "rank", "pk"
        )
        yield [
            (*about[snapshot], *rating)
            for snapshot, *rating in ratings.values_list(
                "snapshot_id", "system__name", "system__version", "rank_lower", "rank_upper", "rating",
                "lower", "upper", "n_verdicts", "status",
            )
        ]  # fmt: skip
        beyond = max(about)
