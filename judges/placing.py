"""Asking the arena's automatic judges about the battles of a submitted system.

Which battles, and when they are enough, the ratings room decides (``ratings.placing``): this room makes them,
has every judge that can be asked decide them, and lets juries and cascades follow.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Q, QuerySet, Sum

from arena.access import may_ask_models, seen_systems
from arena.audit import note
from arena.matchmaking import make_battles, plan_pairs
from arena.models import Arena, Battle, Output, Pair, Standing, Submission, System
from arena.submissions.policy import SubmissionPolicy
from judges import derivations
from judges.models import Derivation, Judge, JudgeRun, Verdict
from judges.runs import RunError, programs, rounds
from judges.runs.verbs import cancel_run, confirm_run, plan_run, resume_run

BATCH = 200  # battles made at once
LEAST_BUDGET = 0.0001  # USD; runs keep no smaller amount
State = JudgeRun.State
BUSY = (State.QUEUED, State.RUNNING)
ASKED = (Judge.Kind.LLM, Judge.Kind.PROGRAM)
_FACTORS = (2_654_435_761, 40_503)


class PlacingError(Exception):
    """Why a submission can't be judged, in a sentence for its owner."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Whom a submission is judged by: ``ranking`` gives its place; ``asked`` decide, ``derived`` follow."""

    ranking: Judge
    asked: tuple[Judge, ...]
    derived: tuple[Judge, ...]  # those that others follow from come first


def panel_of(submission: Submission) -> Panel:
    """Raises PlacingError where none of the judges is there, or none of them can be asked."""
    found = {
        judge.slug: judge
        for judge in Judge.objects.filter(
            arena=submission.arena_id, slug__in=submission.judges
        ).select_related("arena")
    }
    missing = [slug for slug in submission.judges if slug not in found]
    if missing or not found:
        raise PlacingError(
            f"The arena has no judge {', '.join(missing) or 'for submissions'} any more: its maintainers "
            "choose others in the settings of submissions."
        )
    asked: dict[int, Judge] = {}
    derived: dict[int, Judge] = {}
    for slug in submission.judges:
        _collect(found[slug], asked, derived)
    ranking = found[submission.judges[0]]
    if not asked:
        raise PlacingError(
            f"{ranking} is no judge that can be asked: the arena's maintainers choose another in the settings "
            "of submissions."
        )
    return Panel(ranking, tuple(asked.values()), tuple(derived.values()))


def _collect(judge: Judge, asked: dict[int, Judge], derived: dict[int, Judge]) -> None:
    if judge.kind in ASKED:
        # One that came with a dataset has nothing by which it could be asked.
        if judge.kind == Judge.Kind.PROGRAM or "protocol_digest" in judge.configuration:
            asked[judge.pk] = judge
        return
    derivation = Derivation.objects.filter(judge=judge).first()
    if derivation is None or judge.pk in derived:
        return
    for source in derivation.sources.select_related("arena").order_by("pk"):
        _collect(source, asked, derived)
    derived[judge.pk] = judge


def may_judge(arena: Arena) -> QuerySet[Judge]:
    """The judges that a maintainer can choose for submissions."""
    programs_ = Q(kind=Judge.Kind.PROGRAM)
    llms = Q(kind=Judge.Kind.LLM, configuration__has_key="protocol_digest")
    derived = Q(kind__in=[Judge.Kind.JURY, Judge.Kind.CASCADE])
    return Judge.objects.filter(programs_ | llms | derived, arena=arena)


# --- battles ----------------------------------------------------------------------------------------------


def open_battles(submission: Submission) -> dict[int, int]:
    """How many battles could still be made against each published system, by its id."""
    system = submission.system
    assert system is not None  # noqa: S101 (a constraint says so)
    prompts = Output.objects.filter(system=system).values("prompt")
    shared = (
        Output.objects.filter(prompt__in=prompts, system__in=opponents(submission))
        .order_by()
        .values_list("system_id")
        .annotate(n=Count("pk"))
    )
    met = Counter(other for other, _ in _met(system))
    return {other: n - met[other] for other, n in shared if n > met[other]}


def opponents(submission: Submission) -> QuerySet[System]:
    """Systems that everybody sees: a place among hidden ones would say something of them."""
    others = seen_systems(None, submission.arena).exclude(pk=submission.system_id)
    return others.filter(standing=Standing.PUBLISHED)


def _met(system: System) -> Iterator[tuple[int, int]]:
    """(opponent, prompt) of every battle of the system."""
    pairs = Pair.objects.filter(Q(system_a=system) | Q(system_b=system)).values("pk")
    battles = Battle.objects.filter(pair__in=pairs).order_by()
    for a, b, prompt in battles.values_list("system_a_id", "system_b_id", "prompt_id"):
        yield (b if a == system.pk else a), prompt


