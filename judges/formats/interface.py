"""What a format is: a module with a ``SUMMARY`` and ``read(source, options)``, listed in the registry."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from judges.formats.reading import Source
from judges.formats.records import JudgeRecord, Record


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line adds to the files. A format takes what concerns it."""

    default_judge: JudgeRecord = field(default_factory=JudgeRecord)  # of rows that name none
    columns: Mapping[str, str] = field(default_factory=dict)  # ours: theirs
    values: Mapping[str, str] = field(default_factory=dict)  # theirs: ours
    baseline: str = ""


class Format(Protocol):
    """``read`` yields records in an order in which nothing is referred to before it came.

    It reads each file once and keeps nothing that grows with the number of verdicts. A bad record goes to
    ``source.rejects``, with its place; DatasetError is the only error that leaves it.
    """

    SUMMARY: str

    def read(self, source: Source, options: Options) -> Iterator[Record]: ...
