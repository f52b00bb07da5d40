"""Prompts and outputs as people upload them: JSON lines, CSV or plain text, read in bounded memory.

Every problem is found at once, each with its line and what to do. Nothing here touches the database.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from arena import record_fields as fields
from arena.records import Values, records, text_of
from arena.upload_problems import Item, Problem, Problems, UploadError, place_of

__all__ = ["Item", "Problem", "Problems", "UploadError", "place_of"]

NOTHING = Problem(0, "There is nothing in it: no line holds a record.")
MOST_UNUSED = 1_000  # names are noted
MOST_MESSAGES = 200
OUTPUT_FIELDS = {"prompt", "prompt_id", "output", "response", "tokens", "latency_ms", "cost"}
ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class PromptRow:
    line: int
    messages: list[dict[str, str]]
    source_id: str = ""
    title: str = ""
    reference: str = ""
    language: str = ""
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OutputRow:
    """``prompt`` is the text of the prompt, ``prompt_id`` its number here or its name in its source."""

    line: int
    text: str
    prompt: str = ""
    prompt_id: str = ""
    tokens: int | None = None
    latency_ms: int | None = None
    cost: Decimal | None = None  # USD


@dataclass(frozen=True, slots=True)
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
    return _read(content, kind=kind, known=OUTPUT_FIELDS, make=output_row)


def read_gold_items(content: bytes | str, *, kind: str) -> Upload:
    """GoldRows. A record holds id, prompt, output_a, output_b, expected, and reason. Raises UploadError."""
    known = {"id", "prompt", "output_a", "output_b", "expected", "reason"}
    return _read(content, kind=kind, known=known, make=_gold_row)


def kind_of(name: str) -> str:
    """The format that a file's name tells; UploadError for another."""
    suffix = name.lower().removesuffix(".gz").rpartition(".")[2]
    kind = {"jsonl": "jsonl", "ndjson": "jsonl", "csv": "csv", "txt": "text"}.get(suffix)
    if kind is None:
        raise UploadError(
            [
                Problem(
                    0,
                    "The file's name must end in .jsonl, .csv or .txt, and in .gz where it is packed, so "
                    "that it is known how to read it.",
                )
            ]
        )
    return kind


# --- reading ----------------------------------------------------------------------------------------------


def _read(
    content: bytes | str,
    *,
    kind: str,
    known: set[str],
    make: Callable[[int, Values], Any],
    text_field: str = "",
) -> Upload:
    problems, unused = Problems(), Unused(known)
    rows = []
    with text_of(content) as text:
        for line, values in records(text, kind, problems, text_field=text_field):
            unused.add(values)
            try:
                rows.append(make(line, values))
            except fields.Wrong as wrong:
                for sentence in wrong.args:
                    problems.add(line, sentence)
    problems.check()
    if not rows:
        raise UploadError([NOTHING])
    return Upload(rows, unused.names())


class Unused:
    """Names of fields that stand in records and mean nothing here."""

    def __init__(self, known: Iterable[str]) -> None:
        self.known = frozenset(known)
        self._found: set[str] = set()

    def add(self, values: Values) -> None:
        if not values.keys() <= self.known and len(self._found) < MOST_UNUSED:
            # A stranger's record may hold many thousands.
            self._found.update(islice(values.keys() - self.known, MOST_UNUSED))

    def names(self) -> list[str]:
        """The first of them by the alphabet, as far as they can be written."""
        return sorted(name.encode("utf-8", "replace").decode()[:60] for name in self._found)[:20]


# --- records ----------------------------------------------------------------------------------------------


def _prompt_row(line: int, values: dict[str, Any]) -> PromptRow:
    if values.get("messages"):
        messages = _messages(values["messages"])
    else:
        messages = [{"role": "user", "content": fields.text(values, "prompt")}]
    categories = values.get("categories") or values.get("category") or []
    if isinstance(categories, str):
        categories = categories.split(";")
    if not isinstance(categories, list) or not all(isinstance(c, str) for c in categories):
        raise fields.Wrong('"categories" must be a list of names.')
    names = tuple(dict.fromkeys(c.strip() for c in categories if c.strip()))
    for name in names:
        fields.no_longer(name, 80, "a category")
        fields.clean(name, "categories")
    return PromptRow(
        line=line,
        messages=messages,
        source_id=fields.short(values, "id", 200),
        title=fields.short(values, "title", 120),
        reference=fields.text(values, "reference", required=False),
        language=fields.short(values, "language", 35),
        categories=names,
    )


def output_row(line: int, values: Values) -> OutputRow:
    """A record of our own formats. Raises Wrong."""
    record = fields.Fields(values)
    both = [name for name in ("output", "response") if isinstance(values.get(name), str)]
    if len(both) == 2:
        record.wrong.append('It has both "output" and "response": keep one of them.')
    prompt = record.text("prompt", required=False)
    prompt_id = record.short("prompt_id", 200)
    if not prompt.strip() and not prompt_id and not record.wrong:
        record.wrong.append('It doesn\'t say which prompt it answers: add "prompt_id" or "prompt".')
    row = OutputRow(
        line=line,
        text=record.text(both[0] if both else "output"),
        prompt=prompt,
        prompt_id=prompt_id,
        tokens=record.whole("tokens"),
        latency_ms=record.whole("latency_ms"),
        cost=record.dollars("cost"),
    )
    record.check()
    return row


def _gold_row(line: int, values: dict[str, Any]) -> GoldRow:
    expected = str(values.get("expected") or "").strip().lower().replace(" ", "_")
    if expected not in ("a", "b", "tie", "both_bad"):
        raise fields.Wrong('"expected" must be a, b, tie or both_bad.')
    return GoldRow(
        line=line,
        source_id=fields.short(values, "id", 200, required=True),
        prompt=fields.text(values, "prompt"),
        output_a=fields.text(values, "output_a"),
        output_b=fields.text(values, "output_b"),
        expected=expected,
        reason=fields.text(values, "reason", required=False),
    )


def _messages(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or len(value) > MOST_MESSAGES:
        raise fields.Wrong(f'"messages" must be a list of at most {MOST_MESSAGES} messages.')
    messages = []
    for message in value:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise fields.Wrong(f'Each of "messages" needs a "role" of {", ".join(ROLES)}.')
        messages.append({"role": message["role"], "content": fields.text(message, "content")})
    if not any(message["role"] == "user" for message in messages):
        raise fields.Wrong('None of "messages" has the role "user": there is nothing to answer.')
    return messages
