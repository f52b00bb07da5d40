"""The small cast that tests share: one arena, a few systems, alice and bob who vote."""

from collections.abc import Iterable
from itertools import combinations

from django.utils import timezone

from arena.models import Arena, Battle, Output, Pair, Prompt, System
from judges.models import Judge, Outcome, Verdict, Voter


def make_arena(slug: str = "poems", **fields) -> Arena:
    return Arena.objects.create(slug=slug, name=fields.pop("name", slug.title()), **fields)


def make_system(arena: Arena, name: str, **fields) -> System:
    return System.objects.create(
        arena=arena, name=name, slug=fields.pop("slug", name.lower().replace(" ", "-")), **fields
    )


def make_prompt(arena: Arena, text: str = "Write a poem.", **fields) -> Prompt:
    return Prompt.objects.create(
        arena=arena, messages=[{"role": "user", "content": text}], **fields
    )


def make_output(system: System, prompt: Prompt, text: str = "Roses are red.") -> Output:
    return Output.objects.create(arena=system.arena, system=system, prompt=prompt, text=text)


def make_judge(arena: Arena, name: str = "People", kind: str = Judge.Kind.CROWD, **fields) -> Judge:
    return Judge.objects.create(
        arena=arena, name=name, slug=name.lower().replace(" ", "-"), kind=kind, **fields
    )


def make_voter(judge: Judge, handle: str = "alice") -> Voter:
    return Voter.objects.create(judge=judge, handle=handle)


def make_battle(one: System, other: System, prompt: Prompt) -> Battle:
    """The battle of two systems on a prompt; their outputs are made where they are missing."""
    a, b = sorted((one, other), key=lambda system: system.pk)
    pair, _ = Pair.objects.get_or_create(arena=a.arena, system_a=a, system_b=b)
    outputs = [
        Output.objects.filter(system=system, prompt=prompt).first()
        or make_output(system, prompt, f"{system.name} answers.")
        for system in (a, b)
    ]
    return Battle.objects.create(
        arena=a.arena,
        pair=pair,
        prompt=prompt,
        system_a=a,
        system_b=b,
        output_a=outputs[0],
        output_b=outputs[1],
    )


def make_verdict(
    battle: Battle, judge: Judge, outcome: Outcome, voter: Voter | None = None, **fields
) -> Verdict:
    return Verdict.objects.create(
        arena_id=battle.arena_id,
        battle=battle,
        pair_id=battle.pair_id,
        prompt_id=battle.prompt_id,
        judge=judge,
        voter=voter,
        outcome=outcome,
        cast_at=fields.pop("cast_at", timezone.now()),
        **fields,
    )


def make_small_arena(
    names: Iterable[str] = ("Ada", "Basil", "Cleo", "Dora"), *, prompts: int = 6
) -> Arena:
    """Four systems, a crowd of two and an LLM: every pair has a battle on every prompt.

    People prefer the alphabetically earlier system except on every third prompt; the LLM ties on the
    first prompt and otherwise agrees with that on all but every fourth. Rows are made in bulk: hundreds of
    tests begin with this arena.
    """
    arena = make_arena()
    systems = [make_system(arena, name, organisation=f"{name} Labs") for name in names]
    people, llm = make_judge(arena), make_judge(arena, "Judge LLM", Judge.Kind.LLM)
    voters = [make_voter(people, handle) for handle in ("alice", "bob")]
    prompted = [make_prompt(arena, f"Write poem number {number}.") for number in range(prompts)]
    outputs = {
        (output.prompt_id, output.system_id): output
        for output in Output.objects.bulk_create(
            Output(arena=arena, system=system, prompt=prompt, text=f"{system.name} answers.")
            for prompt in prompted
            for system in systems
        )
    }
    pairs = Pair.objects.bulk_create(
        Pair(arena=arena, system_a=a, system_b=b) for a, b in combinations(systems, 2)
    )
    battles = Battle.objects.bulk_create(
        Battle(
            arena=arena,
            pair=pair,
            prompt=prompt,
            system_a=pair.system_a,
            system_b=pair.system_b,
            output_a=outputs[prompt.pk, pair.system_a_id],
            output_b=outputs[prompt.pk, pair.system_b_id],
        )
        for prompt in prompted
        for pair in pairs
    )
    verdicts = []
    for number, prompt in enumerate(prompted):
        for battle in battles[number * len(pairs) : (number + 1) * len(pairs)]:
            second = systems.index(battle.system_b)
            said = [
                (people, voter, [Outcome.A, Outcome.B][(number + index + second) % 3 == 0])
                for index, voter in enumerate(voters)
            ]
            agrees = [Outcome.A, Outcome.B][number % 4 == 3]
            said.append((llm, None, Outcome.TIE if number == 0 else agrees))
            verdicts += [
                Verdict(
                    arena=arena,
                    battle=battle,
                    pair_id=battle.pair_id,
                    prompt=prompt,
                    judge=judge,
                    voter=voter,
                    outcome=outcome,
                    cast_at=timezone.now(),
                )
                for judge, voter, outcome in said
            ]
    Verdict.objects.bulk_create(verdicts)
    return arena
