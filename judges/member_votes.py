"""What judges other than people have said of battles, as far as it counts."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from judges.cuts import Cut
from judges.derivations import BattleRow
from judges.models import Outcome, Retraction, Verdict


class Said(NamedTuple):
    """One standing verdict."""

    outcome: Outcome
    confidence: float | None
    cast_at: datetime


def said_by(
    judge_ids: Collection[int], battles: Sequence[BattleRow], *, up_to: Cut | None = None
) -> dict[int, dict[int, list[Said]]]:
    """Overall verdicts that weren't taken back, by battle and judge, in the order of their repetitions.

    ``battles`` are in the order of their ids; those between them that aren't named may be there as well.
    """
    rows = Verdict.objects.filter(
        judge_id__in=judge_ids,
        voter=None,
        criterion="",
        battle__gte=battles[0].pk,
        battle__lte=battles[-1].pk,
    )
    if up_to is None:
        rows = rows.filter(retraction=None)
    else:
        taken_back = Retraction.objects.filter(pk__lte=up_to.retraction)
        rows = rows.filter(pk__lte=up_to.verdict).exclude(pk__in=taken_back.values("verdict"))
    found: dict[int, dict[int, list[Said]]] = defaultdict(lambda: defaultdict(list))
    ordered = rows.order_by("battle_id", "judge_id", "repetition")
    for battle, judge, outcome, *rest in ordered.values_list(
        "battle_id", "judge_id", "outcome", "confidence", "cast_at"
    ):
        found[battle][judge].append(Said(Outcome(outcome), *rest))
    return found
