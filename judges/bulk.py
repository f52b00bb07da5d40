"""Many rows at once into either database, past the ORM: staged in a temporary table, then one statement.

PostgreSQL gets them by COPY, SQLite by executemany. What is there already costs a look at an index and no
error: INSERT … ON CONFLICT DO NOTHING.
"""

import gc
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import IntegrityError, connection, transaction

IN_LIST = 900  # parameters of one IN (…): SQLite takes 999 in its older builds


# Set while this process has nothing to compute: what else is to be done may be done now.
waiting = threading.Event()


@contextmanager
def our_turn_is_over() -> Iterator[None]:
    """Around what the database's server does alone."""
    waiting.set()
    try:
        yield
    finally:
        waiting.clear()


@contextmanager
def session() -> Iterator[None]:
    """Settings for the length of one import, inside its transaction."""
    with connection.cursor() as cursor:
        if is_postgresql():
            # Checked statement by statement: a million rows would queue millions of checks for the commit.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            # Plans made while tables are small, or without statistics, would read them whole. That goes
            # for the queries behind foreign keys too, whose plans the connection keeps.
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("DISCARD PLANS")
            # Compiling a plan takes longer than running it over a few thousand rows.
            cursor.execute("SET LOCAL jit = off")
            yield
            return
        # Pages read through the map count as memory of this process; a small cache does as well.
        mapped = cursor.execute("PRAGMA mmap_size").fetchone()
        cursor.execute("PRAGMA mmap_size = 0")
        try:
            yield
        finally:
            for (name,) in cursor.execute(
                "SELECT name FROM sqlite_temp_master WHERE name LIKE 'import_%%'", []
            ).fetchall():
                cursor.execute(f"DROP TABLE {name}")
            cursor.execute(f"PRAGMA mmap_size = {mapped[0] if mapped else 0}")


class Statistics:
    """Keeps PostgreSQL's statistics of growing tables current, which it can't do itself in a transaction.

    Without them the check of a foreign key (id, arena) reads every row of the arena.
    """

    def __init__(self, tables: Sequence[str], *, first: int) -> None:
        self.tables, self.due = tables, first

    def keep_current(self, rows: int) -> None:
        """``rows``: how many were added so far."""
        if rows < self.due or not is_postgresql():
            return
        self.due = rows * 8
        with connection.cursor() as cursor:
            for table in self.tables:
                cursor.execute(f"ANALYZE {table}")


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Millions of short-lived objects, none in a cycle: looking for cycles would take a fifth of the time."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@contextmanager
def temporary_data_in_files() -> Iterator[None]:
    """On SQLite, sorting a new index would else take memory in step with the rows.

    It can't be changed within a transaction: there, nothing happens.
    """
    if is_postgresql() or connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        (before,) = cursor.execute("PRAGMA temp_store").fetchone()
        cursor.execute("PRAGMA temp_store = FILE")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA temp_store = {before}")


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def moment(value: datetime) -> str:
    """A time in UTC as both databases read it; on SQLite as Django's own adapter writes it."""
    return moments([value])[0]


def moments(values: Iterable[datetime]) -> list[str]:
    """moment() of many."""
    texts = [str(value) for value in values]
    return texts if is_postgresql() else [text.removesuffix("+00:00") for text in texts]


