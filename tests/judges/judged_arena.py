"""An arena of any size whose judges are as good as they are made: written in bulk."""

import numpy as np
from django.utils import timezone

from arena.models import Arena, Battle, Output, Pair, Prompt
from judges.models import Judge, Outcome, Verdict, Voter
from tests import cast


def make_judged_arena(
    n: int,
    *,
    seed: int = 0,
    voters: int = 3,
    slug: str = "judged",
    names=("Ada", "Basil"),
    mirrored=False,
) -> Arena:
    """``n`` battles of two systems, each with the same vote of ``voters`` people: A, B or tie at random.

    ``mirrored``: the same votes with A and B exchanged.
    """
    arena = cast.make_arena(slug)
    one, other = (cast.make_system(arena, name) for name in names)
    pair = Pair.objects.create(arena=arena, system_a=one, system_b=other)
    prompts = Prompt.objects.bulk_create(
        Prompt(
            arena=arena,
            messages=[{"role": "user", "content": f"Poem {k}."}],
            digest=Prompt.content_digest([{"role": "user", "content": f"Poem {k}."}]),
        )
        for k in range(n)
    )
    outputs = [
        Output.objects.bulk_create(
            Output(arena=arena, system=system, prompt=prompt, text=f"{system.name} answers.")
            for prompt in prompts
        )
        for system in (one, other)
    ]
    battles = Battle.objects.bulk_create(
        Battle(
            arena=arena,
            pair=pair,
            prompt=prompt,
            system_a=one,
            system_b=other,
            output_a=a,
            output_b=b,
        )
        for prompt, a, b in zip(prompts, *outputs, strict=True)
    )
    people = cast.make_judge(arena)
    truth = [Outcome(drawn) for drawn in np.random.default_rng(seed).integers(0, 3, n).tolist()]
    truth = [outcome.mirrored for outcome in truth] if mirrored else truth
    crowd = [Voter(judge=people, handle=f"voter-{v}") for v in range(voters)]
    for voter in Voter.objects.bulk_create(crowd):
        say(people, battles, truth, voter=voter)
    return arena


def truth_of(arena: Arena) -> tuple[list[Battle], list[int]]:
    """(battles, what people say), by battle."""
    rows = Verdict.objects.filter(judge__slug="people", voter__handle="voter-0")
    said = dict(rows.values_list("battle", "outcome"))
    battles = list(Battle.objects.filter(arena=arena).order_by("pk"))
    return battles, [said[battle.pk] for battle in battles]


def say(judge: Judge, battles, outcomes, confidences=None, voter=None) -> None:
    now = timezone.now()
    confidences = [None] * len(battles) if confidences is None else confidences
    Verdict.objects.bulk_create(
        Verdict(
            arena_id=battle.arena_id, battle=battle, pair_id=battle.pair_id, prompt_id=battle.prompt_id,
            judge=judge, voter=voter, outcome=outcome, confidence=confidence, cast_at=now,
        )
        for battle, outcome, confidence in zip(battles, outcomes, confidences, strict=True)
    )  # fmt: skip


def make_sure_judge(arena: Arena, name: str, *, accuracy, seed: int, kind=Judge.Kind.LLM) -> Judge:
    """Says what people say with probability ``accuracy(confidence)``, else something else."""
    rng = np.random.default_rng(seed)
    battles, truth = truth_of(arena)
    confidence = rng.random(len(battles)).round(3)
    right = rng.random(len(battles)) < accuracy(confidence)
    other = (np.array(truth) + rng.integers(1, 3, len(battles))) % 3
    judge = cast.make_judge(arena, name, kind)
    outcomes = np.where(right, truth, other).tolist()
    say(judge, battles, [Outcome(outcome) for outcome in outcomes], confidence.tolist())
    return judge
