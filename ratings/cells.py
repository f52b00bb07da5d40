"""From verdicts to cells: one GROUP BY, then arrays. The database counts, numpy fits."""

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from arena.access import unseen_pairs
from arena.models import HIDDEN, Arena, Battle, Pair, Prompt, System
from judges.cuts import Cut, watermark
from judges.exclusions import standing_exclusions
from judges.models import Exclusion, Retraction, Verdict, Voter
from ratings.engine.tallies import ClusteredTallies, Tallies, tally, tally_by_cluster
from ratings.slices import Slice, judge_ids, voter_ids

FETCH_ROWS = 50_000
STYLE_FEATURES = ("characters", "headers", "lists", "bold")
VOTERS_AT_ONCE = 500
REASONS_NAMED = 5
BY_CHOICE = "left out of this leaderboard by choice"


class SetAside(NamedTuple):
    """Verdicts that aren't counted for one reason, and whose they are."""

    reason: str
    n_verdicts: int
    n_voters: int


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
    set_aside: list[SetAside]  # verdicts of excluded voters that weren't taken back, by reason
    cut: Cut

    @property
    def n_set_aside(self) -> int:
        return sum(group.n_verdicts for group in self.set_aside)

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


def count(
    *,
    arena: Arena,
    slice: Slice,
    up_to: Cut | None = None,
    including: int | None = None,
    among: Collection[int] | None = None,
    judges: list[int] | None = None,
) -> Cells:
    """Count the verdicts of a slice that weren't taken back, and whose voters aren't excluded.

    Battles with a hidden system aren't counted, whoever asks, unless it is the one ``including`` (its id).
    ``among`` counts between these systems instead, whatever they are now: as an earlier count did.
    ``judges`` counts the verdicts of these judges (ids) instead of the slice's own.

    ``up_to`` counts as at an earlier time. A verdict that was taken back by a voter who is excluded counts
    as taken back. Raises SliceError for an unknown judge or voter.
    """
    cut = watermark() if up_to is None else up_to
    ids = judge_ids(arena=arena, judge=slice.judge) if judges is None else judges
    # Without a bound the GROUP BY is answered by the index alone.
    verdicts = Verdict.objects.filter(_which(arena, slice, ids, cut=cut))
    # From the few retractions to their verdicts: the other way round would read every verdict.
    retracted = Retraction.objects.filter(
        _which(arena, slice, ids, cut=cut, path="verdict__"), pk__lte=cut.retraction
    )
    if up_to is not None:
        verdicts = verdicts.filter(pk__lte=cut.verdict)
    retracted = retracted.filter(verdict_id__lte=cut.verdict)

    rows = _fetch(_cells_of(verdicts))
    taken_back = _fetch(_cells_of(retracted, path="verdict__"))
    aside, by_reason = _set_aside(arena, slice, ids, cut)
    if up_to is None and watermark() != cut:
        # Verdicts arrived while we counted; count once more, as at the time when we began.
        return count(
            arena=arena, slice=slice, up_to=cut, including=including, among=among, judges=judges
        )
    systems = _systems(arena, including, among)
    system_ids = np.array([pk for pk, _, _ in systems], dtype=np.int64)
    pairs = _pairs(arena, system_ids)
    taken_back = taken_back[np.isin(taken_back[:, 0], pairs[:, 0])]
    rows = rows[np.isin(rows[:, 0], pairs[:, 0])]
    aside = aside[np.isin(aside[:, 0], pairs[:, 0])]
    rows = _subtract(rows, np.concatenate([taken_back, aside]))
    a, b = _sides(pairs, rows[:, 0], system_ids)
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
        n_battles=_n_battles(arena, slice, verdicts, rows, cut),
        n_voters=_n_voters(arena, slice, ids, verdicts, cut),
        n_retracted=int(taken_back[:, 3].sum()),
        set_aside=by_reason,
        cut=cut,
    )


