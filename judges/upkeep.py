"""The first import of an installation: indexes and foreign keys are made at its end, not row by row.

All within the transaction of the import, so that nobody ever sees the tables without them. PostgreSQL locks
these tables and those that they refer to until then: which is why it is done only while they are empty.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from arena.models import Battle, Output
from judges.bulk import fetch, is_postgresql, run
from judges.models import Verdict

TABLES = tuple(model._meta.db_table for model in (Output, Battle, Verdict))


@contextmanager
def upkeep_at_the_end() -> Iterator[None]:
    """Where there are no verdicts, battles and outputs yet; elsewhere nothing happens.

    Unique constraints and checks stay on: an import relies on them. An error inside leaves all to the
    rollback.
    """
    if any(fetch(f"SELECT 1 FROM {table} LIMIT 1") for table in TABLES):  # noqa: S608
        yield
        return
    taken_off = [pair for table in TABLES for pair in _upkeep_of(table)]
    for drop, _ in taken_off:
        run(drop)
    yield
    if is_postgresql():
        run("SET LOCAL enable_seqscan = on")  # whole tables are read now
    for _, create in reversed(taken_off):
        run(create)


def _upkeep_of(table: str) -> list[tuple[str, str]]:
    """(statement that takes it off, statement that puts it on again)."""
    if not is_postgresql():
        indexes = fetch(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = %s"
            " AND sql LIKE 'CREATE INDEX%%'",
            [table],
        )
        return [(f'DROP INDEX "{name}"', sql) for name, sql in indexes]
    keys = fetch(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype = 'f' ORDER BY conname",
        [table],
    )
    indexes = fetch(
        "SELECT relname, pg_get_indexdef(oid) FROM pg_index JOIN pg_class ON oid = indexrelid"
        " WHERE indrelid = %s::regclass AND NOT indisunique ORDER BY relname",
        [table],
    )
    return [
        (
            f'ALTER TABLE {table} DROP CONSTRAINT "{name}"',
            f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}',
        )
        for name, definition in keys
    ] + [(f'DROP INDEX "{name}"', definition) for name, definition in indexes]
