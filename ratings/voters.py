"""What a maintainer is told of each voter, computed by a worker from all of people's overall verdicts."""

from datetime import timedelta
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from django.db import connection
from django.db.models import Count, F, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from arena.models import Arena, Pair, System
from judges.exclusions import standing_exclusions
from judges.models import Ballot, Outcome, Retraction, Verdict, Voter
from ratings.engine.anomaly import Anomaly, anomaly
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.tallies import N_OUTCOMES, Tallies
from ratings.models import Publication, VoterRecord, VoterReport
from ratings.slices import PEOPLE, Slice, judge_ids

# A record is worth a look at a few votes; a test of so few finds nobody.
LEAST_TESTED = 20
# Whoever has fewer votes than these many voters can hardly change who is first.
REFITTED = 100
EVERY = timedelta(minutes=5)
# A report that takes a minute is made every twenty minutes at most.
WORTH = 20
WRITTEN_AT_ONCE = 2_000
FETCH_ROWS = 50_000
_Z = 1.959964


class Votes(NamedTuple):
    """Verdicts by voter and then in the order in which they came; one entry a verdict."""

    pk: np.ndarray
    voter: np.ndarray
    pair: np.ndarray  # an index into ``pairs``
    battle: np.ndarray
    outcome: np.ndarray  # 0 to 3, as in the database
    shown_first: np.ndarray  # -1 where it isn't known
    pairs: np.ndarray  # (P, 3) pair id, system a, system b

    @property
    def folded(self) -> np.ndarray:
        """Both bad counted as a tie."""
        return np.minimum(self.outcome, int(Outcome.TIE))

    @property
    def left(self) -> np.ndarray:
        """1 where the side that was shown first won, 0 where the other did, -1 otherwise."""
        known = (self.shown_first >= 0) & (self.outcome <= int(Outcome.B))
        return np.where(known, (self.outcome == self.shown_first).astype(int), -1)

    def of(self, rows: slice) -> "Votes":
        return Votes(*(column[rows] for column in self[:-1]), self.pairs)


def refresh(*, arena: Arena) -> VoterReport:
    """Compute the record of every voter anew, unless another worker is at it.

    Reads the arena's verdicts once; time grows with verdicts and voters, the number of queries only with
    how many rows are fetched and written at once.
    """
    report, _ = VoterReport.objects.get_or_create(arena=arena)
    if not VoterReport.objects.claim(report.pk):
        return report
    started, began = timezone.now(), perf_counter()
    try:
        votes = _votes(arena)
        n_voters, first = _write(arena, votes, started)
    except Exception as error:
        VoterReport.objects.filter(pk=report.pk).update(
            claimed_until=None, error=f"{type(error).__name__}: {error}", computed_at=started
        )
        raise
    VoterReport.objects.filter(pk=report.pk).update(
        claimed_until=None,
        attempts=0,
        error="",
        computed_at=started,
        n_voters=n_voters,
        first_id=first,
        seconds=perf_counter() - began,
    )
    report.refresh_from_db()
    return report


def due() -> QuerySet[Arena]:
    """Arenas whose people's leaderboard was refreshed since, but not those computed a moment ago."""
    people = Publication.objects.filter(
        kind=Publication.Kind.LEADERBOARD, slice_digest=Slice().digest, refreshed_at__isnull=False
    )
    now = timezone.now()
    fresh = VoterReport.objects.filter(
        Q(computed_at__gt=now - EVERY) | Q(claimed_until__gt=now)
    ).values("arena")
    behind = people.filter(
        Q(arena__voter_report__computed_at=None)
        | Q(refreshed_at__gt=F("arena__voter_report__computed_at"))
    ).exclude(arena__in=fresh)
    return Arena.objects.filter(pk__in=behind.values("arena"))


def sweep() -> int:
    """Bring the records of all arenas up to date; how many arenas that were."""
    arenas = [arena for arena in due().select_related("voter_report") if not _was_costly(arena)]
    for arena in arenas:
        refresh(arena=arena)
    return len(arenas)


