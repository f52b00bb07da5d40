"""The systems that an account owns, and how they stand, from what arenas publish."""

from collections import defaultdict
from typing import Any, NamedTuple

from arena.access import visible_arenas
from arena.models import Arena, Submission, System
from judges.models import Judge
from ratings.models import Publication, Rating
from ratings.slices import PEOPLE, Slice

MOST_SYSTEMS = 200
JUDGES_SHOWN = 4


class OwnSystem(NamedTuple):
    system: System
    people: Rating | None
    judges: list[tuple[str, Rating]]  # (name of the judge, rating), those with most verdicts first
    submission: (
        Submission | None
    )  # the latest, which has the place of a system that isn't published


def own_systems(user: Any, *, arena: Arena | None = None) -> list[OwnSystem]:
    """The first MOST_SYSTEMS, of one arena or of all that the account sees; five queries at most."""
    mine = System.objects.filter(owner=user).select_related("arena")
    mine = (
        mine.filter(arena__in=visible_arenas(user)) if arena is None else mine.filter(arena=arena)
    )
    systems = list(mine.order_by("arena__name", "name", "version")[:MOST_SYSTEMS])
    if not systems:
        return []
    arenas = {system.arena_id for system in systems}
    of_people = Slice(judge=PEOPLE).digest
    found = Judge.objects.filter(arena__in=arenas).exclude(slug=PEOPLE)
    names = {
        (judge.arena_id, Slice(judge=judge.slug).digest): str(judge)
        for judge in found.only("arena_id", "slug", "name", "version")
    }
    published = Publication.objects.filter(
        arena__in=arenas,
        kind=Publication.Kind.LEADERBOARD,
        slice_digest__in={of_people, *(digest for _, digest in names)},
        snapshot__isnull=False,
    )
    people: dict[int, Rating] = {}
    judges: dict[int, list[tuple[str, Rating]]] = defaultdict(list)
    ratings = Rating.objects.filter(system__in=systems, snapshot__in=published.values("snapshot"))
    for rating in ratings.select_related("snapshot").order_by("-n_verdicts", "pk"):
        digest = rating.snapshot.slice_digest
        if digest == of_people:
            people[rating.system_id] = rating
        elif name := names.get((rating.snapshot.arena_id, digest)):
            judges[rating.system_id].append((name, rating))
    latest = {
        submission.system_id: submission
        for submission in Submission.objects.filter(system__in=systems).order_by("pk")
    }
    return [
        OwnSystem(
            system,
            people.get(system.pk),
            judges[system.pk][:JUDGES_SHOWN],
            latest.get(system.pk),
        )
        for system in systems
    ]
