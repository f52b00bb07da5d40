"""Files, read in bounded memory: lines, JSON, CSV and Parquet, gzipped or not, however hostile."""

import codecs
import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from judges.formats.errors import (
    KEPT_TEXT,
    DatasetError,
    Rejects,
    UnreadableDataset,
    Where,
)

BLOCK = 2**18
LONGEST_RECORD = 16 * 2**20  # bytes of one line, one JSON item, one CSV field
MOST_READ_AGAIN = (
    10 * LONGEST_RECORD
)  # characters of a CSV file that unclosed quotes took with them
GZIP_MOST_RATIO = 200  # text rarely shrinks more than fiftyfold; gzip can reach 1000
GZIP_FREE_BYTES = 64 * 2**20  # … and only beyond this much is a file suspected
PARQUET_BATCH = 2_000
SUFFIXES = (".csv", ".jsonl", ".json", ".parquet")


_PARSER = json.JSONDecoder()
_NO_SPACE = re.compile(r"[^ \t\n\r]")


@dataclass(slots=True)
class Row:
    where: Where
    values: dict[str, Any]


class Part:
    """A file that isn't one of the file system: opened and named as it says itself."""

    suffix = ""  # nothing is to be unpacked

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self, mode: str) -> BinaryIO:
        raise TypeError(f"{type(self).__name__} doesn't say how it is opened.")


