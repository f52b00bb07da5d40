"""manage.py add_prompts: the prompts of a file, all of them or none."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from arena.making import add_prompts
from arena.management.commands._makers import arena_of, complaint, content_of
from arena.uploads import UploadError, kind_of, read_prompts


class Command(BaseCommand):
    help = (
        "Add prompts from a .jsonl, .csv or .txt file; those that are there already are left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("file", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        arena, file = arena_of(options["arena"]), options["file"]
        try:
            rows = read_prompts(content_of(file), kind=kind_of(file.name)).rows
            plan = add_prompts(arena=arena, rows=rows, actor=None)
        except UploadError as error:
            raise complaint(error) from error
        self.stdout.write(f"{len(plan.new):,} added, {plan.known:,} there already.")
