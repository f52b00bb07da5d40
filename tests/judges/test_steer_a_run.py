"""Planning, confirming, pausing, resuming, cancelling and retrying the run of an LLM judge."""

from decimal import Decimal

import pytest

from arena.leases import LeaseQuerySet
from arena.models import AuditEntry
from judges import tasks
from judges.endpoints.interface import CallError, Failure
from judges.models import JudgeCall, JudgeRun, Verdict
from judges.runs import (
    RunError,
    cancel_run,
    confirm_run,
    pause_run,
    plan_run,
    resume_run,
    retry_failed,
    work_on,
)
from tests import cast
from tests.accounts import make_user
from tests.judges.fake_llm import FakeEndpoint, make_arena, make_judge

pytestmark = pytest.mark.django_db
TIE = FakeEndpoint(lambda lines: "tie")


@pytest.fixture
def judge(monkeypatch):
    return make_judge(make_arena(), monkeypatch)


@pytest.fixture
def planned(judge) -> JudgeRun:
    return plan_run(judge=judge, selection={})


@pytest.fixture
def messages(monkeypatch) -> list[int]:
    """What was sent to workers."""
    sent: list[int] = []
    monkeypatch.setattr(tasks.work_on_run, "delay", sent.append)
    return sent


class Interrupting(FakeEndpoint):
    """Does something once, when it is asked for the tenth time."""

    def __init__(self, verb):
        super().__init__(lambda lines: "tie")
        self.verb = verb
        self.is_done = False

    async def ask(self, question, *, read):
        from asgiref.sync import sync_to_async

        if self.asked.total() >= 9 and not self.is_done:
            self.is_done = True
            await sync_to_async(self.verb)()
        return await super().ask(question, read=read)


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))[1:]


def test_a_planned_run_asks_nothing(planned):
    run = work_on(planned, make_asker=TIE)
    assert (run.state, run.total, run.calls.count()) == ("planned", 0, 0)


def test_confirming_sends_a_message_after_the_commit_and_again_changes_nothing(
    planned, messages, django_capture_on_commit_callbacks
):
    actor = make_user("alice")
    with django_capture_on_commit_callbacks(execute=True):
        confirm_run(run=planned, actor=actor)
        assert messages == []
    with django_capture_on_commit_callbacks(execute=True):
        run = confirm_run(run=planned, actor=actor)
    assert (run.state, messages, acts()) == ("queued", [planned.pk], ["start run"])
    assert AuditEntry.objects.latest("pk").actor == actor


def test_a_run_that_is_paused_meanwhile_keeps_what_is_in_flight_and_goes_on_later(planned):
    run = confirm_run(run=planned)
    run = work_on(run, make_asker=Interrupting(lambda: pause_run(run=run)))
    assert run.state == "paused"
    assert 10 <= run.done < 24
    assert not JudgeCall.objects.exclude(claimed_until=None).exists()
    before = run.done
    assert work_on(run, make_asker=TIE).done == before
    run = work_on(resume_run(run=run), make_asker=TIE)
    assert (run.state, run.done, Verdict.objects.count()) == ("done", 24, 12)
    assert acts() == ["start run", "pause run", "resume run"]


def test_a_run_that_is_cancelled_meanwhile_keeps_what_was_answered(planned):
    run = confirm_run(run=planned)
    run = work_on(run, make_asker=Interrupting(lambda: cancel_run(run=run)))
    assert run.state == "cancelled"
    assert run.done == JudgeCall.objects.filter(state="done").count()
    assert 10 <= run.done < 24
    assert JudgeCall.objects.filter(state="cancelled").count() == 24 - run.done
    assert run.verdicts_cast == Verdict.objects.count() > 0
    assert cancel_run(run=run).state == "cancelled"
    assert acts() == ["start run", "cancel run"]


def test_what_is_over_stays_over(planned):
    run = work_on(confirm_run(run=planned), make_asker=TIE)
    assert confirm_run(run=run).state == "done"
    for verb in (pause_run, resume_run, cancel_run):
        with pytest.raises(RunError, match="done"):
            verb(run=run)
    assert retry_failed(run=run) == 0
    assert acts() == ["start run"]


