"""manage.py publish: bring every leaderboard and judge report of an arena up to date, here and now."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ratings import publications
from ratings.management.commands import _slices


class Command(BaseCommand):
    help = "Build what is stale among an arena's leaderboards and judge reports, without a worker."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--arena", required=True, help="the arena's slug")

    def handle(self, *args: Any, **options: Any) -> None:
        arena = _slices.arena_of(options)
        current = publications.refresh_all(arena=arena)
        self.stdout.write(f"{arena}: {len(current)} leaderboards and judge reports are current.")
