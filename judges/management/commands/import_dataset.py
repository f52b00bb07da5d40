"""manage.py import_dataset FORMAT PATH --arena SLUG"""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from judges.formats import FORMATS
from judges.formats.battles import judge_named
from judges.formats.errors import DatasetError
from judges.formats.interface import Options
from judges.formats.reading import Source
from judges.formats.records import JudgeRecord
from judges.importing import ImportReport, import_dataset
from judges.models import Judge


class Command(BaseCommand):
    help = "Import a judged dataset into an arena: the whole file, or nothing of it."

    def add_arguments(self, parser: CommandParser) -> None:
        formats = " ".join(f"{name}: {module.SUMMARY}" for name, module in FORMATS.items())
        parser.add_argument("format", choices=FORMATS, help=formats)
        parser.add_argument("path", type=Path, help="The file or folder.")
        parser.add_argument(
            "--arena", required=True, metavar="SLUG", help="Made when there is none."
        )
        parser.add_argument("--name", default="", help="Of the arena, where it is made.")
        parser.add_argument(
            "--skip-bad",
            type=Path,
            metavar="REJECTS_FILE",
            help="Write records that can't be imported to this new JSONL file, and go on.",
        )
        parser.add_argument(
            "--judge",
            nargs="+",
            default=[],
            metavar="NAME",
            help="Only the verdicts of these. A single one is also whose verdicts rows are that name none.",
        )
        parser.add_argument(
            "--judge-kind",
            choices=[Judge.Kind.CROWD, Judge.Kind.LLM, Judge.Kind.PROGRAM, Judge.Kind.IMPORTED],
            help="What the single --judge is, where the file doesn't say.",
        )
        parser.add_argument(
            "--source",
            default="",
            help="Where rows come from that have no voter; by default the file's name.",
        )
        parser.add_argument(
            "--column",
            action="append",
            default=[],
            metavar="OURS=THEIRS",
            help="table: which column of the file is which of ours; nothing after = ignores it.",
        )
        parser.add_argument(
            "--value",
            action="append",
            default=[],
            metavar="THEIRS=OURS",
            help="table: what the values of winner and shown_first mean.",
        )
        parser.add_argument(
            "--baseline", default="", help="arena_hard: the baseline, where the files don't say it."
        )

    def handle(self, **given: Any) -> None:
        if given["format"] != "table" and (given["column"] or given["value"]):
            raise CommandError("--column and --value belong to the format table.")
        if given["judge_kind"] and len(given["judge"]) != 1:
            raise CommandError("--judge-kind needs a single --judge.")
        options = Options(
            default_judge=_default_judge(given["judge"], given["judge_kind"]),
            columns=_pairs(given["column"], "--column"),
            values=_pairs(given["value"], "--value"),
            baseline=given["baseline"],
        )
        with tqdm(
            unit="B", unit_scale=True, disable=not sys.stderr.isatty(), file=sys.stderr, leave=False
        ) as bar:
            try:
                report = import_dataset(
                    format=given["format"],
                    path=given["path"],
                    arena=given["arena"],
                    name=given["name"],
                    source=given["source"],
                    judges=given["judge"],
                    options=options,
                    skip_bad=given["skip_bad"],
                    progress=_Progress(bar),
                )
            except DatasetError as error:
                raise CommandError(f"{error}\nNothing was imported.") from None
        self._tell(report, given["skip_bad"])

    def _tell(self, report: ImportReport, rejects: Path | None) -> None:
        made = "made" if report.arena_created else "there already"
        self.stdout.write(f"Arena {report.arena.slug} ({made})")
        self.stdout.write(f"{'':12}{'added':>12}{'already there':>16}{'rejected':>12}")
        for noun, counts in report.nouns.items():
            self.stdout.write(
                f"{noun:12}{counts.added:>12,}{counts.already_there:>16,}{counts.rejected:>12,}"
            )
        if report.unanswered:
            self.stdout.write(
                f"{report.unanswered:,} records left out: the source says that its judge failed."
            )
        if report.left_out:
            self.stdout.write(f"{report.left_out:,} verdicts of other judges left out.")
        if report.rejected:
            self.stdout.write(f"{report.rejected:,} records rejected, see {rejects}.")


class _Progress:
    """Bytes of the files, with rate and time left."""

    def __init__(self, bar: tqdm) -> None:
        self.bar = bar

    def __call__(self, source: Source, report: ImportReport) -> None:
        verdicts = report.nouns["verdicts"]
        self.bar.total = source.bytes_total
        self.bar.set_postfix_str(f"{verdicts.added:,} verdicts", refresh=False)
        self.bar.update(source.bytes_read - self.bar.n)


def _default_judge(names: list[str], kind: str | None) -> JudgeRecord:
    if len(names) != 1:
        return JudgeRecord()
    try:
        judge = judge_named(names[0])
    except DatasetError as error:
        raise CommandError(f"--judge: {error.reason}") from None
    return JudgeRecord(name=judge.name, kind=kind or judge.kind)


def _pairs(given: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        left, equals, right = text.partition("=")
        if not equals or not left.strip():
            raise CommandError(f"{option} {text!r}: something like left=right was expected.")
        pairs[left.strip()] = right.strip()
    return pairs