def _cells_of(rows: QuerySet, *, path: str = "") -> QuerySet:
    keys = [path + name for name in ("pair_id", "outcome", "prompt_id")]
    return rows.order_by().values_list(*keys).annotate(n=Count("*"))


def _set_aside(
    arena: Arena, slice: Slice, ids: list[int], cut: Cut
) -> tuple[np.ndarray, list[SetAside]]:
    """The cells to subtract, and how many verdicts are set aside why: the reasons with most verdicts, and
    the rest together. What was taken back isn't among them, so nothing is subtracted twice."""
    reason_of = dict(
        standing_exclusions(up_to=cut.exclusion)
        .filter(voter__judge_id__in=ids)
        .values_list("voter_id", "reason")
    )
    if slice.without:
        chosen = voter_ids(arena=arena, judge=slice.judge, handle=slice.without)
        reason_of = dict.fromkeys(chosen, BY_CHOICE) | reason_of
    # A voter belongs to one crowd, so the judge need not be asked for: then the only index that fits is
    # that of the voter's verdicts, and no other is read.
    wanted = Q(_which(arena, slice, None, cut=cut), pk__lte=cut.verdict)
    voters = sorted(reason_of)
    found = [np.empty((0, 4), dtype=np.int64)]
    n_verdicts: Counter[str] = Counter()
    n_voters: Counter[str] = Counter()
    for start in range(0, len(voters), VOTERS_AT_ONCE):
        some = voters[start : start + VOTERS_AT_ONCE]
        theirs = _kept(Verdict.objects.filter(wanted, voter_id__in=some), cut)
        found.append(_fetch(_cells_of(theirs)))
        if not len(found[-1]):
            continue
        for voter, n in theirs.order_by().values_list("voter_id").annotate(n=Count("*")):
            n_verdicts[reason_of[voter]] += n
            n_voters[reason_of[voter]] += 1
    by_reason = [
        SetAside(reason, n, n_voters[reason])
        for reason, n in sorted(n_verdicts.items(), key=lambda item: (-item[1], item[0]))
    ]
    named, rest = by_reason[:REASONS_NAMED], by_reason[REASONS_NAMED:]
    if rest:
        sums = (sum(group.n_verdicts for group in rest), sum(group.n_voters for group in rest))
        named.append(SetAside(f"{len(rest)} other reasons", *sums))
    return np.concatenate(found), named


def _kept(verdicts: QuerySet[Verdict], cut: Cut) -> QuerySet[Verdict]:
    """Those that weren't taken back at that time."""
    taken_back = Retraction.objects.filter(verdict=OuterRef("pk"), pk__lte=cut.retraction)
    return verdicts.filter(~Exists(taken_back))


def _not_set_aside(
    rows: QuerySet, arena: Arena, slice: Slice, cut: Cut, *, key: str = "voter_id"
) -> QuerySet:
    """Those of voters who weren't excluded at that time, nor left out by the slice."""
    if Exclusion.objects.filter(pk__lte=cut.exclusion, voter__judge__arena=arena).exists():
        standing = standing_exclusions(up_to=cut.exclusion).filter(voter__judge__arena=arena)
        rows = rows.exclude(**{f"{key}__in": standing.values("voter_id")})
    if slice.without:
        chosen = voter_ids(arena=arena, judge=slice.judge, handle=slice.without)
        rows = rows.exclude(**{f"{key}__in": chosen})
    return rows


def _which(arena: Arena, slice: Slice, ids: list[int] | None, *, cut: Cut, path: str = "") -> Q:
    """The condition that a verdict belongs to the slice; ``path`` leads from the model to the verdict.

    Whose it is isn't asked where ``ids`` is None.
    """
    # One judge by equality: then the index gives the rows in the order of the groups.
    wanted: dict[str, Any] = {"criterion": slice.criterion}
    if ids is not None:
        wanted |= {"judge_id": ids[0]} if len(ids) == 1 else {"judge_id__in": ids}
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
            judge_id__in=others, criterion=slice.criterion, pk__lte=cut.verdict
        )
        # A voter who is left out by choice is left out of the slice's own judge, not of the other.
        decided = _not_set_aside(_kept(decided, cut), arena, replace(slice, without=""), cut)
        wanted["battle_id__in"] = decided.order_by().values("battle_id")
    return Q(**{path + name: value for name, value in wanted.items()})


