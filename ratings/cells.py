"""From verdicts to cells: one GROUP BY, then arrays. The database counts, numpy fits."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Count, Max, Q, QuerySet

from arena.models import Arena, Battle, Pair, Prompt, System
from judges.models import Retraction, Verdict, Voter
from ratings.engine.tallies import ClusteredTallies, Tallies, tally, tally_by_cluster
from ratings.slices import Slice, judge_ids

FETCH_ROWS = 50_000


@dataclass(frozen=True, slots=True)
class Cells:
    """The verdicts of a slice, counted. Systems and prompts are in canonical order.

    Canonical is by name and version, and by content digest: so the same data gives the same arrays, and
    the same numbers, in every database.
    """

    system_ids: np.ndarray  # (K,) every system of the arena
    system_names: list[str]
    prompt_ids: np.ndarray  # (C,) the prompts that have a verdict
    prompt_digests: list[str]
    prompts_known: bool  # False when a source named neither prompts nor their ids
    a: np.ndarray  # (n,) system index
    b: np.ndarray  # (n,)
    prompt: np.ndarray  # (n,) prompt index
    outcome: np.ndarray  # (n,)
    count: np.ndarray  # (n,) how many verdicts
    n_battles: int
    n_voters: int
    n_retracted: int
    last_verdict_id: int
    last_retraction_id: int

    @property
    def n_verdicts(self) -> int:
        return int(self.count.sum())

    def tallies(self) -> Tallies:
        return tally(self.a, self.b, self.outcome, n_systems=len(self.system_ids), count=self.count)

    def clustered(self) -> ClusteredTallies:
        """Cells by prompt."""
        return tally_by_cluster(
            self.a,
            self.b,
            self.outcome,
            self.prompt,
            n_systems=len(self.system_ids),
            n_clusters=len(self.prompt_ids),
            count=self.count,
        )

    def digest(self) -> str:
        """SHA-256 of what was counted, free of database ids: equal data, equal digest."""
        # Systems without a verdict are left out, so that adding one changes nothing.
        used, sides = np.unique(np.concatenate([self.a, self.b]), return_inverse=True)
        a, b = np.split(sides, 2)
        k, c = len(used), max(len(self.prompt_digests), 1)
        # Every row is put in the orientation of the canonical order before it is hashed.
        swapped = a > b
        a, b = np.where(swapped, b, a), np.where(swapped, a, b)
        outcome = np.where(swapped & (self.outcome < 2), 1 - self.outcome, self.outcome)
        key = ((a * k + b) * 4 + outcome) * c + self.prompt
        order = np.argsort(key, kind="stable")
        hasher = hashlib.sha256()
        for names in ([self.system_names[i] for i in used], self.prompt_digests):
            hasher.update("\x1e".join(names).encode("utf-8", "surrogatepass"))
            hasher.update(b"\x1d")
        hasher.update(np.ascontiguousarray(key[order], dtype="<i8"))
        hasher.update(np.ascontiguousarray(self.count[order], dtype="<i8"))
        return hasher.hexdigest()


def count(*, arena: Arena, slice: Slice, up_to: tuple[int, int] | None = None) -> Cells:
    """Count the verdicts of a slice that haven't been taken back.

    ``up_to`` = (last verdict id, last retraction id) counts as at an earlier time. Raises SliceError for
    an unknown judge.
    """
    ids = judge_ids(arena=arena, judge=slice.judge)
    last = None if up_to is None else up_to[0]
    verdicts = Verdict.objects.filter(_which(arena, slice, ids, last=last))
    # From the few retractions to their verdicts: the other way round would read every verdict.
    retracted = Retraction.objects.filter(_which(arena, slice, ids, path="verdict__", last=last))
    if up_to is None:
        last_verdict, last_retraction = watermark()
    else:
        last_verdict, last_retraction = up_to
        verdicts = verdicts.filter(pk__lte=last_verdict)
        retracted = retracted.filter(pk__lte=last_retraction, verdict_id__lte=last_verdict)

    rows = _fetch(
        verdicts.order_by().values_list("pair_id", "outcome", "prompt_id").annotate(n=Count("*"))
    )
    taken_back = _fetch(
        retracted.order_by()
        .values_list("verdict__pair_id", "verdict__outcome", "verdict__prompt_id")
        .annotate(n=Count("*"))
    )
    if up_to is None and watermark() != (last_verdict, last_retraction):
        # Verdicts arrived while we counted; count once more, as at the time when we began.
        return count(arena=arena, slice=slice, up_to=(last_verdict, last_retraction))
    rows = _subtract(rows, taken_back)

    systems = list(
        System.objects.filter(arena=arena)
        .order_by("name", "version")
        .values_list("pk", "name", "version")
    )
    systems.sort(key=lambda row: row[1:])  # databases collate differently; Python doesn't
    system_ids = np.array([pk for pk, _, _ in systems], dtype=np.int64)
    a, b = _sides(arena, rows[:, 0], system_ids)
    prompt_ids, digests, prompt, known = _prompts(arena, rows[:, 2])
    return Cells(
        system_ids=system_ids,
        system_names=[f"{name}\x1f{version}" for _, name, version in systems],
        prompt_ids=prompt_ids,
        prompt_digests=digests,
        prompts_known=known,
        a=a,
        b=b,
        prompt=prompt,
        outcome=rows[:, 1],
        count=rows[:, 3],
        n_battles=_n_battles(arena, verdicts, rows),
        n_voters=_n_voters(slice, ids, verdicts),
        n_retracted=int(taken_back[:, 3].sum()),
        last_verdict_id=last_verdict,
        last_retraction_id=last_retraction,
    )


def _which(
    arena: Arena, slice: Slice, ids: list[int], *, path: str = "", last: int | None = None
) -> Q:
    """The condition that a verdict belongs to the slice; ``path`` leads from the model to the verdict."""
    # One judge by equality: then the index gives the rows in the order of the groups.
    judges = {"judge_id": ids[0]} if len(ids) == 1 else {"judge_id__in": ids}
    wanted: dict[str, Any] = {**judges, "criterion": slice.criterion}
    if slice.category:
        prompts = Prompt.objects.filter(arena=arena, categories__slug=slice.category)
        wanted["prompt_id__in"] = prompts.values("pk")
    if slice.since:
        wanted["cast_at__gte"] = _midnight(slice.since)
    if slice.until:
        wanted["cast_at__lt"] = _midnight(slice.until)
    if slice.shared_with:
        others = judge_ids(arena=arena, judge=slice.shared_with)
        decided = Verdict.objects.filter(
            judge_id__in=others, criterion=slice.criterion, retraction=None
        )
        if last is not None:
            decided = decided.filter(pk__lte=last)
        wanted["battle_id__in"] = decided.order_by().values("battle_id")
    return Q(**{path + name: value for name, value in wanted.items()})


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


def watermark() -> tuple[int, int]:
    """The last verdict's id and the last retraction's: a cut through time, for ``up_to``."""
    return (
        Verdict.objects.aggregate(last=Max("pk"))["last"] or 0,
        Retraction.objects.aggregate(last=Max("pk"))["last"] or 0,
    )


def _fetch(query: QuerySet) -> np.ndarray:
    """(n, 4) int64. Past the ORM's row objects, which would take longer than the counting."""
    sql, parameters = query.query.sql_with_params()
    blocks = []
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, parameters)
        while block := cursor.fetchmany(FETCH_ROWS):
            blocks.append(np.array(block, dtype=np.int64))
    return np.concatenate(blocks) if blocks else np.empty((0, 4), dtype=np.int64)


