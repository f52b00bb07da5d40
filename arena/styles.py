"""The style of every output of an arena, counted once."""

from arena.models import Arena, Output, OutputStyle
from arena.style_counting import style_of

AT_ONCE = 500


def count_styles(*, arena: Arena) -> int:
    """Count those that aren't counted yet; how many. May run twice at once: each output has one row."""
    counted = 0
    last = 0
    while True:
        missing = Output.objects.filter(arena=arena, style=None, pk__gt=last).order_by("pk")
        block = list(missing.values_list("pk", "text")[:AT_ONCE])
        if not block:
            return counted
        OutputStyle.objects.bulk_create(
            (OutputStyle(output_id=pk, **style_of(text)._asdict()) for pk, text in block),
            ignore_conflicts=True,
        )
        counted += len(block)
        last = block[-1][0]
