"""What a leaderboard would be if other verdicts were counted, or counted otherwise. Nothing of it is published.

Verdicts are counted once per choice of judges and period, at the moment of the published snapshot, and kept for
a while; everything else (ties, weights, lengths) is arithmetic on what was counted.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.cache import cache
from django.db.models.fields.json import KT
from django.db.models.functions import Length
from django.http import QueryDict

from arena.models import HIDDEN, Arena, Category, Prompt, System
from judges.cuts import Cut
from judges.models import Judge, Verdict
from ratings.models import Rating, Snapshot
from ratings.slice_choices import Chosen
from ratings.slices import Slice, SliceError
from ratings.version import code_version

if TYPE_CHECKING:
    from ratings.engine.rate import RatingTable

TIES = {
    "half": "half a win for each",
    "out": "not counted",
    "davidson": "an outcome of its own (Davidson)",
}
MOST_WEIGHT = 100.0
MOST_LENGTH = 1_000_000
# It is computed while a page waits: what would take longer than a moment is refused.
MOST_VERDICTS = 300_000
MOST_SYSTEMS = 300
KEPT = 3600  # seconds
# One at a time per arena; a process that died is forgotten after so many seconds.
AT_WORK = 30
ROUNDS = 1000
# Davidson's model has no closed form here and is resampled, more coarsely than a published leaderboard is.
DAVIDSON_ROUNDS = 200
LEAST_PROMPTS = 30


class Busy(Exception):
    """Another one of this arena is being computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be otherwise. ``judges``: slugs of those whose verdicts count, in their order; ``weights``:
    (slug of a category, factor); ``longer``: the fewest characters of a prompt's first message."""

    judges: tuple[str, ...]
    ties: str = "half"
    weights: tuple[tuple[str, float], ...] = ()
    longer: int = 0
    since: str = ""
    until: str = ""


class Weight(NamedTuple):
    category: Category
    name: str
    value: float

    @property
    def said(self) -> str:
        """As a form field has it, whatever the language."""
        return f"{self.value:.10g}"


@dataclass(frozen=True, slots=True)
class Row:
    """A system as it is published and as it would be; ``now`` is None where it wouldn't be ranked."""

    system: System
    published: Rating
    now: dict[str, Any] | None
    reason: str = ""

    @property
    def climbs(self) -> int | None:
        """Places up; negative for down, None where one of the two isn't known."""
        if self.now is None or self.published.rank is None:
            return None
        return self.published.rank - self.now["rank"]

    @property
    def places(self) -> int:
        return abs(self.climbs or 0)

    @property
    def is_outside(self) -> bool:
        """Whether the rating would lie outside of the published interval."""
        if self.now is None or self.published.lower is None or self.published.upper is None:
            return False
        return not self.published.lower <= self.now["rating"] <= self.published.upper


@dataclass(frozen=True, slots=True)
class Answer:
    rows: list[Row]
    n_verdicts: int
    n_prompts: int
    interval: str

    @property
    def n_moved(self) -> int:
        return sum(bool(row.climbs) for row in self.rows)

    @property
    def n_outside(self) -> int:
        return sum(row.is_outside for row in self.rows)

    @property
    def first(self) -> System | None:
        return next((row.system for row in self.rows if row.now and row.now["rank"] == 1), None)

    @property
    def first_published(self) -> System | None:
        return next((row.system for row in self.rows if row.published.rank == 1), None)


def question_of(query: QueryDict, *, arena: Arena, chosen: Chosen) -> Question:
    """Reads by, ties, weight-<category>, longer, since and until; SliceError says which can't be read."""
    known = list(Judge.objects.filter(arena=arena).order_by("pk").values_list("slug", flat=True))
    asked = query.getlist("by")
    if unknown := [slug for slug in asked if slug not in known]:
        raise SliceError(f"This arena has no judge “{unknown[0][:200]}”.")
    ties = query.get("ties", "") or "half"
    if ties not in TIES:
        raise SliceError(f"Ties are one of {', '.join(TIES)}, not “{ties[:200]}”.")
    since, until = (query.get(name, "").strip()[:20] for name in ("since", "until"))
    Slice(since=since, until=until)  # says what is wrong with a date
    if since and until and since >= until:
        raise SliceError(f"until: {until} isn't after {since}.")
    weights = []
    for category in chosen.categories:
        weight = _number(query, f"weight-{category.slug}", 1.0, MOST_WEIGHT)
        if weight != 1.0:
            weights.append((category.slug, weight))
    return Question(
        judges=tuple(slug for slug in known if slug in (asked or chosen.judge.slugs)),
        ties=ties,
        weights=tuple(weights),
        longer=int(_number(query, "longer", 0.0, MOST_LENGTH)),
        since=since,
        until=until,
    )


