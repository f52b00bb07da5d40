"""Leaderboards: from a slice to an immutable snapshot, and back to check it."""

from collections.abc import Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction

from arena.models import HIDDEN, Arena, System
from arena.styles import count_styles
from ratings import cells
from ratings.engine.prediction_powered import BattleRows
from ratings.engine.rate import RatingTable, rate, rate_elo, rate_powered, rate_styled
from ratings.engine.scale import PER_LOG_STRENGTH, elo_scale
from ratings.engine.style_control import StyledBattles
from ratings.engine.tallies import Tallies
from ratings.models import Rating, Snapshot, SnapshotTallies
from ratings.packed_tallies import pack
from ratings.slices import Slice
from ratings.version import code_version

# Votes on one prompt are not independent of each other, so whole prompts are resampled as soon as there
# are enough of them for that to work.
MIN_PROMPTS_TO_RESAMPLE = 30
TOLERANCE = 1e-9
Z_95 = 1.959963984540054


def build(
    *, arena: Arena, slice: Slice, rounds: int | None = None, seed: int | None = None
) -> Snapshot:
    """The snapshot of a slice as the verdicts stand now; the one that is there when nothing changed.

    Raises SliceError for an unknown judge. Systems that can't be ranked are in it, with the reason.
    """
    rounds = settings.BOOTSTRAP_ROUNDS if rounds is None else rounds
    seed = slice.seed if seed is None else seed
    started = perf_counter()
    counted = cells.count(arena=arena, slice=slice)
    helper = _count_helper(slice, counted, arena=arena)
    timings = {"count": perf_counter() - started}
    data_digest = cells.joint_digest(counted, helper) if helper else counted.digest()
    identity = {
        "arena": arena,
        "slice_digest": slice.digest,
        "data_digest": data_digest,
        "code_version": code_version(),
        "seed": seed,
        "rounds": rounds,
    }
    same = Snapshot.objects.filter(**identity).first()
    if same:
        return same
    interval = choose_interval(counted, slice)
    helped: dict[str, Any] = {}
    style: dict[str, Any] = {}
    numbers = {"arena": arena, "slice": slice, "rounds": rounds, "seed": seed}
    if slice.helped_by:
        tallies, table, helped = compute_helped(counted, **numbers)
    elif slice.method == "style":
        tallies, table, style = compute_styled(counted, **numbers)
    else:
        tallies, table = compute(counted, slice=slice, interval=interval, rounds=rounds, seed=seed)
    snapshot = Snapshot(
        **identity,
        slice=slice.as_json(),
        timings=timings | table.timings,
        last_verdict_id=counted.cut.verdict,
        last_retraction_id=counted.cut.retraction,
        last_exclusion_id=counted.cut.exclusion,
        interval=interval,
        n_verdicts=counted.n_verdicts,
        n_battles=counted.n_battles,
        n_prompts=len(counted.prompt_ids),
        n_voters=counted.n_voters,
        n_retracted=counted.n_retracted,
        n_set_aside=counted.n_set_aside,
        set_aside=[group._asdict() for group in counted.set_aside],
        n_ranked=int(np.isfinite(table.rating).sum()),
        tie_parameter=table.nu,
        helped=helped,
        style=style,
    )
    try:
        return _save(snapshot, system_ids=counted.system_ids, tallies=tallies, table=table)
    except IntegrityError:
        # Whoever built the same snapshot meanwhile has the same numbers.
        return Snapshot.objects.get(**identity)


def choose_interval(counted: cells.Cells, slice: Slice) -> Snapshot.Interval:
    """By prompt where there are enough known prompts, else by verdict."""
    if slice.helped_by or slice.method == "style":
        return Snapshot.Interval.SANDWICH
    if slice.method == "elo":
        return Snapshot.Interval.VERDICTS
    if counted.prompts_known and len(counted.prompt_ids) >= MIN_PROMPTS_TO_RESAMPLE:
        return Snapshot.Interval.PROMPTS
    return Snapshot.Interval.VERDICTS


def compute(
    counted: cells.Cells, *, slice: Slice, interval: str, rounds: int, seed: int
) -> tuple[Tallies, RatingTable]:
    """The numbers alone: the same arguments give the same numbers."""
    if slice.method == "elo":
        tallies = counted.tallies()
        return tallies, rate_elo(tallies, rounds=rounds, seed=seed)
    by_prompt = interval == Snapshot.Interval.PROMPTS
    clustered = counted.clustered() if by_prompt else None
    tallies = clustered.tallies if clustered else counted.tallies()
    table = rate(
        clustered or tallies,
        method=slice.method,
        ridge=slice.ridge,
        interval="clusters" if by_prompt else "cells",
        rounds=rounds,
        seed=seed,
    )
    return tallies, table


