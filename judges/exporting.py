"""The verdicts of an arena as a file in LMArena's form, which import_dataset reads back."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from arena.models import Arena, Prompt
from judges.bulk import Forgetful, in_batches
from judges.formats.errors import DatasetError, Where
from judges.models import MIRRORED, Outcome, Verdict

ROWS = 2_000  # fetched and written at a time
SUFFIXES = (".csv", ".jsonl", ".parquet", ".csv.gz", ".jsonl.gz")
WINNERS = {
    Outcome.A: "model_a",
    Outcome.B: "model_b",
    Outcome.TIE: "tie",
    Outcome.BOTH_BAD: "tie (bothbad)",
}
SIDES = ("model_a", "model_b")
# Column to its type in Parquet.
COLUMNS = {
    "question_id": "string",
    "prompt": "string",
    "conversation_a": "messages",
    "conversation_b": "messages",
    "model_a": "string",
    "version_a": "string",
    "model_b": "string",
    "version_b": "string",
    "winner": "string",
    "judge": "string",
    "judge_version": "int64",
    "judge_kind": "string",
    "judge_family": "string",
    "judge_simulated": "bool",
    "voter": "string",
    "criterion": "string",
    "language": "string",
    "category": "strings",
    "shown_first": "string",
    "confidence": "double",
    "repetition": "int64",
    "source_key": "int64",
    "tstamp": "double",
}
FIELDS = (
    "prompt_id",
    "prompt__messages",
    "prompt__source_id",
    "prompt__language",
    "battle__system_a__name",
    "battle__system_a__version",
    "battle__output_a__text",
    "battle__system_b__name",
    "battle__system_b__version",
    "battle__output_b__text",
    "battle__source_key",
    "outcome",
    "shown_first",
    "judge__name",
    "judge__version",
    "judge__kind",
    "judge__family",
    "judge__is_simulated",
    "voter__handle",
    "criterion",
    "confidence",
    "repetition",
    "cast_at",
)


def export_dataset(
    *, arena: Arena, path: Path, progress: Callable[[int], None] | None = None
) -> int:
    """Write every verdict that hasn't been taken back to a new file; how many there were.

    Streamed, in the order in which they came into the arena. The systems of a battle stand in alphabetical
    order, whichever the database calls A: so that equal data gives equal files. ``progress`` gets the number
    of rows written so far. DatasetError when the file is there or can't be written.
    """
    path = Path(path)
    kind = next((suffix for suffix in SUFFIXES if path.name.lower().endswith(suffix)), None)
    if kind is None:
        raise DatasetError(
            f"the name must end with one of {', '.join(SUFFIXES)}.", where=Where(str(path))
        )
    count = 0
    rows = _rows(arena)
    with _new_file(path) as part, _writer(part, kind, where=Where(str(path))) as writer:
        while block := list(islice(rows, ROWS)):
            writer.write(block)
            count += len(block)
            if progress:
                progress(count)
    return count


def _rows(arena: Arena) -> Iterator[dict[str, Any]]:
    verdicts = (
        Verdict.objects.filter(arena=arena, retraction=None).order_by("pk").values_list(*FIELDS)
    )
    categories = Forgetful(50_000)
    found = verdicts.iterator(chunk_size=ROWS)
    while block := list(islice(found, ROWS)):
        _look_up(categories, {row[0] for row in block})
        for row in block:
            yield _row(row, categories[row[0]])


def _look_up(categories: Forgetful, prompts: set[int]) -> None:
    """The names of the categories of these prompts, sorted."""
    missing = [number for number in prompts if number not in categories]
    names: dict[int, list[str]] = {number: [] for number in missing}
    links = Prompt.categories.through.objects
    for batch in in_batches(missing):
        found = links.filter(prompt_id__in=batch).values_list("prompt_id", "category__name")
        for number, name in found:
            names[number].append(name)
    # All that a block needs stays: it is far smaller than what is remembered.
    known = {number: categories[number] for number in prompts if number in categories}
    categories.remember({number: sorted(found) for number, found in names.items()})
    categories.update(known)


def _row(values: tuple[Any, ...], categories: list[str]) -> dict[str, Any]:
    (
        _, messages, source_id, language, name_a, version_a, text_a, name_b, version_b, text_b,
        source_key, outcome, shown_first, judge, judge_version, kind, family, simulated, voter,
        criterion, confidence, repetition, cast_at,
    ) = values  # fmt: skip
    sides = [(name_a, version_a, text_a), (name_b, version_b, text_b)]
    if sides[0][:2] > sides[1][:2]:
        sides.reverse()
        outcome = MIRRORED[outcome]
        shown_first = None if shown_first is None else 1 - shown_first
    row: dict[str, Any] = {"question_id": source_id, "prompt": "", "winner": WINNERS[outcome]}
    if text_a is None:
        row["prompt"] = _prompt(messages)
    for side, (name, version, text) in zip("ab", sides, strict=True):
        answer = {"role": "assistant", "content": text}
        row[f"model_{side}"], row[f"version_{side}"] = name, version
        row[f"conversation_{side}"] = None if text is None else [*messages, answer]
    return row | {
        "judge": judge,
        "judge_version": judge_version,
        "judge_kind": kind,
        "judge_family": family,
        "judge_simulated": simulated,
        "voter": voter or "",
        "criterion": criterion,
        "language": language,
        "category": categories,
        "shown_first": "" if shown_first is None else SIDES[shown_first],
        "confidence": confidence,
        "repetition": repetition,
        "source_key": source_key,
        "tstamp": cast_at.timestamp(),
    }


def _prompt(messages: list[dict[str, str]]) -> str:
    """A single message of the user as its text, where that can't be taken for JSON; else JSON."""
    if not messages:
        return ""
    if len(messages) == 1 and messages[0].get("role") == "user":
        text = messages[0].get("content", "")
        if text and text.lstrip()[:1] not in ("[", "{"):
            return text
    return json.dumps(messages, ensure_ascii=False)


