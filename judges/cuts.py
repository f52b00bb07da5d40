"""A moment in an arena's verdicts, by which a figure can be computed again whatever came later."""

from typing import NamedTuple

from django.db.models import Max

from judges.exclusions import last_exclusion_id
from judges.models import Retraction, Verdict


class Cut(NamedTuple):
    """A moment: the last verdict, retraction and exclusion that were there, by id. What came later isn't
    counted, so a figure can be computed again at any time."""

    verdict: int
    retraction: int
    exclusion: int = 0


def watermark() -> Cut:
    """The cut through time that is now."""
    return Cut(
        Verdict.objects.aggregate(last=Max("pk"))["last"] or 0,
        Retraction.objects.aggregate(last=Max("pk"))["last"] or 0,
        last_exclusion_id(),
    )
