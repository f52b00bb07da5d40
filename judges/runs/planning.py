"""What a run would take, before anybody pays for it. Estimates, and they say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Avg, Count, F, QuerySet, Sum

from arena.models import Output, Prompt
from judges.endpoints.allowed import check_endpoint
from judges.endpoints.interface import CallError, Endpoint
from judges.llm_judges import endpoint_of, protocol_of
from judges.models import Judge, JudgeCall, JudgeRun, Preparation, Score
from judges.runs.examples import choose_examples, load_examples
from judges.runs.hearing import hearing_of
from judges.runs.preparing import Scope
from judges.runs.selection import universe
from judges.runs.sizes import (
    BYTES_PER_TOKEN,
    MOST_REASONS,
    ROLES,
    Size,
    cost_of,
    longest_reply_of,
    size_of,
    sizes_of_preparations,
)

USUAL_REPLY = 250  # tokens, while the judge has given none to measure
USUAL_SECONDS = 5.0
MEASURED_ON = 200  # calls of the judge


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Estimated from the lengths of texts: tokens as a quarter of the bytes, replies as the judge's usual ones.

    ``most_cost`` is no estimate: a run without retries can't cost more, unless prompts show pictures.
    """

    battles: int
    calls: int
    preparations: int  # of the calls: those that come first, for checklists and adapted references
    input_tokens: int
    output_tokens: int
    cost: float  # USD
    most_cost: float
    seconds: float
    is_measured: bool  # replies and time are those of the judge's own earlier calls
    prompts: int = 0  # of a system that is asked to answer them
    warning: str = ""  # why the endpoint couldn't be asked as things are
    left_out: int = 0  # prompts that were chosen and can't be asked: they weren't published

    note = (
        "An estimate from the lengths of the texts. Tokens are counted by the endpoint, and retries and "
        "pictures come on top."
    )


def plan_of(*, judge: Judge, selection: Mapping[str, Any]) -> RunPlan:
    """``selection`` as checked_selection gives it. Raises ConfigurationError."""
    protocol, endpoint = protocol_of(judge), endpoint_of(judge)
    examples = [one for _, one in load_examples(choose_examples(judge))]
    longest_reply = longest_reply_of(endpoint)
    size = size_of(
        protocol,
        guidelines=judge.arena.guidelines,
        examples=examples,
        longest_reply=longest_reply,
    )
    usual = size
    if protocol.hears:
        usual = size_of(
            protocol,
            guidelines=judge.arena.guidelines,
            examples=examples,
            reasons=_usual_reasons(judge),
            longest_reply=longest_reply,
        )
    repetitions = judge.configuration["repetitions"]
    rows = universe(judge=judge, selection=selection)
    sums = mean = rows.aggregate(
        battles=Count("output_a_pk"),
        prompt=Sum("prompt_bytes", default=0),
        reference=Sum("reference_bytes", default=0),
        answers=Sum(F("a_bytes") + F("b_bytes"), default=0),
    )
    battles = calls = sums.pop("battles")
    times = repetitions
    if protocol.judges_battles:
        times = repetitions * (2 if judge.configuration["both_orders"] else 1)
        calls *= times
        sums = {name: total * times for name, total in sums.items()}
    else:
        calls, sums = _of_outputs(judge, rows, repetitions, dict(sums), battles)
    length = _length(size, calls, sums)
    asked, preparations, most_written = calls, 0, 0
    first_sizes = sizes_of_preparations(protocol, longest_reply=longest_reply)
    for scope, first in first_sizes.items() if asked else ():
        of_prompts = scope == Scope.PROMPT
        wanted = _wanted_preparations(judge, rows) if of_prompts else asked // times
        length += _length(first, wanted, _share(mean, wanted / battles, answers=not of_prompts))
        most_written += wanted * first.max_tokens
        preparations += wanted
    calls = asked + preparations
    return estimate(
        judge=judge,
        endpoint=endpoint,
        battles=battles,
        calls=calls,
        preparations=preparations,
        length=length - asked * (size.fixed - usual.fixed),
        longest=size.max_tokens,
        most_cost=cost_of(
            length + calls * ROLES,
            asked * size.max_tokens + most_written,
            endpoint,
        ),
    )


