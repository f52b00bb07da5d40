"""Runs of program judges. Whatever is killed, no battle is judged twice."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings as django_settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from arena.models import Arena, Battle, Pair, Submission
from arena.slugs import free_slug
from judges.models import Judge, JudgeRun, Verdict, VerdictTrace
from judges.programs import MissingReference, Program, program_named, verdict
from judges.runs.errors import RunError
from judges.voting import announce

CHUNK = 500
# What failed is tried again when somebody asks; what is paused or over isn't worked on.
WORKABLE = (JudgeRun.State.QUEUED, JudgeRun.State.RUNNING, JudgeRun.State.FAILED)


def make_program_judge(
    *,
    arena: Arena,
    program: Program,
    name: str,
    parameters: Mapping[str, Any] | None = None,
    description: str = "",
) -> Judge:
    """The judge of an arena that decides by a program; the one that is there if it is.

    Raises ParameterError, and RunError where the name is that of a judge that decides otherwise.
    """
    configuration: dict[str, Any] = {
        "program": program.name,
        "version": program.version,
        "margin": program.margin,
    }
    if complete := program.parameters(parameters or {}):
        configuration["parameters"] = complete
    slugs = {"people", *Judge.objects.filter(arena=arena).values_list("slug", flat=True)}
    wanted = program.name.replace("_", "-")
    judge, _ = Judge.objects.get_or_create(
        arena=arena,
        name=name,
        version=program.version,
        defaults={
            "slug": free_slug(wanted, taken=slugs, otherwise="program", longest=120),
            "kind": Judge.Kind.PROGRAM,
            "configuration": configuration,
            "description": description or program.description,
        },
    )
    if judge.configuration != configuration:
        raise RunError(f"{arena} has a judge {name!r} that decides otherwise: choose another name.")
    return judge


def start_run(*, judge: Judge, submission: Submission | None = None) -> JudgeRun:
    """A run of a program judge over the battles of its arena that it hasn't decided yet.

    With a submission only over those of its system.

    Raises RunError for another judge: runs of LLM judges are planned first.
    """
    if judge.kind != Judge.Kind.PROGRAM:
        raise RunError(
            f"{judge} is not a program: an LLM judge is run by plan_run and confirm_run."
        )
    run = JudgeRun(arena=judge.arena, judge=judge, submission=submission)
    run.total = _open(run).count()
    run.save()
    return run


def work_on(run: JudgeRun) -> JudgeRun:
    """Do what is left of a run, unless somebody else is at it. It may be killed and called again.

    A failure is kept on the run with its reason and raised again. A battle whose prompt lacks what the
    program needs counts as failed; it gets no verdict.
    """
    if run.state not in WORKABLE or not JudgeRun.objects.claim(run.pk):
        return run
    # Somebody may have cancelled it, or finished it, between the look and the claim.
    workable = JudgeRun.objects.filter(pk=run.pk, state__in=WORKABLE)
    if not workable.update(state=JudgeRun.State.RUNNING, failed=0):
        JudgeRun.objects.filter(pk=run.pk).update(claimed_until=None)
        run.refresh_from_db()
        return run
    run.refresh_from_db()
    # Battles may have come since the run was started, and those that failed are tried again.
    run.started_at = run.started_at or timezone.now()
    run.total = run.done + _open(run).count()
    run.save(update_fields=["total", "started_at"])
    try:
        _judge_all(run)
    except Exception as error:
        JudgeRun.objects.filter(pk=run.pk).update(
            state=JudgeRun.State.FAILED,
            claimed_until=None,
            error=f"{type(error).__name__}: {error}",
        )
        raise
    # Unless it was cancelled meanwhile.
    JudgeRun.objects.filter(pk=run.pk, state=JudgeRun.State.RUNNING).update(
        state=JudgeRun.State.DONE,
        claimed_until=None,
        attempts=0,
        finished_at=timezone.now(),
    )
    run.refresh_from_db()
    return run


def _open(run: JudgeRun) -> QuerySet[Battle]:
    """Battles with both outputs known that the judge hasn't decided."""
    decided = Verdict.objects.filter(judge_id=run.judge_id, criterion="", repetition=0)
    battles = Battle.objects.filter(arena_id=run.arena_id, output_a__isnull=False)
    if run.submission_id is not None:
        system = run.submission.system_id
        pairs = Pair.objects.filter(Q(system_a=system) | Q(system_b=system))
        battles = battles.filter(pair__in=pairs.values("pk"))
    return battles.exclude(pk__in=decided.values("battle_id")).order_by("pk")


