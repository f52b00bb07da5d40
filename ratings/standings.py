"""How every judge rates one system, from what the arena publishes."""

from collections.abc import Sequence
from typing import NamedTuple

from arena.models import Category, System
from ratings.models import Publication, Rating
from ratings.scales import Bar, Scale
from ratings.slice_choices import JudgeChoice
from ratings.slices import Slice


class Standing(NamedTuple):
    judge: JudgeChoice
    category: Category | None
    rating: Rating
    bar: Bar


class Standings(NamedTuple):
    """A row per judge (all prompts), then the first judge's per category; on one scale."""

    rows: list[Standing]
    scale: Scale | None


def of_system(
    system: System, *, judges: Sequence[JudgeChoice], categories: Sequence[Category]
) -> Standings:
    """From the latest snapshots of published leaderboards by Bradley-Terry; one query."""
    wanted: dict[str, tuple[JudgeChoice, Category | None]] = {
        Slice(judge=judge.value).digest: (judge, None) for judge in judges
    }
    for category in categories:
        of_category = Slice(judge=judges[0].value, category=category.slug)
        wanted[of_category.digest] = (judges[0], category)
    published = Publication.objects.filter(
        arena_id=system.arena_id,
        kind=Publication.Kind.LEADERBOARD,
        slice_digest__in=wanted,
        snapshot__isnull=False,
    )
    ratings = Rating.objects.filter(
        system=system, snapshot__in=published.values("snapshot")
    ).select_related("snapshot")
    by_digest = {rating.snapshot.slice_digest: rating for rating in ratings}
    found = [(key, by_digest[key]) for key in wanted if key in by_digest]
    scale = _scale([rating for _, rating in found])
    rows = [
        Standing(
            *wanted[key],
            rating,
            (scale or Scale(0, 1)).bar(rating.rating, rating.lower, rating.upper),
        )
        for key, rating in found
    ]
    return Standings(rows, scale)


def _scale(ratings: Sequence[Rating]) -> Scale | None:
    values = [
        value
        for rating in ratings
        for value in (rating.rating, rating.lower, rating.upper)
        if value is not None
    ]
    return Scale.around(min(values), max(values)) if values else None
