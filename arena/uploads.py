"""Prompts and outputs as people upload them: JSON lines, CSV or plain text, read in bounded memory.

Every problem is found at once, each with its line and what to do. Nothing here touches the database.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

LONGEST_LINE = 2**20  # characters of one record
MOST_PROBLEMS = 200  # are kept; beyond them the file is another than was meant
MOST_MESSAGES = 200
ROLES = ("system", "user", "assistant", "tool")
FORMATS = ("jsonl", "csv", "text")
_UNWANTED = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Problem:
    """What is wrong in a line (counted from 1; 0: in the whole), and what to do."""

    line: int
    sentence: str

    def __str__(self) -> str:
        return f"Line {self.line}: {self.sentence}" if self.line else self.sentence


class UploadError(ValueError):
    """Nothing was stored. ``problems`` are at most MOST_PROBLEMS; ``count`` is how many there were."""

    def __init__(self, problems: list[Problem], count: int | None = None) -> None:
        self.problems = problems
        self.count = len(problems) if count is None else count
        super().__init__(
            f"{self.count:,} problems; nothing was stored." if self.count != 1 else str(problems[0])
        )


@dataclass
class Problems:
    """Collects them, and raises UploadError with all when there are any."""

    kept: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, line: int, sentence: str) -> None:
        self.count += 1
        if len(self.kept) < MOST_PROBLEMS:
            self.kept.append(Problem(line, sentence))

    def check(self) -> None:
        if self.count:
            raise UploadError(sorted(self.kept, key=lambda p: p.line), self.count)


@dataclass(frozen=True)
class PromptRow:
    line: int
    messages: list[dict[str, str]]
    source_id: str = ""
    title: str = ""
    reference: str = ""
    language: str = ""
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class OutputRow:
    """``prompt`` is the text of the prompt, ``prompt_id`` its number here or its name in its source."""

    line: int
    text: str
    prompt: str = ""
    prompt_id: str = ""
    tokens: int | None = None
    latency_ms: int | None = None
    cost: Decimal | None = None  # USD


@dataclass(frozen=True)
class GoldRow:
    """A comparison with a known answer; ``expected`` is a, b, tie or both_bad."""

    line: int
    source_id: str
    prompt: str
    output_a: str
    output_b: str
    expected: str
    reason: str = ""


@dataclass(frozen=True)
class Upload:
    """The rows of a file, and the names of what was in it and isn't used."""

    rows: list[Any]
    unused: list[str]


def read_prompts(content: bytes | str, *, kind: str) -> Upload:
    """PromptRows. JSON lines hold "prompt" or "messages"; CSV a column prompt; text has one prompt a line.

    Raises UploadError.
    """
    known = {"prompt", "messages", "id", "title", "reference", "language", "category", "categories"}
    return _read(content, kind=kind, known=known, make=_prompt_row, text_field="prompt")


def read_outputs(content: bytes | str, *, kind: str) -> Upload:
    """OutputRows. A record holds prompt_id or prompt, and output (or response). Raises UploadError."""
    known = {"prompt", "prompt_id", "output", "response", "tokens", "latency_ms"}
    return _read(content, kind=kind, known=known, make=_output_row, text_field="")


def read_gold_items(content: bytes | str, *, kind: str) -> Upload:
    """GoldRows. A record holds id, prompt, output_a, output_b, expected, and reason. Raises UploadError."""
    known = {"id", "prompt", "output_a", "output_b", "expected", "reason"}
    return _read(content, kind=kind, known=known, make=_gold_row, text_field="")


