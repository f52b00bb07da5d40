"""How far a run is, how fast it goes, and in words what it is about and what went wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from arena.models import Arena, Category, System
from judges.endpoints.interface import Failure
from judges.models import JudgeCall, JudgeRun

UNDER_WAY = (JudgeRun.State.QUEUED, JudgeRun.State.RUNNING, JudgeRun.State.WAITING)
LOOKED_AT = 300  # calls: the latest, for how fast the run goes
RECENT = timedelta(minutes=5)
# A worker renews its claim of the run with every result, and the sweeper asks again after half a minute.
NOBODY_AFTER = timedelta(seconds=90)
MOST_NAMED = 8

WHAT_TO_DO = {
    Failure.RATE_LIMITED: "The endpoint wants fewer calls. Ask again later, or make a version of the judge "
    "with fewer calls a minute.",
    Failure.SERVER: "The endpoint’s own error. It often passes: ask again.",
    Failure.TIMEOUT: "No answer within the judge’s time. Ask again, or make a version with more time.",
    Failure.CONNECTION: "The endpoint couldn’t be reached. Ask again once it is up.",
    Failure.MALFORMED: "What came isn’t the answer of such an endpoint. Check the judge’s address and API.",
    Failure.REFUSED: "The endpoint refused the request as it is, and would do so again. Often it is too "
    "long, or has a parameter that the model doesn’t know.",
    Failure.CREDENTIALS: "The key isn’t accepted. Whoever runs this site sets it.",
    Failure.NOT_FOUND: "The endpoint has no such model or address. Make a version of the judge with the "
    "right one.",
    Failure.NOT_ALLOWED: "Whoever runs this site hasn’t listed the endpoint or the key.",
    Failure.UNREADABLE: "The reply doesn’t say what was asked. Look at some: a model that is sure of itself "
    "replies the same when it is asked again.",
    Failure.CUT_OFF: "The reply was longer than it may be. Make a version of the judge with more max_tokens.",
    Failure.MISSING_INPUT: "What the judge needs isn’t there, such as a reference answer. Add it, then ask "
    "again.",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """Of a run at this moment. ``things`` is what is counted: calls, or battles where a program judges."""

    things: str
    settled: int
    left: int
    in_flight: int
    per_minute: float | None  # None while too few came lately
    is_under_way: bool
    is_waiting: bool  # for a worker, for longer than it takes when one runs

    @property
    def share(self) -> float:
        """Of what is to do: between 0 and 1."""
        total = self.settled + self.left
        return self.settled / total if total else 0.0

    @property
    def seconds_left(self) -> float | None:
        return 60 * self.left / self.per_minute if self.per_minute and self.left else None


def progress_of(run: JudgeRun) -> Progress:
    """Two queries for a run of calls that is under way, none otherwise."""
    now = timezone.now()
    settled = run.done + run.failed
    is_under_way = run.state in UNDER_WAY
    per_minute, in_flight, is_waiting = None, 0, False
    if is_under_way:
        # Queued by hand or by time, it waits since then; running, since the last worker's claim ran out.
        since = run.claimed_until or run.started_at or run.created_at
        is_waiting = now - since > NOBODY_AFTER
        if run.makes_calls:
            in_flight = run.calls.filter(claimed_until__gte=now).count()
            per_minute = _per_minute(run, now)
    return Progress(
        things="call" if run.makes_calls else "battle",
        settled=settled,
        left=max(0, run.total - settled),
        in_flight=in_flight,
        per_minute=per_minute,
        is_under_way=is_under_way,
        is_waiting=is_waiting and not in_flight,
    )


def _per_minute(run: JudgeRun, now: Any) -> float | None:
    """From the answered calls that come last in the run's order: an index has them, however many there are."""
    latest = run.calls.filter(state=JudgeCall.State.DONE).order_by("-pk")
    times = latest.values_list("finished_at", flat=True)[:LOOKED_AT]
    recent = [at for at in times if at > now - RECENT]
    if len(recent) < 2:
        return None
    seconds = (now - min(recent)).total_seconds()
    return 60 * len(recent) / seconds if seconds > 0 else None


def run_in_words(run: JudgeRun) -> str:
    """What it is about, in a sentence. Two queries at most."""
    if run.answers:
        return selection_in_words(run.selection, arena=run.arena, beginning="Prompts")
    if not run.makes_calls:
        return "All battles that the program hasn’t decided."
    ways = {
        "existing": "Battles that there are",
        "voted": "Battles that people voted on",
        "all": "Every two outputs to the same prompt",
    }
    way = ways[run.selection.get("battles", "existing")]
    return selection_in_words(run.selection, arena=run.arena, beginning=way)


def selection_in_words(selection: Mapping[str, Any], *, arena: Arena, beginning: str) -> str:
    """A sentence; names that are no longer there are left as addresses. Two queries at most."""
    words = [beginning]
    if slugs := selection.get("systems"):
        names = _names(System, arena, slugs)
        words.append(
            f"of {names[0]} against all others" if len(names) == 1 else f"between {_listed(names)}"
        )
    if pairs := selection.get("pairs"):
        words.append(f"of {_listed([' and '.join(pair) for pair in pairs])}")
    if slugs := selection.get("categories"):
        names = _names(Category, arena, slugs)
        words.append(f"in {'the category' if len(names) == 1 else 'any of'} {_listed(names)}")
    if prompts := selection.get("prompts"):
        numbers = [str(prompt) for prompt in prompts]
        if beginning == "Prompts":
            words.append(_listed(numbers))
        else:
            words.append(f"on prompt{'s' if len(numbers) > 1 else ''} {_listed(numbers)}")
    sentence = " ".join(words)
    if failed_of := selection.get("failed_of"):
        sentence += f", only those that failed in run {failed_of}"
    if width := selection.get("until_width"):
        sentence += f", in rounds until every 95 % interval is under {width:g} rating points"
    if (limit := selection.get("limit")) and width:
        sentence += f", at most {limit:,} battles"
    elif limit:
        sentence += f", a sample of at most {limit:,}"
    return f"{sentence}."


def _names(model: Any, arena: Arena, slugs: list[str]) -> list[str]:
    """Of the first few, since no more are named; the others as they are."""
    first = slugs[:MOST_NAMED]
    known = {row.slug: str(row) for row in model.objects.filter(arena=arena, slug__in=first)}
    return [*(known.get(slug, slug) for slug in first), *slugs[MOST_NAMED:]]


def _listed(names: list[str]) -> str:
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:MOST_NAMED])} and {len(names) - MOST_NAMED:,} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
