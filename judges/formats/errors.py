"""What is wrong with a dataset, and where: one exception for every kind of bad file."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

KEPT_TEXT = 10_000  # characters of the original text that a reject keeps


@dataclass(slots=True)  # not frozen: there is one for every row, and that is four times as quick
class Where:
    """A place in a file. ``number`` counts from 1; ``unit`` is what it counts: line, item or row."""

    file: str
    number: int = 0
    unit: str = "line"
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}, {self.unit} {self.number}" if self.number else self.file


class DatasetError(ValueError):
    """str() is one sentence: where it is, what it says there, what was expected and what to do."""

    def __init__(self, reason: str, *, where: Where | None = None, column: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where
        self.column = column

    def __str__(self) -> str:
        place = [str(self.where)] if self.where else []
        place += [f"column {self.column}"] if self.column else []
        return f"{', '.join(place)}: {self.reason}" if place else self.reason


class UnreadableDataset(DatasetError):
    """The file can't be read past this point: nothing is left that could be skipped."""


class Rejects:
    """What becomes of bad records: without a file the first one is raised, with one they are written there.

    A line of the file is {"file", "line", "unit", "column", "reason", "text"} as JSON.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self.file = file
        self.count = 0
        self._lock = threading.Lock()

    @property
    def are_kept(self) -> bool:
        """Whether bad records are written down, and the rest of a file is wanted."""
        return self.file is not None

    def add(self, error: DatasetError, where: Where | None = None) -> None:
        """Raise or write down; ``where`` is the place of an error that doesn't name its own."""
        error.where = error.where or where
        if self.file is None or isinstance(error, UnreadableDataset):
            raise error
        place = error.where or Where("")
        record = {
            "file": place.file,
            "line": place.number or None,
            "unit": place.unit,
            "column": error.column or None,
            "reason": error.reason,
            "text": place.text[:KEPT_TEXT],
        }
        # ASCII: the text may hold lone surrogates, which no file can.
        line = json.dumps(record) + "\n"
        with self._lock:  # a file may be read in another thread than its records are stored in
            self.count += 1
            self.file.write(line)

    @contextmanager
    def at(self, where: Where) -> Iterator[None]:
        """Errors inside happen at this place; what raised one is left out."""
        try:
            yield
        except DatasetError as error:
            self.add(error, where)


@contextmanager
def rejects_file(path: Path | None) -> Iterator[Rejects]:
    """Rejects that are written to a new file (never over an old one), or raised where path is None."""
    if path is None:
        yield Rejects()
        return
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        raise DatasetError(
            "the file for rejects is already there: name another, or remove it.",
            where=Where(str(path)),
        ) from None
    except OSError as error:
        raise DatasetError(
            f"the file for rejects can't be written ({error.strerror}).", where=Where(str(path))
        ) from None
    with file:
        yield Rejects(file)
