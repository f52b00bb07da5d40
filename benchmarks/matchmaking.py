"""The next battle at a million battles: which indexes its queries use, and how long it takes.

    python -m benchmarks.matchmaking                       # SQLite, a million battles
    DATABASE_URL=postgres://… python -m benchmarks.matchmaking --battles 1000000

Fills a database of its own with 200 systems that all answered the same prompts, and with battles between them;
draws the next ballot for many voters who have some votes already; prints the time of a ballot beside the
time of a bare SELECT by primary key, and how the database answers each query. Exits with 1 when one of them
reads a whole table.
"""

import argparse
import os
import random  # noqa: TID251 (which battle is drawn needn't be reproducible)
import re
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, reset_queries, transaction  # noqa: E402 (after setup)
from django.test.utils import CaptureQueriesContext  # noqa: E402

from arena.matchmaking import plan_pairs  # noqa: E402
from arena.models import Arena, Output, Pair, Prompt, System  # noqa: E402
from judges.ballots import cast_ballot, next_ballot  # noqa: E402
from judges.models import Outcome, Voter  # noqa: E402
from judges.voters import crowd_of  # noqa: E402

SYSTEMS = 200
BATCH = 5_000
LARGE = ("arena_battle", "arena_output", "arena_pair", "judges_ballot", "judges_verdict")


def fill(battles: int) -> Arena:
    arena = Arena.objects.create(
        slug="large",
        name="Large",
        is_open=True,
        policy={"overlap_share": 0.3, "repeat_share": 0.1, "gold_share": 0},
    )
    n_pairs = SYSTEMS * (SYSTEMS - 1) // 2
    n_prompts = -(-battles // n_pairs)
    systems = System.objects.bulk_create(
        System(arena=arena, slug=f"s{i:03}", name=f"s{i:03}") for i in range(SYSTEMS)
    )
    texts = [[{"role": "user", "content": f"Question {i}?"}] for i in range(n_prompts)]
    prompts = Prompt.objects.bulk_create(
        Prompt(arena=arena, messages=m, digest=Prompt.content_digest(m)) for m in texts
    )
    Output.objects.bulk_create(
        (
            Output(arena=arena, system=s, prompt=p, text=f"{s.pk} to {p.pk}", leak="")
            for s in systems
            for p in prompts
        ),
        batch_size=BATCH,
    )
    plan_pairs(arena=arena)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO arena_battle (arena_id, pair_id, prompt_id, system_a_id, system_b_id,
                                      output_a_id, output_b_id, created_at)
            SELECT pair.arena_id, pair.id, a.prompt_id, pair.system_a_id, pair.system_b_id,
                   a.id, b.id, CURRENT_TIMESTAMP
            FROM arena_pair pair
            JOIN arena_output a ON a.system_id = pair.system_a_id
            JOIN arena_output b ON b.system_id = pair.system_b_id AND b.prompt_id = a.prompt_id
            LIMIT %s
            """,
            [battles],
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return arena


def plan_of(sql: str) -> list[str]:
    """How the database answers a query, one line a step."""
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        cursor.execute(explain + sql.replace("%", "%%"))
        return [str(row[-1]) for row in cursor.fetchall()]


def reads_all(step: str) -> bool:
    """Whether a step of a plan reads one of the large tables from end to end."""
    whole = re.search(r"\b(?:SCAN|Seq Scan on)\s+(\w+)(.*)", step)
    if not whole or whole[1] not in LARGE:
        return False
    return connection.vendor == "postgresql" or "USING" not in whole[2]


def measure(arena: Arena, *, voters: int, votes: int) -> bool:
    judge = crowd_of(arena)
    people = Voter.objects.bulk_create(
        Voter(judge=judge, handle=f"voter-{i}") for i in range(voters)
    )
    rng = random.Random(1)
    seconds, bare, queries = [], [], []
    for _ in range(votes):
        for voter in people:
            reset_queries()
            begin = time.perf_counter()
            with CaptureQueriesContext(connection) as asked:
                ballot = next_ballot(arena=arena, voter=voter, rng=rng)
            seconds.append(time.perf_counter() - begin)
            queries.append([query["sql"] for query in asked.captured_queries])
            begin = time.perf_counter()
            Pair.objects.get(pk=ballot.battle.pair_id)
            bare.append(time.perf_counter() - begin)
            cast_ballot(ballot=ballot, outcome=rng.choice(list(Outcome)))
    half, tail = (sorted(seconds)[int(len(seconds) * share)] * 1000 for share in (0.5, 0.95))
    base = sorted(bare)[len(bare) // 2] * 1000
    longest = max(queries, key=len)
    print(f"  next ballot: {len(seconds):,} draws, p50 {half:.1f} ms, p95 {tail:.1f} ms; a SELECT by "
          f"primary key takes {base:.2f} ms; at most {len(longest)} queries")  # fmt: skip
    seen, scans = set(), []
    for sql in (sql for some in queries for sql in some):
        shape = re.sub(r"'[^']*'|\b[0-9][0-9.e+-]*", "?", sql)
        shape = re.sub(r"\(\?(?:, \?)+\)", "(?)", shape)
        if not sql.startswith("SELECT") or shape in seen:
            continue
        seen.add(shape)
        steps = plan_of(sql)
        for step in steps:
            if reads_all(step):
                scans.append((shape, step))
    print(f"  {len(seen)} kinds of SELECT, of which {len(scans)} read a whole large table")
    for shape, step in scans:
        print(f"    {step}\n      {shape[:400]}")
    return not scans


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--battles", type=int, default=1_000_000)
    parser.add_argument("--voters", type=int, default=50)
    parser.add_argument("--votes", type=int, default=20, help="of each voter")
    given = parser.parse_args()
    configured = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = (
        f"{configured}.benchmark" if connection.vendor == "sqlite" else "benchmark_matchmaking"
    )
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        begin = time.perf_counter()
        arena = fill(given.battles)
        print(f"{connection.vendor}: {arena.battles.count():,} battles of {SYSTEMS} systems "
              f"({arena.pairs.count():,} pairs), filled in {time.perf_counter() - begin:.0f} s")  # fmt: skip
        good = measure(arena, voters=given.voters, votes=given.votes)
    finally:
        connection.creation.destroy_test_db(configured, verbosity=0)
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
