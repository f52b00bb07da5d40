"""The calls of a run as rows: made once, when the run is confirmed, in batches."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from judges.llm_judges import endpoint_of, protocol_of
from judges.models import JudgeCall, JudgeRun, Verdict
from judges.runs.answers import write_calls
from judges.runs.examples import choose_examples, load_examples
from judges.runs.preparing import Scope, prepared, subject_of
from judges.runs.probing import batches_of_battles, calls_about
from judges.runs.scored import decide_from_scores
from judges.runs.selection import Chosen, batches_of, chosen, outputs_to_score
from judges.runs.sizes import (
    ROLES,
    Size,
    cost_of,
    longest_reply_of,
    most_tokens,
    size_of,
    sizes_of_preparations,
)

Side = Verdict.Side


def make_rows(run: JudgeRun) -> JudgeRun:
    """Write the calls of a queued run, and let it run. Made anew from the start if a worker died at it."""
    run.calls.all().delete()
    cast = 0
    if run.selection.get("until_width"):
        return _begin_rounds(run)
    if run.system is not None:
        write_calls(run, run.system)
    else:
        cast = _write_judging(run)
    examples = run.examples
    with transaction.atomic():
        run = JudgeRun.objects.select_for_update(of=("self",)).get(pk=run.pk)
        run.total, run.done, run.failed = run.calls.count(), 0, 0
        run.examples = examples
        run.verdicts_cast = F("verdicts_cast") + cast
        run.started_at, run.claimed_until, run.attempts = timezone.now(), None, 0
        if run.state == JudgeRun.State.QUEUED:
            run.state = JudgeRun.State.RUNNING
        elif run.state == JudgeRun.State.CANCELLED:
            run.calls.update(state=JudgeCall.State.CANCELLED)
        run.save()
    return run


def _begin_rounds(run: JudgeRun) -> JudgeRun:
    """What is asked first depends on what the judge has said already: ratings are asked."""
    from judges.runs.rounds import wait_for_figures

    examples = choose_examples(run.judge)
    with transaction.atomic():
        run = JudgeRun.objects.select_for_update(of=("self",)).get(pk=run.pk)
        run.total, run.done, run.failed, run.examples = 0, 0, 0, examples
        run.started_at, run.claimed_until, run.attempts = timezone.now(), None, 0
        if run.state == JudgeRun.State.QUEUED:
            wait_for_figures(run)
        run.save()
    return run


def write_round(run: JudgeRun, rows: list[tuple]) -> int:
    """The calls of another round, of rows of the universe; how many verdicts follow from scores already."""
    return _write(run, batches_of(run.judge, run.selection, rows))


def _write_judging(run: JudgeRun) -> int:
    """The calls of a judge's run; how many verdicts follow from scores that are there."""
    run.examples = choose_examples(run.judge)
    if run.is_probing:
        return _write(run, batches_of_battles(run))
    return _write(run, chosen(judge=run.judge, selection=run.selection))


def _write(run: JudgeRun, batches: Iterable[list[Chosen]]) -> int:
    protocol = protocol_of(run.judge)
    longest_reply = longest_reply_of(endpoint_of(run.judge))
    size = size_of(
        protocol,
        guidelines=run.arena.guidelines,
        examples=[one for _, one in load_examples(run.examples)],
        longest_reply=longest_reply,
    )
    cast = 0
    first = sizes_of_preparations(protocol, longest_reply=longest_reply)
    for batch in batches:
        if run.is_probing:
            calls = list(calls_about(run, batch, size))
        elif protocol.judges_battles:
            calls = list(_of_battles(run, batch, size))
        else:
            calls = list(_of_outputs(run, batch, size))
        # An output meets many others, and is asked about once; so is a prompt.
        for scope, size_of_first in first.items():
            JudgeCall.objects.bulk_create(
                _preparations(run, calls, batch, scope, size_of_first), ignore_conflicts=True
            )
        JudgeCall.objects.bulk_create(calls, ignore_conflicts=not protocol.judges_battles)
        until = timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)
        JudgeRun.objects.filter(pk=run.pk).update(claimed_until=until)
        if not protocol.judges_battles:
            cast += decide_from_scores(run, {output for row in batch for output in row[3:5]})
    return cast


