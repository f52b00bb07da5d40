"""How fast a judged dataset is imported, in how much memory, and how far that is from the floor.

    python -m benchmarks.importing --rows 1000000 --shape own
    DATABASE_URL=postgres://… python -m benchmarks.importing --rows 1000000 --shape shared

Makes a CSV file, imports it into a database of its own (made beside the configured one and dropped again)
and prints verdicts a second (by the clock, and of processor time, for machines with other work), the peak
of this process's memory, and the ratio to the floor: the same rows read by the csv module and put into one
bare table without any index, by the driver alone.
Shapes: ``own``: no outputs, every row its own battle; ``shared``: many voters on battles with outputs;
``named``: no outputs, prompts named by question_id, three judges on each battle.
"""

import argparse
import csv
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import django
import numpy as np

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402 (after setup)

from judges.importing import import_dataset  # noqa: E402
from judges.models import Verdict  # noqa: E402

MOST_ROWS = 5_000_000
WINNERS = ("model_a", "model_b", "tie", "tie (bothbad)")
SYSTEMS, PROMPTS, BATTLES, VOTERS = 200, 500, 50_000, 2_000
BLOCK = 10_000


def rows_of(shape: str, n: int, rng: np.random.Generator) -> Iterator[list[str]]:
    """The header, then n rows."""
    yield {
        "own": ["model_a", "model_b", "winner", "tstamp", "language"],
        "shared": ["question_id", "prompt", "model_a", "model_b", "response_a", "response_b",
                   "winner", "judge"],
        "named": ["question_id", "model_a", "model_b", "winner", "judge"],
    }[shape]  # fmt: skip
    battles = _battles(rng)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        winners = rng.choice(4, size=size, p=[0.4, 0.35, 0.15, 0.1]).tolist()
        if shape == "own":
            sides = _two(rng, size).tolist()
            for i, ((a, b), w) in enumerate(zip(sides, winners, strict=True), start=start):
                yield [_name(a), _name(b), WINNERS[w], str(1_700_000_000 + i / 8), "English"]
        elif shape == "named":
            for i, w in enumerate(winners, start=start):
                a, b, x = battles[(i // 3) % BATTLES].tolist()
                question = f"{x}-{i // 3}"
                yield [question, _name(a), _name(b), WINNERS[w], f"judge-{i % 3}"]
        else:
            # Each voter decides each battle at most once.
            for i, w in enumerate(winners, start=start):
                a, b, x = battles[i % BATTLES].tolist()
                voter = f"arena_user_{(i // BATTLES) + (i % BATTLES) * 7 % VOTERS}"
                texts = [_text(f"{s}-{x}") for s in (a, b)]
                yield [str(x), _text(f"q{x}"), _name(a), _name(b), *texts, WINNERS[w], voter]


def _battles(rng: np.random.Generator) -> np.ndarray:
    """(BATTLES, 3): two systems in either order, and a prompt; no battle twice."""
    a, b = np.triu_indices(SYSTEMS, 1)
    chosen = rng.choice(len(a) * PROMPTS, size=BATTLES, replace=False)
    sides = np.column_stack([a[chosen // PROMPTS], b[chosen // PROMPTS]])
    sides = rng.permuted(sides, axis=1)
    return np.column_stack([sides, chosen % PROMPTS])


def _two(rng: np.random.Generator, size: int) -> np.ndarray:
    a = rng.integers(SYSTEMS, size=size)
    return np.column_stack([a, (a + 1 + rng.integers(SYSTEMS - 1, size=size)) % SYSTEMS])


def _name(system: int) -> str:
    return f"system-{system:03}"


def _text(seed: str) -> str:
    return f"{seed}: " + "an answer of ordinary words " * 8


def write(path: Path, shape: str, n: int) -> None:
    with path.open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows(rows_of(shape, n, np.random.default_rng(1)))


def floor(path: Path) -> float:
    """Seconds to read the file and put its cells into one bare table."""
    with path.open(newline="", encoding="utf-8") as f:
        reader = csv.reader(f)
        columns = [f"c{i}" for i in range(len(next(reader)))]
        declared = ", ".join(f"{column} text" for column in columns)
        begin = time.perf_counter()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE TABLE import_floor ({declared})")
                with cursor.copy("COPY import_floor FROM STDIN") as copy:
                    for row in reader:
                        copy.write_row(row)
        else:
            with tempfile.TemporaryDirectory() as folder:
                bare = sqlite3.connect(Path(folder) / "floor.sqlite3")
                bare.execute(f"CREATE TABLE import_floor ({declared})")
                marks = ", ".join("?" * len(columns))
                bare.executemany(f"INSERT INTO import_floor VALUES ({marks})", reader)  # noqa: S608
                bare.commit()
                bare.close()
        return time.perf_counter() - begin


def measure(shape: str, n: int, *, later: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if later:
            path = Path(folder) / "first.csv"
            write(path, shape, 1)
            import_dataset(format="lmarena", path=path, arena="first")
        path = Path(folder) / "battles.csv"
        write(path, shape, n)
        before = _peak_mb()
        begin, begin_cpu = time.perf_counter(), _cpu()
        import_dataset(format="lmarena", path=path, arena=f"benchmark-{shape}")
        seconds, cpu = time.perf_counter() - begin, _cpu() - begin_cpu
        peak = _peak_mb()
        assert Verdict.objects.count() == n + later
        bare = floor(path)
        size = path.stat().st_size / 2**20
    title = f"{connection.vendor} {shape}{' (later)' if later else ''}"
    print(
        f"{title}: {n:,} verdicts ({size:.0f} MB) in {seconds:.1f} s = "
        f"{n / seconds:,.0f}/s ({n / cpu:,.0f} a second of processor time); "
        f"peak {peak:.0f} MB ({before:.0f} MB before); "
        f"floor {bare:.1f} s, {seconds / bare:.1f} times that"
    )


def _cpu() -> float:
    """Processor seconds of this process, and of the PostgreSQL process that serves it, where it is here."""
    seconds = time.process_time()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            stat = Path(f"/proc/{cursor.fetchone()[0]}/stat")
        if stat.exists():
            ticks = stat.read_text().rsplit(")", 1)[1].split()[11:13]
            seconds += sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
    return seconds


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--shape", choices=("own", "shared", "named"), default="own")
    parser.add_argument(
        "--later", action="store_true", help="Not the first import: indexes are kept row by row."
    )
    given = parser.parse_args()
    if not 1 <= given.rows <= MOST_ROWS:
        parser.error(f"--rows must be between 1 and {MOST_ROWS:,}.")
    with tempfile.TemporaryDirectory() as folder:
        if connection.vendor == "sqlite":
            connection.settings_dict["TEST"]["NAME"] = str(Path(folder) / "benchmark.sqlite3")
        else:
            connection.settings_dict["TEST"]["NAME"] = f"benchmark_importing_{os.getpid()}"
        configured = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            measure(given.shape, given.rows, later=given.later)
        finally:
            connection.creation.destroy_test_db(configured, verbosity=0)


if __name__ == "__main__":
    main()