def _number(query: Mapping[str, str], name: str, default: float, most: float) -> float:
    said = query.get(name, "").strip()[:50]
    try:
        value = float(said) if said else default
    except ValueError:
        value = -1.0
    if not (isfinite(value) and 0 <= value <= most):
        raise SliceError(f"{name}: “{said}” is not a number from 0 to {most:,.0f}.")
    return value


def answer(*, arena: Arena, slice: Slice, snapshot: Snapshot, question: Question) -> Answer:
    """The leaderboard as the question has it, beside the snapshot of the slice.

    Kept by the digest of all that decides it. SliceError where it would take too long or nothing is left to
    count, Busy while another one of the arena is being computed.
    """
    ratings = list(
        Rating.objects.filter(snapshot=snapshot)
        .exclude(system__standing__in=HIDDEN)
        .select_related("system")
        .order_by("system_id")
    )
    systems = [rating.system_id for rating in ratings]
    if len(systems) > MOST_SYSTEMS:
        raise SliceError(f"It is computed for up to {MOST_SYSTEMS} systems; here are more.")
    of = [snapshot.pk, systems, slice.as_json(), asdict(question), code_version()]
    key = f"what-if-{_digest(of)}"
    found = cache.get(key)
    if found is None:
        lock = f"what-if-at-work-{arena.pk}"
        if not cache.add(lock, 1, AT_WORK):
            raise Busy
        try:
            found = _compute(arena, slice, snapshot, question, systems)
        finally:
            cache.delete(lock)
        cache.set(key, found, KEPT)
    return _beside(ratings, found)


def _digest(of: object) -> str:
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()


def _beside(ratings: list[Rating], found: dict[str, Any]) -> Answer:
    """The figures with their systems, on the scale of the published ones: both have the same mean of those that
    both rank, so that a system that drops out doesn't move all others."""
    now = found["systems"]
    both = [
        (rating.rating, now[rating.system_id]["rating"])
        for rating in ratings
        if rating.rating is not None and now[rating.system_id]["rank"]
    ]
    shift = sum(then - here for then, here in both) / len(both) if both else 0.0
    rows = []
    for rating in ratings:
        figures = now[rating.system_id]
        if not figures["rank"]:
            reason = Rating.Status(figures["status"]).label
            rows.append(Row(rating.system, rating, None, reason))
            continue
        moved = {name: figures[name] + shift for name in ("rating", "lower", "upper")}
        rows.append(Row(rating.system, rating, figures | moved))
    last = len(rows) + 1
    rows.sort(key=lambda row: (row.now["rank"] if row.now else last, row.published.rank or last))
    return Answer(rows, found["n_verdicts"], found["n_prompts"], found["interval"])


