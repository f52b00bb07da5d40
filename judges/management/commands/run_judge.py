"""manage.py run_judge ARENA JUDGE: ask a judge about battles, within a budget."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from arena.models import Arena
from judges import runs
from judges.configurations import ConfigurationError
from judges.management.commands._runs import RunsCommand, add_ways_to_run, limits_of
from judges.models import Judge, JudgeRun
from judges.probes import PROBES
from judges.runs.selection import WAYS


class Command(RunsCommand):
    help = "Ask a judge of an arena about battles that it hasn't decided: shows the plan first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena", metavar="ARENA")
        parser.add_argument("judge", metavar="JUDGE", help="Its address.")
        parser.add_argument(
            "--battles", choices=WAYS, help="Those that exist, that people voted on, all."
        )
        parser.add_argument("--systems", nargs="+", default=[], metavar="SYSTEM")
        parser.add_argument("--pairs", nargs="+", default=[], metavar="SYSTEM:SYSTEM")
        parser.add_argument("--prompts", nargs="+", type=int, default=[], metavar="ID")
        parser.add_argument("--categories", nargs="+", default=[], metavar="CATEGORY")
        parser.add_argument(
            "--limit", type=int, default=0, help="Only a sample of so many battles."
        )
        parser.add_argument(
            "--until-width",
            type=float,
            default=0,
            metavar="POINTS",
            help="In rounds, until every 95 %% interval by this judge is narrower; --limit bounds them.",
        )
        parser.add_argument(
            "--probes",
            nargs="+",
            choices=list(PROBES),
            metavar="PROBE",
            help="Ask about battles as they are, the same again and changed by each, and cast no verdicts: "
            f"{', '.join(PROBES)}.",
        )
        add_ways_to_run(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        judge = _judge(options["arena"], options["judge"])
        try:
            if judge.kind == Judge.Kind.PROGRAM:
                run = runs.work_on(runs.start_run(judge=judge))
            elif options["resume"] or options["retry"]:
                run = self.go_on(judge, options)
            else:
                run = self.run_llm(judge, options)
        except (runs.RunError, ConfigurationError) as error:
            raise CommandError(str(error)) from error
        self.report(run)

    def run_llm(self, judge: Judge, options: dict[str, Any]) -> JudgeRun:
        probes = {"names": options["probes"]} if options["probes"] else None
        run = runs.plan_run(
            judge=judge, selection=_selection(options), probes=probes, **limits_of(options)
        )
        plan = runs.plan(run)
        return self.begin(
            run, plan, f"{plan.calls:,} calls about {plan.battles:,} battles", options
        )


def _judge(arena: str, judge: str) -> Judge:
    found = Judge.objects.filter(arena__slug=arena, slug=judge).select_related("arena").first()
    if found is None:
        if not Arena.objects.filter(slug=arena).exists():
            raise CommandError(f"There is no arena {arena!r}: manage.py create_arena makes one.")
        raise CommandError(f"The arena {arena!r} has no judge {judge!r}.")
    return found


def _selection(options: dict[str, Any]) -> dict[str, Any]:
    names = ("battles", "systems", "prompts", "categories", "limit", "until_width")
    selection = {name: options[name] for name in names if options[name]}
    if options["pairs"]:
        selection["pairs"] = [pair.split(":") for pair in options["pairs"]]
    return selection
