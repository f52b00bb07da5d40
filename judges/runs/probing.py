"""Runs of probes: a judge asked about battles as they are, once more as they are, and changed by each probe.

They are runs like others, planned, confirmed, paid for and steered alike, but their decisions are no verdicts:
calls of their own purpose, which nothing that casts looks at, become ProbeResult rows. What was decided on
the battle as it is, is often in the cache from the judge's own run.

``JudgeRun.probes`` is plain JSON: {"names": [probe, …], "seed": n, "version": of the registry}.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, QuerySet, Sum

from arena.models import Arena, Battle
from judges.llm_judges import endpoint_of, protocol_of
from judges.models import Judge, JudgeCall, JudgeRun, Outcome, ProbeResult
from judges.probes import (
    PROBES,
    RETEST,
    UNCHANGED,
    VERSION,
    Probe,
    ProbeError,
    drawn,
    is_fooled,
    probes_named,
)
from judges.probes.symbols import Relabelled, can_be_relabelled
from judges.protocols.interface import JudgeProtocol
from judges.runs.errors import RunError
from judges.runs.examples import choose_examples, load_examples
from judges.runs.planning import RunPlan, estimate
from judges.runs.preparing import Scope
from judges.runs.selection import BATCH, Chosen, checked_selection, public_battles
from judges.runs.settling import outcome_of
from judges.runs.sizes import (
    ROLES,
    Size,
    cost_of,
    longest_reply_of,
    most_tokens,
    size_of,
    sizes_of_preparations,
)

USUAL_BATTLES = 100
MOST_BATTLES = 2_000  # of one run: its figures are computed when its page is asked for
MOST_SEED = 2**31 - 1
_KEYS = {"battles", "systems", "pairs", "prompts", "categories", "limit"}
State = JudgeCall.State


def checked_probes(judge: Judge, probes: Mapping[str, Any]) -> dict[str, Any]:
    """{"names", "seed"} complete. Raises RunError, also for a judge that can't be probed so."""
    protocol = protocol_of(judge)
    if not protocol.judges_battles:
        raise RunError(
            f"{judge} scores one answer at a time: probes compare decisions on two answers. Choose a judge "
            "that compares them."
        )
    if protocol.hears:
        raise RunError(
            f"{judge} decides after it heard what others said of the very answers: probe the judge that "
            "decides first."
        )
    names = probes.get("names")
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise RunError("The names of probes must be a list of names.")
    seed = probes.get("seed", 1)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MOST_SEED:
        raise RunError(f"The seed must be a whole number from 0 to {MOST_SEED:,}.")
    try:
        found = probes_named(names)
    except ProbeError as error:
        raise RunError(str(error)) from error
    if any(probe.relabels for probe in found) and not can_be_relabelled(protocol):
        raise RunError(
            f"{judge} can't be asked with other symbols: its model replies with one letter, or a criterion "
            "has one in its name. Leave out symbols."
        )
    return {"names": [probe.name for probe in found], "seed": seed, "version": VERSION}


def checked_battles(selection: Mapping[str, Any], *, arena: Arena) -> dict[str, Any]:
    """Which battles are probed: as checked_selection has it, of those that there are. Raises RunError."""
    if unknown := sorted(set(selection) - _KEYS):
        raise RunError(
            f"A run of probes has no {str(unknown[0])[:60]!r} in its selection: it has "
            f"{', '.join(sorted(_KEYS))}."
        )
    if selection.get("battles", "existing") == "all":
        raise RunError(
            "Probes ask about battles that there are: battles must be existing or voted."
        )
    given = {"battles": "existing", "limit": USUAL_BATTLES, **selection}
    checked = checked_selection(given, arena=arena)
    if not 1 <= checked.get("limit", 0) <= MOST_BATTLES:
        raise RunError(f"limit must be a number of battles from 1 to {MOST_BATTLES:,}.")
    return checked


def probes_of(run: JudgeRun) -> list[Probe]:
    return [PROBES[name] for name in run.probes["names"] if name in PROBES]


def can_be_shown(run: JudgeRun) -> bool:
    """Whether the probes are still those that the run asked with, so that what it showed can be shown again."""
    return run.probes.get("version") == VERSION


# --- before it is confirmed -------------------------------------------------------------------------------


def plan_of_probes(*, judge: Judge, selection: Mapping[str, Any], probes: list[Probe]) -> RunPlan:
    """The same as plan_of gives of a judge's run. ``most_cost`` is no estimate here either."""
    protocol, endpoint = protocol_of(judge), endpoint_of(judge)
    longest_reply = longest_reply_of(endpoint)
    size = _size(judge, longest_reply)
    rows = public_battles(judge=judge, selection=selection)
    sums = rows.aggregate(
        battles=Count("output_a_pk"),
        prompt=Sum("prompt_bytes", default=0),
        reference=Sum("reference_bytes", default=0),
        answers=Sum(F("a_bytes") + F("b_bytes"), default=0),
    )
    battles = sums.pop("battles")
    times = 2 + len(probes)
    asked = battles * times
    all_sums = {name: total * times for name, total in sums.items()}
    all_sums["answers"] += battles * sum(probe.adds for probe in probes)
    length = size.bytes(**all_sums) + (asked - 1) * size.fixed if asked else 0
    preparations, most_written = 0, 0
    first_sizes = sizes_of_preparations(protocol, longest_reply=longest_reply)
    for scope, first in first_sizes.items() if asked else ():
        # At the most: some prompts or battles may have been prepared by a run before.
        about = sums if scope != Scope.PROMPT else {**sums, "answers": 0}
        length += first.bytes(**about) + (battles - 1) * first.fixed
        most_written += battles * first.max_tokens
        preparations += battles
    return estimate(
        judge=judge,
        endpoint=endpoint,
        battles=battles,
        calls=asked + preparations,
        preparations=preparations,
        length=length,
        longest=size.max_tokens,
        most_cost=cost_of(
            length + (asked + preparations) * ROLES,
            asked * size.max_tokens + most_written,
            endpoint,
        ),
    )