def _compute(
    arena: Arena, slice: Slice, snapshot: Snapshot, question: Question, systems: list[int]
) -> dict[str, Any]:
    import numpy as np

    from ratings.engine.rate import rate
    from ratings.engine.tallies import tally, tally_by_cluster

    counted = _counted(arena, slice, snapshot, question, systems)
    weight = counted["count"].astype(float)
    if question.ties == "out":
        weight[counted["outcome"] >= 2] = 0.0
    if question.weights or question.longer:
        factor = _factors(arena, question, counted["prompt_ids"].tolist())
        weight *= factor[counted["prompt"]]
    kept = weight > 0
    if not kept.any():
        raise SliceError("No verdict is left to be counted.")
    columns = [counted[name][kept] for name in ("a", "b", "outcome")]
    prompts, prompt = np.unique(counted["prompt"][kept], return_inverse=True)
    # Weighted verdicts on one prompt vary together, so weights need clusters however few there are.
    by_prompt = counted["prompts_known"] and (len(prompts) >= LEAST_PROMPTS or question.weights)
    data = (
        tally_by_cluster(
            *columns, prompt, n_systems=len(systems), n_clusters=len(prompts), count=weight[kept]
        )
        if by_prompt
        else tally(*columns, n_systems=len(systems), count=weight[kept])
    )
    if question.ties == "davidson":
        interval = "clusters" if by_prompt else "cells"
        table = rate(
            data, method="davidson", interval=interval, rounds=DAVIDSON_ROUNDS, seed=snapshot.seed
        )
    else:
        table = rate(data, interval="sandwich", rounds=ROUNDS, seed=snapshot.seed)
    return {
        "systems": {
            pk: _figures(table, at) for at, pk in enumerate(counted["system_ids"].tolist())
        },
        "n_verdicts": int(counted["count"][kept].sum()),
        "n_prompts": len(prompts),
        "interval": "prompt" if by_prompt else "verdict",
    }


def _figures(table: "RatingTable", at: int) -> dict[str, Any]:
    return {
        "status": str(table.status[at]),
        "rating": float(table.rating[at]),
        "lower": float(table.lower[at]),
        "upper": float(table.upper[at]),
        "rank": int(table.rank[at]),
        "rank_lower": int(table.rank_lower[at]),
        "rank_upper": int(table.rank_upper[at]),
    }


def _counted(
    arena: Arena, slice: Slice, snapshot: Snapshot, question: Question, systems: list[int]
) -> dict[str, Any]:
    """The verdicts of these judges in this period, as they stood when the snapshot was made; kept."""
    import numpy as np

    from ratings import cells

    wanted = Slice(
        judge=slice.judge,
        category=slice.category,
        criterion=slice.criterion,
        without=slice.without,
        since=question.since,
        until=question.until,
    )
    key = "what-if-counted-" + _digest(
        [snapshot.pk, systems, wanted.as_json(), question.judges, code_version()]
    )
    kept = cache.get(key)
    if kept is not None:
        return kept
    judges = list(
        Judge.objects.filter(arena=arena, slug__in=question.judges)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    there = Verdict.objects.filter(judge_id__in=judges, criterion=slice.criterion).order_by()
    if there[: MOST_VERDICTS + 1].count() > MOST_VERDICTS:
        raise SliceError(
            f"It is computed while you wait, for up to {MOST_VERDICTS:,} verdicts; these judges gave more. "
            "Choose fewer judges."
        )
    counted = cells.count(
        arena=arena,
        slice=wanted,
        up_to=Cut(
            snapshot.last_verdict_id, snapshot.last_retraction_id, snapshot.last_exclusion_id
        ),
        among=systems,
        judges=judges,
    )
    found = {
        "system_ids": counted.system_ids,
        "prompt_ids": counted.prompt_ids,
        "prompts_known": counted.prompts_known,
        "a": counted.a.astype(np.int32),
        "b": counted.b.astype(np.int32),
        "prompt": counted.prompt.astype(np.int32),
        "outcome": counted.outcome.astype(np.int8),
        "count": counted.count.astype(np.int32),
    }
    cache.set(key, found, KEPT)
    return found


def _factors(arena: Arena, question: Question, prompt_ids: list[int]) -> Any:
    """(C,) what a verdict on each prompt counts: the product of the weights of its categories, and nothing
    where it is too short."""
    import numpy as np

    place = {pk: at for at, pk in enumerate(prompt_ids)}
    factor = np.ones(len(prompt_ids))
    weights = dict(question.weights)
    belongs = Prompt.categories.through.objects.filter(
        prompt__arena=arena, category__slug__in=weights
    )
    for prompt, category in belongs.values_list("prompt_id", "category__slug"):
        if prompt in place:
            factor[place[prompt]] *= weights[category]
    if question.longer:
        long = np.zeros(len(prompt_ids), dtype=bool)
        enough = (
            Prompt.objects.filter(arena=arena)
            .annotate(characters=Length(KT("messages__0__content")))
            .filter(characters__gte=question.longer)
        )
        for pk in enough.order_by().values_list("pk", flat=True):
            if pk in place:
                long[place[pk]] = True
        factor *= long
    return factor
