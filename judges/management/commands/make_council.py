"""manage.py make_council ARENA NAME: the systems that have an endpoint judge each other."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.management.commands._makers import arena_of
from judges.juries.councils import make_council
from judges.juries.making import JuryError
from judges.llm_judges import ConfigurationError
from judges.management.commands._judges import options_of
from judges.protocols import PROTOCOLS


class Command(BaseCommand):
    help = (
        "Make every system that has an endpoint a judge of the systems of other families, and a jury of them. "
        "A second run changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("name")
        parser.add_argument("--protocol", choices=PROTOCOLS, default="battle")
        parser.add_argument(
            "--option", action="append", default=[], metavar="NAME=JSON", help="of the protocol"
        )
        parser.add_argument(
            "--quorum", type=int, help="how many members must have decided (all who may)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        arena = arena_of(options["arena"])
        try:
            council = make_council(
                arena=arena,
                name=options["name"],
                protocol={"name": options["protocol"], "options": options_of(options["option"])},
                quorum=options["quorum"],
            )
        except (JuryError, ConfigurationError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{council} ({council.slug}). Let its members judge:")
        for member in council.configuration["members"]:
            self.stdout.write(f"    manage.py run_judge {arena.slug} {member['slug']}")
