"""manage.py export_dataset --arena SLUG PATH"""

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from arena.models import Arena
from judges.exporting import SUFFIXES, export_dataset
from judges.formats.errors import DatasetError
from judges.models import Verdict


class Command(BaseCommand):
    help = "Write every verdict of an arena that counts to a file that import_dataset reads."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help=f"A new file: {', '.join(SUFFIXES)}.")
        parser.add_argument("--arena", required=True, metavar="SLUG")

    def handle(self, *, path: Path, arena: str, **given: Any) -> None:
        there = Arena.objects.filter(slug=arena).first()
        if there is None:
            known = ", ".join(Arena.objects.order_by("slug").values_list("slug", flat=True)[:20])
            raise CommandError(f"There is no arena {arena!r}: there are {known or 'none yet'}.")
        total = Verdict.objects.filter(arena=there, retraction=None).count()
        with tqdm(
            total=total,
            unit="verdicts",
            disable=not sys.stderr.isatty(),
            file=sys.stderr,
            leave=False,
        ) as bar:
            try:
                count = export_dataset(
                    arena=there, path=path, progress=lambda done: bar.update(done - bar.n)
                )
            except DatasetError as error:
                raise CommandError(str(error)) from None
        self.stdout.write(f"{count:,} verdicts written to {path}.")
