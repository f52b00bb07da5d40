"""How fragile the top of a snapshot is: asked for by a page, computed once by a worker, shared by all readers.

Pages read the row that a worker wrote; only `refresh` needs the engine.
"""

import logging
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from arena.models import Prompt
from judges.cuts import Cut
from ratings.models import Fragility, Snapshot
from ratings.slices import Slice

if TYPE_CHECKING:
    import numpy as np

    from ratings import cells
    from ratings.engine.bradley_terry import BradleyTerryFit
    from ratings.engine.fragility import LeftOut, Removal, Verdicts

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
TOP_K = 5
# So many of what would have to go are named; all of them are counted.
NAMED = 100
LEAST_PROMPTS = 30


def why_not(snapshot: Snapshot) -> str:
    """Empty where it can be computed; else why not."""
    slice = Slice.from_json(snapshot.slice)
    if slice.method != "bt" or slice.ridge or slice.helped_by:
        return "It is computed for plain Bradley-Terry leaderboards: influence is that of its equations."
    if snapshot.n_ranked < 2:
        return "Fewer than two systems are ranked: nobody could be overtaken."
    return ""


def fragility_of(*, snapshot: Snapshot) -> Fragility:
    """That of a snapshot for which there is one; asked for when it is new."""
    found, created = Fragility.objects.get_or_create(snapshot=snapshot)
    if created:
        transaction.on_commit(partial(_queue, found.pk))
    return found


def due() -> QuerySet[Fragility]:
    """Those that aren't computed, and that nobody is at."""
    return Fragility.objects.unclaimed().filter(computed_at=None, attempts__lt=MAX_ATTEMPTS)


def sweep() -> int:
    """Ask again for all work that is due, whatever message or worker was lost; how many were asked for."""
    keys = list(due().values_list("pk", flat=True))
    for key in keys:
        _queue(key)
    return len(keys)


def refresh(key: int) -> bool:
    """Compute it if it is due and nobody else is at it; whether that was done.

    A failure is kept on the row with its reason and raised again.
    """
    if not due().filter(pk=key).exists() or not Fragility.objects.claim(key):
        return False
    row = Fragility.objects.select_related("snapshot__arena").get(pk=key)
    mine = Fragility.objects.filter(pk=key, claimed_until=row.claimed_until)
    began = perf_counter()
    try:
        figures = compute(row.snapshot)
    except Exception as error:
        mine.update(claimed_until=None, error=f"{type(error).__name__}: {error}")
        raise
    mine.update(
        figures=figures,
        computed_at=timezone.now(),
        seconds=perf_counter() - began,
        claimed_until=None,
        error="",
    )
    return True


def _queue(key: int) -> None:
    """Send the message. The row says what is to be done, so a page doesn't fail without a broker."""
    from ratings.tasks import refresh_fragility

    try:
        refresh_fragility.apply_async(args=[key], retry=False)
    except OperationalError as error:
        log.warning("The broker didn't take a task; the sweeper will ask again: %s", error)


