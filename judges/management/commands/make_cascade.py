"""manage.py make_cascade ARENA NAME JUDGE…: judges decide what they can be trusted with, people the rest."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.management.commands._makers import arena_of
from judges.cascades.confidence import SOURCES
from judges.cascades.making import TIES, UNITS, CascadeError, Terms, Tier, make_cascade
from judges.derivations import DerivationError, derive
from judges.management.commands._cascades import report_lines
from judges.management.commands._judges import judge_of


class Command(BaseCommand):
    help = "Calibrate a cascade of judges on people's votes and derive its verdicts."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("name")
        parser.add_argument(
            "tiers",
            nargs="+",
            metavar="JUDGE[:CONFIDENCE]",
            help=f"the cheapest first; what tells how sure it is: {', '.join(SOURCES)} (default stored)",
        )
        parser.add_argument(
            "--target", type=float, required=True, help="agreement with the majority of people"
        )
        parser.add_argument(
            "--delta", type=float, default=0.1, help="chance that the claim is wrong"
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--votes", type=int, default=3, help="that make a majority")
        parser.add_argument("--ties", choices=TIES, default="count")
        parser.add_argument("--unit", choices=UNITS, default="battle")
        parser.add_argument("--share", type=float, default=0.5, help="of battles to calibrate on")
        parser.add_argument("--description", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        arena = arena_of(options["arena"])
        tiers = []
        for given in options["tiers"]:
            named, colon, source = given.rpartition(":")
            known = colon and source in SOURCES
            judge = judge_of(arena, named if known else given)
            tiers.append(Tier(judge, source if known else "stored"))
        names = ("target", "delta", "seed", "votes", "ties", "unit", "share")
        try:
            judge = make_cascade(
                arena=arena,
                name=options["name"],
                tiers=tiers,
                terms=Terms(**{name: options[name] for name in names}),
                description=options["description"],
            )
            derivation = derive(judge=judge)
        except (CascadeError, DerivationError) as error:
            raise CommandError(str(error)) from error
        for line in report_lines(derivation):
            self.stdout.write(line)