def estimate(
    *,
    judge: Judge,
    endpoint: Endpoint,
    battles: int,
    calls: int,
    preparations: int,
    length: int,
    longest: int,
    most_cost: float,
) -> RunPlan:
    """The plan of so many calls whose requests have so many bytes (``length``) in all, and whose replies have
    ``longest`` tokens at the most."""
    reply, latency, is_measured = usual_call(judge.runs.all())
    input_tokens, output_tokens = length / BYTES_PER_TOKEN, calls * min(reply, longest)
    return RunPlan(
        battles=battles,
        calls=calls,
        preparations=preparations,
        input_tokens=round(input_tokens),
        output_tokens=round(output_tokens),
        cost=cost_of(input_tokens, output_tokens, endpoint),
        most_cost=most_cost,
        seconds=seconds_of(
            endpoint, calls=calls, latency=latency, tokens=input_tokens + output_tokens
        ),
        is_measured=is_measured,
        warning=warning_of(endpoint),
    )


def warning_of(endpoint: Endpoint) -> str:
    """Why the operator's lists don't have it, said before a run is confirmed; empty where they do."""
    try:
        check_endpoint(endpoint)
    except CallError as error:
        return str(error)
    return ""


def _length(size: Size, calls: int, sums: Mapping[str, int]) -> int:
    """Bytes of the requests of so many calls about texts of these lengths in all."""
    return size.bytes(**sums) + (calls - 1) * size.fixed if calls else 0


def _share(sums: Mapping[str, int], share: float, *, answers: bool) -> dict[str, int]:
    return {
        name: round(total * share) if answers or name != "answers" else 0
        for name, total in sums.items()
    }


def _wanted_preparations(judge: Judge, rows: Any) -> int:
    there = Preparation.objects.filter(judge=judge, battle=None, output=None)
    prompts = Prompt.objects.filter(pk__in=_column(rows, "prompt_pk"))
    return prompts.exclude(pk__in=there.values("prompt")).count()


def _of_outputs(
    judge: Judge, rows: Any, repetitions: int, sums: dict[str, int], battles: int
) -> tuple[int, dict[str, int]]:
    """Each output is asked about once, however many battles it is in; lengths are those of the mean battle."""
    met = Output.objects.filter(pk__in=_column(rows, "output_a_pk")) | Output.objects.filter(
        pk__in=_column(rows, "output_b_pk")
    )
    outputs = met.count()
    scored = Score.objects.filter(
        judge=judge, criterion="", repetition__lt=repetitions, output__in=met.values("pk")
    ).count()
    calls = max(0, outputs * repetitions - scored)
    if not battles:
        return 0, dict.fromkeys(sums, 0)
    share = calls / battles
    return calls, {
        "prompt": round(sums["prompt"] * share),
        "reference": round(sums["reference"] * share),
        "answers": round(sums["answers"] * share / 2),
    }


def _column(rows: Any, name: str) -> Any:
    return rows.values(name)


def _usual_reasons(judge: Judge) -> int:
    """Bytes of one judge's reasons, as those whom it hears have lately given them."""
    hears = hearing_of(judge)
    of_runs = JudgeCall.objects.filter(
        run__judge__in=[*hears.others, hears.own] if hears else [],
        purpose=JudgeCall.Purpose.JUDGE,
        state=JudgeCall.State.DONE,
    )
    latest = of_runs.order_by("-pk").values_list("parse__rationale", flat=True)[:MEASURED_ON]
    lengths = [min(len((reasons or "").encode()), MOST_REASONS) for reasons in latest]
    return sum(lengths) // len(lengths) if lengths else 0


def seconds_of(endpoint: Endpoint, *, calls: int, latency: float, tokens: float) -> float:
    """How long calls take side by side, within the endpoint's limits."""
    seconds = calls * latency / endpoint.concurrency
    if endpoint.requests_per_minute:
        seconds = max(seconds, 60 * calls / endpoint.requests_per_minute)
    if endpoint.tokens_per_minute:
        seconds = max(seconds, 60 * tokens / endpoint.tokens_per_minute)
    return seconds


def usual_call(runs: QuerySet[JudgeRun]) -> tuple[float, float, bool]:
    """(tokens of a reply, seconds of a call, whether that was measured): of the latest of these runs' calls."""
    run = runs.filter(done__gt=0).order_by("-pk").first()
    if run is not None:
        latest = JudgeCall.objects.filter(run=run, state=JudgeCall.State.DONE, from_cache=False)
        measured = latest.order_by("-pk").values("output_tokens", "latency_ms")[:MEASURED_ON]
        means = measured.aggregate(reply=Avg("output_tokens"), latency=Avg("latency_ms"))
        if means["reply"] is not None and means["latency"] is not None:
            return float(means["reply"]), float(means["latency"]) / 1_000, True
    return USUAL_REPLY, USUAL_SECONDS, False
