"""How fast a whole arena is exported, in how much memory, and whether its import is the same arena.

    python -m benchmarks.exporting --rows 1000000 --shape shared
    DATABASE_URL=postgres://… python -m benchmarks.exporting --rows 1000000 --shape shared --keep poems.zip

Imports verdicts as benchmarks.importing makes them, and exports the arena in a process of its own, so that
its peak memory is that of an export: at half of the rows, and of all. Then imports the archive into another
arena and compares the digests. The database is one of its own, made beside the configured one and dropped.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402 (after setup)

from arena.models import Arena  # noqa: E402
from benchmarks.importing import MOST_ROWS, write  # noqa: E402
from benchmarks.peak_memory import peak  # noqa: E402
from judges.archive.scope import whole  # noqa: E402
from judges.archive.writing import digest_of, write_archive  # noqa: E402
from judges.importing import import_dataset  # noqa: E402
from judges.models import Verdict  # noqa: E402
from ratings.cells import count  # noqa: E402
from ratings.slices import Slice  # noqa: E402


def export(slug: str, path: Path, form: str) -> None:
    """In a process of its own: prints what it took."""
    arena = Arena.objects.get(slug=slug)
    if connection.vendor == "sqlite":
        # Pages of the database that are read through the map would count as memory of this process.
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA mmap_size = 0")
    before = peak()
    begin, cpu = time.perf_counter(), time.process_time()
    size = write_archive(whole(arena), path, form=form)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    n = Verdict.objects.filter(arena=arena).count()
    print(
        f"{connection.vendor}: {n:,} verdicts as {form} in {seconds:.1f} s = {n / seconds:,.0f}/s "
        f"({cpu:.1f} s of this process); {size / 2**20:.0f} MB; peak {peak():.0f} MB ({before:.0f} MB before)"
    )


def in_another_process(slug: str, path: Path, form: str = ".jsonl") -> None:
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.exporting", "--export", slug, str(path), form]
    name = connection.settings_dict["NAME"]
    subprocess.run([*command, "--database", str(name)], check=True)  # noqa: S603 (our own code)


def measure(shape: str, n: int, *, folder: Path, keep: Path | None) -> None:
    path = keep or folder / "arena.zip"
    for rows, slug in ((n // 2, "half"), (n, "all")):
        file = folder / "battles.csv"
        write(file, shape, rows)
        import_dataset(format="lmarena", path=file, arena=slug)
        in_another_process(slug, path)
        in_another_process(slug, folder / "arena.parquet.zip", ".parquet")
    arena = Arena.objects.get(slug="all")
    begin = time.perf_counter()
    import_dataset(format="jurybox", path=path, arena="copy")
    seconds = time.perf_counter() - begin
    print(f"imported again in {seconds:.1f} s = {n / seconds:,.0f}/s; peak {peak():.0f} MB")
    copy = Arena.objects.get(slug="copy")
    digests = digest_of(whole(arena)), digest_of(whole(copy))
    figures = [
        [
            count(arena=one, slice=Slice(judge=slug)).digest()
            for slug in ("people", *one.judges.order_by("slug").values_list("slug", flat=True))
        ]
        for one in (arena, copy)
    ]
    print(f"dataset digest {digests[0]}: {'equal' if digests[0] == digests[1] else 'OTHERWISE'}")
    print(
        f"{len(figures[0])} digests of figures: {'equal' if figures[0] == figures[1] else 'OTHERWISE'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--shape", choices=("own", "shared", "named"), default="shared")
    parser.add_argument("--keep", type=Path, help="Where the archive stays.")
    parser.add_argument("--export", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.export:
        connection.settings_dict["NAME"] = given.database
        slug, path, form = given.export
        export(slug, Path(path), form)
        return
    if not 2 <= given.rows <= MOST_ROWS:
        parser.error(f"--rows must be between 2 and {MOST_ROWS:,}.")
    with tempfile.TemporaryDirectory() as folder:
        if connection.vendor == "sqlite":
            connection.settings_dict["TEST"]["NAME"] = str(Path(folder) / "benchmark.sqlite3")
        else:
            connection.settings_dict["TEST"]["NAME"] = f"benchmark_exporting_{os.getpid()}"
        configured = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            measure(given.shape, given.rows, folder=Path(folder), keep=given.keep)
        finally:
            connection.creation.destroy_test_db(configured, verbosity=0)


if __name__ == "__main__":
    main()
