"""Records from files of strangers: JSON lines, a JSON list, CSV or plain text, gzipped or not.

Read one by one, so that memory doesn't grow with what isn't kept; every problem is noted with its place, and
reading goes on wherever it is known where the next record begins. What is written here holds for the worst
file, too: nothing takes more than linear time, and how many lines and records there may be is bounded.
"""

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from math import isfinite
from typing import Any

from arena.upload_problems import Item, Problem, Problems, UploadError
from config.packed import PackedError, check_packed, is_packed, opened

LONGEST_LINE = 2**20  # characters of one record
MOST_RECORDS = 200_000
MOST_LINES = 10 * MOST_RECORDS  # a record of a CSV file may go over several, and lines may be blank
MOST_COUNTED = 10_000  # problems, before reading stops
DEEPEST = 100  # levels of lists and objects within a record
LONGEST_NUMBER = 300  # digits
BLOCK = 2**16  # characters of a JSON list that are read at once
TOO_DEEP = f"It is nested too deeply to be a record: {DEEPEST} levels at most."
TOO_MANY = "Nearly everything is wrong, and reading stopped here: is it a file of another kind?"
Values = dict[str, Any]
_NOT_UTF8 = re.compile("[\udc80-\udcff]")  # bytes that weren't, as surrogateescape writes them
_NO_SPACE = re.compile(r"[^ \t\n\r]")
_OTHER_FILES = {
    b"PK\x03\x04": "It is a zip file or a spreadsheet: export the sheet as CSV, or send what is in it.",
    b"PAR1": "It is a Parquet file: convert it to JSON lines.",
    b"BZh": "It is packed with bzip2: unpack it, or pack it with gzip.",
    b"\xfd7zXZ": "It is packed with xz: unpack it, or pack it with gzip.",
    b"\x28\xb5\x2f\xfd": "It is packed with zstd: unpack it, or pack it with gzip.",
    b"\xff\xfe": "It is UTF-16 and isn't UTF-8: save the file as UTF-8.",
    b"\xfe\xff": "It is UTF-16 and isn't UTF-8: save the file as UTF-8.",
}


def text_of(content: bytes | str) -> io.TextIOWrapper:
    """What is in a file, unpacked. UploadError for what is no text at all, or can't be unpacked whole.

    Line ends are as they stand there, and bytes that aren't UTF-8 become lone surrogates: whoever reads lines
    tells where.
    """
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    try:
        if is_packed(content):
            check_packed(content)
        stream = opened(content)
        begin = stream.read(8)
        stream = opened(content)
    except PackedError as error:
        raise UploadError([Problem(0, str(error))]) from error
    for magic, sentence in _OTHER_FILES.items():
        if begin.startswith(magic):
            raise UploadError([Problem(0, sentence)])
    return io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="")


def records(
    text: io.TextIOWrapper, kind: str, problems: Problems, *, text_field: str = ""
) -> Iterator[tuple[int, Values]]:
    """(line or Item, record) of each that can be read; ``kind`` is jsonl, json, csv or text.

    Plain text becomes records with the one field ``text_field``.
    """
    if kind == "text" and not text_field:
        problems.add(0, "Plain text can't say what belongs to what: use JSON lines or CSV.")
        return
    found = {
        "csv": lambda: _csv_records(text, problems),
        "json": lambda: _ListItems(text, problems).records(),
        "jsonl": lambda: _json_records(text, problems),
        "text": lambda: ((n, {text_field: line.strip()}) for n, line in _lines(text, problems)),
    }[kind]()
    for count, (line, values) in enumerate(found):
        if count == MOST_RECORDS:
            problems.add(line, f"There are more than {MOST_RECORDS:,} records: split the file.")
            return
        yield line, values


# --- lines ------------------------------------------------------------------------------------------------


def _lines(
    text: io.TextIOWrapper, problems: Problems, *, all_of_them: bool = False
) -> Iterator[tuple[int, str]]:
    """(number, line without its end). Blank and bad ones are left out; with ``all_of_them`` they are given.

    A bad one is mended then, and lines keep their ends, so that a CSV record that goes over it stays whole.
    """
    offset = number = 0
    while line := text.readline(LONGEST_LINE + 3):
        number += 1
        if number == 1 and line.startswith("\ufeff"):
            line, offset = line[1:], len(codecs.BOM_UTF8)
        if number > MOST_LINES:
            problems.add(number, f"There are more than {MOST_LINES:,} lines: split the file.")
            return
        if problems.count >= MOST_COUNTED:
            problems.add(number, TOO_MANY)
            return
        stripped = line.rstrip("\r\n")
        begin, is_bad = offset, False
        if line.isascii():
            offset += len(line)
        else:
            offset += len(line.encode("utf-8", "surrogateescape"))
            if wrong := _NOT_UTF8.search(line):
                byte = begin + len(line[: wrong.start()].encode("utf-8", "surrogateescape"))
                problems.add(number, _not_utf8(byte, wrong[0]))
                is_bad = True
        if len(stripped) > LONGEST_LINE:
            problems.add(
                number, f"It is longer than {LONGEST_LINE:,} characters: shorten it, or split it."
            )
            is_bad = True
            while line and not line.endswith(("\n", "\r")):
                # What follows belongs to the same line.
                line = text.readline(LONGEST_LINE)
                offset += len(line.encode("utf-8", "surrogateescape"))
            stripped = ""
            line = "\n"
        if all_of_them:
            yield number, _NOT_UTF8.sub("\ufffd", line) if is_bad else line
        elif not is_bad and stripped.strip():
            yield number, stripped