def plan_battles(*, submission: Submission, wanted: Mapping[int, int]) -> int:
    """Make so many more battles against each of these systems; how many there are now more.

    Prompts take part as evenly as they can, since battles on one prompt say less than on several. Which ones
    follows from ids, so that the same plan made twice makes the same battles.
    """
    system = submission.system
    assert system is not None  # noqa: S101
    met = set(_met(system))
    used = Counter(prompt for _, prompt in met)
    mine = dict(Output.objects.filter(system=system).values_list("prompt_id", "pk"))
    theirs: dict[int, dict[int, int]] = {other: {} for other in wanted}
    rows = Output.objects.filter(system__in=theirs, prompt__in=mine_of(system)).order_by()
    for other, prompt, output in rows.values_list("system_id", "prompt_id", "pk"):
        if (other, prompt) not in met:
            theirs[other][prompt] = output
    of: dict[tuple[int, int], int] = {}
    for other, n in sorted(wanted.items(), key=lambda item: (-item[1], item[0])):
        free = sorted(theirs[other], key=lambda prompt: (used[prompt], _spread(prompt, other)))
        for prompt in free[:n]:
            used[prompt] += 1
            both = (mine[prompt], theirs[other][prompt])
            of[both if system.pk < other else both[::-1]] = prompt
    plan_pairs(arena=submission.arena, of=system)
    planned = list(of.items())
    for start in range(0, len(planned), BATCH):
        make_battles(arena=submission.arena, of=dict(planned[start : start + BATCH]))
    return len(of)


def mine_of(system: System) -> QuerySet:
    return Output.objects.filter(system=system).values("prompt")


def _spread(prompt: int, other: int) -> int:
    return (prompt % 2**31 * _FACTORS[0] + other % 2**31 * _FACTORS[1]) % 2**32


def n_battles(submission: Submission) -> int:
    """Battles of the system with outputs that automatic judges may decide."""
    return _battles_of(submission).count()


def _battles_of(submission: Submission) -> QuerySet[Battle]:
    system = submission.system_id
    pairs = Pair.objects.filter(Q(system_a=system) | Q(system_b=system)).values("pk")
    return Battle.objects.filter(pair__in=pairs, output_a__isnull=False)


def n_judged(submission: Submission, judge: Judge) -> int:
    """Of these, those that the judge has decided."""
    decided = Verdict.objects.filter(judge=judge, criterion="", retraction=None)
    return _battles_of(submission).filter(pk__in=decided.values("battle")).count()


# --- asking -----------------------------------------------------------------------------------------------


def is_busy(submission: Submission) -> bool:
    """Whether a model is still being asked."""
    return submission.runs.filter(state__in=BUSY).exists()


def what_stopped(submission: Submission) -> str:
    """A sentence about the runs that stopped before they were told to; empty where none did."""
    stopped = submission.runs.filter(
        state__in=[State.FAILED, State.PAUSED, State.CANCELLED]
    ).select_related("judge")
    return " ".join(
        f"{run.judge} stopped ({run.get_state_display().lower()}): "
        f"{run.error or 'a maintainer stopped it.'}".strip()
        for run in stopped
    )


def ask(*, submission: Submission, panel: Panel) -> None:
    """Have every judge decide the battles that there are. Programs do it now, models in runs of their own.

    Asking again asks only what is open. Raises RunError where a judge can't be asked.
    """
    policy = SubmissionPolicy.of(submission.arena)
    models = [judge for judge in panel.asked if judge.kind == Judge.Kind.LLM]
    for judge in panel.asked:
        run = submission.runs.filter(judge=judge).order_by("pk").first()
        if judge.kind == Judge.Kind.PROGRAM:
            _run_program(submission, judge, run)
        elif run is None:
            _begin(submission, judge, budget=_left_of_budget(submission, policy, len(models)))
        elif run.state == State.WAITING:
            room = rounds.open_pairs(run)
            if room:
                rounds.add_round(run=run, wanted=room, figures={})


def _left_of_budget(submission: Submission, policy: SubmissionPolicy, n_models: int) -> float:
    """USD for one of so many models; 0 where there is no limit. Raises RunError where nothing is left.

    What runs took that were cancelled is gone: to cancel and try again buys nothing.
    """
    if not policy.budget:
        return 0.0
    left = policy.budget - float(submission.spent_before)
    if left / n_models < LEAST_BUDGET:
        raise RunError(
            f"The {policy.budget:,.2f} USD that the arena spends on one system are spent. What was judged "
            "stays."
        )
    return left / n_models