def test_a_cancelled_plan_is_not_started(planned):
    cancel_run(run=planned)
    for verb in (confirm_run, resume_run, retry_failed):
        with pytest.raises(RunError, match="cancelled"):
            verb(run=planned)


def test_a_run_that_was_paused_before_it_began_begins_when_it_is_resumed(planned):
    run = pause_run(run=confirm_run(run=planned))
    assert work_on(run, make_asker=TIE).state == "paused"
    run = resume_run(run=run)
    assert run.state == "queued"
    assert work_on(run, make_asker=TIE).state == "done"


def test_only_what_failed_for_one_reason_is_retried(planned):
    def rule(lines):
        if lines[0] == "Poem 0":
            return CallError(Failure.SERVER, "500")
        return "gibberish" if lines[0] == "Poem 1" else "tie"

    run = work_on(confirm_run(run=planned), make_asker=FakeEndpoint(rule))
    assert (run.done, run.failed) == (12, 12)
    assert retry_failed(run=run, failure="server error") == 6
    run = work_on(run, make_asker=TIE)
    assert (run.state, run.done, run.failed) == ("done", 18, 6)
    assert acts() == ["start run", "retry run"]


@pytest.mark.parametrize(
    "limits",
    [{"budget": Decimal(0)}, {"budget": Decimal(-1)}, {"max_calls": 0}, {"max_tokens": 10**9}],
)
def test_a_limit_is_a_number_above_zero(judge, planned, limits):
    with pytest.raises(RunError, match="more than 0"):
        plan_run(judge=judge, selection={}, **limits)


def test_a_lost_message_is_sent_again_and_one_under_way_is_left(planned, messages):
    confirm_run(run=planned)
    assert tasks.sweep_runs() == 1
    assert messages == [planned.pk]
    assert JudgeRun.objects.claim(planned.pk)
    assert tasks.sweep_runs() == 0


def test_two_judges_at_once_and_one_run_each(planned, judge, monkeypatch):
    other = make_judge(judge.arena, monkeypatch, name="Other")
    for run in (planned, plan_run(judge=other, selection={})):
        work_on(confirm_run(run=run), make_asker=TIE)
    assert Verdict.objects.count() == 24


def test_two_runs_over_the_same_battles_cast_one_verdict_each(planned, judge):
    second = plan_run(judge=judge, selection={})
    confirm_run(run=second)
    confirm_run(run=planned)

    def overtaken():
        """The other run does all its work in the middle of this one."""
        from judges.runs.calls import Result, store_results
        from judges.runs.rows import make_rows

        other = make_rows(JudgeRun.objects.get(pk=second.pk))
        store_results(other.pk, [Result(call=call.pk, choice=2) for call in other.calls.all()])

    run = work_on(planned, make_asker=Interrupting(overtaken))
    second.refresh_from_db()
    assert run.done == 24
    assert 12 <= second.done == second.total < 24
    assert run.verdicts_cast >= 2
    assert second.verdicts_cast >= 6
    assert run.verdicts_cast + second.verdicts_cast == Verdict.objects.count() == 12
    assert not cast.Verdict.objects.filter(trace=None).exists()


def test_a_worker_that_comes_late_leaves_the_rows_of_another_alone(planned, monkeypatch):
    confirm_run(run=planned)
    claim, others = LeaseQuerySet.claim, []

    def late(rows, key):
        if not others:
            others.append(key)
            work_on(JudgeRun.objects.get(pk=key), make_asker=TIE)
        return claim(rows, key)

    monkeypatch.setattr(LeaseQuerySet, "claim", late)
    run = work_on(JudgeRun.objects.get(pk=planned.pk), make_asker=TIE)
    assert others == [run.pk]
    assert (run.state, run.total, run.done, run.calls.count()) == ("done", 24, 24, 24)


def test_a_message_for_a_run_that_was_deleted_is_no_work(judge):
    run = plan_run(judge=judge, selection={})
    key = run.pk
    run.delete()
    tasks.work_on_run(key)
    assert not JudgeRun.objects.exists()
