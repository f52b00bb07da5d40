"""manage.py verify_snapshot: does a published snapshot come out again?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ratings import snapshots
from ratings.models import Snapshot


class Command(BaseCommand):
    help = (
        "Count and compute a snapshot again, and compare: the same data, the same numbers to 1e-9."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int, help="the snapshot's number")

    def handle(self, *args: Any, **options: Any) -> None:
        snapshot = Snapshot.objects.select_related("arena").filter(pk=options["id"]).first()
        if snapshot is None:
            raise CommandError(f"There is no snapshot {options['id']}.")
        result = snapshots.verify(snapshot=snapshot)
        if not result.same_code:
            self.stdout.write(
                "Computed by other code than it was made with: small differences are possible."
            )
        if not result.same_data:
            raise CommandError(
                f"Snapshot {snapshot.pk}: the data it was counted from has changed (another digest)."
            )
        if not result.passed:
            raise CommandError(
                f"Snapshot {snapshot.pk}: the same data, but numbers differ by up to "
                f"{result.largest_difference:.3g}."
            )
        self.stdout.write(
            f"Snapshot {snapshot.pk}: the same data digest, the same numbers "
            f"(largest difference {result.largest_difference:.3g})."
        )