def _was_costly(arena: Arena) -> bool:
    """Whether it took so long the last time that another turn would keep a worker busy with little else."""
    report = getattr(arena, "voter_report", None)
    if report is None or report.computed_at is None:
        return False
    return timezone.now() - report.computed_at < WORTH * timedelta(seconds=report.seconds)


def _votes(arena: Arena) -> Votes:
    ids = judge_ids(arena=arena, judge=PEOPLE)
    verdicts = Verdict.objects.filter(judge_id__in=ids, criterion="", voter__isnull=False)
    rows = _fetch(
        verdicts.order_by().values_list(
            "pk", "voter_id", "pair_id", "battle_id", "outcome", Coalesce("shown_first", -1)
        ),
        columns=6,
    )
    taken_back = Retraction.objects.filter(verdict__judge_id__in=ids)
    gone = np.fromiter(taken_back.values_list("verdict_id", flat=True), dtype=np.int64)
    rows = rows[~np.isin(rows[:, 0], gone)]
    rows = rows[np.lexsort((rows[:, 0], rows[:, 1]))]
    pairs = np.array(
        list(
            Pair.objects.filter(arena=arena)
            .order_by("pk")
            .values_list("pk", "system_a_id", "system_b_id")
        ),
        dtype=np.int64,
    ).reshape(-1, 3)
    pk, voter, pair, battle, outcome, shown_first = rows.T
    return Votes(pk, voter, np.searchsorted(pairs[:, 0], pair), battle, outcome, shown_first, pairs)


def _fetch(query: QuerySet, *, columns: int) -> np.ndarray:
    """(n, columns) int64, past the ORM's row objects."""
    sql, parameters = query.query.sql_with_params()
    blocks = [np.empty((0, columns), dtype=np.int64)]
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, parameters)
        while block := cursor.fetchmany(FETCH_ROWS):
            blocks.append(np.array(block, dtype=np.int64))
    return np.concatenate(blocks)


