"""What judges other than people have said of battles, as far as it counts."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from judges.cuts import Cut
from judges.derivations import BattleRow, among
from judges.models import Outcome, Retraction, Verdict


class Said(NamedTuple):
    """One standing verdict; ``orders`` are the outcomes and confidences of each order that was asked for."""

    outcome: Outcome
    confidence: float | None
    cast_at: datetime
    orders: tuple[tuple[Outcome, float | None], ...] = ()


def said_by(
    judge_ids: Collection[int],
    battles: Sequence[BattleRow],
    *,
    up_to: Cut | None = None,
    with_orders: Collection[int] = (),
) -> dict[int, dict[int, list[Said]]]:
    """Overall verdicts that weren't taken back, by battle and judge, in the order of their repetitions.

    ``battles`` are in the order of their ids; those between them that aren't named may be there as well. Of the
    judges ``with_orders`` the traces are read, too.
    """
    rows = Verdict.objects.filter(
        judge_id__in=judge_ids,
        voter=None,
        criterion="",
        **among(battles),
    )
    if up_to is None:
        rows = rows.filter(retraction=None)
    else:
        taken_back = Retraction.objects.filter(pk__lte=up_to.retraction)
        rows = rows.filter(pk__lte=up_to.verdict).exclude(pk__in=taken_back.values("verdict"))
    found: dict[int, dict[int, list[Said]]] = defaultdict(lambda: defaultdict(list))
    ordered = rows.order_by("battle_id", "judge_id", "repetition")
    columns = ["battle_id", "judge_id", "outcome", "confidence", "cast_at"]
    for some, more in (
        (set(judge_ids) - set(with_orders), ()),
        (with_orders, ("trace__parse__orders",)),
    ):
        if not some:
            continue
        rows_of = ordered.filter(judge_id__in=some).values_list(*columns, *more)
        for battle, judge, outcome, confidence, cast_at, *orders in rows_of:
            said = Said(Outcome(outcome), confidence, cast_at, _orders(*orders))
            found[battle][judge].append(said)
    return found


def _orders(stored: Any = None) -> tuple[tuple[Outcome, float | None], ...]:
    """As a run of an LLM judge writes them into its traces; empty where a judge has none."""
    return tuple(
        (_BY_LABEL[order["outcome"]], order["confidence"])
        for order in stored or ()
        if order["outcome"] in _BY_LABEL
    )


_BY_LABEL = {outcome.label: outcome for outcome in Outcome}
