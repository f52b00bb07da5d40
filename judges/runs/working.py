"""What a worker does with a run: the one entrance for tasks and commands."""

from typing import Any

from judges.models import Judge, JudgeRun
from judges.runs import programs
from judges.runs.calls import PASSING


def work_on(run: JudgeRun, *, make_asker: Any = None) -> JudgeRun:
    """Do what is left of a program's run, or take a turn at an LLM judge's (``take_turn``)."""
    do_some(run, make_asker=make_asker)
    run.refresh_from_db()
    return run


def do_some(run: JudgeRun, *, make_asker: Any = None) -> bool:
    """The same; whether another turn is wanted of this worker.

    A database that is away for a moment doesn't fail a run: it stays as it is, and the sweeper asks again.

    It may be killed and called again, and several workers may call it at once for an LLM judge. A failure that
    isn't a single call's is kept on the run with its reason and raised again. ``make_asker`` stands in for
    the endpoints' own.
    """
    if run.judge is not None and run.judge.kind == Judge.Kind.PROGRAM:
        programs.work_on(run)
        return False
    # Here, since only workers ask.
    from judges.runs.asking import take_turn
    from judges.runs.calls import stop_run
    from judges.runs.rows import make_rows

    run.refresh_from_db(fields=["state"])
    if run.state == JudgeRun.State.QUEUED:
        if not JudgeRun.objects.claim(run.pk):
            return False
        # Another worker may have been through before this one's claim: its rows stay.
        run.refresh_from_db(fields=["state"])
        if run.state == JudgeRun.State.QUEUED:
            try:
                make_rows(run)
            except PASSING:
                raise
            except Exception as error:
                stop_run(run.pk, error=f"{type(error).__name__}: {error}")
                raise
            run.refresh_from_db(fields=["state"])
    if run.state == JudgeRun.State.RUNNING:
        has_asked = take_turn(run, make_asker=make_asker)
        run.refresh_from_db(fields=["state"])
        return has_asked and run.state == JudgeRun.State.RUNNING
    return False