def _subtract(rows: np.ndarray, taken_back: np.ndarray) -> np.ndarray:
    if not len(taken_back):
        return rows
    both = np.concatenate([rows, taken_back * np.array([1, 1, 1, -1])])
    keys, inverse = np.unique(both[:, :3], axis=0, return_inverse=True)
    counts = np.bincount(inverse.ravel(), weights=both[:, 3], minlength=len(keys))
    kept = counts > 0
    return np.column_stack([keys[kept], counts[kept].astype(np.int64)])


def _sides(arena: Arena, pair_ids: np.ndarray, system_ids: np.ndarray) -> tuple[np.ndarray, ...]:
    """Pair ids to the indexes of both systems."""
    pairs = np.array(
        list(
            Pair.objects.filter(arena=arena)
            .order_by("pk")
            .values_list("pk", "system_a_id", "system_b_id")
        ),
        dtype=np.int64,
    ).reshape(-1, 3)
    of_row = pairs[np.searchsorted(pairs[:, 0], pair_ids), 1:]
    by_id = np.argsort(system_ids)
    index = by_id[np.searchsorted(system_ids, of_row, sorter=by_id)] if len(of_row) else of_row
    return index[:, 0], index[:, 1]


def _prompts(arena: Arena, ids: np.ndarray) -> tuple[np.ndarray, list[str], np.ndarray, bool]:
    """Prompt ids in the order of their digests, the digests, every row's index, whether all are known."""
    unique, inverse = np.unique(ids, return_inverse=True)
    digest_of = dict(Prompt.objects.filter(arena=arena).order_by().values_list("pk", "digest"))
    digests = [digest_of[pk] for pk in unique.tolist()]
    order = np.array(sorted(range(len(unique)), key=digests.__getitem__), dtype=np.int64)
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    known = Prompt.content_digest([]) not in digests
    return unique[order], [digests[i] for i in order], position[inverse], known


