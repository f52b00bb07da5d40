"""manage.py judge_report: does a judge rank systems like people do?"""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from arena.models import Arena
from ratings import publications, reports
from ratings.management.commands import _slices
from ratings.models import JudgeReport
from ratings.slices import PEOPLE, Slice, SliceError, judge_ids
from ratings.tables import report_as_json


class Command(BaseCommand):
    help = (
        "Compare a judge with people (or another judge): agreement, decisiveness, bias. By default on "
        "the battles that both decided."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--arena", required=True, help="the arena's slug")
        parser.add_argument("--judge", required=True, help="the judge's slug or name")
        parser.add_argument("--reference", default=PEOPLE, help="whom to compare with (people)")
        parser.add_argument(
            "--all-battles",
            action="store_true",
            help="count all battles that each side decided, not only the shared ones",
        )
        parser.add_argument("--json", action="store_true", help="print JSON instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        arena = _slices.arena_of(options)
        judge = _slices.judge_slug(arena, options["judge"])
        reference = _slices.judge_slug(arena, options["reference"])
        if PEOPLE == judge == reference:
            raise CommandError(
                "--judge: people are the reference; name a judge to compare them with."
            )
        try:
            for side in (judge, reference):
                judge_ids(arena=arena, judge=side)
            report = self.report(arena, judge, reference, all_battles=options["all_battles"])
        except SliceError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(report_as_json(report), indent=2, ensure_ascii=False))
            return
        self.stdout.write(
            f"{report.judge} against {report.reference}: {report.n_battles:,} shared battles, "
            f"{report.n_systems} systems that both rank, {report.n_judge_verdicts:,} and "
            f"{report.n_reference_verdicts:,} verdicts."
        )
        for name, label in (
            ("tau", "Kendall's tau-b"),
            ("ceiling", "  its noise ceiling"),
            ("spearman", "Spearman's rho"),
            ("alpha", "decisiveness alpha"),
            ("delta", "bias delta"),
            ("kappa", "Cohen's kappa"),
            ("accuracy", "accuracy"),
            ("krippendorff", "Krippendorff's alpha among people"),
        ):
            self.stdout.write(f"{label:>36}  {_written(report.figures[name])}")
        for note in report.figures["notes"]:
            self.stdout.write(f"  note: {note}")

    def report(self, arena: Arena, judge: str, reference: str, *, all_battles: bool) -> JudgeReport:
        if reference != PEOPLE:
            slice = Slice(judge=judge, shared_with="" if all_battles else reference)
            return reports.build(arena=arena, slice=slice, reference=reference)
        # Against people it is what the judges' page shows, too.
        publication = publications.report_for(
            arena=arena,
            judge=arena.judges.get(slug=judge),
            battles="all" if all_battles else "shared",
        )
        return publications.refresh_now(publication).report


def _written(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "–"
    if figure["value"] is None:
        return f"– ({figure['reason']})"
    interval = (
        f"  [{figure['lower']:.3f}, {figure['upper']:.3f}]" if figure["lower"] is not None else ""
    )
    return f"{figure['value']:.3f}{interval}  n = {figure['n']:,} {figure['unit']}"
