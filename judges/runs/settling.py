"""From the calls of a battle to its verdict.

Both orders that agree give their decision. Orders that don't are a tie, as FastChat has it. An order that
failed gives no verdict at all: the battle is an error until it is asked again.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from arena.models import Battle
from judges.models import JudgeCall, JudgeRun, Outcome, Score, Verdict
from judges.runs.casting import Decided, cast_all
from judges.runs.scored import decide_from_scores

LONGEST_CRITERION = Verdict._meta.get_field("criterion").max_length
SIDES = {Verdict.Side.A: "A", Verdict.Side.B: "B"}


def outcome_of(choice: int, shown_first: int) -> Outcome:
    """What was chosen as it was shown, in the battle's orientation."""
    outcome = Outcome(choice)
    return outcome if shown_first == Verdict.Side.A else outcome.mirrored


def combined(outcomes: Sequence[Outcome]) -> Outcome:
    """One decision of both orders; a tie where they contradict each other."""
    return outcomes[0] if len(set(outcomes)) == 1 else Outcome.TIE


def settle_battles(run: JudgeRun, battles: set[int], *, at: datetime) -> int:
    """Cast the verdicts of those battles all of whose calls are answered; how many are new."""
    calls: dict[tuple[int, int], list[JudgeCall]] = defaultdict(list)
    asked = JudgeCall.objects.filter(
        run=run, battle__in=battles, purpose=JudgeCall.Purpose.JUDGE
    ).order_by("battle_id", "repetition", "shown_first")
    for call in asked:
        calls[call.battle_id, call.repetition].append(call)
    complete = {
        key: orders
        for key, orders in calls.items()
        if all(call.state == JudgeCall.State.DONE for call in orders)
    }
    rows = Battle.objects.in_bulk({battle for battle, _ in complete})
    decided = [
        verdict
        for (battle, _), orders in complete.items()
        for verdict in decisions_of(rows[battle], orders)
    ]
    return cast_all(run, decided, at=at)


def settle_outputs(run: JudgeRun, calls: Sequence[JudgeCall]) -> int:
    """Keep the scores of answered calls, and cast the verdicts that follow; how many are new."""
    Score.objects.bulk_create(
        (
            Score(
                arena_id=run.arena_id,
                judge_id=run.judge_id,
                output_id=call.output_id,
                criterion=criterion,
                value=value,
                repetition=call.repetition,
            )
            for call in calls
            for criterion, value in [("", call.score), *_criteria(call, float)]
            if value is not None
        ),
        ignore_conflicts=True,
    )
    return decide_from_scores(run, {call.output_id for call in calls})


def decisions_of(battle: Battle, orders: list[JudgeCall]) -> list[Decided]:
    """From the answered calls of a battle, in one order or both: the overall verdict, and one of each criterion
    that every order decided."""
    decisions = [_decision(battle, orders, "", [call.choice for call in orders])]
    of_criteria = [dict(_criteria(call, int)) for call in orders]
    for criterion in of_criteria[0]:
        choices = [chosen.get(criterion) for chosen in of_criteria]
        if None not in choices:
            decisions.append(_decision(battle, orders, criterion, choices))
    return decisions


def _decision(
    battle: Battle, orders: list[JudgeCall], criterion: str, choices: list[Any]
) -> Decided:
    outcomes = [
        outcome_of(choice, call.shown_first) for choice, call in zip(choices, orders, strict=True)
    ]
    alone = len(orders) == 1
    confidences = [call.confidence for call in orders]
    sure = not criterion and None not in confidences and len(set(outcomes)) == 1
    parse: dict[str, Any] = {
        "rule": "one order" if alone else "both orders, a tie where they contradict each other",
        "orders": [
            {
                "call": call.pk,
                "shown_first": SIDES[Verdict.Side(call.shown_first)],
                "outcome": outcome.label,
                "confidence": call.confidence,
                **({} if criterion else {"details": call.parse.get("details", {})}),
            }
            for call, outcome in zip(orders, outcomes, strict=True)
        ],
    }
    decided = {
        "battle": battle,
        "outcome": combined(outcomes),
        "criterion": criterion,
        "repetition": orders[0].repetition,
        "shown_first": orders[0].shown_first if alone else None,
        "confidence": sum(confidences) / len(confidences) if sure else None,
        "parse": parse,
    }
    # What was asked once is kept once, with the overall verdict.
    if not criterion:
        decided |= {
            "rationale": _joined(orders, [call.parse.get("rationale", "") for call in orders]),
            "completion": _joined(orders, [call.text for call in orders]),
            "tokens": _total(
                value for call in orders for value in (call.input_tokens, call.output_tokens)
            ),
            "cost": _total(call.cost for call in orders),
            "latency_ms": _total(call.latency_ms for call in orders),
        }
    return Decided(**decided)


def _criteria(call: JudgeCall, kind: type) -> list[tuple[str, Any]]:
    """(criterion, value) of those that have a name and a value of this kind."""
    return [
        (criterion, value)
        for criterion, value in call.parse.get("by_criterion", {}).items()
        if 0 < len(criterion) <= LONGEST_CRITERION
        and isinstance(value, int if kind is int else int | float)
    ]


def _joined(orders: list[JudgeCall], texts: list[str]) -> str:
    if len(orders) == 1 or not any(texts):
        return texts[0]
    return "\n\n".join(
        f"{SIDES[Verdict.Side(call.shown_first)]} shown first:\n{text}"
        for call, text in zip(orders, texts, strict=True)
    )


def _total(values: Any) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
