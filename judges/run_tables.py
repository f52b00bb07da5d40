"""The runs of an arena, and the calls of a run, as tables: which, in what order, and as rows of a file."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce

from arena.members import name_of
from arena.models import Arena
from judges.models import Judge, JudgeCall, JudgeRun, Outcome
from judges.runs.settling import outcome_of

A_PAGE = 50
CALLS_A_PAGE = 50
SORTS: dict[str, Any] = {
    "run": "pk",
    "subject": Coalesce("judge__name", "system__name"),
    "state": "state",
    "total": "total",
    "failed": "failed",
    "cost": "cost",
    "started": "started_at",
}
DEFAULT_SORT = "-run"
COLUMNS = (
    "run", "subject", "kind", "state", "total", "done", "failed", "verdicts", "calls_made", "from_cache",
    "input_tokens", "output_tokens", "cost", "budget", "max_tokens", "max_calls", "planned_at", "started_at",
    "finished_at", "by", "why", "selection",
)  # fmt: skip
# What the letters of a choice are called where there is no side to name.
WITHOUT_SIDE = {Outcome.TIE: "tie", Outcome.BOTH_BAD: "both bad"}


def runs_of(
    arena: Arena, *, state: str = "", judge: str = "", sort: str = DEFAULT_SORT
) -> QuerySet[JudgeRun]:
    """``state`` is one of JudgeRun.State, ``judge`` the address of a judge; empty for all."""
    found = JudgeRun.objects.filter(arena=arena)
    if state:
        found = found.filter(state=state)
    if judge:
        found = found.filter(judge__slug=judge)
    by = SORTS[sort.removeprefix("-")]
    column = F(by) if isinstance(by, str) else by
    # Databases differ in where they sort what isn't known.
    order = column.desc(nulls_last=True) if sort.startswith("-") else column.asc(nulls_last=True)
    return found.select_related("judge", "system", "created_by").order_by(order, "-pk")


def sort_key(wanted: str) -> str:
    return wanted if wanted.removeprefix("-") in SORTS else DEFAULT_SORT


def judges_with_runs(arena: Arena) -> QuerySet[Judge]:
    judges = Judge.objects.filter(
        pk__in=JudgeRun.objects.filter(arena=arena).order_by().values("judge")
    )
    return judges.defer("configuration", "description")


def rows(found: QuerySet[JudgeRun]) -> Iterator[dict[str, Any]]:
    """Under COLUMNS, fetched in pieces."""
    for run in found.iterator(chunk_size=500):
        yield {
            "run": run.pk,
            "subject": run.subject.slug,
            "kind": "system" if run.judge is None else run.judge.kind,
            "state": run.state,
            "total": run.total,
            "done": run.done,
            "failed": run.failed,
            "verdicts": run.verdicts_cast,
            "calls_made": run.calls_made,
            "from_cache": run.from_cache,
            "input_tokens": run.input_tokens,
            "output_tokens": run.output_tokens,
            "cost": float(run.cost),
            "budget": None if run.budget is None else float(run.budget),
            "max_tokens": run.max_tokens,
            "max_calls": run.max_calls,
            "planned_at": run.created_at.isoformat(),
            "started_at": run.started_at and run.started_at.isoformat(),
            "finished_at": run.finished_at and run.finished_at.isoformat(),
            "by": name_of(run.created_by) if run.created_by else "",
            "why": run.error,
            "selection": run.selection,
        }


class CallRow(NamedTuple):
    """A call, with what was decided in the battle's orientation: a letter, or words where no side won."""

    call: JudgeCall
    letter: str
    words: str


class CallPage(NamedTuple):
    rows: list[CallRow]
    after: int | None  # the id beyond which to go on


def calls_page(
    run: JudgeRun, *, state: str = "", failure: str = "", after: int | None = None
) -> CallPage:
    """Calls in the order in which they are asked, by key and not by offset: two queries at most."""
    calls = run.calls.all()
    if state:
        calls = calls.filter(state=state)
    if failure:
        # Only what failed has a reason: so the index of states serves.
        calls = calls.filter(state=JudgeCall.State.ERROR, failure=failure)
    if after is not None:
        calls = calls.filter(pk__gt=after)
    found = list(
        calls.select_related("output__system")
        .defer("text", "parse", "output__text")
        .order_by("pk")[: CALLS_A_PAGE + 1]
    )
    more, found = len(found) > CALLS_A_PAGE, found[:CALLS_A_PAGE]
    return CallPage([call_row(call) for call in found], found[-1].pk if more else None)


def call_row(call: JudgeCall) -> CallRow:
    if call.choice is None or call.shown_first is None:
        return CallRow(call, "", "")
    outcome = outcome_of(call.choice, call.shown_first)
    return CallRow(
        call, "" if outcome in WITHOUT_SIDE else outcome.name, WITHOUT_SIDE.get(outcome, "better")
    )


def choice_in_words(call: JudgeCall, value: float) -> str:
    """What was decided of a criterion: a side in the battle's order, or a score."""
    if call.shown_first is None or value not in Outcome.values:
        return f"{value:g}"
    return outcome_of(int(value), call.shown_first).label
