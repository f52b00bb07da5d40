"""How long a leaderboard takes from the verdicts in a database, against its floor.

    python -m benchmarks.rebuild --verdicts 1000000
    DATABASE_URL=postgres://… python -m benchmarks.rebuild

Fills a database of its own (made beside the configured one, dropped again) with battles of 200 systems on
500 prompts and builds the people's snapshot. The floor is the bare GROUP BY with its rows fetched, plus
the time that the engine itself reports; the aim is at most three times the GROUP BY plus the engine.
"""

import argparse
import os
import time
from datetime import UTC, datetime

import django
import numpy as np

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402 (after setup)
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from arena.models import Arena, Battle, Output, Pair, Prompt, System  # noqa: E402
from judges.models import Judge, Verdict, Voter  # noqa: E402
from ratings import cells, snapshots  # noqa: E402
from ratings.slices import Slice  # noqa: E402

SYSTEMS, PROMPTS, BATTLES = 200, 500, 100_000
MOST_VERDICTS = 5_000_000
BLOCK = 20_000


def fill(n: int) -> Arena:
    rng = np.random.default_rng(1)
    arena = Arena.objects.create(slug="benchmark", name="Benchmark")
    systems = System.objects.bulk_create(
        System(arena=arena, slug=f"s{i:03}", name=f"s{i:03}") for i in range(SYSTEMS)
    )
    prompts = Prompt.objects.bulk_create(
        Prompt(
            arena=arena,
            messages=[{"role": "user", "content": str(i)}],
            digest=Prompt.content_digest([{"role": "user", "content": str(i)}]),
        )
        for i in range(PROMPTS)
    )
    outputs = np.array(
        [
            output.pk
            for output in Output.objects.bulk_create(
                (
                    Output(arena=arena, system=s, prompt=p, text="…")
                    for s in systems
                    for p in prompts
                ),
                batch_size=5000,
            )
        ]
    ).reshape(SYSTEMS, PROMPTS)
    a, b = np.triu_indices(SYSTEMS, 1)
    pairs = Pair.objects.bulk_create(
        (
            Pair(arena=arena, system_a=systems[i], system_b=systems[j])
            for i, j in zip(a, b, strict=True)
        ),
        batch_size=5000,
    )
    chosen = rng.choice(len(pairs) * PROMPTS, BATTLES, replace=False)
    of_pair, of_prompt = np.divmod(chosen, PROMPTS)
    battles = Battle.objects.bulk_create(
        (
            Battle(
                arena=arena,
                pair=pairs[p],
                prompt=prompts[x],
                system_a_id=pairs[p].system_a_id,
                system_b_id=pairs[p].system_b_id,
                output_a_id=int(outputs[a[p], x]),
                output_b_id=int(outputs[b[p], x]),
            )
            for p, x in zip(of_pair.tolist(), of_prompt.tolist(), strict=True)
        ),
        batch_size=5000,
    )
    people = Judge.objects.create(arena=arena, slug="people", name="People", kind=Judge.Kind.CROWD)
    voters = Voter.objects.bulk_create(
        Voter(judge=people, handle=f"v{i}") for i in range(-(-n // BATTLES))
    )
    theta = rng.normal(0, 0.7, SYSTEMS)
    gap = theta[a[of_pair]] - theta[b[of_pair]]
    columns = [
        "arena_id", "battle_id", "pair_id", "prompt_id", "judge_id", "voter_id", "criterion",
        "outcome", "repetition", "cast_at",
    ]  # fmt: skip
    marks = ", ".join(["%s"] * len(columns))
    insert = f"INSERT INTO judges_verdict ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608
    now = datetime(2026, 1, 1, tzinfo=UTC)
    now = now.replace(tzinfo=None) if connection.vendor == "sqlite" else now
    for start in range(0, n, BLOCK):
        number = np.arange(start, min(start + BLOCK, n))
        which = number % BATTLES
        draw = rng.random((2, len(number)))
        won = draw[0] < 1 / (1 + np.exp(-gap[which]))
        outcome = np.where(draw[1] < 0.15, 2, np.where(won, 0, 1)).tolist()
        rows = [
            (
                arena.pk, battles[w].pk, battles[w].pair_id, battles[w].prompt_id, people.pk,
                voters[i // BATTLES].pk, "", y, 0, str(now),
            )
            for i, w, y in zip(number.tolist(), which.tolist(), outcome, strict=True)
        ]  # fmt: skip
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(insert, rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        if connection.vendor == "postgresql":
            connection.set_autocommit(True)
            cursor.execute("VACUUM judges_verdict")
    return arena


def bare_group_by(judge: Judge) -> float:
    """Seconds for the counting itself, rows fetched, by the driver alone."""
    begin = time.perf_counter()
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            "SELECT pair_id, outcome, prompt_id, COUNT(*) FROM judges_verdict "
            "WHERE judge_id = %s AND criterion = '' GROUP BY pair_id, outcome, prompt_id",
            [judge.pk],
        )
        while cursor.fetchmany(50_000):
            pass
    return time.perf_counter() - begin


def measure(n: int, rounds: int) -> None:
    begin = time.perf_counter()
    arena = fill(n)
    print(f"{connection.vendor}: filled {Verdict.objects.count():,} verdicts "
          f"in {time.perf_counter() - begin:.0f} s")  # fmt: skip
    judge = arena.judges.get()
    floor = min(bare_group_by(judge) for _ in range(3))
    counts, totals = [], []
    for seed in range(3):
        begin = time.perf_counter()
        cells.count(arena=arena, slice=Slice())
        counts.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        snapshot = snapshots.build(arena=arena, slice=Slice(), rounds=rounds, seed=seed)
        totals.append((time.perf_counter() - begin, snapshot.timings))
    total, timings = min(totals, key=lambda pair: pair[0])
    engine = sum(seconds for step, seconds in timings.items() if step != "count")
    print(f"  bare GROUP BY           {floor:6.2f} s")
    print(
        f"  cells.count             {min(counts):6.2f} s   {min(counts) / floor:.2f} x the GROUP BY"
    )
    print(f"  engine ({rounds:,} rounds)   {engine:6.2f} s   by {snapshot.get_interval_display()}")
    print(f"  snapshot, all of it     {total:6.2f} s   "
          f"{(total - engine) / floor:.2f} x the GROUP BY, beside the engine")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--verdicts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1000)
    options = parser.parse_args()
    if not 1000 <= options.verdicts <= MOST_VERDICTS:
        parser.error(f"--verdicts must lie between 1,000 and {MOST_VERDICTS:,}.")
    made = setup_databases(verbosity=0, interactive=False)
    try:
        measure(options.verdicts, options.rounds)
    finally:
        teardown_databases(made, verbosity=0)


if __name__ == "__main__":
    main()