class Writer(Protocol):
    def write(self, rows: list[dict[str, Any]]) -> None: ...


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """A file beside it, which takes its name when all is written; an old file is never written over."""
    if path.exists():
        raise DatasetError("is there already: name another file.", where=Where(str(path)))
    part = path.with_name(path.name + ".part")
    try:
        yield part
        part.rename(path)
    except OSError as error:
        raise DatasetError(
            f"can't be written ({error.strerror}).", where=Where(str(path))
        ) from None
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _writer(path: Path, kind: str, *, where: Where) -> Iterator[Writer]:
    if kind == ".parquet":
        with _parquet_writer(path, where) as writer:
            yield writer
        return
    with path.open("wb") as stored:
        # No name and no time in the gzip header: equal data, equal files.
        packed = (
            gzip.GzipFile(filename="", mode="wb", fileobj=stored, mtime=0, compresslevel=6)
            if kind.endswith(".gz")
            else None
        )
        with io.TextIOWrapper(packed or stored, encoding="utf-8", newline="") as text:
            yield _CsvWriter(text) if kind.startswith(".csv") else _JsonlWriter(text)


class _CsvWriter:
    """Lists as JSON; a single category as its name."""

    def __init__(self, text: io.TextIOBase) -> None:
        self.writer = csv.writer(text, lineterminator="\n")
        self.writer.writerow(COLUMNS)

    def write(self, rows: list[dict[str, Any]]) -> None:
        self.writer.writerows([_cell(row[column]) for column in COLUMNS] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], str) and not value[0].startswith("["):
            return value[0]
        return json.dumps(value, ensure_ascii=False) if value else ""
    if isinstance(value, bool):
        return "true" if value else ""
    return value


class _JsonlWriter:
    def __init__(self, text: io.TextIOBase) -> None:
        self.text = text

    def write(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            ordered = {column: row[column] for column in COLUMNS}
            self.text.write(json.dumps(ordered, ensure_ascii=False) + "\n")


@contextmanager
def _parquet_writer(path: Path, where: Where) -> Iterator[Writer]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DatasetError(
            "Parquet needs the package pyarrow: pip install -r requirements/parquet.txt, or write CSV "
            "or JSONL.",
            where=where,
        ) from None
    message = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string())])
    types = {
        "string": pyarrow.string(),
        "strings": pyarrow.list_(pyarrow.string()),
        "messages": pyarrow.list_(message),
        "int64": pyarrow.int64(),
        "double": pyarrow.float64(),
        "bool": pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])

    class ParquetWriter:
        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, rows: list[dict[str, Any]]) -> None:
            self.file.write_batch(pyarrow.RecordBatch.from_pylist(rows, schema=schema))

    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as file:
        yield ParquetWriter(file)
