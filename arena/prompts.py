"""The prompts of an arena, page by page. Reads only.

There may be a million of them, so no page counts them or skips over them: pages are told by the id where they
begin, and a search for words looks at SEARCHED prompts at most before it shows how far it came.
"""

from typing import NamedTuple

from django.db.models import Count, Q, QuerySet

from arena.counts import MOST_COUNTED
from arena.models import Arena, Category, Prompt

PAGE = 50
SEARCHED = 20_000


class Page(NamedTuple):
    """Prompts, oldest first. ``before`` and ``after`` are the ids beyond which to go on, None at an end."""

    prompts: list[Prompt]
    before: int | None
    after: int | None
    searched: int | None  # how many were looked at, where that wasn't all there are


def prompts_page(
    arena: Arena,
    *,
    category: Category | None = None,
    words: str = "",
    before: int | None = None,
    after: int | None = None,
) -> Page:
    """The prompts next to an id: those after ``after``, or those before ``before``, or the first ones."""
    backwards = before is not None
    order, beyond, within = (
        ("-pk", "pk__lt", "pk__gte") if backwards else ("pk", "pk__gt", "pk__lte")
    )
    candidates = Prompt.objects.filter(arena=arena)
    if category:
        candidates = candidates.filter(pk__in=category.prompts.order_by().values("pk"))
    start = before if backwards else after
    if start is not None:
        candidates = candidates.filter(**{beyond: start})
    candidates = candidates.order_by(order)
    edge = None
    if words:
        edge = candidates.values_list("pk", flat=True)[SEARCHED - 1 : SEARCHED].first()
        if edge is not None:
            candidates = candidates.filter(**{within: edge})
        candidates = _with_words(candidates, words)
    found = list(candidates.prefetch_related("categories")[: PAGE + 1])
    more, found = len(found) > PAGE, found[:PAGE]
    going_on = found[-1].pk if more else edge
    # The way back: what lies on the other side of where this page begins.
    back = None
    if start is not None:
        back = found[0].pk if found else start + (-1 if backwards else 1)
    searched = SEARCHED if edge is not None and not more else None
    if backwards:
        return Page(found[::-1], going_on, back, searched)
    return Page(found, back, going_on, searched)


def _with_words(prompts: QuerySet[Prompt], words: str) -> QuerySet[Prompt]:
    # What a person would look for stands at the beginning: a system message and the first question.
    return prompts.filter(
        Q(title__icontains=words)
        | Q(source_id__icontains=words)
        | Q(messages__0__content__icontains=words)
        | Q(messages__1__content__icontains=words)
    )


def count_published(arena: Arena) -> tuple[int, bool]:
    """How many prompts are published, and whether the arena has more than were looked at."""
    some = Prompt.objects.filter(arena=arena).order_by().values("pk")[: MOST_COUNTED + 1]
    counted = Prompt.objects.filter(pk__in=some).aggregate(
        all=Count("pk"), published=Count("pk", filter=~Q(messages=[]))
    )
    return counted["published"], counted["all"] > MOST_COUNTED
