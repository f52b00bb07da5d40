"""Reads a snapshot as a leaderboard: which rows, in what order, on what scale, and who was left out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import Count, F, Max, Min, Q, QuerySet
from django.db.models.expressions import OrderBy

from arena.models import Arena
from ratings.models import Publication, Rating, Snapshot
from ratings.publications import MAX_ATTEMPTS, TooManyWaiting, publication_for
from ratings.scales import Bar, Scale
from ratings.slices import Slice

ROWS_A_PAGE = 100
UNRANKED_SHOWN = 100
TOP = 5

# What a header sorts by. Ties are broken by rank, so that a page is the same whenever it is asked for.
SORTS = {
    "rank": "rank",
    "name": "system__name",
    "organisation": "system__organisation",
    "rating": "rating",
    "verdicts": "n_verdicts",
    "win_rate": "win_rate",
    "change": "change",
}
DEFAULT_SORT = "rank"


class Row(NamedTuple):
    rating: Rating
    bar: Bar
    opens_tier: bool
    # Rating, and maybe its interval: by people alone where a judge helps, or with style where it is held equal.
    alone: list[float] | None = None


class LeftOut(NamedTuple):
    status: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True)
class Extent:
    """What is told of a whole snapshot rather than of a row."""

    scale: Scale | None
    left_out: list[LeftOut]

    @property
    def n_left_out(self) -> int:
        return sum(group.n for group in self.left_out)


def extent(snapshot: Snapshot) -> Extent:
    """The scale that all rows share, and how many systems aren't ranked for what reason; one query."""
    unranked = [status for status in Rating.Status if status != Rating.Status.RANKED]
    found = Rating.objects.filter(snapshot=snapshot).aggregate(
        Min("rating"),
        Max("rating"),
        Min("lower"),
        Max("upper"),
        **{f"n_{status.value}": Count("pk", filter=Q(status=status)) for status in unranked},
    )
    left_out = [
        LeftOut(status.value, status.label, found[f"n_{status.value}"])
        for status in unranked
        if found[f"n_{status.value}"]
    ]
    return Extent(_scale(found), left_out)


def _scale(found: dict) -> Scale | None:
    low, high = found["rating__min"], found["rating__max"]
    if low is None:
        return None
    # A system with few verdicts has an interval that would squeeze all others: beyond half the range of
    # the ratings on either side it is cut, and an arrow says so.
    air = max((high - low) / 2, 50.0)
    lower = low if found["lower__min"] is None else found["lower__min"]
    upper = high if found["upper__max"] is None else found["upper__max"]
    return Scale.around(max(lower, low - air), min(upper, high + air))


def sort_key(wanted: str) -> str:
    """A key of SORTS, with "-" before it for descending; the default for anything else."""
    return wanted if wanted.removeprefix("-") in SORTS else DEFAULT_SORT


def ranked(snapshot: Snapshot, *, sort: str = DEFAULT_SORT, words: str = "") -> QuerySet[Rating]:
    """The ranked systems whose name or organisation holds the words, each with its system."""
    ratings = Rating.objects.filter(snapshot=snapshot, status=Rating.Status.RANKED)
    if words:
        ratings = ratings.filter(
            Q(system__name__icontains=words) | Q(system__organisation__icontains=words)
        )
    return ratings.select_related("system").order_by(_order(sort), "rank", "pk")


def _order(sort: str) -> OrderBy:
    column = F(SORTS[sort.removeprefix("-")])
    # Databases differ in where they sort what isn't known.
    if sort.startswith("-"):
        return column.desc(nulls_last=True)
    return column.asc(nulls_last=True)


def unranked(snapshot: Snapshot) -> QuerySet[Rating]:
    """The systems that couldn't be ranked, those with most verdicts first."""
    return (
        Rating.objects.filter(snapshot=snapshot)
        .exclude(status=Rating.Status.RANKED)
        .select_related("system")
        .order_by("-n_verdicts", "system__name", "pk")
    )


def rows(
    ratings: Iterable[Rating],
    scale: Scale | None,
    *,
    by_rank: bool,
    alone: Mapping[str, list[float]] | None = None,
) -> Iterator[Row]:
    """Ratings as drawn. Only in the order of ranks is there a line between tiers.

    ``alone``: of a snapshot that a judge helped, what people alone say, by the system's slug.
    """
    before = None
    for rating in ratings:
        bar = (scale or Scale(0, 1)).bar(rating.rating, rating.lower, rating.upper)
        opens_tier = by_rank and before is not None and rating.tier != before
        yield Row(rating, bar, opens_tier, (alone or {}).get(rating.system.slug))
        before = rating.tier


class State(NamedTuple):
    """Where the publication of a slice stands."""

    publication: Publication | None
    snapshot: Snapshot | None = None
    is_pending: bool = False  # work goes on, and is worth looking for again
    has_failed: bool = False
    has_given_up: bool = False

    @property
    def is_refused(self) -> bool:
        """Nobody has asked for it before, and too many others wait."""
        return self.publication is None

    @property
    def reason(self) -> str:
        return self.publication.error if self.publication else ""

    @property
    def why_nothing(self) -> str:
        """For downloads: why there is no snapshot."""
        if self.is_refused:
            return "Too many other leaderboards of this arena wait to be computed. Ask again in a few minutes."
        return "This leaderboard is being computed. Ask again in a moment."


def state_of(*, arena: Arena, slice: Slice) -> State:
    """The publication of a slice, for a page: asked for when it is new and not too many others wait."""
    try:
        publication = publication_for(arena=arena, slice=slice, by_page=True)
    except TooManyWaiting:
        return State(None)
    has_failed = bool(publication.error)
    has_given_up = has_failed and publication.attempts >= MAX_ATTEMPTS
    return State(
        publication=publication,
        snapshot=publication.snapshot,
        is_pending=publication.is_pending and not has_given_up,
        has_failed=has_failed,
        has_given_up=has_given_up,
    )