def _count_helper(
    slice: Slice, counted: cells.Cells, *, arena: Arena, among: Collection[int] | None = None
) -> cells.Cells | None:
    """What the judge that helps has said, up to the same moment; None where none does."""
    if not slice.helped_by:
        return None
    return cells.count(arena=arena, slice=slice.helper, up_to=counted.cut, among=among)


def compute_helped(
    counted: cells.Cells, *, arena: Arena, slice: Slice, rounds: int, seed: int
) -> tuple[Tallies, RatingTable, dict[str, Any]]:
    """People's ratings sharpened by a judge, and what its help was worth, ready for JSON."""
    both = cells.battles_of_both(
        arena=arena,
        slice=slice,
        other=slice.helper,
        up_to=counted.cut,
        system_ids=counted.system_ids,
    )
    rows = BattleRows(
        n_systems=len(counted.system_ids),
        a=both.a,
        b=both.b,
        votes=both.votes,
        judge=both.other,
        cluster=both.prompt,
    )
    table, found = rate_powered(rows, rounds=rounds, seed=seed)
    alone = elo_scale(found.people_theta)
    half = Z_95 * PER_LOG_STRENGTH * np.sqrt(np.diag(found.people_covariance))
    sizes = table.sd[np.isfinite(table.sd)] / (half / Z_95)[np.isfinite(table.sd)]
    worth = found.worth
    slugs = dict(System.objects.filter(arena=arena).values_list("pk", "slug"))
    helped = {
        "judge": slice.helped_by,
        "power": found.power,
        "worth": {
            "value": worth.value, "lower": worth.lower, "upper": worth.upper,
            "n": worth.n, "unit": worth.unit, "reason": worth.reason,
        },
        "width": float(sizes.mean()) if sizes.size else None,
        "n_votes": found.n_votes,
        "n_votes_left_out": found.n_votes_left_out,
        "n_judged": found.n_judged,
        "p_random": found.p_random,
        "by_prompt": found.by_prompt,
        "alone": {
            slugs[pk]: [float(alone[at]), float(alone[at] - half[at]), float(alone[at] + half[at])]
            for at, pk in enumerate(counted.system_ids.tolist())
            if np.isfinite(alone[at])
        },
    }  # fmt: skip
    return found.tallies, table, helped


def compute_styled(
    counted: cells.Cells, *, arena: Arena, slice: Slice, rounds: int, seed: int
) -> tuple[Tallies, RatingTable, dict[str, Any]]:
    """Ratings with style held equal, and what style is worth, ready for JSON."""
    count_styles(arena=arena)
    rows = cells.styled_battles(
        arena=arena, slice=slice, up_to=counted.cut, system_ids=counted.system_ids
    )
    battles = StyledBattles(
        n_systems=len(counted.system_ids),
        a=rows.a,
        b=rows.b,
        votes=rows.votes,
        style_a=rows.style_a,
        style_b=rows.style_b,
        cluster=rows.prompt,
    )
    table, found = rate_styled(battles, rounds=rounds, seed=seed)
    plain = elo_scale(found.plain_theta)
    slugs = dict(System.objects.filter(arena=arena).values_list("pk", "slug"))
    style = {
        "beta": [
            {"name": name, "value": figure.value, "lower": figure.lower, "upper": figure.upper,
             "reason": figure.reason}
            for name, figure in zip(cells.STYLE_FEATURES, found.beta, strict=True)
        ],
        "n_verdicts": found.n_verdicts,
        "n_left_out": found.n_left_out,
        "by_prompt": found.by_prompt,
        "plain": {
            slugs[pk]: float(plain[at])
            for at, pk in enumerate(counted.system_ids.tolist())
            if np.isfinite(plain[at])
        },
    }  # fmt: skip
    return found.tallies, table, style


