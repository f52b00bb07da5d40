"""manage.py run_judge ARENA JUDGE: ask a judge about battles, within a budget."""

import time
from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from arena.models import Arena
from judges import runs
from judges.llm_judges import ConfigurationError
from judges.models import Judge, JudgeRun
from judges.runs.selection import WAYS

POLL_SECONDS = 0.5
OVER = (
    JudgeRun.State.DONE,
    JudgeRun.State.FAILED,
    JudgeRun.State.PAUSED,
    JudgeRun.State.CANCELLED,
)


class Command(BaseCommand):
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
        parser.add_argument("--budget", type=_money, metavar="USD")
        parser.add_argument("--max-calls", type=int, metavar="N")
        parser.add_argument("--max-tokens", type=int, metavar="N")
        parser.add_argument("--resume", type=int, metavar="RUN", help="Go on with it instead.")
        parser.add_argument("--retry", type=int, metavar="RUN", help="Ask again what failed in it.")
        parser.add_argument("--yes", action="store_true", help="Start without asking.")
        parser.add_argument("--wait", action="store_true", help="Follow the workers until it ends.")
        parser.add_argument(
            "--here", action="store_true", help="Work in this process, without workers."
        )

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
        run = runs.plan_run(
            judge=judge,
            selection=_selection(options),
            budget=options["budget"],
            max_calls=options["max_calls"],
            max_tokens=options["max_tokens"],
        )
        plan = runs.plan(run)
        self.stdout.write(
            f"{plan.calls:,} calls about {plan.battles:,} battles: about {plan.input_tokens:,} tokens to read "
            f"and {plan.output_tokens:,} to write, {plan.cost:.2f} USD (at most {plan.most_cost:.2f}), "
            f"{_duration(plan.seconds)}.\n{plan.note}"
        )
        if not plan.calls or not (options["yes"] or self.is_wanted()):
            return runs.cancel_run(run=run)
        run = runs.confirm_run(run=run)
        if options["here"]:
            self.follow(run, work=True)
        elif options["wait"]:
            self.follow(run, work=False)
        return run

    def go_on(self, judge: Judge, options: dict[str, Any]) -> JudgeRun:
        """With a run that paused or stopped, or with what failed in it; a larger budget may be given."""
        run = judge.runs.filter(pk=options["resume"] or options["retry"]).first()
        if run is None:
            raise CommandError(f"{judge} has no such run.")
        if options["resume"]:
            limits = {name: options[name] for name in ("budget", "max_calls", "max_tokens")}
            run = runs.resume_run(run=run, **limits)
        else:
            count = runs.retry_failed(run=run)
            self.stdout.write(f"{count:,} calls are asked again.")
        if options["here"] or options["wait"]:
            run.refresh_from_db()
            self.follow(run, work=options["here"])
        return run

    def is_wanted(self) -> bool:
        try:
            return input("Start it? [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            return False

    def follow(self, run: JudgeRun, *, work: bool) -> None:
        """Until it is over. Interrupted, it goes on where there are workers."""
        with tqdm(desc=str(run), unit="call", file=self.stderr, disable=None) as bar:
            while run.state not in OVER:
                if work:
                    runs.do_some(run)
                else:
                    time.sleep(POLL_SECONDS)
                run.refresh_from_db()
                bar.total = run.total
                bar.n = run.done + run.failed
                bar.refresh()

    def report(self, run: JudgeRun) -> None:
        run.refresh_from_db()
        self.stdout.write(
            f"{run}: {run.get_state_display().lower()}; {run.done:,} of {run.total:,} done, "
            f"{run.failed:,} failed, {run.verdicts_cast:,} verdicts, {run.cost:.4f} USD."
        )
        for failure in runs.failures_of(run):
            self.stdout.write(f"{failure.count:>8,} {failure.failure}: {failure.example}")
        if run.state == JudgeRun.State.FAILED:
            raise CommandError(run.error)
        if run.error:
            self.stdout.write(run.error)


def _judge(arena: str, judge: str) -> Judge:
    found = Judge.objects.filter(arena__slug=arena, slug=judge).select_related("arena").first()
    if found is None:
        if not Arena.objects.filter(slug=arena).exists():
            raise CommandError(f"There is no arena {arena!r}: manage.py create_arena makes one.")
        raise CommandError(f"The arena {arena!r} has no judge {judge!r}.")
    return found


def _selection(options: dict[str, Any]) -> dict[str, Any]:
    names = ("battles", "systems", "prompts", "categories", "limit")
    selection = {name: options[name] for name in names if options[name]}
    if options["pairs"]:
        selection["pairs"] = [pair.split(":") for pair in options["pairs"]]
    return selection


def _money(text: str) -> Decimal:
    try:
        money = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not money.is_finite():
        raise ValueError(text)
    return money


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"
