"""Which battle next: a pair by its priority, a prompt that both systems answered, the battle of the two.

Priorities are written when ratings are refreshed. Drawing only reads: one look into the index of their running
sums, one into the index of outputs by system and prompt.
"""

import random  # noqa: TID251 (the caller's: who gets which battle must not be foreseeable)
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import Exists, F, Max, Min, OuterRef, Q, QuerySet, Sum

from arena.models import Arena, Battle, Output, Pair, Standing, System

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
            return _battle(arena, pair, rng.choice(prompts))
    return _any_left(arena, seen, rng)


def set_priorities(*, arena: Arena, priorities: Mapping[int, float]) -> None:
    """Write how much the next verdict of each pair (by id) is worth; pairs that aren't named aren't drawn.

    Nor are those with a system that is hidden or deprecated, whatever is said of them.
    """
    total, rows = 0.0, []
    stored = Pair.objects.filter(arena=arena).order_by("pk")
    with transaction.atomic():
        barred = _barred(arena)
        for pk, *before in stored.values_list("pk", "priority", "cumulative"):
            priority = 0.0 if pk in barred else max(0.0, priorities.get(pk, 0.0))
            total += priority
            after = [priority, total if priority else None]
            if after != before:
                rows.append((*after, pk))
        # One statement, sent with all its rows: bulk_update takes forty times as long for 20,000 pairs.
        with connection.cursor() as cursor:
            cursor.executemany(_WRITE, rows)


class Drawn(NamedTuple):
    """How often a system takes part in the battles that people are asked about next, as shares of them.

    ``even`` is the share where every system took part alike; ``n_systems`` how many are drawn.
    """

    share: float
    even: float
    n_systems: int


def how_often_drawn(system: System) -> Drawn | None:
    """None where nothing is drawn, or not of this system."""
    pairs = Pair.objects.filter(arena=system.arena_id, cumulative__isnull=False)
    mine = pairs.filter(Q(system_a=system) | Q(system_b=system)).aggregate(sum=Sum("priority"))
    total = pairs.aggregate(most=Max("cumulative"))["most"]
    if not mine["sum"] or not total:
        return None
    pairs = pairs.order_by()
    sides = pairs.values_list("system_a_id").union(pairs.values_list("system_b_id"))
    n_systems = sides.count()
    # A battle has two sides, so the shares of all systems together are 2.
    return Drawn(min(1.0, mine["sum"] / total), 2 / n_systems, n_systems)


def plan_pairs(*, arena: Arena, of: System | None = None) -> int:
    """Make the pairs of systems that share a prompt, or those of one system; how many are new.

    New pairs get the mean priority of those that are there, so that nothing waits for the next refresh.
    """
    with transaction.atomic():
        there = set(Pair.objects.filter(arena=arena).values_list("system_a_id", "system_b_id"))
        shared = _sharing(arena) if of is None else _sharing_with(of)
        new = [
            Pair(arena=arena, system_a_id=a, system_b_id=b)
            for a, b in shared
            if (a, b) not in there
        ]
        Pair.objects.bulk_create(new, batch_size=WRITTEN_AT_ONCE)
        pairs = list(Pair.objects.filter(arena=arena).values_list("pk", "priority", "cumulative"))
        planned = [priority for _, priority, cumulative in pairs if cumulative is not None]
        usual = sum(planned) / len(planned) if planned else 1.0
        barred = _barred(arena)
        if any((cumulative is None) != (pk in barred) for pk, _, cumulative in pairs):
            set_priorities(
                arena=arena,
                priorities={
                    pk: usual if cumulative is None else priority
                    for pk, priority, cumulative in pairs
                },
            )
    return len(new)


def _barred(arena: Arena) -> set[int]:
    """Pairs that nobody is asked about: with a system that is hidden, or deprecated."""
    systems = System.objects.filter(arena=arena).exclude(standing=Standing.PUBLISHED)
    keys = set(systems.order_by().values_list("pk", flat=True))
    if not keys:
        return set()
    pairs = Pair.objects.filter(Q(system_a__in=keys) | Q(system_b__in=keys), arena=arena)
    return set(pairs.values_list("pk", flat=True))