@transaction.atomic
def _save(
    snapshot: Snapshot, *, system_ids: np.ndarray, tallies: Tallies, table: RatingTable
) -> Snapshot:
    previous = (
        Snapshot.objects.filter(arena=snapshot.arena, slice_digest=snapshot.slice_digest)
        .order_by("-pk")
        .first()
    )
    before = (
        dict(previous.ratings.exclude(rating=None).values_list("system_id", "rating"))
        if previous
        else {}
    )
    snapshot.previous = previous
    snapshot.save()
    SnapshotTallies.objects.create(
        snapshot=snapshot, npz=pack(system_ids[tallies.a], system_ids[tallies.b], tallies.counts)
    )
    Rating.objects.bulk_create(
        (
            _rating(snapshot, pk, table, index, before.get(pk))
            for index, pk in enumerate(system_ids.tolist())
        ),
        batch_size=1000,
    )
    return snapshot


def _rating(
    snapshot: Snapshot, system_id: int, table: RatingTable, index: int, before: float | None
) -> Rating:
    ranked = bool(np.isfinite(table.rating[index]))
    rating = float(table.rating[index]) if ranked else None

    def real(values: np.ndarray) -> float | None:
        value = float(values[index])
        return value if np.isfinite(value) else None

    def whole(values: np.ndarray) -> int | None:
        return int(values[index]) if ranked else None

    return Rating(
        snapshot=snapshot,
        system_id=system_id,
        status=str(table.status[index]),
        rating=rating,
        lower=real(table.lower),
        upper=real(table.upper),
        sd=real(table.sd),
        rank=whole(table.rank),
        rank_lower=whole(table.rank_lower),
        rank_upper=whole(table.rank_upper),
        rank_upper_bound=whole(table.rank_upper_bound),
        tier=whole(table.tier),
        n_verdicts=int(table.n_verdicts[index]),
        wins=int(table.wins[index]),
        losses=int(table.losses[index]),
        ties=int(table.ties[index]),
        win_rate=real(table.win_rate),
        change=rating - before if rating is not None and before is not None else None,
    )


@dataclass(frozen=True, slots=True)
class Verification:
    """What recomputing a snapshot showed. ``largest_difference`` is on the Elo scale."""

    snapshot_id: int
    same_data: bool
    same_code: bool
    largest_difference: float

    @property
    def passed(self) -> bool:
        return self.same_data and self.largest_difference <= TOLERANCE


def _systems_then(snapshot: Snapshot) -> set[int]:
    """Those that were counted, and those that came later, which must change nothing."""
    counted = set(snapshot.ratings.values_list("system_id", flat=True))
    later = System.objects.filter(arena=snapshot.arena_id, created_at__gt=snapshot.created_at)
    return counted | set(later.exclude(standing__in=HIDDEN).values_list("pk", flat=True))


def verify(*, snapshot: Snapshot) -> Verification:
    """Count and compute a snapshot again, as the verdicts stood when it was made, and compare."""
    slice = Slice.from_json(snapshot.slice)
    # Systems may have been published since: their verdicts weren't counted then.
    among = _systems_then(snapshot)
    counted = cells.count(
        arena=snapshot.arena,
        slice=slice,
        up_to=cells.Cut(
            snapshot.last_verdict_id, snapshot.last_retraction_id, snapshot.last_exclusion_id
        ),
        among=among,
    )
    numbers = {"slice": slice, "rounds": snapshot.rounds, "seed": snapshot.seed}
    helper = _count_helper(slice, counted, arena=snapshot.arena, among=among)
    if helper:
        _, table, _ = compute_helped(counted, arena=snapshot.arena, **numbers)
    elif slice.method == "style":
        _, table, _ = compute_styled(counted, arena=snapshot.arena, **numbers)
    else:
        _, table = compute(counted, interval=snapshot.interval, **numbers)
    digest = cells.joint_digest(counted, helper) if helper else counted.digest()
    columns = ("rating", "lower", "upper", "sd", "rank_lower", "rank_upper", "tier", "win_rate")
    stored = {row["system_id"]: row for row in snapshot.ratings.values("system_id", *columns)}
    worst = 0.0
    for index, pk in enumerate(counted.system_ids.tolist()):
        # A system that was added later has no row, and must not be ranked now either.
        row = stored.pop(pk, None) or dict.fromkeys(columns)
        if np.isfinite(table.rating[index]) != (row["rating"] is not None):
            worst = float("inf")
            continue
        for column in columns:
            now, then = float(getattr(table, column)[index]), row[column]
            if then is not None:
                worst = max(worst, abs(now - then))
    if stored:
        worst = float("inf")
    return Verification(
        snapshot_id=snapshot.pk,
        same_data=digest == snapshot.data_digest,
        same_code=code_version() == snapshot.code_version,
        largest_difference=worst,
    )
