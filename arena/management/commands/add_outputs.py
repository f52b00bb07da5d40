"""manage.py add_outputs: what one system answered, all of it or nothing."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand

from arena.making import add_outputs
from arena.management.commands._makers import arena_of, complaint, content_of
from arena.submissions.formats import read_submission
from arena.uploads import UploadError


class Command(BaseCommand):
    help = (
        "Add a system's outputs from a file of JSON lines, JSON or CSV, or as AlpacaEval or Arena-Hard write "
        "them, gzipped or not; those that are there are left alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("file", type=Path)
        parser.add_argument("--system", required=True, metavar="NAME")
        for name in ("version", "organisation", "family", "licence", "link"):
            # Django's commands have a --version of their own.
            flag = "--system-version" if name == "version" else f"--{name}"
            parser.add_argument(flag, dest=f"about_{name}", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        arena, file = arena_of(options["arena"]), options["file"]
        about = {n.removeprefix("about_"): v for n, v in options.items() if n.startswith("about_")}
        try:
            rows = read_submission(content_of(file), name=file.name).rows
            plan = add_outputs(
                arena=arena, system=options["system"], rows=rows, actor=None, **about
            )
        except (UploadError, ValidationError) as error:
            raise complaint(error) from error
        self.stdout.write(f"{len(plan.new):,} added, {plan.known:,} there already.")