def _write(arena: Arena, votes: Votes, started: Any) -> tuple[int, int | None]:
    """Write a record for every voter with a vote; how many, and who is first without the excluded."""
    ids = judge_ids(arena=arena, judge=PEOPLE)
    excluded = set(
        standing_exclusions().filter(voter__judge_id__in=ids).values_list("voter_id", flat=True)
    )
    about = _about(ids)
    records = []
    counted = ~np.isin(votes.voter, np.array(sorted(excluded), dtype=np.int64))
    crowd = _Crowd(arena, votes, counted)
    voters, starts, sizes = np.unique(votes.voter, return_index=True, return_counts=True)
    most = set(voters[np.argsort(-sizes, kind="stable")][:REFITTED].tolist()) - excluded
    columns: set[str] = set()
    for voter, start, size in zip(voters.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        rows = slice(start, start + size)
        found = crowd.figures(rows, counts=voter not in excluded, refit=voter in most)
        n_repeats, same = about[voter].pop("repeats")
        found["n_retest"] += n_repeats
        found["retest_same"] += same
        records.append(
            VoterRecord(
                arena=arena, voter_id=voter, n_verdicts=size, computed_at=started,
                **about[voter], **found,
            )
        )  # fmt: skip
        columns |= {*about[voter], *found}
    fields = sorted(columns | {"n_verdicts", "computed_at"})
    for start in range(0, len(records), WRITTEN_AT_ONCE):
        VoterRecord.objects.bulk_create(
            records[start : start + WRITTEN_AT_ONCE],
            update_conflicts=True,
            unique_fields=["voter"],
            update_fields=[name.removesuffix("_id") for name in fields],
        )
    # Whoever has taken everything back has no record any more.
    VoterRecord.objects.filter(arena=arena, computed_at__lt=started).delete()
    return len(records), crowd.first()


def _about(ids: list[int]) -> dict[int, dict[str, Any]]:
    """What the database counts by voter: handle, first and last vote, gold items, dwell time."""
    times = (
        Verdict.objects.filter(judge_id__in=ids, criterion="", voter__isnull=False)
        .order_by()
        .values_list("voter_id")
        .annotate(first=Min("cast_at"), last=Max("cast_at"))
    )
    handles = dict(Voter.objects.filter(judge_id__in=ids).values_list("pk", "handle"))
    about = {
        voter: {
            "handle": handles[voter],
            "first_at": first,
            "last_at": last,
            "n_retracted": 0,
            "repeats": (0, 0),
            "gold_right": 0,
            "n_gold": 0,
            "median_dwell_ms": None,
        }
        for voter, first, last in times
    }
    retracted = (
        Retraction.objects.filter(
            verdict__judge_id__in=ids, verdict__criterion="", verdict__voter__isnull=False
        )
        .values_list("verdict__voter_id")
        .annotate(n=Count("pk"))
    )
    for voter, n in retracted:
        about[voter]["n_retracted"] = n
    voted = Ballot.objects.filter(voter__judge_id__in=ids, state=Ballot.State.VOTED).order_by()
    gold = (
        voted.exclude(gold_item=None)
        .values_list("voter_id")
        .annotate(n=Count("pk"), right=Count("pk", filter=Q(outcome=F("gold_item__expected"))))
    )
    for voter, n, right in gold:
        if voter in about:
            about[voter] |= {"n_gold": n, "gold_right": right}
    # Repeats stay with their ballots: compared with what the voter said first.
    first = Verdict.objects.filter(
        voter=OuterRef("voter"), battle=OuterRef("battle"), criterion="", retraction=None
    )
    repeats = (
        voted.filter(purpose=Ballot.Purpose.REPEAT)
        .annotate(first=Subquery(first.order_by("repetition").values("outcome")[:1]))
        .exclude(first=None)
        .values_list("voter_id", "first", "outcome")
    )
    for voter, before, again in repeats:
        if voter in about:
            n, same = about[voter]["repeats"]
            alike = min(before, Outcome.TIE) == min(again, Outcome.TIE)  # both bad as ties
            about[voter]["repeats"] = (n + 1, same + alike)
    dwell = _fetch(voted.exclude(dwell_ms=None).values_list("voter_id", "dwell_ms"), columns=2)
    dwell = dwell[np.lexsort((dwell[:, 1], dwell[:, 0]))]
    voters, starts, sizes = np.unique(dwell[:, 0], return_index=True, return_counts=True)
    middle = (dwell[starts + (sizes - 1) // 2, 1] + dwell[starts + sizes // 2, 1]) // 2
    for voter, median in zip(voters.tolist(), middle.tolist(), strict=True):
        if voter in about:
            about[voter]["median_dwell_ms"] = median
    return about


class _Crowd:
    """All votes together, from which each voter's own are taken away to compare the voter with the rest."""

    def __init__(self, arena: Arena, votes: Votes, counted: np.ndarray) -> None:
        self.votes = votes
        self.battles, self.battle = np.unique(votes.battle, return_inverse=True)
        self.by_pair = _counts(votes.pair[counted], votes.outcome[counted], len(votes.pairs), 4)
        self.by_battle = _counts(self.battle[counted], votes.folded[counted], len(self.battles), 3)
        systems = System.objects.filter(arena=arena).order_by("name", "version", "pk")
        self.system_ids = np.array(list(systems.values_list("pk", flat=True)), dtype=np.int64)
        by_id = np.argsort(self.system_ids)
        self.sides = by_id[
            np.searchsorted(self.system_ids, votes.pairs[:, 1:], sorter=by_id)
        ].reshape(-1, 2)

    def first(self, without: np.ndarray | None = None) -> int | None:
        """The id of the system that is first by Bradley-Terry; None where nobody can be ranked."""
        counts = self.by_pair if without is None else self.by_pair - without
        some = np.flatnonzero(counts.sum(axis=1))
        if not len(some):
            return None
        a, b = self.sides[some].T
        swapped = a > b
        counts = np.where(swapped[:, None], counts[some][:, [1, 0, 2, 3]], counts[some])
        a, b = np.where(swapped, b, a), np.where(swapped, a, b)
        order = np.lexsort((b, a))
        tallies = Tallies(len(self.system_ids), a[order], b[order], counts[order])
        theta = fit_bradley_terry(tallies).theta
        return int(self.system_ids[np.nanargmax(theta)]) if np.isfinite(theta).any() else None

    def figures(self, rows: slice, *, counts: bool, refit: bool) -> dict[str, Any]:
        """The figures of the voter of these rows; ``counts``: whether the voter is part of the crowd."""
        own = self.votes.of(rows)
        left = own.left
        n_sides = int((left >= 0).sum())
        n_left = int((left == 1).sum())
        tested = self._tests(own, counts=counts) if len(own.pk) >= LEAST_TESTED else None
        first = None
        if refit:
            first = self.first(_counts(own.pair, own.outcome, len(own.pairs), 4))
        return {
            **self._agreement(rows, own, counts=counts),
            **_retest(own),
            "left": n_left,
            "n_sides": n_sides,
            "left_share": n_left / n_sides if n_sides else None,
            "p": tested and tested.p,
            "p_strange": tested and tested.strange,
            "p_side": tested and tested.side,
            "p_favour": tested and tested.favour,
            "favoured_id": tested.system if tested and tested.system >= 0 else None,
            "first_without_id": first,
            "changes_first": first != self._all_first() if refit else None,
        }

    def _all_first(self) -> int | None:
        if not hasattr(self, "_known_first"):
            self._known_first = self.first()
        return self._known_first

    def _tests(self, own: Votes, *, counts: bool) -> Anomaly:
        history = _fold(self.by_pair[own.pair])
        if counts:
            pairs, index = np.unique(own.pair, return_inverse=True)
            history = history - _counts(index, own.folded, len(pairs), 3)[index]
        a, b = own.pairs[own.pair, 1:].T
        return anomaly(own.folded, a, b, history, own.left)

    def _agreement(self, rows: slice, own: Votes, *, counts: bool) -> dict[str, Any]:
        """With what most others say of a battle, by the voter's first vote on it; ties a class of their own."""
        battles, first, index = np.unique(self.battle[rows], return_index=True, return_inverse=True)
        others = self.by_battle[battles]
        if counts:
            others = others - _counts(index, own.folded, len(battles), 3)
        best = others.max(axis=1)
        known = (best > 0) & ((others == best[:, None]).sum(axis=1) == 1)
        n = int(known.sum())
        same = int((others.argmax(axis=1) == own.folded[first])[known].sum())
        lower, upper = wilson(same, n) if n else (None, None)
        return {
            "agreement": same / n if n else None,
            "agreement_lower": lower,
            "agreement_upper": upper,
            "n_agreement": n,
        }


def _retest(own: Votes) -> dict[str, int]:
    """Of the battles that the voter decided more than once, how often the first and the last vote agree."""
    _, first, sizes = np.unique(own.battle, return_index=True, return_counts=True)
    last = len(own.battle) - 1 - np.unique(own.battle[::-1], return_index=True)[1]
    again = sizes > 1
    same = own.folded[first[again]] == own.folded[last[again]]
    return {"n_retest": int(again.sum()), "retest_same": int(same.sum())}


def wilson(k: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share; n > 0. Wilson (1927)."""
    middle = (k + _Z**2 / 2) / (n + _Z**2)
    half = _Z / (n + _Z**2) * np.sqrt(k * (n - k) / n + _Z**2 / 4)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _counts(key: np.ndarray, outcome: np.ndarray, n_keys: int, n_outcomes: int) -> np.ndarray:
    """(n_keys, n_outcomes) how often."""
    found = np.bincount(key * n_outcomes + outcome, minlength=n_keys * n_outcomes)
    return found.reshape(n_keys, n_outcomes)


def _fold(counts: np.ndarray) -> np.ndarray:
    """(n, 4) to (n, 3): both bad as ties."""
    return np.stack([counts[:, 0], counts[:, 1], counts[:, 2:N_OUTCOMES].sum(axis=1)], axis=1)
