"""manage.py rate: the leaderboard of a slice, in the terminal or as JSON."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ratings import publications
from ratings.management.commands import _slices
from ratings.models import Publication, Rating, Snapshot
from ratings.slices import SliceError
from ratings.tables import snapshot_as_json


class Command(BaseCommand):
    help = "Rank the systems of an arena by a judge's verdicts, and keep the result as a snapshot."

    def add_arguments(self, parser: CommandParser) -> None:
        _slices.add_rating_options(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        arena = _slices.arena_of(options)
        slice = _slices.slice_of(arena, options)
        try:
            publication = publications.publication_for(arena=arena, slice=slice)
        except SliceError as error:
            raise CommandError(str(error)) from error
        snapshot = publications.refresh_now(publication).snapshot
        if options["json"]:
            self.stdout.write(json.dumps(snapshot_as_json(snapshot), indent=2, ensure_ascii=False))
        else:
            self.print_table(publication, snapshot)

    def print_table(self, publication: Publication, snapshot: Snapshot) -> None:
        self.stdout.write(
            f"Snapshot {snapshot.pk}: {snapshot.n_ranked} systems ranked from {snapshot.n_verdicts:,} "
            f"verdicts on {snapshot.n_battles:,} battles; 95 % intervals: "
            f"{snapshot.get_interval_display()}, {snapshot.rounds:,} rounds, seed {snapshot.seed}."
        )
        ratings = snapshot.ratings.select_related("system")
        for row in ratings.filter(status=Rating.Status.RANKED).order_by("rank"):
            ranks = f"{row.rank_lower}–{row.rank_upper}"
            self.stdout.write(
                f"{ranks:>8}  tier {row.tier:<3} {row.rating:7.0f}  [{row.lower:6.0f}, "
                f"{row.upper:6.0f}]  n {row.n_verdicts:<6} {row.system}"
            )
        for row in ratings.exclude(status=Rating.Status.RANKED).order_by("status", "system__name"):
            self.stdout.write(f"       –  {row.system}: {row.get_status_display()}")
