"""Gold items: comparisons whose right answer is known, mixed into the ballots to check voters."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from arena.audit import note
from arena.models import Arena
from arena.upload_problems import Problems, place_of
from arena.uploads import GoldRow
from judges.models import GoldItem, Outcome

BATCH = 1_000
EXPECTED = {
    "a": Outcome.A,
    "b": Outcome.B,
    "tie": Outcome.TIE,
    "both_bad": Outcome.BOTH_BAD,
}


@dataclass(frozen=True)
class GoldPlan:
    """What an upload of gold items would do."""

    new: list[GoldRow]
    known: int


def plan_gold_items(*, arena: Arena, rows: Iterable[GoldRow]) -> GoldPlan:
    """What add_gold_items would do, without doing it. Raises UploadError."""
    problems, by_id, repeated = Problems(), {}, 0
    for row in rows:
        before = by_id.setdefault(row.source_id, row)
        if before is row:
            continue
        if _content(before) == _content(row):
            repeated += 1
        else:
            problems.add(
                row.line,
                f"The id “{row.source_id[:60]}” stands at another one in {place_of(before.line)}: give each "
                "item its own.",
            )
    there: dict[str, GoldItem] = {}
    ids = list(by_id)
    for start in range(0, len(ids), BATCH):
        some = GoldItem.objects.filter(arena=arena, source_id__in=ids[start : start + BATCH])
        there |= {item.source_id: item for item in some}
    for name, item in there.items():
        stored = (item.prompt, item.output_a, item.output_b, item.expected, item.reason)
        if stored != _content(by_id[name]):
            problems.add(
                by_id[name].line,
                f"The arena has another item with the id “{name[:60]}”: an item can't be changed, since "
                "voters were measured by it. Give the new one another id.",
            )
    problems.check()
    return GoldPlan(
        [row for name, row in by_id.items() if name not in there], len(there) + repeated
    )


@transaction.atomic
def add_gold_items(*, arena: Arena, rows: Iterable[GoldRow], actor: Any) -> GoldPlan:
    """Add the items that aren't there yet; all of them or, with an UploadError, none."""
    arena = Arena.objects.select_for_update().get(pk=arena.pk)
    plan = plan_gold_items(arena=arena, rows=rows)
    if not plan.new:
        return plan
    GoldItem.objects.bulk_create(
        [
            GoldItem(
                arena=arena,
                source_id=row.source_id,
                prompt=row.prompt,
                output_a=row.output_a,
                output_b=row.output_b,
                expected=EXPECTED[row.expected],
                reason=row.reason,
            )
            for row in plan.new
        ],
        batch_size=BATCH,
    )
    note(arena=arena, actor=actor, act="add gold items", subject=f"{len(plan.new):,} gold items")
    return plan


def _content(row: GoldRow) -> tuple[str, str, str, int, str]:
    return (row.prompt, row.output_a, row.output_b, EXPECTED[row.expected], row.reason)
