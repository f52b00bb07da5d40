"""Files of one system's outputs, read into rows; every problem is found at once, with its line."""

from dataclasses import dataclass

from arena.uploads import OutputRow, read_outputs

KINDS = {"jsonl": "JSON lines", "csv": "CSV"}


@dataclass(frozen=True)
class SubmissionFile:
    """What was in a file. ``system`` is the name that the file itself tells, or empty."""

    rows: list[OutputRow]
    unused: list[str]
    kind: str
    system: str = ""


def read_submission(content: bytes, *, name: str = "", kind: str = "") -> SubmissionFile:
    """The outputs in a file; without a kind it is guessed. Raises UploadError."""
    found = kind or ("jsonl" if content.lstrip()[:1] in (b"{", b"[") else "csv")
    upload = read_outputs(content, kind=found)
    return SubmissionFile(upload.rows, upload.unused, found)
