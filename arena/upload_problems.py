"""What is wrong in an uploaded file: told all at once, each with its place and what to do."""

from dataclasses import dataclass, field
from typing import Self

MOST_PROBLEMS = 200  # are kept; beyond them the file is another than was meant


class Item(int):
    """The number of a record in a JSON list, where lines say little; ``at`` is the line it begins in.

    Stands wherever the line of a record does.
    """

    at: int

    def __new__(cls, number: int, at: int = 1) -> Self:
        item = super().__new__(cls, number)
        item.at = at
        return item


def place_of(line: int) -> str:
    """What sentences call a record: "line 3", or "item 3" where it is one of a JSON list."""
    return f"item {line:d}" if isinstance(line, Item) else f"line {line:d}"


@dataclass(frozen=True)
class Problem:
    """What is wrong in a line (counted from 1; 0: in the whole) or an Item, and what to do."""

    line: int
    sentence: str

    @property
    def place(self) -> str:
        """Empty where it is about the whole."""
        return place_of(self.line) if self.line else ""

    def by_line(self) -> tuple[int, str]:
        """The line in the file, also of an Item, and the sentence, which then names the item."""
        if isinstance(self.line, Item):
            return self.line.at, f"{self.place.capitalize()}: {self.sentence}"
        return self.line, self.sentence

    def __str__(self) -> str:
        # Of a list that stands on one line, the line says nothing.
        more = f" (line {self.line.at})" if isinstance(self.line, Item) and self.line.at > 1 else ""
        return f"{self.place.capitalize()}{more}: {self.sentence}" if self.line else self.sentence


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