def _n_battles(arena: Arena, verdicts: QuerySet[Verdict], rows: np.ndarray) -> int:
    """Two systems meet once on a prompt, except where the source published no outputs."""
    if Battle.objects.filter(arena=arena, source_key__isnull=False).exists():
        kept = verdicts.filter(retraction=None)
        return kept.order_by().values("battle_id").distinct().count()
    if not len(rows):
        return 0
    return len(np.unique(rows[:, 0] * (rows[:, 2].max() + 1) + rows[:, 2]))


def _n_voters(slice: Slice, ids: list[int], verdicts: QuerySet[Verdict]) -> int:
    if slice == Slice(judge=slice.judge, method=slice.method, ridge=slice.ridge):
        return Voter.objects.filter(judge_id__in=ids).count()
    return verdicts.exclude(voter=None).order_by().values("voter_id").distinct().count()


def votes_by_battle(
    *, arena: Arena, slice: Slice, up_to: tuple[int, int]
) -> tuple[dict[int, list[int]], dict[int, int]]:
    """How often each outcome was given, by battle id: ({battle: [A, B, tie, both bad]}, {battle: prompt})."""
    ids = judge_ids(arena=arena, judge=slice.judge)
    verdicts = Verdict.objects.filter(_which(arena, slice, ids, last=up_to[0]))
    taken_back = Retraction.objects.filter(pk__lte=up_to[1]).values("verdict_id")
    rows = _fetch(
        verdicts.filter(pk__lte=up_to[0])
        .exclude(pk__in=taken_back)
        .order_by()
        .values_list("battle_id", "outcome", "prompt_id")
        .annotate(n=Count("*"))
    )
    votes: dict[int, list[int]] = {}
    prompts: dict[int, int] = {}
    for battle, outcome, prompt, n in rows.tolist():
        votes.setdefault(battle, [0, 0, 0, 0])[outcome] = n
        prompts[battle] = prompt
    return votes, prompts


def joint_digest(*sides: Cells) -> str:
    """One digest for several slices that a figure was computed from."""
    return hashlib.sha256("".join(side.digest() for side in sides).encode()).hexdigest()
