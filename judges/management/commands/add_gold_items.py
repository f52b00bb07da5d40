"""manage.py add_gold_items: comparisons with a known answer, all of them or none."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from arena.management.commands._makers import arena_of, complaint, content_of
from arena.uploads import UploadError, kind_of, read_gold_items
from judges.gold import add_gold_items


class Command(BaseCommand):
    help = "Add gold items from a .jsonl or .csv file; those that are there already are left alone."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        arena, file = arena_of(options["arena"]), options["file"]
        try:
            rows = read_gold_items(content_of(file), kind=kind_of(file.name)).rows
            plan = add_gold_items(arena=arena, rows=rows, actor=None)
        except UploadError as error:
            raise complaint(error) from error
        self.stdout.write(f"{len(plan.new):,} added, {plan.known:,} there already.")
