"""manage.py verify_report: does a judge's report come out again?"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ratings import reports
from ratings.models import JudgeReport


class Command(BaseCommand):
    help = "Count and compute a judge's report again, and compare: the same data, the same numbers to 1e-9."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int, help="the report's number")

    def handle(self, *args: Any, **options: Any) -> None:
        found = JudgeReport.objects.select_related("arena", "judge")
        report = found.filter(pk=options["id"]).first()
        if report is None:
            raise CommandError(f"There is no report {options['id']}.")
        result = reports.verify(report=report)
        if not result.same_code:
            self.stdout.write(
                "Computed by other code than it was made with: small differences are possible."
            )
        if not result.same_data:
            raise CommandError(
                f"Report {report.pk}: the data it was counted from has changed (another digest)."
            )
        if not result.passed:
            raise CommandError(
                f"Report {report.pk}: the same data, but numbers differ by up to "
                f"{result.largest_difference:.3g}. (Bias by family follows what family the systems have now.)"
            )
        self.stdout.write(
            f"Report {report.pk}: the same data digest, the same numbers "
            f"(largest difference {result.largest_difference:.3g})."
        )
