"""Runs: a judge asked about many battles. Whatever is killed, no battle is judged twice.

Programs are run by ``start_run`` and ``work_on``. Runs of LLM judges are planned, confirmed, and then worked on
turn by turn by as many workers as there are: see ``judges.runs.verbs`` for what people do with them.
"""

from judges.runs.errors import RunError
from judges.runs.planning import RunPlan
from judges.runs.preparing import edit_checklist
from judges.runs.programs import make_program_judge, start_run
from judges.runs.verbs import (
    FailureCount,
    cancel_run,
    confirm_run,
    failures_of,
    pause_run,
    plan,
    plan_run,
    resume_run,
    retry_failed,
    unfinished_runs,
)
from judges.runs.working import do_some, work_on

__all__ = [
    "FailureCount",
    "RunError",
    "RunPlan",
    "cancel_run",
    "confirm_run",
    "do_some",
    "edit_checklist",
    "failures_of",
    "make_program_judge",
    "pause_run",
    "plan",
    "plan_run",
    "resume_run",
    "retry_failed",
    "start_run",
    "unfinished_runs",
    "work_on",
]
