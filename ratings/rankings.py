"""The table of an arena's rankings of several outputs: when it is stale, and its refresh by a worker.

Pages read the row that a worker wrote; only `refresh` needs the engine.
"""

import hashlib
import json
import logging
from collections import Counter
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from arena.access import public_systems
from arena.models import Arena
from judges.exclusions import last_exclusion_id, standing_exclusions
from judges.models import Exclusion, RankedOutput, Ranking
from judges.rankings import counted_rankings
from ratings.models import RankingReport

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
FETCH_ROWS = 20_000
# With fewer prompts than these many, rankings are taken for independent.
MIN_PROMPTS_TO_CLUSTER = 30
SET_ASIDE_SHOWN = 10
ROUNDS = 1_000


class Counted(NamedTuple):
    """What is rated: one entry a ranked output, those of a ranking one after the other."""

    ranking: list[int]
    prompt: list[int]
    system: list[int]
    rank: list[int]
    n_voters: int

    @property
    def digest(self) -> str:
        rows = zip(self.ranking, self.prompt, self.system, self.rank, strict=True)
        return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()


def report_of(*, arena: Arena) -> RankingReport:
    """The arena's report; asked for when it is new."""
    report, created = RankingReport.objects.get_or_create(
        arena=arena, defaults={"stale_since": timezone.now()}
    )
    if created:
        transaction.on_commit(partial(_queue, report.pk, countdown=0))
    return report


def mark_stale(*, arena_id: int) -> None:
    """Note that there are other rankings, and ask for a refresh after a while in which more may come."""
    report, created = RankingReport.objects.get_or_create(
        arena_id=arena_id, defaults={"stale_since": timezone.now()}
    )
    fresh = RankingReport.objects.filter(
        Q(stale_since=None) | Q(attempts__gte=MAX_ATTEMPTS), pk=report.pk
    )
    if created or fresh.update(stale_since=timezone.now(), attempts=0, error=""):
        transaction.on_commit(
            partial(_queue, report.pk, countdown=settings.REFRESH_DEBOUNCE_SECONDS)
        )


def due() -> QuerySet[RankingReport]:
    """Stale reports, those whose worker died, and those that don't know of an exclusion."""
    now = timezone.now()
    later = Exclusion.objects.filter(
        voter__judge__arena=OuterRef("arena"), pk__gt=OuterRef("last_exclusion_id")
    )
    work = Q(stale_since__isnull=False) | Q(claimed_until__lt=now) | Exists(later)
    unclaimed = RankingReport.objects.unclaimed()
    return unclaimed.filter(work, attempts__lt=MAX_ATTEMPTS)


def sweep() -> int:
    """Ask again for all work that is due, whatever message or worker was lost; how many were asked for."""
    keys = list(due().values_list("pk", flat=True))
    for key in keys:
        _queue(key, countdown=0)
    return len(keys)


def refresh(key: int) -> bool:
    """Compute a report anew if it is due and nobody else is at it; whether that was done.

    The engine is asked only when the rankings, or the engine, are others than the last time.
    """
    if not due().filter(pk=key).exists() or not RankingReport.objects.claim(key):
        return False
    # From here on a new ranking makes it stale again.
    RankingReport.objects.filter(pk=key).update(stale_since=None)
    report = RankingReport.objects.select_related("arena").get(pk=key)
    mine = RankingReport.objects.filter(pk=key, claimed_until=report.claimed_until)
    began = perf_counter()
    try:
        # Read before the rankings are: what is decided meanwhile is looked at again.
        exclusion = last_exclusion_id()
        result = _build(report)
    except Exception as error:
        mine.update(
            claimed_until=None,
            stale_since=timezone.now(),
            error=f"{type(error).__name__}: {error}",
        )
        raise
    mine.update(
        **result,
        last_exclusion_id=exclusion,
        computed_at=timezone.now(),
        seconds=perf_counter() - began,
        claimed_until=None,
        attempts=0,
        error="",
    )
    if due().filter(pk=key).exists():
        _queue(key, countdown=settings.REFRESH_DEBOUNCE_SECONDS)
    return True


def _queue(key: int, *, countdown: float) -> None:
    """Send the message. The row says what is to be done, so a ranking doesn't fail without a broker."""
    from ratings.tasks import refresh_rankings

    try:
        refresh_rankings.apply_async(args=[key], countdown=countdown, retry=False)
    except OperationalError as error:
        log.warning("The broker didn't take a refresh; the sweeper will ask again: %s", error)