def _judge_all(run: JudgeRun) -> None:
    settings = run.judge.configuration
    program = program_named(settings["program"])
    if program.version != settings["version"]:
        raise RunError(
            f"{run.judge} was made for version {settings['version']} of {program.name}, and this is "
            f"version {program.version}: make a new version of the judge."
        )
    bound = replace(program, score=partial(program.score, **settings.get("parameters", {})))
    score = partial(_score, bound, {})
    for chunk in _chunks(run):
        if not _keep(run):
            return
        verdicts, failed = [], 0
        for battle in chunk:
            try:
                scores = [score(output, battle) for output in (battle.output_a, battle.output_b)]
            except MissingReference:
                failed += 1
                continue
            verdicts.append((battle, scores))
        try:
            _store(run, verdicts, failed=failed, program=program, margin=settings["margin"])
        except IntegrityError:
            # Another run of the judge, as for another submission, has decided some of them meanwhile.
            decided = Verdict.objects.filter(
                judge_id=run.judge_id,
                criterion="",
                repetition=0,
                battle__in=[battle.pk for battle, _ in verdicts],
            )
            theirs = set(decided.values_list("battle_id", flat=True))
            left = [one for one in verdicts if one[0].pk not in theirs]
            run.refresh_from_db()
            _store(run, left, failed=failed, program=program, margin=settings["margin"])


def _keep(run: JudgeRun) -> bool:
    """Renew the lease; False when the run was cancelled."""
    until = timezone.now() + timedelta(seconds=django_settings.JOB_LEASE_SECONDS)
    running = JudgeRun.objects.filter(pk=run.pk, state=JudgeRun.State.RUNNING)
    return bool(running.update(claimed_until=until))


def _chunks(run: JudgeRun) -> Iterator[list[Battle]]:
    """By key and not by offset: what is decided meanwhile drops out of the query."""
    last = 0
    battles = _open(run).select_related("prompt", "output_a", "output_b")
    while chunk := list(battles.filter(pk__gt=last)[:CHUNK]):
        yield chunk
        last = chunk[-1].pk


def _score(program: Program, known: dict[int, float], output, battle: Battle) -> float:
    """An output meets many others, and is scored once."""
    if output.pk not in known:
        reference = battle.prompt.reference or None
        known[output.pk] = program.score(
            output.text, prompt=battle.prompt.text, reference=reference
        )
        if not math.isfinite(known[output.pk]):
            raise RunError(f"{program.name} gave output {output.pk} no finite score.")
    return known[output.pk]


@transaction.atomic
def _store(
    run: JudgeRun,
    decided: list[tuple[Battle, list[float]]],
    *,
    failed: int,
    program: Program,
    margin: float,
) -> None:
    """Verdicts, their words and the progress of the run, together or not at all."""
    now = timezone.now()
    verdicts = Verdict.objects.bulk_create(
        Verdict(
            arena_id=battle.arena_id,
            battle=battle,
            pair_id=battle.pair_id,
            prompt_id=battle.prompt_id,
            judge_id=run.judge_id,
            run=run,
            outcome=int(verdict(*scores, margin=margin)),
            cast_at=now,
        )
        for battle, scores in decided
    )
    VerdictTrace.objects.bulk_create(
        VerdictTrace(
            verdict=cast,
            rationale=f"{program.name}: {scores[0]:.3f} for A, {scores[1]:.3f} for B; "
            f"a difference up to {margin:g} is a tie.",
        )
        for cast, (_, scores) in zip(verdicts, decided, strict=True)
    )
    run.done += len(decided)
    run.verdicts_cast += len(decided)
    run.failed += failed
    # A battle that came during the run is judged with the rest.
    run.total = max(run.total, run.done + run.failed)
    run.save(update_fields=["done", "failed", "total", "verdicts_cast"])
    if verdicts:
        announce(arena_id=run.arena_id, judge_ids=[run.judge_id])
