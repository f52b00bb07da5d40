"""manage.py derive_jury ARENA JUDGE: bring the verdicts of a jury up to date now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.management.commands._makers import arena_of
from judges.derivations import DerivationError, derive
from judges.management.commands._judges import judge_of


class Command(BaseCommand):
    help = (
        "Derive the verdicts of a jury from what its members have said; only what is new is added."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("judge", help="its slug or name")

    def handle(self, *args: Any, **options: Any) -> None:
        judge = judge_of(arena_of(options["arena"]), options["judge"])
        try:
            derivation = derive(judge=judge)
        except DerivationError as error:
            raise CommandError(str(error)) from error
        figures = derivation.figures
        self.stdout.write(
            f"{judge}: {figures['decided']:,} verdicts, {figures['added']:,} new, "
            f"{figures['retracted']:,} retracted, in {derivation.seconds:.1f} s."
        )
