"""Counts that stop: nobody needs to know whether there are a million prompts or a million and one."""

from django.db.models import IntegerField, OuterRef, QuerySet, Subquery

MOST_COUNTED = 10_000


class CappedCount(Subquery):
    """How many rows of a model an arena has, MOST_COUNTED + 1 where there are more; for annotate()."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()

    def __init__(self, rows: QuerySet, **extra: object) -> None:
        of_arena = rows.filter(arena=OuterRef("pk")).order_by()
        super().__init__(of_arena.values("pk")[: MOST_COUNTED + 1], **extra)
