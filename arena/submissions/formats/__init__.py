"""Files of one system's outputs, as researchers have them, read into the rows that add_outputs takes.

A format is a module with the same four names: KNOWN (fields that it uses, or that every file of it has),
LOOKS_LIKE (for messages), ``recognises(values)``, and ``row(line, values)``, an OutputRow or Wrong. Where a
file tells whose outputs they are, there is ``system(values)``, too. Nothing here touches the database.
"""

from dataclasses import dataclass
from itertools import chain, islice
from types import ModuleType
from typing import BinaryIO

from django.conf import settings

from arena.record_fields import Wrong
from arena.records import Values, records, text_of
from arena.submissions.formats import alpaca_eval, arena_hard, ours
from arena.upload_problems import Problem, Problems, UploadError, place_of
from arena.uploads import NOTHING, OutputRow, Unused, Upload
from config.packed import is_packed, opened

# Ours may stand in lines, a list or a table; the others are JSON, in lines or a list.
CONTAINERS = {"jsonl": "JSON lines", "json": "A JSON list", "csv": "CSV"}
NAMED = {"alpaca_eval": alpaca_eval, "arena_hard": arena_hard}
KINDS = {  # and what people call them
    **CONTAINERS,
    "alpaca_eval": "AlpacaEval’s model_outputs.json",
    "arena_hard": "Arena-Hard’s model_answer",
}
FORMATS: tuple[ModuleType, ...] = (arena_hard, alpaca_eval, ours)  # in the order of being asked
LOOKED_AT = 20  # records, to see what they are
MOST_NAMES = 5  # that are told of a file of several systems


@dataclass(frozen=True)
class SubmissionFile(Upload):
    """One system's outputs. ``system`` is the name that the file itself tells; empty where it tells none."""

    kind: str
    system: str
    is_packed: bool


def read_submission(content: bytes | BinaryIO, *, name: str = "", kind: str = "") -> SubmissionFile:
    """All of it, or an UploadError that names every problem.

    ``kind`` is one of KINDS; without it, what the file holds tells. ``name`` is that of the file: where the
    content may be several things, its end decides. Gzip is recognised by its first bytes.
    """
    if kind and kind not in KINDS:
        raise ValueError(f"{kind!r} is not one of {', '.join(KINDS)}.")
    if not isinstance(content, bytes):
        content = _bounded(content)
    problems = Problems()
    with text_of(content) as text:
        container = _container(_beginning(content), name=name, kind=kind)
        found = records(text, container, problems)
        first = list(islice(found, LOOKED_AT))
        form = NAMED.get(kind) or (ours if kind else _format(first, container))
        if container == "csv" and first and (missing := ours.missing_columns(first[0][1])):
            raise UploadError([Problem(1, missing)])
        reading = _Reading(form, problems)
        for line, values in chain(first, found):
            reading.take(line, values)
    reading.check_systems()
    problems.check()
    if not reading.rows:
        raise UploadError([NOTHING])
    return SubmissionFile(
        rows=reading.rows,
        unused=reading.unused.names(),
        kind=container if form is ours else form.__name__.rpartition(".")[2],
        system=next(iter(reading.systems), ""),
        is_packed=is_packed(content),
    )


class _Reading:
    """Rows of one format as they come; problems of each are noted."""

    def __init__(self, form: ModuleType, problems: Problems) -> None:
        self.form, self.problems = form, problems
        self.rows: list[OutputRow] = []
        self.unused = Unused(form.KNOWN)
        self.systems: dict[str, int] = {}  # name -> the record that tells it first
        self._answers: dict[tuple[bool, str], OutputRow] = {}

    def take(self, line: int, values: Values) -> None:
        self.unused.add(values)
        wrong: list[str] = []
        if hasattr(self.form, "system"):
            try:
                system = self.form.system(values)
                if system and (system in self.systems or len(self.systems) < MOST_NAMES):
                    self.systems.setdefault(system, line)
            except Wrong as error:
                wrong += error.args
        try:
            row = self.form.row(line, values)
        except Wrong as error:
            wrong += error.args
        else:
            # The same record again is no problem: it is counted once when it is stored.
            answers = bool(row.prompt_id), row.prompt_id or row.prompt.strip()
            before = self._answers.setdefault(answers, row)
            if before.text != row.text:
                wrong.append(
                    f"{place_of(before.line).capitalize()} answers the same prompt otherwise: keep one "
                    "output for a prompt."
                )
            self.rows.append(row)
        for sentence in wrong:
            self.problems.add(line, sentence)

    def check_systems(self) -> None:
        if len(self.systems) > 1:
            first, *others = self.systems
            for other in others:
                self.problems.add(
                    self.systems[other],
                    f"It is an output of “{other}”, and {place_of(self.systems[first])} of “{first}”: send "
                    "one system's outputs at a time.",
                )


def _bounded(file: BinaryIO) -> bytes:
    """What is in a file, unless it is larger than is taken."""
    begin = file.read(2)
    # What isn't packed may be as large as what is unpacked.
    largest = settings.LARGEST_UPLOAD if is_packed(begin) else settings.LARGEST_UNPACKED
    content = begin + file.read(largest)
    if len(content) > largest:
        raise UploadError(
            [Problem(0, f"It is larger than {largest // 2**20} MB: send it in parts.")]
        )
    return content


def _beginning(content: bytes) -> str:
    """What it begins with, past white space."""
    return opened(content).read(2**12).decode("utf-8", "replace").removeprefix("\ufeff").lstrip()


def _container(begin: str, *, name: str, kind: str) -> str:
    if kind in CONTAINERS:
        return kind
    if begin.startswith("["):
        return "json"
    if begin.startswith("{"):
        return "jsonl"
    if kind in NAMED:
        raise UploadError(
            [Problem(1, f"It isn't JSON: it must begin with [ or {{, as {NAMED[kind].LOOKS_LIKE}.")]
        )
    if not begin:
        raise UploadError([NOTHING])
    header = begin.splitlines()[0]
    if separator := ours.other_separator(header):
        raise UploadError(
            [Problem(1, f"Its columns are separated by {separator}: save it with commas.")]
        )
    if ours.is_header(header) or name.lower().removesuffix(".gz").endswith(".csv"):
        return "csv"
    raise UploadError([_unknown("it begins with neither [ nor {, nor with a header that is known")])


def _format(first: list[tuple[int, Values]], container: str) -> ModuleType:
    if container == "csv" or not first:
        return ours
    for _, values in first:
        for form in FORMATS:
            if form.recognises(values):
                return form
    line, values = first[0]
    names = ", ".join(f'"{name[:40]}"' for name in islice(values, 8)) or "none"
    shown = names.encode("utf-8", "replace").decode()
    raise UploadError([_unknown(f"{place_of(line)} has the fields {shown}")])


def _unknown(why: str) -> Problem:
    tried = "; ".join(form.LOOKS_LIKE for form in (ours, alpaca_eval, arena_hard))
    return Problem(0, f"It isn't known what this file is: {why}. What is read: {tried}.")