def compute(snapshot: Snapshot) -> dict[str, Any]:
    """The figures, from the verdicts that the snapshot counted. The same snapshot gives the same."""
    import numpy as np

    from ratings import cells
    from ratings.engine.bradley_terry import fit_bradley_terry
    from ratings.engine.fragility import Verdicts, rank_width_curve, votes_to_separate
    from ratings.engine.sandwich import sandwich_covariance
    from ratings.engine.tallies import tally_by_cluster

    arena, slice = snapshot.arena, Slice.from_json(snapshot.slice)
    systems = sorted(
        snapshot.ratings.values_list(
            "system_id", "system__slug", "system__name", "system__version"
        ),
        key=lambda row: row[2:],
    )
    slugs = [slug for _, slug, _, _ in systems]
    rows = cells.verdict_rows(
        arena=arena,
        slice=slice,
        up_to=Cut(
            snapshot.last_verdict_id, snapshot.last_retraction_id, snapshot.last_exclusion_id
        ),
        system_ids=np.array([pk for pk, *_ in systems], dtype=np.int64),
    )
    verdicts = Verdicts(len(systems), rows.a, rows.b, rows.outcome)
    fit = fit_bradley_terry(verdicts.tallies())
    prompts, place = np.unique(rows.prompt, return_inverse=True)
    are_known = not Prompt.objects.filter(
        arena=arena, digest=Prompt.content_digest([]), pk__in=prompts[:1].tolist()
    ).exists()
    by_prompt = are_known and len(prompts) >= LEAST_PROMPTS
    data = (
        tally_by_cluster(
            rows.a, rows.b, rows.outcome, place, n_systems=len(systems), n_clusters=len(prompts)
        )
        if by_prompt
        else verdicts.tallies()
    )
    covariance = sandwich_covariance(data, fit)
    units = {"verdicts": None}
    if are_known and len(prompts) > 1:
        units["prompts"] = rows.prompt
    if len(np.unique(rows.voter[rows.voter >= 0])) > 1:
        units["voters"] = rows.voter
    order = np.flatnonzero(fit.comparability.ranked)
    order = order[np.argsort(-fit.theta[order], kind="stable")]
    separation = votes_to_separate(fit, covariance, len(rows.pk))
    curve = rank_width_curve(fit, covariance, seed=snapshot.seed)
    return {
        "order": [slugs[at] for at in order[: TOP_K + 1].tolist()],
        "n": {
            "verdicts": len(rows.pk),
            "prompts": len(prompts),
            "voters": len(np.unique(rows.voter[rows.voter >= 0])),
            "systems": len(order),
        },
        "removals": [
            _removal(name, unit, top, verdicts=verdicts, fit=fit, rows=rows, slugs=slugs)
            for top in (1, TOP_K)
            for name, unit in units.items()
            if len(order) > top
        ],
        "left_out": {
            name: _left_out(name, unit, verdicts=verdicts, fit=fit, slugs=slugs)
            for name, unit in units.items()
            if unit is not None
        },
        "separation": {
            "first": slugs[separation.first],
            "second": slugs[separation.second],
            "gap": _points(separation.gap),
            "half": _points(1.959963984540054 * separation.sd),
            "more": separation.more,
            "more_surely": separation.more_surely,
            "direct": separation.direct,
        },
        "curve": [
            [float(factor), round(float(width), 3)]
            for factor, width in zip(curve.factor, curve.width, strict=True)
        ],
        "interval": "prompts" if by_prompt else "verdicts",
    }


def _points(logits: float) -> float:
    from ratings.engine.scale import PER_LOG_STRENGTH

    return round(float(logits) * PER_LOG_STRENGTH, 2)


def _removal(
    name: str,
    unit: "np.ndarray | None",
    top: int,
    *,
    verdicts: "Verdicts",
    fit: "BradleyTerryFit",
    rows: "cells.VerdictRows",
    slugs: list[str],
) -> dict[str, Any]:
    import numpy as np

    from ratings.engine.fragility import fewest_removed

    found: Removal = fewest_removed(verdicts, fit, unit=unit, top=top)
    ranked = np.where(fit.comparability.ranked, fit.theta, -np.inf)
    now = set(np.argsort(-ranked, kind="stable")[:top].tolist())
    then = set(found.top.tolist())
    everything = len(verdicts.a) if unit is None else len(np.unique(unit[unit >= 0]))
    return {
        "unit": name,
        "top": top,
        "n": len(found.units),
        "of": everything,
        "n_verdicts": found.n_verdicts,
        "leaves": [slugs[at] for at in sorted(now - then)],
        "enters": [slugs[at] for at in sorted(then - now)],
        "reason": found.reason,
        "items": [_item(name, at, rows=rows, slugs=slugs) for at in found.units[:NAMED].tolist()],
    }


def _item(name: str, at: int, *, rows: "cells.VerdictRows", slugs: list[str]) -> dict[str, Any]:
    """What would have to go, as readers may know it: voters by their number of verdicts alone."""
    if name == "verdicts":
        return {
            "verdict": int(rows.pk[at]),
            "battle": int(rows.battle[at]),
            "a": slugs[rows.a[at]],
            "b": slugs[rows.b[at]],
            "outcome": int(rows.outcome[at]),
        }
    if name == "prompts":
        return {"prompt": at, "n_verdicts": int((rows.prompt == at).sum())}
    return {"n_verdicts": int((rows.voter == at).sum())}


def _left_out(
    name: str,
    unit: "np.ndarray",
    *,
    verdicts: "Verdicts",
    fit: "BradleyTerryFit",
    slugs: list[str],
) -> dict[str, Any]:
    import numpy as np

    from ratings.engine.fragility import leave_one_out

    found: LeftOut = leave_one_out(verdicts, fit, unit)
    first = int(np.nanargmax(fit.theta))
    closest = np.argsort(found.lead, kind="stable")[:NAMED]
    return {
        "n_units": found.n_units,
        "n_tried": len(found.unit),
        "n_changes": int((found.first != first).sum()),
        "rows": [
            {
                **({"prompt": int(found.unit[at])} if name == "prompts" else {}),
                "n_verdicts": int((unit == found.unit[at]).sum()),
                "first": slugs[found.first[at]],
                "lead": _points(found.lead[at]),
                "shift": _points(found.shift[at]),
            }
            for at in closest.tolist()
        ],
    }
