"""An export as bytes, made while they are sent: a ZIP archive of all tables, or one table."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from django.utils import timezone

from arena.models import Prompt
from judges.archive.card import (
    MOST_LANGUAGES,
    Written,
    arena_json,
    card,
    dataset_digest,
)
from judges.archive.scope import Scope
from judges.archive.tables import Row, Table, column_names, tables_of, time_text
from judges.formats.errors import DatasetError, Where

JSONL, PARQUET = ".jsonl", ".parquet"
FORMS = (JSONL, PARQUET)
NO_PARQUET = "Parquet needs the package pyarrow: pip install -r requirements/parquet.txt, or take JSON lines."
MIMETYPES = {JSONL: "application/jsonl", PARQUET: "application/vnd.apache.parquet"}
GROUP_ROWS, GROUP_BYTES = 50_000, 16 * 2**20  # of a row group in Parquet, at most about
COMPRESSION_LEVEL = 5  # a tenth larger than the best, in a third of the time
# Equal data, equal files: members don't say when they were written.
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_encode_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class NoParquet(DatasetError):
    """This installation can't write it."""


class Counter:
    """Rows of one table as JSON lines: counted and hashed, whatever else becomes of them."""

    def __init__(self) -> None:
        self.rows = 0
        self.hash = hashlib.sha256()

    def lines(self, rows: list[Row]) -> bytes:
        try:
            text = "".join([f"{_encode(row)}\n" for row in rows]).encode()
        except UnicodeEncodeError:
            # Half a character, which SQLite keeps within JSON: written as \ud83d.
            text = "".join([f"{_encode_ascii(row)}\n" for row in rows]).encode()
        self.rows += len(rows)
        self.hash.update(text)
        return text

    def done(self, table: Table) -> Written:
        return Written(table, self.rows, self.hash.hexdigest())


class Sink(io.RawIOBase):
    """Takes what is written until it is fetched. It can't seek, as what it stands for can't."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._at += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._at

    def fetched(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


class Form(Protocol):
    """Writes blocks of one table."""

    def write(self, rows: list[Row]) -> None: ...


def stream_archive(
    scope: Scope, *, form: str = JSONL, progress: Callable[[str, int], None] | None = None
) -> Iterator[bytes]:
    """A ZIP archive, piece by piece. What holds of all tables is at its end: arena.json and README.md.

    ``progress`` gets the name of a table and how many of its rows are written. Raises NoParquet before the
    first byte.
    """
    check_form(form)
    sink = Sink()
    written = []
    with zipfile.ZipFile(
        sink, "w", zipfile.ZIP_DEFLATED, compresslevel=COMPRESSION_LEVEL
    ) as bundle:
        for table in tables_of(scope):
            counter = Counter()
            with (
                bundle.open(_member(f"{table.name}{form}"), "w", force_zip64=True) as member,
                _form(form, member, table, scope, counter) as writer,
            ):
                for block in table.blocks(scope):
                    writer.write(block)
                    if progress:
                        progress(table.name, counter.rows)
                    if piece := sink.fetched():
                        yield piece
            written.append(counter.done(table))
        about = arena_json(scope, written, suffix=form, at=time_text(timezone.now()))
        bundle.writestr(_member("arena.json"), _pretty(about))
        languages = _languages(scope)
        bundle.writestr(_member("README.md"), card(scope, written, about, languages))
    yield sink.fetched()


def stream_table(scope: Scope, table: Table, *, form: str = JSONL) -> Iterator[bytes]:
    """One table as a file of its own."""
    check_form(form)
    sink = Sink()
    with _form(form, sink, table, scope, Counter()) as writer:
        for block in table.blocks(scope):
            writer.write(block)
            if piece := sink.fetched():
                yield piece
    yield sink.fetched()


def write_archive(
    scope: Scope,
    path: Path,
    *,
    form: str = JSONL,
    progress: Callable[[str, int], None] | None = None,
) -> int:
    """The archive as a new file; how many bytes. DatasetError when the file is there or can't be written."""
    where = Where(str(path))
    if path.exists():
        raise DatasetError("is there already: name another file.", where=where)
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            for piece in stream_archive(scope, form=form, progress=progress):
                file.write(piece)
            size = file.tell()
        part.rename(path)
    except OSError as error:
        raise DatasetError(f"can't be written ({error.strerror}).", where=where) from None
    finally:
        part.unlink(missing_ok=True)
    return size


