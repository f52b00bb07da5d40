"""The voters of an arena as a table: which, in what order, and as rows of a file."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Exists, F, OuterRef, QuerySet

from arena.models import Arena
from judges.exclusions import standing_exclusions
from ratings.models import VoterRecord

A_PAGE = 50
STATES = {
    "counted": "counted",
    "excluded": "excluded",
    "odd": "p below .05",
    "top": "changes rank 1",
}
ODD = 0.05
SORTS = {
    "handle": "handle",
    "verdicts": "n_verdicts",
    "retracted": "n_retracted",
    "last": "last_at",
    "agreement": "agreement",
    "left": "left_share",
    "dwell": "median_dwell_ms",
    "p": "p",
}
DEFAULT_SORT = "p"
COLUMNS = (
    "voter", "excluded", "n_verdicts", "n_retracted", "first_at", "last_at", "agreement", "agreement_lower",
    "agreement_upper", "n_agreement", "gold_right", "n_gold", "retest_same", "n_retest", "left",
    "n_sides", "median_dwell_ms", "p", "p_strange", "p_side", "p_favour", "favoured", "first_without",
    "changes_first", "computed_at",
)  # fmt: skip


def voters(
    arena: Arena, *, words: str = "", state: str = "", sort: str = DEFAULT_SORT
) -> QuerySet[VoterRecord]:
    """Records with ``is_excluded``, as it is at this moment."""
    excluded = Exists(standing_exclusions().filter(voter=OuterRef("voter")))
    found = VoterRecord.objects.filter(arena=arena)
    if words:
        found = found.filter(handle__icontains=words)
    if state in ("counted", "excluded"):
        found = found.filter(excluded if state == "excluded" else ~excluded)
    elif state == "odd":
        found = found.filter(p__lt=ODD)
    elif state == "top":
        found = found.filter(changes_first=True)
    column = F(SORTS[sort.removeprefix("-")])
    # Databases differ in where they sort what isn't known.
    order = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    found = found.annotate(is_excluded=excluded).select_related("favoured", "first_without")
    return found.order_by(order, "-n_verdicts", "pk")


def sort_key(wanted: str) -> str:
    return wanted if wanted.removeprefix("-") in SORTS else DEFAULT_SORT


def rows(found: QuerySet[VoterRecord]) -> Iterator[list[Any]]:
    """One list per voter in the order of COLUMNS, fetched in pieces and without objects."""
    named = {
        "voter": "handle",
        "excluded": "is_excluded",
        "favoured": "favoured__slug",
        "first_without": "first_without__slug",
    }
    found = found.select_related(None).values_list(*(named.get(c, c) for c in COLUMNS))
    for row in found.iterator(chunk_size=2000):
        yield ["" if value is None else value for value in row]