class Source:
    """The files of one import: opens them, counts their bytes, and knows what to do with bad records."""

    def __init__(self, path: Path, rejects: Rejects | None = None) -> None:
        self.path = path
        self.rejects = rejects or Rejects()
        self.bytes_read = 0  # of the files as they are stored
        self.bytes_total = 0

    def file(self) -> Path:
        """The path, which must be a file."""
        if self.path.is_dir():
            raise UnreadableDataset(
                "a folder, where one file was expected: name the file.", where=Where(str(self.path))
            )
        return self.found(self.path)

    def folder(self) -> Path:
        """The path, which must be a folder."""
        if self.path.is_file():
            raise UnreadableDataset(
                "a file, where a folder was expected: name the folder that holds it.",
                where=Where(str(self.path)),
            )
        if not self.path.is_dir():
            raise UnreadableDataset("there is no such folder.", where=Where(str(self.path)))
        return self.path

    def found(self, path: Path) -> Path:
        """A file that must be there; its bytes are expected to be read."""
        if not path.is_file():
            raise UnreadableDataset(
                "a folder, where a file was expected."
                if path.is_dir()
                else "there is no such file.",
                where=Where(str(path)),
            )
        self.bytes_total += path.stat().st_size
        return path

    def name(self, path: Path | Part) -> str:
        """What messages call the file: its name, with folders below the one that was given."""
        if isinstance(path, Part):
            return path.name
        return str(path.relative_to(self.path)) if path != self.path else path.name

    def whole_text(self, path: Path | Part) -> str:
        return "".join(text for _, text in self.lines(path))

    def lines(self, path: Path | Part) -> Iterator[tuple[int, str]]:
        """(number, line with its end), UTF-8, a byte order mark removed. Bad lines go to the rejects."""
        name = self.name(path)
        with self._opened(path) as stream:
            number = 0
            while block := self._block(stream, name, number):
                try:
                    text = block.decode("utf-8")
                except UnicodeDecodeError:
                    text = None
                if number == 0:
                    _refuse_binary(block, Where(name))
                    text = text and text.removeprefix("\ufeff")
                if text is not None and len(block) <= LONGEST_RECORD:
                    # The usual way: line by line in C.
                    for line in io.StringIO(text, newline="\n"):
                        number += 1
                        yield number, line
                    continue
                for raw in io.BytesIO(block):
                    number += 1
                    line = self._line(raw, Where(name, number))
                    if len(raw) > LONGEST_RECORD and not raw.endswith(b"\n"):
                        self._skip_line(stream, name, number)
                    if line is not None:
                        yield number, line

    def _block(self, stream: BinaryIO, name: str, number: int) -> bytes:
        """Whole lines, unless one is too long."""
        block = self._read(stream.read, BLOCK, name, number)
        if block and not block.endswith(b"\n"):
            block += self._read(stream.readline, LONGEST_RECORD, name, number)
        return block

    def _line(self, raw: bytes, where: Where) -> str | None:
        try:
            if len(raw) > LONGEST_RECORD:
                raise DatasetError(
                    f"a line of more than {LONGEST_RECORD // 2**20} MB: a record this long isn't read."
                )
            return raw.decode("utf-8").removeprefix("\ufeff" if where.number == 1 else "")
        except UnicodeDecodeError as error:
            problem = DatasetError(
                f"byte {error.start + 1} (0x{raw[error.start]:02x}) isn't UTF-8: save the file as UTF-8."
            )
        except DatasetError as error:
            problem = error
        where.text = raw[:KEPT_TEXT].decode("utf-8", "replace")
        self.rejects.add(problem, where)
        return None

    def jsonl(self, path: Path | Part) -> Iterator[Row]:
        """Objects, one a line; blank lines are passed over."""
        name = self.name(path)
        for number, line in self.lines(path):
            if not line.strip():
                continue
            where = Where(name, number, text=line.rstrip("\r\n"))
            try:
                values = _object(parse_json(line))
            except DatasetError as error:
                self.rejects.add(error, where)
                continue
            yield Row(where, values)

    def json_array(self, path: Path) -> Iterator[Row]:
        """The objects of one JSON array, one after the other."""
        name = self.name(path)
        with self._opened(path) as stream:
            items = _ArrayItems(lambda size: self._read(stream.read, size, name, 0), name)
            for number, item in enumerate(items, start=1):
                where = Where(name, number, "item")
                try:
                    values = _object(item)
                except DatasetError as error:
                    self.rejects.add(error, where)
                    continue
                yield Row(where, values)

    def csv(self, path: Path) -> Iterator[Row]:
        """Rows as dictionaries by the header. A row with more or fewer cells is a bad record.

        So is one that isn't CSV; reading goes on at the next line that can begin a row.
        """
        name = self.name(path)
        csv.field_size_limit(LONGEST_RECORD)
        lines = _Lines(self.lines(path), name)
        reader = csv.reader(lines, strict=True)
        header: list[str] | None = None
        while True:
            try:
                cells = lines.plain_cells()
                if cells is None:
                    cells = next(reader, None)
            except csv.Error as error:
                reason = f"not CSV: {error} (an unclosed quote, or another format?)."
                if header is None or not self.rejects.are_kept:
                    raise UnreadableDataset(reason, where=Where(name, lines.first)) from None
                where = Where(name, lines.first)
                lost, where.text = lines.give_up_row(len(header))
                self.rejects.add(DatasetError(f"{reason} {lost}", where=where))
                continue
            if cells is None:
                break
            if not cells:
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                self._check_header(header, Where(name, lines.first))
                continue
            where = Where(name, lines.first, "line", lines.text())
            if len(cells) == len(header) and not lines.broken:
                yield Row(where, dict(zip(header, cells, strict=True)))
                continue
            reason = f"{len(cells)} cells, where the header has {len(header)}."
            if lines.last > lines.first:
                reason += f" The row goes on to line {lines.last}."
            if lines.broken:
                reason = "a line in the middle of this row can't be read."
            self.rejects.add(DatasetError(reason, where=where))

    def parquet(self, path: Path) -> Iterator[Row]:
        name = self.name(path)
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise UnreadableDataset(
                "Parquet needs the package pyarrow: pip install -r requirements/parquet.txt, "
                "or convert the file to CSV or JSONL.",
                where=Where(name),
            ) from None
        size, start = path.stat().st_size, self.bytes_read
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                rows, number = file.metadata.num_rows, 0
                for batch in file.iter_batches(batch_size=PARQUET_BATCH, use_threads=False):
                    for values in batch.to_pylist():
                        number += 1
                        yield Row(Where(name, number, "row"), values)
                    self.bytes_read = start + size * number // max(rows, 1)
        except (pyarrow.ArrowException, OSError) as error:
            raise UnreadableDataset(
                f"not a Parquet file: {_one_line(error)}.", where=Where(name)
            ) from None

    def rows(self, path: Path) -> Iterator[Row]:
        """By the file's name: .csv, .jsonl or .json (also .gz), .parquet. A file without rows is refused."""
        suffixes = [suffix.lower() for suffix in path.suffixes]
        kind = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
        readers: dict[str, Callable[[Path], Iterator[Row]]] = {
            ".csv": self.csv,
            ".jsonl": self.jsonl,
            ".json": self.json_array,
            ".parquet": self.parquet,
        }
        if not kind or kind[0] not in readers or (kind == [".parquet"] and suffixes[-1] == ".gz"):
            raise UnreadableDataset(
                f"the name must end with one of {', '.join(SUFFIXES)} (the text ones also with .gz).",
                where=Where(self.name(path)),
            )
        empty = True
        for row in readers[kind[0]](path):
            empty = False
            yield row
        if empty and not self.rejects.count:
            raise UnreadableDataset("the file has no rows.", where=Where(self.name(path)))

    def _opened(self, path: Path | Part) -> BinaryIO:
        try:
            stored = path.open("rb")
        except OSError as error:
            raise UnreadableDataset(
                f"can't be opened ({error.strerror}).", where=Where(self.name(path))
            ) from None
        metered = _Metered(stored, self)
        if path.suffix.lower() == ".gz":
            return io.BufferedReader(_Gunzipped(metered, self.name(path)), 2**18)
        return io.BufferedReader(metered, 2**18)

    def _read(self, read: Callable[[int], bytes], size: int, name: str, number: int) -> bytes:
        try:
            return read(size)
        except EOFError:
            raise UnreadableDataset(
                "the gzip file ends in the middle: it was cut off. Fetch it again.",
                where=Where(name, number),
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise UnreadableDataset(
                f"not a sound gzip file ({error}).", where=Where(name, number)
            ) from None
        except zipfile.BadZipFile as error:
            raise UnreadableDataset(
                f"not a sound ZIP archive ({error}). Fetch it again.", where=Where(name, number)
            ) from None

    def _skip_line(self, stream: BinaryIO, name: str, number: int) -> None:
        while piece := self._read(stream.readline, LONGEST_RECORD, name, number):
            if piece.endswith(b"\n"):
                return

    def _check_header(self, header: list[str], where: Where) -> None:
        twice = {column for column in header if column and header.count(column) > 1}
        if twice:
            raise UnreadableDataset(
                f"the header names the column {min(twice)!r} twice.", where=where
            )


def parse_json(text: str) -> Any:
    """The value of a JSON text; DatasetError when it isn't one, or is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise DatasetError("JSON that is nested too deep.") from None
    except ValueError as error:
        raise DatasetError(f"not JSON: {_one_line(error)}.") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DatasetError(f"a JSON object was expected, not {type(value).__name__}.")
    return value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")[:200]


def _refuse_binary(line: bytes, where: Where) -> None:
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableDataset("UTF-16: save the file as UTF-8.", where=where)
    if line.startswith(b"\x1f\x8b"):
        raise UnreadableDataset("gzip data: the name must end with .gz.", where=where)
    if line.startswith(b"PAR1"):
        raise UnreadableDataset("Parquet data: the name must end with .parquet.", where=where)
    if b"\x00" in line[:4096]:
        raise UnreadableDataset("NUL bytes: this isn't a text file.", where=where)


class _Metered(io.RawIOBase):
    """The stored bytes, counted as they are read."""

    def __init__(self, stream: BinaryIO, source: Source) -> None:
        self.stream, self.source = stream, source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self.stream.readinto(buffer)
        self.source.bytes_read += count
        return count

    def close(self) -> None:
        self.stream.close()
        super().close()


class _Gunzipped(io.RawIOBase):
    """Decompressed bytes, until they are suspiciously many."""

    def __init__(self, stored: _Metered, name: str) -> None:
        self.stored, self.name = stored, name
        self.begin = stored.source.bytes_read
        self.stream = gzip.GzipFile(fileobj=io.BufferedReader(stored, 2**18))
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.stream.read1(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        stored = self.stored.source.bytes_read - self.begin
        if self.count > GZIP_FREE_BYTES and self.count > GZIP_MOST_RATIO * stored:
            raise UnreadableDataset(
                f"the gzip file expands more than {GZIP_MOST_RATIO}-fold, as a gzip bomb does: if you "
                "trust it, unpack it yourself.",
                where=Where(self.name),
            )
        return len(data)

    def close(self) -> None:
        self.stored.close()
        super().close()


class _ArrayItems:
    """Parses the items of a JSON array one by one from a buffer that holds little more than one."""

    def __init__(self, read: Callable[[int], bytes], name: str) -> None:
        self._read, self.name = read, name
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self._at, self._ended = "", 0, False
        self._begun = False
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        if self._next_mark() != "[":
            raise self._broken("it doesn't begin with [")
        self._at += 1
        if self._next_mark() == "]":
            self._at += 1
        else:
            while True:
                yield self._item()
                self.count += 1
                mark = self._next_mark()
                self._at += 1
                if mark == "]":
                    break
                if mark != ",":
                    raise self._broken("a comma or ] was expected")
        if self._next_mark():
            raise self._broken("something comes after its end")

    def _item(self) -> Any:
        self._next_mark()
        while True:
            try:
                value, end = _PARSER.raw_decode(self._text, self._at)
            except RecursionError:
                raise self._broken("it is nested too deep") from None
            except ValueError as error:
                if self._ended:
                    raise self._broken(_one_line(error)) from None
            else:
                if end < len(self._text) or self._ended:
                    self._at = end
                    return value
            self._more()

    def _next_mark(self) -> str:
        """The next character that isn't white space; nothing at the end."""
        while True:
            if match := _NO_SPACE.search(self._text, self._at):
                self._at = match.start()
                return match[0]
            if self._ended:
                return ""
            self._at = len(self._text)
            self._more()

    def _more(self) -> None:
        """At least as much again as there is, so that a long item is tried a few times only."""
        rest = self._text[self._at :]
        if len(rest) > LONGEST_RECORD:
            raise UnreadableDataset(
                f"an item of more than {LONGEST_RECORD // 2**20} MB: a record this long isn't read.",
                where=Where(self.name, self.count + 1, "item"),
            )
        data = self._read(max(BLOCK, len(rest)))
        if not self._begun:
            _refuse_binary(data, Where(self.name))
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise self._broken(
                f"byte 0x{error.object[error.start]:02x} isn't UTF-8: save the file as UTF-8"
            ) from None
        self._text = rest + (text if self._begun else text.removeprefix("\ufeff"))
        self._at, self._ended, self._begun = 0, not data, True

    def _broken(self, reason: str) -> UnreadableDataset:
        return UnreadableDataset(
            f"not a JSON array: {reason}.", where=Where(self.name, self.count + 1, "item")
        )


class _Lines:
    """Lines for the CSV reader, which remembers those of the row at hand: for messages and rejects."""

    def __init__(self, lines: Iterator[tuple[int, str]], name: str) -> None:
        self.lines, self.name = lines, name
        self.taken: list[str] = []
        self.length = 0
        self.first = self.last = 0
        self.broken = False  # a line in the middle of the row is missing
        self._numbers: list[int] = []  # of the lines of a row that the CSV reader reads
        self._again: deque[tuple[int, str]] = deque()  # lines to read before any other
        self._given_back = 0  # characters that are read again because of bad rows

    def plain_cells(self) -> list[str] | None:
        """The next row, where it is a line without quotes; None: ask the CSV reader. Begins a new row."""
        self.broken = False
        numbered = self._again.popleft() if self._again else next(self.lines, None)
        if numbered is None:
            self.taken = []
            return None
        number, line = numbered
        line = line.rstrip("\r\n")
        if '"' in line or "\r" in line:
            self._again.appendleft(numbered)
            self.taken, self._numbers, self.length = [], [], 0
            return None
        self.first = self.last = number
        self.taken = [line]
        return line.split(",") if line else []

    def text(self) -> str:
        """The row as it stands in the file."""
        return "".join(self.taken).rstrip("\r\n")

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        number, line = self._again.popleft() if self._again else next(self.lines)
        if not self.taken:
            self.first = number
        elif number != self.last + 1:
            self.broken = True
        self.last = number
        self.taken.append(line)
        self._numbers.append(number)
        self.length += len(line)
        if self.length > LONGEST_RECORD:
            raise csv.Error(f"a row of more than {LONGEST_RECORD // 2**20} MB")
        return line

    def give_up_row(self, width: int) -> tuple[str, str]:
        """Leave out the row at hand, up to the next of its lines that can begin a row of ``width`` cells.

        An unclosed quote takes the lines below for a part of its cell: they are read again. Says what is
        lost, in a sentence and as it stands in the file.
        """
        self._given_back += self.length - len(self.taken[0])
        if self._given_back > MOST_READ_AGAIN:
            raise UnreadableDataset(
                "too many unclosed quotes: is this another format?",
                where=Where(self.name, self.first),
            )
        lost = 1
        while lost < len(self.taken) and not _begins_row(self.taken[lost], width):
            lost += 1
        text = "".join(self.taken[:lost]).rstrip("\r\n")
        again = list(zip(self._numbers[lost:], self.taken[lost:], strict=True))
        self._again.extendleft(reversed(again))
        last = self._numbers[lost - 1]
        which = f"Lines {self.first} to {last} are" if last > self.first else "The line is"
        then = f"reading goes on at line {again[0][0]}" if again else "reading goes on below"
        self.taken, self._numbers, self.length = [], [], 0
        return f"{which} left out; {then}.", text


def _begins_row(line: str, width: int) -> bool:
    """Whether a line is a row of so many cells, or the beginning of one whose quote is closed further on."""
    quote = line.find('"')
    if quote > 0 and line[quote - 1] != ",":
        # More likely the end of a quoted text than a cell with a quote in it.
        return False
    try:
        return len(next(csv.reader([line], strict=True), [])) == width
    except csv.Error as error:
        if "unexpected end" not in str(error):
            return False
    return len(next(csv.reader([line]), [])) <= width