def make_battles(
    *, arena: Arena, of: Mapping[tuple[int, int], int]
) -> dict[tuple[int, int], tuple[int, int]]:
    """(battle, pair) by two outputs, that of the lower system first; those that are missing are made.

    ``of`` gives the prompt of every two outputs. The pairs of their systems must be there: see plan_pairs.
    """
    outputs = {output for both in of for output in both}
    system_of = dict(Output.objects.filter(pk__in=outputs).values_list("pk", "system_id"))
    systems = {(system_of[a], system_of[b]) for a, b in of}
    pairs = {
        (a, b): pk
        for pk, a, b in Pair.objects.filter(
            arena=arena, system_a__in={a for a, _ in systems}, system_b__in={b for _, b in systems}
        ).values_list("pk", "system_a_id", "system_b_id")
    }
    Battle.objects.bulk_create(
        (
            Battle(
                arena=arena,
                pair_id=pairs[system_of[a], system_of[b]],
                prompt_id=prompt,
                system_a_id=system_of[a],
                system_b_id=system_of[b],
                output_a_id=a,
                output_b_id=b,
            )
            for (a, b), prompt in of.items()
        ),
        ignore_conflicts=True,
    )
    there = Battle.objects.filter(
        output_a__in={a for a, _ in of}, output_b__in={b for _, b in of}
    ).values_list("output_a_id", "output_b_id", "pk", "pair_id")
    return {(a, b): (pk, pair) for a, b, pk, pair in there if (a, b) in of}


def _sharing(arena: Arena) -> Iterable[tuple[int, int]]:
    """Every two systems with outputs to the same prompt, the lower id first."""
    return (
        Output.objects.filter(arena=arena, prompt__outputs__system__gt=F("system"))
        .order_by()
        .values_list("system_id", "prompt__outputs__system_id")
        .distinct()
    )


def _sharing_with(system: System) -> Iterable[tuple[int, int]]:
    """The same of one system: a fraction of the work where there are many others."""
    prompts = Output.objects.filter(system=system).values("prompt")
    others = Output.objects.filter(prompt__in=prompts).exclude(system=system).order_by()
    return [
        (min(system.pk, other), max(system.pk, other))
        for other in others.values_list("system_id", flat=True).distinct()
    ]


class _Drawn(NamedTuple):
    pair: int
    system_a: int
    system_b: int


# Every voter waits for these three. The ORM would take longer to write them than the database to answer.
_PAIR = """
    SELECT id, system_a_id, system_b_id FROM arena_pair
    WHERE arena_id = %s
        AND cumulative >= %s * (SELECT MAX(cumulative) FROM arena_pair WHERE arena_id = %s)
    ORDER BY cumulative LIMIT 1
"""
_ENDS = "SELECT MIN(prompt_id), MAX(prompt_id) FROM arena_output WHERE system_id = %s"
_PROMPTS = """
    SELECT a.prompt_id, a.id, b.id
    FROM arena_output a JOIN arena_output b ON b.prompt_id = a.prompt_id AND b.system_id = %s
    WHERE a.system_id = %s AND a.prompt_id BETWEEN %s AND %s
        AND a.text <> '' AND (a.leak IS NULL OR a.leak = '')
        AND b.text <> '' AND (b.leak IS NULL OR b.leak = '')
        AND NOT EXISTS (
            SELECT 1 FROM arena_battle had
            WHERE had.output_a_id = a.id AND had.output_b_id = b.id AND had.id IN ({seen})
        )
    ORDER BY a.prompt_id LIMIT %s
"""


def _draw_pair(arena: Arena, rng: random.Random) -> _Drawn | None:
    # In (0, 1]: a pair of priority 0 has no sum of its own.
    rows = _fetch(_PAIR, [arena.pk, 1 - rng.random(), arena.pk])
    return _Drawn(*rows[0]) if rows else None


def _prompts(pair: _Drawn, seen: QuerySet, rng: random.Random) -> list[tuple[int, int, int]]:
    """Up to PROMPTS of (prompt, output of a, output of b) from a random prompt on, and on from the start."""
    [(low, high)] = _fetch(_ENDS, [pair.system_a])
    if low is None:
        return []
    had, params = _sql_of(seen)
    asked = _PROMPTS.format(seen=had)
    start = rng.randint(low, high)

    def between(first: int, last: int, most: int) -> list[tuple[int, int, int]]:
        return _fetch(asked, [pair.system_b, pair.system_a, first, last, *params, most])

    rows = between(start, high, PROMPTS)
    if len(rows) < PROMPTS and start > low:
        rows += between(low, start - 1, PROMPTS - len(rows))
    return rows


def _fetch(sql: str, params: list) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def _sql_of(seen: QuerySet) -> tuple[str, tuple]:
    try:
        return seen.query.sql_with_params()
    except EmptyResultSet:
        return "SELECT 0 WHERE 1 = 0", ()  # 0 and not NULL: PostgreSQL takes a lone NULL for text


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
    pair = Pair.objects.get(system_a=system_a, system_b=system_b)
    return _battle(arena, _Drawn(pair.pk, system_a, system_b), tuple(row))


def _battle(arena: Arena, pair: _Drawn, row: tuple[int, int, int]) -> Battle:
    prompt, output_a, output_b = row
    battle, _ = Battle.objects.get_or_create(
        output_a_id=output_a,
        output_b_id=output_b,
        defaults={
            "arena_id": arena.pk,
            "pair_id": pair.pair,
            "prompt_id": prompt,
            "system_a_id": pair.system_a,
            "system_b_id": pair.system_b,
        },
    )
    return battle
