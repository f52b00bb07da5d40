"""Comparisons by people that a judge is shown before its own, where its protocol asks for examples."""

from collections.abc import Sequence
from typing import NamedTuple

from django.db.models import Count, F, Max, Min

from arena.models import Battle
from judges.models import Judge, Outcome, Verdict
from judges.protocols.interface import Choice, Example

LOOKED_AT = 2_000  # battles with votes; the most agreed on among them are taken


class ExampleOfRun(NamedTuple):
    """A battle that people decided, with the texts of it."""

    prompt: int
    example: Example


def wanted_examples(judge: Judge) -> int:
    return int(judge.configuration["protocol"]["options"].get("examples", 0))


def choose_examples(judge: Judge) -> list[list[int]]:
    """[battle, outcome] of battles that people agree on, the most votes first; each of another prompt.

    One more than the protocol shows, since no case is shown the example of its own prompt.
    """
    wanted = wanted_examples(judge)
    if not wanted:
        return []
    agreed = (
        Verdict.objects.filter(
            arena_id=judge.arena_id,
            judge__kind=Judge.Kind.CROWD,
            criterion="",
            retraction=None,
            battle__output_a__isnull=False,
        )
        .values("battle", "prompt")
        .annotate(votes=Count("pk"), low=Min("outcome"), high=Max("outcome"))
        .filter(low=F("high"))
        .order_by("-votes", "battle")
    )
    chosen: dict[int, list[int]] = {}
    for row in agreed[:LOOKED_AT]:
        chosen.setdefault(row["prompt"], [row["battle"], row["low"]])
        if len(chosen) > wanted:
            break
    return list(chosen.values())


def load_examples(chosen: Sequence[Sequence[int]]) -> list[ExampleOfRun]:
    """The texts of what choose_examples gave; battles that are gone are left out."""
    battles = Battle.objects.select_related("prompt", "output_a", "output_b").in_bulk(
        [battle for battle, _ in chosen]
    )
    return [
        ExampleOfRun(
            battles[battle].prompt_id,
            Example(
                prompt=battles[battle].prompt.text,
                answers=(battles[battle].output_a.text, battles[battle].output_b.text),
                choice=Choice(Outcome(outcome)),
            ),
        )
        for battle, outcome in chosen
        if battle in battles
    ]
