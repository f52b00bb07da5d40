"""Verdicts that follow from scores: where both outputs of a battle have one, the higher wins.

They add nothing to the scores and are never counted beside them as if they did.
"""

from collections import defaultdict

from django.db.models import Q
from django.utils import timezone

from arena.models import Battle
from judges.models import JudgeRun, Outcome, Score
from judges.programs.verdicts import verdict
from judges.runs.casting import Decided, cast_all


def decide_from_scores(run: JudgeRun, outputs: set[int]) -> int:
    """Cast what follows for the battles of these outputs; how many verdicts are new."""
    prompts = set(run.arena.outputs.filter(pk__in=outputs).values_list("prompt_id", flat=True))
    battles = list(
        Battle.objects.filter(Q(output_a__in=outputs) | Q(output_b__in=outputs), prompt__in=prompts)
    )
    met = {output for battle in battles for output in (battle.output_a_id, battle.output_b_id)}
    scores: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
    for output, criterion, repetition, value in Score.objects.filter(
        judge_id=run.judge_id, output__in=met
    ).values_list("output_id", "criterion", "repetition", "value"):
        scores[criterion, repetition][output] = value
    margin = run.judge.configuration["margin"]
    now = timezone.now()
    decided = []
    for (criterion, repetition), known in scores.items():
        for battle in battles:
            a, b = known.get(battle.output_a_id), known.get(battle.output_b_id)
            if a is None or b is None:
                continue
            decided.append(
                Decided(
                    battle=battle,
                    outcome=Outcome(int(verdict(a, b, margin=margin))),
                    criterion=criterion,
                    repetition=repetition,
                    rationale=f"Scores {a:g} for A and {b:g} for B; a difference up to {margin:g} is a tie.",
                    parse={"rule": "scores", "scores": [a, b], "margin": margin},
                )
            )
    return cast_all(run, decided, at=now)