def _of_battles(run: JudgeRun, batch: list[Chosen], size: Size) -> Iterator[JudgeCall]:
    configuration = run.judge.configuration
    repetitions = range(configuration["repetitions"])
    decided = set(
        Verdict.objects.filter(
            judge_id=run.judge_id, battle__in=[row.battle for row in batch], criterion=""
        ).values_list("battle_id", "repetition")
    )
    for row in batch:
        most = _most(run, size, row.prompt_bytes, row.a_bytes + row.b_bytes, row.reference_bytes)
        for repetition in repetitions:
            if (row.battle, repetition) in decided:
                continue
            for side in _orders(row.battle, repetition, both=configuration["both_orders"]):
                yield JudgeCall(
                    arena_id=run.arena_id,
                    run=run,
                    prompt_id=row.prompt,
                    battle_id=row.battle,
                    pair_id=row.pair,
                    shown_first=side,
                    repetition=repetition,
                    **most,
                )


def _preparations(
    run: JudgeRun, calls: list[JudgeCall], batch: list[Chosen], scope: Scope, size: Size
) -> list[JudgeCall]:
    """One for each prompt, battle or output of these calls that has none."""
    sizes = {row.prompt: (row.prompt_bytes, row.reference_bytes) for row in batch}
    battles = {row.battle: row.a_bytes + row.b_bytes for row in batch}
    outputs = {row.output_a: row.a_bytes for row in batch} | {
        row.output_b: row.b_bytes for row in batch
    }
    there = {
        (row.prompt_id, row.battle_id, row.output_id)
        for row in prepared(run.judge, (call.prompt_id for call in calls))
    }
    made = {}
    for call in calls:
        of_prompt = scope == Scope.PROMPT
        subject = subject_of(call, scope)
        if subject in there or subject in made:
            continue
        answers = 0
        if not of_prompt:
            answers = outputs[call.output_id] if call.output_id else battles[call.battle_id]
        made[subject] = JudgeCall(
            arena_id=run.arena_id,
            run=run,
            purpose=JudgeCall.Purpose.PREPARE,
            prompt_id=call.prompt_id,
            battle_id=None if of_prompt else call.battle_id,
            pair_id=None if of_prompt else call.pair_id,
            output_id=None if of_prompt else call.output_id,
            **_most(run, size, sizes[call.prompt_id][0], answers, sizes[call.prompt_id][1]),
        )
    return list(made.values())


def _orders(battle: int, repetition: int, *, both: bool) -> tuple[Side, ...]:
    """One order alone alternates, so that neither side is always the first."""
    if both:
        return Side.A, Side.B
    return (Side((battle + repetition) % 2),)


def _of_outputs(run: JudgeRun, batch: list[Chosen], size: Size) -> Iterator[JudgeCall]:
    for repetition in range(run.judge.configuration["repetitions"]):
        outputs = outputs_to_score(judge=run.judge, batch=batch, repetition=repetition)
        for output, (prompt, *sizes) in outputs.items():
            prompt_bytes, reference_bytes, output_bytes = sizes
            yield JudgeCall(
                arena_id=run.arena_id,
                run=run,
                prompt_id=prompt,
                output_id=output,
                repetition=repetition,
                **_most(run, size, prompt_bytes, output_bytes, reference_bytes),
            )


def _most(run: JudgeRun, size: Size, prompt: int, answers: int, reference: int) -> dict:
    length = size.bytes(prompt=prompt, answers=answers, reference=reference)
    cost = cost_of(length + ROLES, size.max_tokens, endpoint_of(run.judge))
    return {
        "most_tokens": most_tokens(length, size.max_tokens),
        "most_cost": Decimal(cost).quantize(Decimal("0.000001"), rounding="ROUND_UP"),
    }
