"""manage.py make_program_judge ARENA NAME PROGRAM: a judge that decides by a program, not by a model."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.management.commands._makers import arena_of
from judges.management.commands._judges import options_of
from judges.programs import PROGRAMS, ParameterError
from judges.runs import RunError, make_program_judge


class Command(BaseCommand):
    help = (
        "Make a program judge. It judges nothing yet: see run_judge. A second run changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("name")
        parser.add_argument("program", choices=PROGRAMS)
        parser.add_argument(
            "--option",
            action="append",
            default=[],
            metavar="NAME=JSON",
            help=r'of the program, e.g. pattern="^Answer: \d+" (regex) or keys=["name", "year"] (valid_json)',
        )

    def handle(self, *args: Any, **options: Any) -> None:
        arena = arena_of(options["arena"])
        try:
            judge = make_program_judge(
                arena=arena,
                program=PROGRAMS[options["program"]],
                name=options["name"],
                parameters=options_of(options["option"]),
            )
        except (ParameterError, RunError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{judge} ({judge.slug}). Let it judge: manage.py run_judge {arena.slug} {judge.slug}"
        )
