"""manage.py find_leaks --arena SLUG"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.leaks import scan_outputs
from arena.models import Arena


class Command(BaseCommand):
    help = "Mark the outputs that give away which system wrote them: voters don't get them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--arena", required=True, help="the arena's slug")
        parser.add_argument(
            "--again", action="store_true", help="look at outputs that were looked at before, too"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        arena = Arena.objects.filter(slug=options["arena"]).first()
        if arena is None:
            raise CommandError(f"There is no arena {options['arena']!r}.")
        scanned, leaking = scan_outputs(arena=arena, again=options.get("again", False))
        self.stdout.write(
            f"{scanned:,} outputs looked at, {leaking:,} marked: they give their system away."
        )
