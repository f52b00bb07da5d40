"""Which battle next: a pair by its priority, a prompt that both systems answered, the battle of the two.

Priorities are written when ratings are refreshed. Drawing only reads: one look into the index of their running
sums, one into the index of outputs by system and prompt.
"""

import random  # noqa: TID251 (the caller's: who gets which battle must not be foreseeable)
from collections.abc import Mapping

from django.db import connection, transaction
from django.db.models import Exists, F, Max, Min, OuterRef, Q, QuerySet

from arena.models import Arena, Battle, Output, Pair

TRIES = 6  # pairs that are drawn before all are looked through
PROMPTS = 50  # how many are chosen among
WRITTEN_AT_ONCE = 1_000
_WRITE = f"UPDATE {Pair._meta.db_table} SET priority = %s, cumulative = %s WHERE id = %s"  # noqa: S608

_SHOWN = ~Q(text="") & (Q(leak=None) | Q(leak=""))


def draw_battle(*, arena: Arena, seen: QuerySet, rng: random.Random) -> Battle | None:
    """A battle for a voter who has had those of ``seen`` (ids); None when there is no other.

    Outputs that are blank or give their system away aren't shown.
    """
    for _ in range(TRIES):
        pair = _draw_pair(arena, rng)
        if pair is None:
            return None
        if prompts := _prompts(pair, seen, rng):
            return _battle(pair, rng.choice(prompts))
    return _any_left(arena, seen, rng)


def set_priorities(*, arena: Arena, priorities: Mapping[int, float]) -> None:
    """Write how much the next verdict of each pair (by id) is worth; pairs that aren't named aren't drawn."""
    total, rows = 0.0, []
    stored = Pair.objects.filter(arena=arena).order_by("pk")
    with transaction.atomic():
        for pk, *before in stored.values_list("pk", "priority", "cumulative"):
            priority = max(0.0, priorities.get(pk, 0.0))
            total += priority
            after = [priority, total if priority else None]
            if after != before:
                rows.append((*after, pk))
        # One statement, sent with all its rows: bulk_update takes forty times as long for 20,000 pairs.
        with connection.cursor() as cursor:
            cursor.executemany(_WRITE, rows)


def plan_pairs(*, arena: Arena) -> int:
    """Make the pairs of systems that share a prompt; how many are new.

    New pairs get the mean priority of those that are there, so that nothing waits for the next refresh.
    """
    with transaction.atomic():
        there = set(Pair.objects.filter(arena=arena).values_list("system_a_id", "system_b_id"))
        first = Output.objects.filter(arena=arena)
        shared = (
            first.filter(prompt__outputs__system__gt=F("system"))
            .order_by()
            .values_list("system_id", "prompt__outputs__system_id")
            .distinct()
        )
        new = [
            Pair(arena=arena, system_a_id=a, system_b_id=b)
            for a, b in shared
            if (a, b) not in there
        ]
        Pair.objects.bulk_create(new, batch_size=WRITTEN_AT_ONCE)
        pairs = list(Pair.objects.filter(arena=arena).values_list("pk", "priority", "cumulative"))
        planned = [priority for _, priority, cumulative in pairs if cumulative is not None]
        usual = sum(planned) / len(planned) if planned else 1.0
        if len(planned) < len(pairs):
            set_priorities(
                arena=arena,
                priorities={
                    pk: usual if cumulative is None else priority
                    for pk, priority, cumulative in pairs
                },
            )
    return len(new)


def _draw_pair(arena: Arena, rng: random.Random) -> Pair | None:
    pairs = Pair.objects.filter(arena=arena, cumulative__isnull=False)
    last = pairs.order_by("-cumulative").first()
    if last is None:
        return None
    # In (0, total]: a pair of priority 0 has no sum of its own.
    at = (1 - rng.random()) * last.cumulative
    return pairs.filter(cumulative__gte=at).order_by("cumulative").first() or last


def _prompts(pair: Pair, seen: QuerySet, rng: random.Random) -> list[tuple[int, int, int]]:
    """Up to PROMPTS of (prompt, output of a, output of b) from a random prompt on, and on from the start."""
    found = _answered(pair.system_a_id, pair.system_b_id, seen)
    ends = Output.objects.filter(system_id=pair.system_a_id).aggregate(
        low=Min("prompt_id"), high=Max("prompt_id")
    )
    if ends["low"] is None:
        return []
    start = rng.randint(ends["low"], ends["high"])
    rows = list(found.filter(prompt_id__gte=start)[:PROMPTS])
    if len(rows) < PROMPTS:
        rows += found.filter(prompt_id__lt=start)[: PROMPTS - len(rows)]
    return rows


def _answered(system_a: int, system_b: int, seen: QuerySet) -> QuerySet:
    answers_b = Output.objects.filter(_SHOWN, system_id=system_b)
    had = Battle.objects.filter(output_a=OuterRef("pk"), output_b__system_id=system_b, pk__in=seen)
    return (
        Output.objects.filter(_SHOWN, system_id=system_a, prompt__outputs__in=answers_b)
        .exclude(Exists(had))
        .order_by("prompt_id")
        .values_list("prompt_id", "pk", "prompt__outputs__pk")
    )


def _any_left(arena: Arena, seen: QuerySet, rng: random.Random) -> Battle | None:
    """For a voter who has had nearly everything, or where few prompts are shared: any pair at all."""
    ends = Output.objects.filter(arena=arena).aggregate(low=Min("prompt_id"), high=Max("prompt_id"))
    if ends["low"] is None:
        return None
    start = rng.randint(ends["low"], ends["high"])
    had = Battle.objects.filter(
        output_a=OuterRef("pk"), output_b=OuterRef("prompt__outputs"), pk__in=seen
    )
    drawn = Pair.objects.filter(
        system_a=OuterRef("system"),
        system_b=OuterRef("prompt__outputs__system"),
        cumulative__isnull=False,
    )
    # One filter, so that all of its conditions speak of the same other output.
    left = (
        Output.objects.filter(
            _SHOWN,
            Exists(drawn),
            ~Exists(had),
            arena=arena,
            prompt__outputs__in=Output.objects.filter(_SHOWN, arena=arena),
            prompt__outputs__system__gt=F("system"),
        )
        .order_by("prompt_id")
        .values_list(
            "system_id", "prompt__outputs__system_id", "prompt_id", "pk", "prompt__outputs__pk"
        )
    )
    rows = list(left.filter(prompt_id__gte=start)[:PROMPTS])
    rows = rows or list(left.filter(prompt_id__lt=start)[:PROMPTS])
    if not rows:
        return None
    system_a, system_b, *row = rng.choice(rows)
    return _battle(Pair.objects.get(system_a=system_a, system_b=system_b), tuple(row))


def _battle(pair: Pair, row: tuple[int, int, int]) -> Battle:
    prompt, output_a, output_b = row
    battle, _ = Battle.objects.get_or_create(
        output_a_id=output_a,
        output_b_id=output_b,
        defaults={
            "arena_id": pair.arena_id,
            "pair": pair,
            "prompt_id": prompt,
            "system_a_id": pair.system_a_id,
            "system_b_id": pair.system_b_id,
        },
    )
    return battle
