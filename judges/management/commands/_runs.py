"""What the commands that run judges and systems share: the plan first, then the work, here or by workers."""

import time
from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from arena.models import System
from judges import runs
from judges.models import Judge, JudgeRun
from judges.runs.rounds import answer_here

POLL_SECONDS = 0.5
OVER = (
    JudgeRun.State.DONE,
    JudgeRun.State.FAILED,
    JudgeRun.State.PAUSED,
    JudgeRun.State.CANCELLED,
)


def add_ways_to_run(parser: ArgumentParser) -> None:
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


def limits_of(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("budget", "max_calls", "max_tokens")}


class RunsCommand(BaseCommand):
    """``begin`` a planned run or ``go_on`` with one, then ``report`` it."""

    def begin(
        self, run: JudgeRun, plan: runs.RunPlan, what: str, options: dict[str, Any]
    ) -> JudgeRun:
        self.stdout.write(
            f"{what}: about {plan.input_tokens:,} tokens to read "
            f"and {plan.output_tokens:,} to write, {plan.cost:.2f} USD (at most {plan.most_cost:.2f}), "
            f"{_duration(plan.seconds)}.\n{plan.note}"
            + (f"\n{plan.warning}" if plan.warning else "")
        )
        if not plan.calls or not (options["yes"] or self.is_wanted()):
            return runs.cancel_run(run=run)
        run = runs.confirm_run(run=run)
        if options["here"]:
            self.follow(run, work=True)
        elif options["wait"]:
            self.follow(run, work=False)
        return run

    def go_on(self, subject: Judge | System, options: dict[str, Any]) -> JudgeRun:
        """With a run that paused or stopped, or with what failed in it; a larger budget may be given."""
        run = subject.runs.filter(pk=options["resume"] or options["retry"]).first()
        if run is None:
            raise CommandError(f"{subject} has no such run.")
        if options["resume"]:
            run = runs.resume_run(run=run, **limits_of(options))
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
                if work and run.state == JudgeRun.State.WAITING:
                    answer_here(run)
                elif work:
                    runs.do_some(run)
                else:
                    time.sleep(POLL_SECONDS)
                run.refresh_from_db()
                bar.total = run.total
                bar.n = run.done + run.failed
                bar.refresh()

    def report(self, run: JudgeRun) -> None:
        run.refresh_from_db()
        came_of_it = f"{run.verdicts_cast:,} verdicts"
        if run.answers:
            came_of_it = f"{run.done:,} outputs"
        elif run.is_probing:
            came_of_it = f"{run.probe_results.count():,} comparisons"
        self.stdout.write(
            f"{run}: {run.get_state_display().lower()}; {run.done:,} of {run.total:,} done, "
            f"{run.failed:,} failed, {came_of_it}, {run.cost:.4f} USD."
        )
        for failure in runs.failures_of(run):
            self.stdout.write(f"{failure.count:>8,} {failure.failure}: {failure.example}")
        if run.state == JudgeRun.State.FAILED:
            raise CommandError(run.error)
        if run.error:
            self.stdout.write(run.error)


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
