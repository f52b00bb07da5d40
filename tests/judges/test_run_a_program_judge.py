from datetime import timedelta

import pytest
from django.utils import timezone

from judges import tasks
from judges.models import Judge, JudgeRun, Outcome, Verdict, VerdictTrace
from judges.programs import PROGRAMS
from judges.runs import (
    RunError,
    cancel_run,
    make_program_judge,
    start_run,
    unfinished_runs,
    work_on,
)
from judges.runs.programs import work_on as work_on_program
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    arena = cast.make_arena()
    ada, basil = cast.make_system(arena, "Ada"), cast.make_system(arena, "Basil")
    for number, (one, other) in enumerate([("a b c", "a"), ("a", "a b c"), ("a", "b")]):
        prompt = cast.make_prompt(arena, f"Poem {number}")
        cast.make_output(ada, prompt, one)
        cast.make_output(basil, prompt, other)
        cast.make_battle(ada, basil, prompt)
    return arena


@pytest.fixture
def judge(arena):
    return make_program_judge(
        arena=arena, program=PROGRAMS["longer_is_better"], name="Longer is better"
    )


def test_every_battle_gets_a_verdict_with_the_scores_behind_it(judge):
    run = work_on(start_run(judge=judge))
    assert (run.state, run.total, run.done, run.failed) == ("done", 3, 3, 0)
    outcomes = Verdict.objects.order_by("battle_id").values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.A, Outcome.B, Outcome.TIE]
    assert VerdictTrace.objects.filter(rationale__contains="longer_is_better").count() == 3


def test_working_on_a_finished_run_changes_nothing(judge):
    run = work_on(start_run(judge=judge))
    work_on(run)
    assert Verdict.objects.count() == 3


def test_a_second_run_judges_only_what_is_new(arena, judge):
    work_on(start_run(judge=judge))
    assert start_run(judge=judge).total == 0


def test_battles_that_come_after_the_start_are_judged_too(arena, judge):
    run = start_run(judge=judge)
    ada, basil = arena.systems.order_by("pk")
    cast.make_battle(ada, basil, cast.make_prompt(arena, "A late poem"))
    run = work_on(run)
    assert (run.total, run.done) == (4, 4)


def test_a_run_whose_worker_died_is_found_and_finished_without_a_second_verdict(judge):
    run = start_run(judge=judge)
    battle = judge.arena.battles.first()
    cast.make_verdict(battle, judge, Outcome.A, run=run)
    past = timezone.now() - timedelta(seconds=1)
    JudgeRun.objects.filter(pk=run.pk).update(
        state=JudgeRun.State.RUNNING, done=1, claimed_until=past
    )
    assert unfinished_runs() == [run.pk]
    tasks.work_on_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.total, run.done) == ("done", 3, 3)
    assert Verdict.objects.count() == 3


def test_a_run_that_somebody_works_on_is_left_to_them(judge):
    run = start_run(judge=judge)
    assert JudgeRun.objects.claim(run.pk)
    assert unfinished_runs() == []
    work_on(run)
    assert not Verdict.objects.exists()


def test_a_run_that_was_cancelled_before_the_claim_stays_cancelled(judge):
    run = start_run(judge=judge)
    cancel_run(run=run)
    run.state = "queued"  # as the worker saw it
    run = work_on_program(run)
    assert (run.state, run.claimed_until, Verdict.objects.count()) == ("cancelled", None, 0)


def test_a_battle_without_what_the_program_needs_fails_and_gets_no_verdict(arena):
    judge = make_program_judge(arena=arena, program=PROGRAMS["rouge_l"], name="ROUGE-L")
    run = work_on(start_run(judge=judge))
    assert (run.done, run.failed) == (0, 3)
    assert not Verdict.objects.exists()


def test_a_judge_made_for_another_version_of_the_program_does_not_run(arena, judge):
    old = Judge.objects.create(
        arena=arena,
        slug="old",
        name="Old",
        kind=Judge.Kind.PROGRAM,
        configuration=judge.configuration | {"version": 0},
    )
    run = start_run(judge=old)
    with pytest.raises(RunError, match="make a new version"):
        work_on(run)
    run.refresh_from_db()
    assert (run.state, run.claimed_until) == ("failed", None)
    assert "make a new version" in run.error


def test_only_programs_can_be_run(arena):
    with pytest.raises(RunError, match="not a program"):
        start_run(judge=cast.make_judge(arena))
