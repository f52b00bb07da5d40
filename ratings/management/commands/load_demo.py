"""manage.py load_demo: the demo arena with all its leaderboards; a second run changes nothing."""

from typing import Any

from django.core.management.base import BaseCommand

from judges.demo.loading import load_demo
from ratings import publications


class Command(BaseCommand):
    help = (
        "Make the demo arena (short summaries, a simulated panel, program judges) and its figures."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        arena = load_demo()
        publications.refresh_all(arena=arena)
        self.stdout.write(
            f"{arena}: {arena.systems.count()} systems, {arena.prompts.count()} prompts, "
            f"{arena.battles.count():,} battles, {arena.verdicts.count():,} verdicts."
        )