def _build(report: RankingReport) -> dict[str, Any]:
    from ratings.version import code_version

    counted = _count(report.arena)
    basis = f"{counted.digest} {code_version()}"
    asides = _asides(report.arena)
    if basis == report.basis:
        return {"figures": report.figures | asides}
    return {"basis": basis, "figures": _figures(report.arena, counted, basis) | asides}


def _count(arena: Arena) -> Counted:
    """In an order that depends on nothing but the rankings."""
    counted = counted_rankings(arena=arena).order_by()
    rows = (
        RankedOutput.objects.filter(ranking__in=counted)
        .order_by("ranking_id", "system_id")
        .values_list("ranking_id", "prompt_id", "system_id", "rank")
    )
    columns: tuple[list[int], ...] = ([], [], [], [])
    for row in rows.iterator(chunk_size=FETCH_ROWS):
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    return Counted(*columns, n_voters=counted.values("voter").distinct().count())


def _asides(arena: Arena) -> dict[str, Any]:
    """What isn't counted, and why."""
    rankings = Ranking.objects.filter(arena=arena)
    excluded = dict(
        standing_exclusions().filter(voter__judge__arena=arena).values_list("voter_id", "reason")
    )
    aside = rankings.filter(state=Ranking.State.DECIDED, voter__in=list(excluded))
    by_voter = Counter(aside.order_by().values_list("voter_id", flat=True))
    by_reason: dict[str, list[int]] = {}
    for voter, n in by_voter.items():
        by_reason.setdefault(excluded[voter], []).append(n)
    groups = [
        {"reason": reason, "n_rankings": sum(each), "n_voters": len(each)}
        for reason, each in by_reason.items()
    ]
    groups.sort(key=lambda group: (-group["n_rankings"], group["reason"]))
    return {
        "n_set_aside": sum(by_voter.values()),
        "set_aside": groups[:SET_ASIDE_SHOWN],
        "n_taken_back": rankings.filter(state=Ranking.State.UNDONE).count(),
    }


def _figures(arena: Arena, counted: Counted, basis: str) -> dict[str, Any]:
    """The counts, and a row for every system of the arena, best first."""
    import numpy as np

    from ratings.engine.plackett_luce import Rankings, rate_rankings

    system_ids = list(public_systems(arena).order_by("slug").values_list("pk", flat=True))
    number = {pk: index for index, pk in enumerate(system_ids)}
    keys, row, sizes = np.unique(
        np.array(counted.ranking, dtype=np.int64), return_inverse=True, return_counts=True
    )
    first = np.cumsum(sizes) - sizes
    width = int(sizes.max(initial=2))
    system = np.full((len(keys), width), -1, dtype=np.int64)
    rank = np.full_like(system, -1)
    column = np.arange(len(row)) - np.repeat(first, sizes)
    system[row, column] = [number[pk] for pk in counted.system]
    rank[row, column] = counted.rank
    prompt = np.array(counted.prompt, dtype=np.int64)[first]
    n_prompts = len(np.unique(prompt))
    by_prompt = n_prompts >= MIN_PROMPTS_TO_CLUSTER
    # The seed follows from what is counted: nobody can shop for one that suits.
    seed = int(basis[:12], 16)
    table = rate_rankings(
        Rankings(len(system_ids), system, rank),
        cluster=prompt if by_prompt else None,
        seed=seed,
        rounds=ROUNDS,
    )

    def known(value: float) -> float | None:
        return round(float(value), 4) if np.isfinite(value) else None

    rows = [
        {
            "system": pk,
            "status": str(table.status[index]),
            "rating": known(table.rating[index]),
            "lower": known(table.lower[index]),
            "upper": known(table.upper[index]),
            "sd": known(table.sd[index]),
            "rank": int(table.rank[index]) or None,
            "rank_lower": int(table.rank_lower[index]) or None,
            "rank_upper": int(table.rank_upper[index]) or None,
            "n_rankings": int(table.n_rankings[index]),
            "mean_rank": known(table.mean_rank[index]),
            "places": table.places[index].tolist(),
        }
        for index, pk in enumerate(system_ids)
    ]
    rows.sort(key=lambda row: (row["rank"] is None, row["rank"] or -row["n_rankings"]))
    return {
        "rows": rows,
        "n_rankings": len(keys),
        "n_prompts": n_prompts,
        "n_voters": counted.n_voters,
        "n_ranked": int((table.rank > 0).sum()),
        "longest": int(sizes.max(initial=0)),
        "interval": "prompts" if by_prompt else "rankings",
        "seed": seed,
        "rounds": ROUNDS,
    }
