"""manage.py export_arena --arena SLUG PATH"""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from arena.models import Arena
from arena.sharing import SharingError
from judges.archive.scope import public, whole
from judges.archive.writing import JSONL, PARQUET, digest_of, write_archive
from judges.formats.errors import DatasetError


class Command(BaseCommand):
    help = "Write an arena as a ZIP archive of tables, which import_dataset jurybox reads back without a loss."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, nargs="?", help="A new file, such as poems.zip.")
        parser.add_argument("--arena", required=True, metavar="SLUG")
        parser.add_argument(
            "--public",
            action="store_true",
            help="What the arena shares with everybody, not all of it.",
        )
        parser.add_argument(
            "--parquet", action="store_true", help="Tables as Parquet, which can't be imported."
        )
        parser.add_argument(
            "--digest",
            action="store_true",
            help="Only print the dataset digest; nothing is written.",
        )

    def handle(self, *, path: Path | None, arena: str, **given: Any) -> None:
        if (path is None) != given["digest"]:
            raise CommandError("Name a new file, or ask for the --digest alone.")
        there = Arena.objects.filter(slug=arena).first()
        if there is None:
            known = ", ".join(Arena.objects.order_by("slug").values_list("slug", flat=True)[:20])
            raise CommandError(f"There is no arena {arena!r}: there are {known or 'none yet'}.")
        try:
            scope = public(there) if given["public"] else whole(there)
            if path is None:
                self.stdout.write(digest_of(scope))
                return
            with tqdm(
                unit="rows", disable=not sys.stderr.isatty(), file=sys.stderr, leave=False
            ) as bar:
                size = write_archive(
                    scope,
                    path,
                    form=PARQUET if given["parquet"] else JSONL,
                    progress=_Progress(bar),
                )
        except (DatasetError, SharingError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{size:,} bytes written to {path}.")


class _Progress:
    """Rows of all tables, and the name of the one at hand."""

    def __init__(self, bar: tqdm) -> None:
        self.bar, self.table, self.before = bar, "", 0

    def __call__(self, table: str, rows: int) -> None:
        if table != self.table:
            self.table, self.before = table, 0
            self.bar.set_postfix_str(table, refresh=False)
        self.bar.update(rows - self.before)
        self.before = rows