def _not_utf8(byte: int, escaped: str) -> str:
    return (
        f"Byte {byte + 1:,} of the file (0x{ord(escaped) - 0xDC00:02x}) isn't UTF-8: save the file as UTF-8. "
        "(A spreadsheet isn't text: export it as CSV.)"
    )


# --- JSON -------------------------------------------------------------------------------------------------


class _Json:
    """Parses JSON strictly. What Python would take and JSON or a database wouldn't is in ``complaints``.

    They are collected instead of raised, so that in a list reading can go on behind the item.
    """

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_int=self._int,
            parse_float=self._float,
        )

    def value(self, text: str, start: int = 0) -> tuple[Any, int]:
        """The value that begins there, and where it ends. ValueError, RecursionError."""
        self.complaints.clear()
        value, end = self._decoder.raw_decode(text, start)
        # Only where so many brackets are there can they be nested so deep.
        brackets = text.count("[", start, end) + text.count("{", start, end)
        if brackets > DEEPEST and _is_deeper(value, DEEPEST):
            self.complaints.append(TOO_DEEP)
        return value, end

    def _object(self, pairs: list[tuple[str, Any]]) -> Values:
        found = dict(pairs)
        if len(found) < len(pairs):
            [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
            self.complaints.append(f"It has {_shown(twice)} twice: keep one of them.")
        return found

    def _constant(self, word: str) -> None:
        self.complaints.append(f"{word} is no number in JSON: leave it out, or write null.")

    def _int(self, digits: str) -> int:
        if len(digits) > LONGEST_NUMBER:
            self.complaints.append(
                f"It holds a number of {len(digits):,} digits: leave it out, or put it in quotes."
            )
            return 0
        return int(digits)

    def _float(self, digits: str) -> float:
        number = float(digits)
        if not isfinite(number):
            self.complaints.append("It holds a number that is too large: leave it out.")
            return 0.0
        return number


def _is_deeper(value: Any, levels: int) -> bool:
    level = [value]
    for _ in range(levels + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _shown(name: str) -> str:
    """A field's name, as far as it can be written."""
    return f'"{name[:60]}"'.encode("utf-8", "replace").decode()


def _json_records(text: io.TextIOWrapper, problems: Problems) -> Iterator[tuple[int, Values]]:
    json_ = _Json()
    for number, line in _lines(text, problems):
        start = len(line) - len(line.lstrip(" \t"))
        try:
            values, end = json_.value(line, start)
            if more := _NO_SPACE.search(line, end):
                raise json.JSONDecodeError("Extra data", line, more.start())
        except RecursionError:
            problems.add(number, TOO_DEEP)
        except json.JSONDecodeError as error:
            problems.add(
                number,
                f"It isn't JSON at character {error.pos + 1:,}: every line must hold one object such as {{…}}.",
            )
        else:
            if _is_record(number, values, json_, problems):
                yield number, values


def _is_record(line: int, values: Any, json_: _Json, problems: Problems) -> bool:
    for complaint in dict.fromkeys(json_.complaints[:5]):
        problems.add(line, complaint)
    if not isinstance(values, dict):
        problems.add(line, "It isn't an object: a record begins with { and ends with }.")
    return isinstance(values, dict) and not json_.complaints


class _ListItems:
    """The items of a JSON list one by one, from a buffer that holds little more than one."""

    def __init__(self, text: io.TextIOWrapper, problems: Problems) -> None:
        self.text, self.problems = text, problems
        self.buffer, self.at, self.ended = "", 0, False
        self.line, self.counted = (
            1,
            0,
        )  # the line that the character ``counted`` of the buffer is in
        self.bytes_before = 0
        self.number = 1  # of the item at hand
        self.all_utf8 = True

    def records(self) -> Iterator[tuple[int, Values]]:
        if (mark := self._next_mark()) != "[":
            if mark:
                self.problems.add(0, "It must be a list of objects, [{…}, …].")
            return
        self.at += 1
        if self._next_mark() == "]":
            self.at += 1
            self._end()
            return
        json_ = _Json()
        while True:
            mark = self._next_mark()
            item = Item(self.number, at=self._line_now())
            if mark in ("]", ""):
                self._stop(item, "an item was expected")
                return
            try:
                found, values = self._item(json_)
            except RecursionError:
                self._stop(item, f"it is nested too deeply: {DEEPEST} levels at most")
                return
            except json.JSONDecodeError as error:
                at = Item(self.number, at=self._line_of(error.pos))
                self._stop(at, f"{_one_line(error.msg)} ({_around(error)})")
                return
            if not found:
                self._stop(item, f"it is longer than {LONGEST_LINE:,} characters")
                return
            if _is_record(item, values, json_, self.problems):
                yield item, values
            elif self.problems.count >= MOST_COUNTED:
                self.problems.add(item, TOO_MANY)
                return
            mark = self._next_mark()
            if mark not in (",", "]"):
                self._stop(
                    Item(self.number, at=self._line_now()), "a comma or ] was expected after it"
                )
                return
            self.at += 1
            self.number += 1
            if mark == "]":
                self._end()
                return

    def _end(self) -> None:
        if self._next_mark():
            self.problems.add(0, "Something comes after the end of the list: send the list alone.")

    def _stop(self, item: Item, why: str) -> None:
        self.problems.add(item, f"It isn't JSON: {why}. What follows wasn't read.")

    def _item(self, json_: _Json) -> tuple[bool, Any]:
        """Whether it isn't too long, and its value."""
        while True:
            try:
                value, end = json_.value(self.buffer, self.at)
            except json.JSONDecodeError:
                # Broken, or not yet whole.
                if self.ended:
                    raise
                if len(self.buffer) - self.at > LONGEST_LINE:
                    return False, None
            else:
                # A number at the end of the buffer may go on.
                if end < len(self.buffer) or self.ended:
                    too_long = end - self.at > LONGEST_LINE
                    self.at = end
                    return not too_long, value
            self._more()

    def _next_mark(self) -> str:
        """The next character that isn't white space; nothing at the end."""
        while True:
            if match := _NO_SPACE.search(self.buffer, self.at):
                self.at = match.start()
                return match[0]
            self.at = len(self.buffer)
            if self.ended:
                return ""
            self._more()

    def _more(self) -> None:
        """At least as much again as there is, so that a long item is tried a few times only."""
        self._line_now()
        rest = self.buffer[self.at :]
        text = self.text.read(max(BLOCK, len(rest)))
        if not self.bytes_before and text.startswith("\ufeff"):
            text, self.bytes_before = text[1:], len(codecs.BOM_UTF8)
        if self.all_utf8:
            if wrong := None if text.isascii() else _NOT_UTF8.search(text):
                before = text[: wrong.start()]
                byte = self.bytes_before + len(before.encode("utf-8"))
                line = self.line + rest.count("\n") + before.count("\n")
                self.problems.add(line, _not_utf8(byte, wrong[0]))
                self.all_utf8 = False
            else:
                self.bytes_before += len(text) if text.isascii() else len(text.encode("utf-8"))
        if not self.all_utf8:
            text = _NOT_UTF8.sub("\ufffd", text)
        self.ended = not text
        self.buffer, self.at, self.counted = rest + text, 0, 0

    def _line_now(self) -> int:
        return self._line_of(self.at, keep=True)

    def _line_of(self, position: int, *, keep: bool = False) -> int:
        line = self.line + self.buffer.count("\n", self.counted, position)
        if keep:
            self.line, self.counted = line, position
        return line


def _one_line(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"


def _around(error: json.JSONDecodeError) -> str:
    shown = " ".join(error.doc[max(0, error.pos - 10) : error.pos + 10].split())
    at = f"near “{shown}”" if error.doc[error.pos :].strip() else f"it breaks off after “{shown}”"
    return at.encode("utf-8", "replace").decode()


# --- CSV --------------------------------------------------------------------------------------------------


def _csv_records(text: io.TextIOWrapper, problems: Problems) -> Iterator[tuple[int, Values]]:
    if csv.field_size_limit() < LONGEST_LINE:
        csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader((line for _, line in _lines(text, problems, all_of_them=True)), strict=True)
    line = 1
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) != len(header):
            problems.add(1, "Two columns have the same name: rename one of them.")
            return
        while True:
            # A record may go over several lines: it is named by the first.
            line = reader.line_num + 1
            values = next(reader, None)
            if values is None:
                return
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(header):
                problems.add(
                    line,
                    f"It has {len(values)} values, and the header names {len(header)} columns: "
                    'put values that hold commas or line ends into "double quotes".',
                )
                continue
            yield line, dict(zip(header, values, strict=True))
    except csv.Error as error:
        problems.add(
            line,
            f"It can't be read as CSV ({error}): values with commas, quotes or line ends stand in "
            '"double quotes", and a quote within them is doubled. What follows wasn\'t read.',
        )