def _begin(submission: Submission, judge: Judge, *, budget: float) -> None:
    """It makes its calls when the ratings room has answered that it waits: see ``ratings.placing``."""
    system = submission.system
    assert system is not None  # noqa: S101
    run = plan_run(
        judge=judge,
        selection={
            "battles": "existing",
            "systems": [system.slug],
            "until_width": submission.width_wanted,
        },
        budget=Decimal(budget).quantize(Decimal("0.0001")) if budget else None,
    )
    JudgeRun.objects.filter(pk=run.pk).update(submission=submission)
    confirm_run(run=run)


def _run_program(submission: Submission, judge: Judge, run: JudgeRun | None) -> None:
    if run is None:
        run = programs.start_run(judge=judge, submission=submission)
    elif run.state == State.DONE:
        JudgeRun.objects.filter(pk=run.pk, state=State.DONE).update(state=State.QUEUED)
        run.refresh_from_db()
    programs.work_on(run)


def follow(*, submission: Submission, panel: Panel) -> None:
    """Let juries and cascades decide the system's battles now, as far as their members have."""
    pairs = list(_battles_of(submission).order_by().values_list("pair_id", flat=True).distinct())
    for judge in panel.derived:
        derivations.derive_some(judge=judge, pairs=pairs)


def end(*, submission: Submission, said: str) -> None:
    """The runs of models that wait are over, for this reason."""
    for run in submission.runs.filter(state=State.WAITING):
        rounds.end_rounds(run=run, said=said, figures={})


def stop(*, submission: Submission) -> None:
    """Give up what models haven't been asked yet; verdicts stay."""
    for run in submission.runs.filter(
        state__in=[State.PLANNED, *BUSY, State.WAITING, State.PAUSED, State.FAILED]
    ):
        cancel_run(run=run)


def go_on(*, submission: Submission) -> None:
    """Let runs that failed or paused go on; those that were cancelled are begun anew."""
    for run in submission.runs.filter(state__in=[State.FAILED, State.PAUSED]):
        if run.makes_calls:
            resume_run(run=run)
    with transaction.atomic():
        gone = submission.runs.select_for_update().filter(state=State.CANCELLED)
        spent = sum((run.cost for run in gone), Decimal(0))
        Submission.objects.filter(pk=submission.pk).update(spent_before=F("spent_before") + spent)
        submission.runs.filter(pk__in=[run.pk for run in gone]).update(submission=None)
    submission.refresh_from_db(fields=["spent_before"])


def cost_of(submission: Submission) -> Decimal:
    """USD that its models took so far."""
    current = submission.runs.aggregate(cost=Sum("cost"))["cost"] or Decimal(0)
    return submission.spent_before + current


def has_failures(submission: Submission) -> Sequence[str]:
    """A sentence for each judge that couldn't decide some of the battles."""
    failed = submission.runs.filter(failed__gt=0).select_related("judge")
    return [f"{run.judge} failed at {run.failed:,} of {run.total:,}." for run in failed]


# --- settings ---------------------------------------------------------------------------------------------


@transaction.atomic
def change_policy(*, arena: Arena, policy: SubmissionPolicy, actor: Any) -> bool:
    """Who may submit, and by whom submissions are ranked from now on; whether that is otherwise than before.

    Raises PlacingError for judges that aren't there or can't be asked, and where the actor may not have
    models asked.
    """
    kept = Arena.objects.select_for_update().get(pk=arena.pk)
    there = {judge.slug: judge for judge in may_judge(kept).filter(slug__in=policy.judges)}
    if missing := [slug for slug in policy.judges if slug not in there]:
        raise PlacingError(
            f"judges: the arena has no judge {missing[0]!r} that could be asked. People, and judges that came "
            "with a dataset, can't be."
        )
    before = kept.submission_policy
    after = policy.as_json()
    # Whoever submits then spends the operator's money: that is decided by who may spend it.
    asks = any(_asks_models(judge) for judge in there.values())
    new = set(policy.judges) - set(before.get("judges", ()))
    costs_more = after["budget"] != before.get("budget") or after["who"] != before.get("who")
    if asks and (new or costs_more) and (refusal := may_ask_models(actor)):
        raise PlacingError(refusal)
    if after == before:
        return False
    kept.submission_policy = after
    kept.save(update_fields=["submission_policy"])
    details = {
        name: {"before": before.get(name), "after": value}
        for name, value in after.items()
        if before.get(name) != value
    }
    note(arena=kept, actor=actor, act="change submissions", subject=", ".join(details), **details)
    arena.submission_policy = after
    return True


def _asks_models(judge: Judge) -> bool:
    asked: dict[int, Judge] = {}
    _collect(judge, asked, {})
    return any(one.kind == Judge.Kind.LLM for one in asked.values())