def _midnight(day: str) -> datetime:
    return datetime.fromisoformat(day).replace(tzinfo=UTC)


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


def _systems(
    arena: Arena, including: int | None, among: Collection[int] | None
) -> list[tuple[int, str, str]]:
    """(id, name, version) of those that are counted, in canonical order."""
    found = System.objects.filter(arena=arena).order_by("name", "version")
    if among is None:
        seen = ~Q(standing__in=HIDDEN)
        found = found.filter(seen if including is None else seen | Q(pk=including))
    systems = [
        row
        for row in found.values_list("pk", "name", "version")
        if among is None or row[0] in among
    ]
    systems.sort(key=lambda row: row[1:])  # databases collate differently; Python doesn't
    return systems


def _pairs(arena: Arena, system_ids: np.ndarray) -> np.ndarray:
    """(P, 3) id and systems of the pairs of these systems, by id."""
    rows = Pair.objects.filter(arena=arena).order_by("pk")
    pairs = np.array(
        list(rows.values_list("pk", "system_a_id", "system_b_id")), dtype=np.int64
    ).reshape(-1, 3)
    return pairs[np.isin(pairs[:, 1:], system_ids).all(axis=1)]


def _sides(
    pairs: np.ndarray, pair_ids: np.ndarray, system_ids: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Pair ids to the indexes of both systems."""
    if not len(pair_ids):
        return pair_ids, pair_ids
    of_row = pairs[np.searchsorted(pairs[:, 0], pair_ids), 1:]
    by_id = np.argsort(system_ids)
    index = by_id[np.searchsorted(system_ids, of_row, sorter=by_id)]
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


def _n_battles(
    arena: Arena, slice: Slice, verdicts: QuerySet[Verdict], rows: np.ndarray, cut: Cut
) -> int:
    """Two systems meet once on a prompt, except where the source published no outputs."""
    if Battle.objects.filter(arena=arena, source_key__isnull=False).exists():
        counted = _kept(_not_set_aside(verdicts, arena, slice, cut), cut)
        counted = counted.exclude(pair__in=unseen_pairs(None, arena))
        return counted.order_by().values("battle_id").distinct().count()
    if not len(rows):
        return 0
    return len(np.unique(rows[:, 0] * (rows[:, 2].max() + 1) + rows[:, 2]))


def _n_voters(
    arena: Arena, slice: Slice, ids: list[int], verdicts: QuerySet[Verdict], cut: Cut
) -> int:
    """Voters with a verdict; whoever has only opened a ballot isn't one."""
    if slice == Slice(
        judge=slice.judge,
        method=slice.method,
        ridge=slice.ridge,
        without=slice.without,
        helped_by=slice.helped_by,
    ):
        voted = Exists(Verdict.objects.filter(voter=OuterRef("pk")))
        voters = Voter.objects.filter(voted, judge_id__in=ids)
        return _not_set_aside(voters, arena, slice, cut, key="pk").count()
    counted = _not_set_aside(verdicts.exclude(voter=None), arena, slice, cut)
    return counted.order_by().values("voter_id").distinct().count()


def counted_verdicts(*, arena: Arena, slice: Slice, up_to: Cut) -> QuerySet[Verdict]:
    """Those of the slice that weren't taken back, and whose voters weren't excluded, at that time.

    Of hidden systems too: who asks says between which systems.
    """
    ids = judge_ids(arena=arena, judge=slice.judge)
    verdicts = Verdict.objects.filter(_which(arena, slice, ids, cut=up_to), pk__lte=up_to.verdict)
    return _kept(_not_set_aside(verdicts, arena, slice, up_to), up_to).order_by()


def votes_by_battle(
    *, arena: Arena, slice: Slice, up_to: Cut, among: Collection[int] | None = None
) -> tuple[dict[int, list[int]], dict[int, int]]:
    """How often each outcome was given, by battle id: ({battle: [A, B, tie, both bad]}, {battle: prompt}).

    Of battles between systems that everybody sees, or between those of ``among``.
    """
    counted = counted_verdicts(arena=arena, slice=slice, up_to=up_to)
    if among is None:
        counted = counted.exclude(pair__in=unseen_pairs(None, arena))
    else:
        pairs = Pair.objects.filter(arena=arena, system_a__in=among, system_b__in=among)
        counted = counted.filter(pair__in=pairs.order_by().values("pk"))
    rows = _fetch(
        counted.order_by().values_list("battle_id", "outcome", "prompt_id").annotate(n=Count("*"))
    )
    votes: dict[int, list[int]] = {}
    prompts: dict[int, int] = {}
    for battle, outcome, prompt, n in rows.tolist():
        votes.setdefault(battle, [0, 0, 0, 0])[outcome] = n
        prompts[battle] = prompt
    return votes, prompts


def votes_by_voter(
    *, arena: Arena, slice: Slice, up_to: Cut, battles: Collection[int]
) -> np.ndarray:
    """(n, 3) battle, voter and outcome of the verdicts on these battles whose voter is known, oldest first."""
    counted = counted_verdicts(arena=arena, slice=slice, up_to=up_to).filter(voter__isnull=False)
    rows = _fetch(counted.order_by("pk").values_list("battle_id", "voter_id", "outcome"))
    rows = rows.reshape(-1, 3)
    return rows[np.isin(rows[:, 0], np.fromiter(battles, np.int64))]


@dataclass(frozen=True, slots=True)
class BattlesOfBoth:
    """One row per battle that either side decided (m,): system indexes, votes (m, 4), the other's mean verdict
    for A (nan for none), prompt index. In an order that follows from the data alone."""

    a: np.ndarray
    b: np.ndarray
    votes: np.ndarray
    other: np.ndarray
    prompt: np.ndarray


def battles_of_both(
    *, arena: Arena, slice: Slice, other: Slice, up_to: Cut, system_ids: np.ndarray
) -> BattlesOfBoth:
    """The votes of one slice beside the verdicts of another, battle by battle, between these systems."""
    pairs = _pairs(arena, system_ids)
    sides = []
    for side in (slice, other):
        counted = counted_verdicts(arena=arena, slice=side, up_to=up_to)
        keys = ("battle_id", "pair_id", "prompt_id", "outcome")
        rows = _fetch(counted.values_list(*keys).annotate(n=Count("*"))).reshape(-1, 5)
        sides.append(rows[np.isin(rows[:, 1], pairs[:, 0])])
    both = np.concatenate(sides)
    battles, first, at = np.unique(both[:, 0], return_index=True, return_inverse=True)
    tables = []
    for rows, place in zip(sides, np.split(at.ravel(), [len(sides[0])]), strict=True):
        cell = place * 4 + rows[:, 3]
        tables.append(np.bincount(cell, rows[:, 4], 4 * len(battles)).reshape(-1, 4))
    votes, theirs = tables
    said = theirs.sum(axis=1)
    mean = np.full(len(battles), np.nan)
    np.divide(theirs @ [1.0, 0.0, 0.5, 0.5], said, out=mean, where=said > 0)
    a, b = _sides(pairs, both[first, 1], system_ids)
    _, _, prompt, _ = _prompts(arena, both[first, 2])
    # Databases number systems differently: the one that comes first by name is A.
    swapped = a > b
    a, b = np.where(swapped, b, a), np.where(swapped, a, b)
    votes = np.where(swapped[:, None], votes[:, [1, 0, 2, 3]], votes)
    mean = np.where(swapped, 1 - mean, mean)
    order = np.lexsort((mean, *votes.T, prompt, b, a))
    return BattlesOfBoth(a[order], b[order], votes[order], mean[order], prompt[order])


@dataclass(frozen=True, slots=True)
class StyledRows:
    """One row per battle with a verdict (m,): system indexes, votes (m, 4), counts of style of either output
    (m, 4; nan where there is no output), prompt index. In an order that follows from the data alone."""

    a: np.ndarray
    b: np.ndarray
    votes: np.ndarray
    style_a: np.ndarray
    style_b: np.ndarray
    prompt: np.ndarray


def styled_battles(*, arena: Arena, slice: Slice, up_to: Cut, system_ids: np.ndarray) -> StyledRows:
    """The verdicts of a slice by battle, beside how its outputs are written. Styles must have been counted."""
    pairs = _pairs(arena, system_ids)
    counted = counted_verdicts(arena=arena, slice=slice, up_to=up_to)
    keys = ("battle_id", "pair_id", "prompt_id", "outcome")
    rows = _fetch(counted.values_list(*keys).annotate(n=Count("*"))).reshape(-1, 5)
    rows = rows[np.isin(rows[:, 1], pairs[:, 0])]
    battles, first, at = np.unique(rows[:, 0], return_index=True, return_inverse=True)
    cell = at.ravel() * 4 + rows[:, 3]
    votes = np.bincount(cell, rows[:, 4], 4 * len(battles)).reshape(-1, 4)
    style_a, style_b = styles_of(arena=arena, battles=battles)
    a, b = _sides(pairs, rows[first, 1], system_ids)
    _, _, prompt, _ = _prompts(arena, rows[first, 2])
    swapped = a > b
    a, b = np.where(swapped, b, a), np.where(swapped, a, b)
    votes = np.where(swapped[:, None], votes[:, [1, 0, 2, 3]], votes)
    style_a, style_b = (
        np.where(swapped[:, None], style_b, style_a),
        np.where(swapped[:, None], style_a, style_b),
    )
    order = np.lexsort((*style_b.T, *style_a.T, *votes.T, prompt, b, a))
    return StyledRows(*(column[order] for column in (a, b, votes, style_a, style_b, prompt)))


def styles_of(*, arena: Arena, battles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts of style (m, 4) of either output of these battles (ids); nan where there is no output."""
    sides = [
        Coalesce(f"output_{side}__style__{name}", -1) for side in "ab" for name in STYLE_FEATURES
    ]
    width = len(STYLE_FEATURES)
    known = _fetch(
        Battle.objects.filter(arena=arena).order_by("pk").values_list("pk", *sides)
    ).reshape(-1, 1 + 2 * width)
    styles = known[np.searchsorted(known[:, 0], battles), 1:].astype(float)
    styles[styles < 0] = np.nan
    return styles[:, :width], styles[:, width:]


class VerdictRows(NamedTuple):
    """One entry per verdict, in the order in which they were stored: ids, system indexes, the outcome; voter -1
    where it isn't known."""

    pk: np.ndarray
    battle: np.ndarray
    prompt: np.ndarray
    voter: np.ndarray
    outcome: np.ndarray
    a: np.ndarray
    b: np.ndarray


def verdict_rows(*, arena: Arena, slice: Slice, up_to: Cut, system_ids: np.ndarray) -> VerdictRows:
    """Every verdict of a slice between these systems."""
    counted = counted_verdicts(arena=arena, slice=slice, up_to=up_to).order_by("pk")
    keys = ("pk", "pair_id", "battle_id", "prompt_id", "outcome")
    rows = _fetch(counted.values_list(*keys, Coalesce("voter_id", -1))).reshape(-1, 6)
    pairs = _pairs(arena, system_ids)
    rows = rows[np.isin(rows[:, 1], pairs[:, 0])]
    a, b = _sides(pairs, rows[:, 1], system_ids)
    pk, _, battle, prompt, outcome, voter = rows.T
    return VerdictRows(pk, battle, prompt, voter, outcome, a, b)


def joint_digest(*sides: Cells) -> str:
    """One digest for several slices that a figure was computed from."""
    return hashlib.sha256("".join(side.digest() for side in sides).encode()).hexdigest()