class Stage:
    """A temporary table. ``columns`` are its names and types (PostgreSQL's; SQLite doesn't mind)."""

    def __init__(self, name: str, columns: Mapping[str, str]) -> None:
        self.name = f"import_{name}"
        self.columns = tuple(columns)
        self.all_were_new = True
        declared = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {self.name}")
            ending = " ON COMMIT DROP" if is_postgresql() else ""
            cursor.execute(f"CREATE TEMPORARY TABLE {self.name} ({declared}){ending}")

    def fill(self, rows: Sequence[Sequence[Any]]) -> None:
        """Replace what is staged."""
        names = ", ".join(self.columns)
        if is_postgresql():
            run(f"TRUNCATE {self.name}")
            _copy(self.name, self.columns, _copy_text(rows))
            return
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {self.name}")  # noqa: S608
            marks = ", ".join(["%s"] * len(self.columns))
            cursor.executemany(f"INSERT INTO {self.name} ({names}) VALUES ({marks})", rows)  # noqa: S608

    def insert(
        self, table: str, constants: Mapping[str, Any], rows: Sequence[Sequence[Any]]
    ) -> int:
        """Put rows into a table of the same columns, beside columns that are the same in all of them.

        How many were inserted: what conflicts with a row that is there is left out.
        """
        names = ", ".join([*constants, *self.columns])
        if is_postgresql():
            # Straight into the table is twice as fast, but leaves nothing out: so until the first
            # conflict, which undoes what was copied of these rows.
            if self.all_were_new:
                try:
                    with transaction.atomic():
                        _copy(table, [*constants, *self.columns], _copy_text(rows, constants))
                    return len(rows)
                except IntegrityError:
                    self.all_were_new = False
            self.fill(rows)
            ours = ", ".join(["%s"] * len(constants) + list(self.columns))
            return run(
                f"INSERT INTO {table} ({names}) SELECT {ours} FROM {self.name} ON CONFLICT DO NOTHING",  # noqa: S608
                list(constants.values()),
            )
        # SQLite needs no detour. What is the same in all rows is written out: it costs nothing then.
        marks = ", ".join([*map(_literal, constants.values()), *["%s"] * len(self.columns)])
        with connection.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING",  # noqa: S608
                rows,
            )
            return cursor.rowcount


def _literal(value: int | str) -> str:
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def next_ids(table: str, count: int) -> range | list[int]:
    """Ids that nobody else will use, for rows to be inserted in this transaction."""
    if is_postgresql():
        # The sequence is looked up once, not for every number.
        ((sequence,),) = fetch("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        rows = fetch("SELECT nextval(%s::regclass) FROM generate_series(1, %s)", [sequence, count])
        return [number for (number,) in rows]
    # The transaction holds the only write lock; the sequence knows of deleted rows too.
    last = fetch("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = %s", [table])[0][0]
    return range(last + 1, last + 1 + count)


def run(sql: str, parameters: Sequence[Any] = ()) -> int:
    """Execute; how many rows it changed."""
    with our_turn_is_over(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.rowcount


def fetch(sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def in_batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Lists that fit into IN (…)."""
    values = list(values)
    for start in range(0, len(values), IN_LIST):
        yield values[start : start + IN_LIST]


def last_id(table: str) -> int:
    return fetch(f"SELECT COALESCE(MAX(id), 0) FROM {table}")[0][0]  # noqa: S608 (our own tables)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def _copy(table: str, columns: Iterable[str], text: str) -> None:
    """What Django would raise is raised, although psycopg's copy isn't wrapped by it."""
    with (
        our_turn_is_over(),
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy,
    ):
        copy.write(text)


def _copy_text(rows: Sequence[Sequence[Any]], constants: Mapping[str, Any] | None = None) -> str:
    """COPY's text format: cheaper to write in one go than row by row through adapters."""
    first = "".join(f"{value}\t" for value in (constants or {}).values())
    lines = []
    for row in rows:
        lines.append(
            first
            + "\t".join(
                [
                    "\\N"
                    if value is None
                    else value.translate(_ESCAPES)
                    if value.__class__ is str
                    else str(value)
                    for value in row
                ]
            )
        )
    lines.append("")
    return "\n".join(lines)


class Forgetful(dict):
    """A dictionary that forgets its older half when it is full."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def remember(self, items: Mapping[Any, Any]) -> None:
        self.update(items)
        if len(self) > self.size:
            for key in [key for key, _ in zip(self, range(len(self) // 2), strict=False)]:
                del self[key]


class IdSet:
    """Which ids up to ``last`` were met: one bit each."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.bits = bytearray(last // 8 + 1)
        self.count = 0

    def add(self, number: int) -> None:
        """Ids above ``last`` are of rows that this import added: not of those that were there."""
        if number > self.last:
            return
        byte, bit = number >> 3, 1 << (number & 7)
        if not self.bits[byte] & bit:
            self.bits[byte] |= bit
            self.count += 1