def kind_of(name: str) -> str:
    """The format that a file's name tells; UploadError for another."""
    suffix = name.lower().rpartition(".")[2]
    kind = {"jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "txt": "text"}.get(suffix)
    if kind is None:
        raise UploadError(
            [
                Problem(
                    0,
                    "The file's name must end in .jsonl, .csv or .txt, so that it is known how to read it.",
                )
            ]
        )
    return kind


# --- reading ----------------------------------------------------------------------------------------------


class _Wrong(ValueError):
    """One sentence about one record."""


def _read(
    content: bytes | str,
    *,
    kind: str,
    known: set[str],
    make: Callable[[int, dict[str, Any]], Any],
    text_field: str,
) -> Upload:
    problems = Problems()
    text = _decoded(content, problems)
    problems.check()
    rows, unused = [], set()
    for line, values in _records(text, kind, text_field, problems):
        unused |= values.keys() - known
        try:
            rows.append(make(line, values))
        except _Wrong as wrong:
            problems.add(line, str(wrong))
    problems.check()
    if not rows:
        problems.add(0, "There is nothing in it: no line holds a record.")
        problems.check()
    return Upload(rows, sorted(str(name)[:60] for name in unused)[:20])


def _decoded(content: bytes | str, problems: Problems) -> str:
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(
            line,
            f"Byte {error.start + 1} of the file isn't UTF-8: save the file as UTF-8. "
            "(A spreadsheet or a compressed file isn't text: export it as CSV, or unpack it.)",
        )
        return ""


def _records(
    text: str, kind: str, text_field: str, problems: Problems
) -> Iterator[tuple[int, dict[str, Any]]]:
    if kind == "csv":
        return _csv_records(text, problems)
    if kind == "jsonl":
        return _json_records(text, problems)
    if not text_field:
        problems.add(0, "Plain text can't say what belongs to what: use JSON lines or CSV.")
        return iter(())
    return _text_records(text, text_field, problems)


def _lines(text: str, problems: Problems) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        if len(line) > LONGEST_LINE:
            problems.add(
                number, f"It is longer than {LONGEST_LINE:,} characters: shorten it, or split it."
            )
        elif line.strip():
            yield number, line.rstrip("\n")


def _text_records(
    text: str, text_field: str, problems: Problems
) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(text, problems):
        yield number, {text_field: line.strip()}


def _json_records(text: str, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(text, problems):
        try:
            values = json.loads(line)
        except RecursionError:
            problems.add(number, "It is nested too deeply to be a record.")
            continue
        except ValueError as error:
            where = (
                f" at character {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            )
            problems.add(
                number, f"It isn't JSON{where}: every line must hold one object such as {{…}}."
            )
            continue
        if not isinstance(values, dict):
            problems.add(number, "It isn't an object: a record begins with { and ends with }.")
            continue
        yield number, values


def _csv_records(text: str, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
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
            reader.line_num or 1,
            f"It can't be read as CSV ({error}): values with commas, quotes or line ends stand in "
            '"double quotes", and a quote within them is doubled.',
        )


# --- records ----------------------------------------------------------------------------------------------


def _prompt_row(line: int, values: dict[str, Any]) -> PromptRow:
    if values.get("messages"):
        messages = _messages(values["messages"])
    else:
        messages = [{"role": "user", "content": _text(values, "prompt")}]
    categories = values.get("categories") or values.get("category") or []
    if isinstance(categories, str):
        categories = categories.split(";")
    if not isinstance(categories, list) or not all(isinstance(c, str) for c in categories):
        raise _Wrong('"categories" must be a list of names.')
    names = tuple(dict.fromkeys(c.strip() for c in categories if c.strip()))
    for name in names:
        _no_longer(name, 80, "a category")
        _clean(name, "categories")
    return PromptRow(
        line=line,
        messages=messages,
        source_id=_short(values, "id", 200),
        title=_short(values, "title", 120),
        reference=_text(values, "reference", required=False),
        language=_short(values, "language", 35),
        categories=names,
    )


def _output_row(line: int, values: dict[str, Any]) -> OutputRow:
    both = [name for name in ("output", "response") if isinstance(values.get(name), str)]
    if len(both) == 2:
        raise _Wrong('It has both "output" and "response": keep one of them.')
    name = both[0] if both else "output"
    prompt = _text(values, "prompt", required=False)
    prompt_id = _short(values, "prompt_id", 200)
    if not prompt and not prompt_id:
        raise _Wrong('It doesn\'t say which prompt it answers: add "prompt_id" or "prompt".')
    return OutputRow(
        line=line,
        text=_text(values, name),
        prompt=prompt,
        prompt_id=prompt_id,
        tokens=_whole(values, "tokens"),
        latency_ms=_whole(values, "latency_ms"),
    )


def _gold_row(line: int, values: dict[str, Any]) -> GoldRow:
    expected = str(values.get("expected") or "").strip().lower().replace(" ", "_")
    if expected not in ("a", "b", "tie", "both_bad"):
        raise _Wrong('"expected" must be a, b, tie or both_bad.')
    return GoldRow(
        line=line,
        source_id=_short(values, "id", 200, required=True),
        prompt=_text(values, "prompt"),
        output_a=_text(values, "output_a"),
        output_b=_text(values, "output_b"),
        expected=expected,
        reason=_text(values, "reason", required=False),
    )


def _messages(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or len(value) > MOST_MESSAGES:
        raise _Wrong(f'"messages" must be a list of at most {MOST_MESSAGES} messages.')
    messages = []
    for message in value:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise _Wrong(f'Each of "messages" needs a "role" of {", ".join(ROLES)}.')
        messages.append({"role": message["role"], "content": _text(message, "content")})
    if not any(message["role"] == "user" for message in messages):
        raise _Wrong('None of "messages" has the role "user": there is nothing to answer.')
    return messages


def _text(values: dict[str, Any], name: str, *, required: bool = True) -> str:
    value = values.get(name)
    if value is None and not required:
        return ""
    if value is None:
        raise _Wrong(f'"{name}" is missing.')
    if not isinstance(value, str):
        raise _Wrong(f'"{name}" must be text in quotes.')
    if required and not value.strip():
        raise _Wrong(f'"{name}" is empty.')
    _no_longer(value, LONGEST_LINE, f'"{name}"')
    return _clean(value, name)


def _short(values: dict[str, Any], name: str, longest: int, *, required: bool = False) -> str:
    value = values.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)  # ids are often numbers
    text = _text(values | {name: value}, name, required=required).strip()
    return _no_longer(text, longest, f'"{name}"')


def _no_longer(text: str, longest: int, what: str) -> str:
    if len(text) > longest:
        raise _Wrong(f"{what} has {len(text):,} characters, more than {longest:,}: shorten it.")
    return text


def _clean(text: str, name: str) -> str:
    if _UNWANTED.search(text):
        raise _Wrong(
            f'"{name}" holds a NUL or half of a character: no database keeps those. Remove it.'
        )
    return text


def _whole(values: dict[str, Any], name: str) -> int | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:12])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise _Wrong(f'"{name}" must be a whole number that isn\'t negative.')
    return value