def _size(judge: Judge, longest_reply: int) -> Size:
    examples = [one for _, one in load_examples(choose_examples(judge))]
    return size_of(
        protocol_of(judge),
        guidelines=judge.arena.guidelines,
        examples=examples,
        longest_reply=longest_reply,
    )


# --- the calls --------------------------------------------------------------------------------------------


def batches_of_battles(run: JudgeRun) -> Iterator[list[Chosen]]:
    rows = [Chosen(*row) for row in public_battles(judge=run.judge, selection=run.selection)]
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def calls_about(run: JudgeRun, batch: Sequence[Chosen], size: Size) -> Iterator[JudgeCall]:
    """Of each battle: as it is, as it is once more, and changed by each probe; all start from one order."""
    probes, seed, endpoint = probes_of(run), run.probes["seed"], endpoint_of(run.judge)

    def call(row: Chosen, name: str, first: int, **more: Any) -> JudgeCall:
        adds = PROBES[name].adds if name in PROBES else 0
        length = size.bytes(
            prompt=row.prompt_bytes,
            answers=row.a_bytes + row.b_bytes + adds,
            reference=row.reference_bytes,
        )
        cost = cost_of(length + ROLES, size.max_tokens, endpoint)
        return JudgeCall(
            arena_id=run.arena_id,
            run=run,
            purpose=JudgeCall.Purpose.PROBE,
            prompt_id=row.prompt,
            battle_id=row.battle,
            pair_id=row.pair,
            shown_first=first,
            probe=name,
            most_tokens=most_tokens(length, size.max_tokens),
            most_cost=Decimal(cost).quantize(Decimal("0.000001"), rounding="ROUND_UP"),
            **more,
        )

    for row in batch:
        first = drawn(row.battle, UNCHANGED, seed).first
        for repetition in (0, 1):
            yield call(row, UNCHANGED, first, repetition=repetition)
        for probe in probes:
            draw = drawn(row.battle, probe.name, seed)
            yield call(row, probe.name, probe.first(draw), changed_side=probe.side(draw))


def shown_answers(battle: Battle, name: str, *, seed: int) -> tuple[int, tuple[str, str]]:
    """(which side is shown first, the two answers as they are shown) with a probe; as they are where there is
    none of this name. ``battle`` has its outputs loaded."""
    answers = (battle.output_a.text, battle.output_b.text)
    draw = drawn(battle.pk, name, seed)
    if name not in PROBES:
        return draw.first, answers if draw.first == 0 else answers[::-1]
    probe = PROBES[name]
    return probe.first(draw), probe.shown(answers, draw)


def protocol_for(call: JudgeCall, protocol: JudgeProtocol) -> JudgeProtocol | Relabelled:
    """How the call is asked and read: otherwise than its judge does only with a probe of symbols."""
    probe = PROBES.get(call.probe)
    return Relabelled(protocol) if probe is not None and probe.relabels else protocol


# --- what comes of them -----------------------------------------------------------------------------------


def keep_results(run: JudgeRun, battles: set[int]) -> int:
    """Write a row for each pair of calls of these battles that is answered; how many are new.

    Called with the run's row locked. What is there already stays.
    """
    decided: dict[int, dict[tuple[str, int], JudgeCall]] = defaultdict(dict)
    answered = JudgeCall.objects.filter(
        run=run, battle__in=battles, purpose=JudgeCall.Purpose.PROBE, state=State.DONE
    ).defer("text", "parse")
    for call in answered:
        decided[call.battle_id][call.probe, call.repetition] = call
    there = set(
        ProbeResult.objects.filter(run=run, battle__in=battles).values_list("battle_id", "probe")
    )
    new = [
        _result(run, calls[UNCHANGED, 0], call)
        for battle, calls in decided.items()
        if (UNCHANGED, 0) in calls
        for key, call in calls.items()
        if key != (UNCHANGED, 0) and (battle, _name(call)) not in there
    ]
    ProbeResult.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _name(call: JudgeCall) -> str:
    return RETEST if call.probe == UNCHANGED else call.probe


def _result(run: JudgeRun, unchanged: JudgeCall, call: JudgeCall) -> ProbeResult:
    before, after = (_outcome(one) for one in (unchanged, call))
    probe = PROBES.get(call.probe)
    fooled = probe is not None and is_fooled(
        probe.counts, before=before, after=after, side=call.changed_side
    )
    return ProbeResult(
        arena_id=run.arena_id,
        run=run,
        battle_id=call.battle_id,
        pair_id=call.pair_id,
        prompt_id=call.prompt_id,
        probe=_name(call),
        changed_side=call.changed_side,
        before=before,
        after=after,
        is_fooled=fooled,
    )


def _outcome(call: JudgeCall) -> Outcome:
    assert call.choice is not None  # noqa: S101 (an answered call has one)
    assert call.shown_first is not None  # noqa: S101 (a constraint says so)
    return outcome_of(call.choice, call.shown_first)


def begun(runs: QuerySet[JudgeRun]) -> QuerySet[JudgeRun]:
    """Those of them that ask with probes and were confirmed: what others than maintainers know of."""
    planned = {"state": JudgeRun.State.PLANNED}
    never = {"state": JudgeRun.State.CANCELLED, "total": 0}
    return runs.exclude(probes={}).exclude(**planned).exclude(**never)
