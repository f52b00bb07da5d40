"""manage.py derive_cascade ARENA JUDGE: bring the verdicts of a cascade up to date, and say how it does."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from arena.management.commands._makers import arena_of
from judges.derivations import DerivationError, derive
from judges.management.commands._cascades import report_lines
from judges.management.commands._judges import judge_of
from judges.models import Judge


class Command(BaseCommand):
    help = "Derive the verdicts of a cascade from those of its tiers, and report on it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("judge", help="its slug or name")

    def handle(self, *args: Any, **options: Any) -> None:
        judge = judge_of(arena_of(options["arena"]), options["judge"])
        if judge.kind != Judge.Kind.CASCADE:
            raise CommandError(f"{judge} is {judge.get_kind_display()}, not a cascade.")
        try:
            derivation = derive(judge=judge)
        except DerivationError as error:
            raise CommandError(str(error)) from error
        for line in report_lines(derivation):
            self.stdout.write(line)