def digest_of(scope: Scope) -> str:
    """The dataset digest of an export that isn't written."""
    digests = {}
    for table in tables_of(scope):
        counter = Counter()
        for block in table.blocks(scope):
            counter.lines(block)
        digests[table.name] = counter.done(table).sha256
    return dataset_digest(digests)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=_LONG_AGO)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _pretty(about: dict[str, Any]) -> str:
    return json.dumps(about, ensure_ascii=False, indent=1) + "\n"


def _languages(scope: Scope) -> list[str]:
    """What prompts say, the alphabetically first of them."""
    said = Prompt.objects.filter(arena=scope.arena).exclude(language="").order_by("language")
    return list(said.values_list("language", flat=True).distinct()[:MOST_LANGUAGES])


# --- forms --------------------------------------------------------------------------------------------


def check_form(form: str) -> None:
    """Raises NoParquet."""
    if form == PARQUET:
        try:
            import pyarrow.parquet  # noqa: F401 (whether it is there)
        except ImportError:
            raise NoParquet(NO_PARQUET) from None


class _Lines:
    def __init__(self, file: Any, counter: Counter) -> None:
        self.file, self.counter = file, counter

    def write(self, rows: list[Row]) -> None:
        if rows:
            self.file.write(self.counter.lines(rows))


@contextmanager
def _form(form: str, file: Any, table: Table, scope: Scope, counter: Counter) -> Iterator[Form]:
    if form == JSONL:
        yield _Lines(file, counter)
        return
    import pyarrow
    import pyarrow.parquet

    message = pyarrow.struct([("content", pyarrow.string()), ("role", pyarrow.string())])
    types = {
        "string": pyarrow.string(),
        "json": pyarrow.string(),
        "time": pyarrow.string(),
        "strings": pyarrow.list_(pyarrow.string()),
        "messages": pyarrow.list_(message),
        "integer": pyarrow.int64(),
        "double": pyarrow.float64(),
        "bool": pyarrow.bool_(),
    }
    names = set(column_names(table, scope))
    schema = pyarrow.schema(
        [(column.name, types[column.kind]) for column in table.columns if column.name in names]
    )

    class Batches:
        """Gathers blocks to a row group: the writer keeps something of every group until the end."""

        def __init__(self, writer: Any) -> None:
            self.writer = writer
            self.gathered: list[Any] = []
            self.rows = self.bytes = 0

        def write(self, rows: list[Row]) -> None:
            if not rows:
                return
            counter.lines(rows)
            batch = pyarrow.RecordBatch.from_pylist(rows, schema=schema)
            self.gathered.append(batch)
            self.rows += batch.num_rows
            self.bytes += batch.nbytes
            if self.rows >= GROUP_ROWS or self.bytes >= GROUP_BYTES:
                self.flush()

        def flush(self) -> None:
            if self.gathered:
                self.writer.write_table(pyarrow.Table.from_batches(self.gathered))
            self.gathered, self.rows, self.bytes = [], 0, 0

    with pyarrow.parquet.ParquetWriter(_Told(file), schema, compression="zstd") as writer:
        batches = Batches(writer)
        yield batches
        batches.flush()


class _Told(io.RawIOBase):
    """pyarrow asks a file where it stands, which a member of an archive can't say."""

    def __init__(self, file: Any) -> None:
        self.file, self._at = file, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._at += self.file.write(bytes(data))
        return len(data)

    def tell(self) -> int:
        return self._at
