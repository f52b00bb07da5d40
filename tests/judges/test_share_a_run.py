"""Several workers at one run, and what the dead leave to the living."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from judges.models import JudgeCall, JudgeRun, Verdict
from judges.runs import confirm_run, plan_run, unfinished_runs, work_on
from judges.runs.calls import Result, claim_calls, release_calls, store_results
from judges.runs.rows import make_rows
from tests.judges.fake_llm import FakeEndpoint, WordProtocol, make_arena, make_judge

pytestmark = pytest.mark.django_db
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture
def run(monkeypatch) -> JudgeRun:
    run = confirm_run(run=plan_run(judge=make_judge(make_arena(), monkeypatch), selection={}))
    return make_rows(run)


def claim(run, who=ONE, at_most=4, mine=()) -> list[int]:
    return claim_calls(run.pk, claim=who, at_most=at_most, mine=list(mine))


def let_claims_run_out(run) -> None:
    past = timezone.now() - timedelta(seconds=1)
    run.calls.exclude(claimed_until=None).update(claimed_until=past)
    JudgeRun.objects.filter(pk=run.pk).update(claimed_until=past)


def test_what_one_has_claimed_another_does_not_get(run):
    first = claim(run, at_most=4)
    second = claim(run, OTHER, at_most=7)
    assert (len(first), len(second)) == (4, 3)
    assert not set(first) & set(second)


def test_together_they_ask_no_more_at_once_than_one_may(run):
    assert len(claim(run, at_most=4)) == 4
    assert claim(run, OTHER, at_most=4) == []


def test_a_claim_that_ran_out_is_open_to_all(run):
    first = claim(run)
    let_claims_run_out(run)
    assert unfinished_runs() == [run.pk]
    assert claim(run, OTHER) == first
    assert unfinished_runs() == []
    assert set(run.calls.filter(pk__in=first).values_list("claim", "attempts")) == {(OTHER, 2)}


def test_a_claim_that_is_renewed_does_not_run_out(run):
    first = claim(run)
    soon = timezone.now() + timedelta(seconds=1)
    run.calls.filter(pk__in=first).update(claimed_until=soon)
    claim(run, at_most=0, mine=first)
    later = timezone.now() + timedelta(seconds=30)
    assert run.calls.filter(pk__in=first, claimed_until__gt=later).count() == 4


def test_a_worker_that_waits_long_for_an_answer_keeps_its_claims(run, settings, monkeypatch):
    settings.JOB_LEASE_SECONDS = 0.3
    taken = []

    class Slow(FakeEndpoint):
        async def ask(self, question, *, read):
            await asyncio.sleep(0.7)
            taken.extend(await sync_to_async(claim)(run, OTHER, at_most=4))
            return await super().ask(question, read=read)

    monkeypatch.setattr("judges.runs.asking.TURN_SECONDS", 0.1)
    work_on(run, make_asker=Slow(lambda lines: "tie"))
    run.refresh_from_db()
    assert (taken, run.done) == ([], 4)


def test_nobody_renews_what_another_has_taken_over(run):
    first = claim(run)
    let_claims_run_out(run)
    claim(run, OTHER)
    release_calls(run.pk, claim=ONE)
    assert run.calls.filter(pk__in=first, claim=OTHER).count() == 4


def test_a_result_that_comes_late_is_kept_and_the_second_one_is_not(run):
    [call, *_] = claim(run)
    let_claims_run_out(run)
    claim(run, OTHER)
    assert store_results(run.pk, [Result(call=call, choice=0, text="late")]) == 1
    assert store_results(run.pk, [Result(call=call, choice=1, text="second")]) == 0
    kept = JudgeCall.objects.get(pk=call)
    assert (kept.state, kept.choice, kept.text, kept.claimed_until) == ("done", 0, "late", None)
    run.refresh_from_db()
    assert (run.done, run.calls_made) == (1, 1)


def test_results_sent_twice_cast_no_verdict_twice(run):
    results = [Result(call=call.pk, choice=2) for call in run.calls.all()]
    assert store_results(run.pk, results) == 24
    assert store_results(run.pk, results) == 0
    run.refresh_from_db()
    assert (run.done, run.verdicts_cast, Verdict.objects.count()) == (24, 12, 12)


def test_rows_that_a_dead_worker_began_are_made_anew(run):
    JudgeRun.objects.filter(pk=run.pk).update(state="queued", total=0, started_at=None)
    run.calls.filter(pk__gt=run.calls.first().pk + 10).delete()
    run = work_on(JudgeRun.objects.get(pk=run.pk), make_asker=FakeEndpoint(lambda lines: "tie"))
    assert (run.state, run.total, run.done, run.calls.count()) == ("done", 24, 24, 24)


def test_a_database_that_is_away_for_a_moment_does_not_fail_the_run(run, monkeypatch):
    from judges.runs import asking

    store, times = asking.store_results, []

    def away(*args):
        times.append(args)
        if len(times) == 2:
            raise OperationalError("server closed the connection unexpectedly")
        return store(*args)

    monkeypatch.setattr(asking, "store_results", away)
    endpoint = FakeEndpoint(lambda lines: "tie")
    with pytest.raises(OperationalError):
        work_on(run, make_asker=endpoint)
    run.refresh_from_db()
    assert (run.state, run.error) == ("running", "")
    let_claims_run_out(run)
    assert unfinished_runs() == [run.pk]
    run = work_on(run, make_asker=endpoint)
    assert (run.state, run.done, Verdict.objects.count()) == ("done", 24, 12)


def test_what_a_reading_brings_along_is_bounded(run, monkeypatch):
    read = WordProtocol.read

    def verbose(self, reply, *, questions=()):
        details = {"small": 1, "large": "x" * 100_000}
        return replace(
            read(self, reply, questions=questions), details=details, rationale="y" * 100_000
        )

    monkeypatch.setattr(WordProtocol, "read", verbose)
    work_on(run, make_asker=FakeEndpoint(lambda lines: "tie"))
    parse = run.calls.first().parse
    assert (parse["details"], len(parse["rationale"])) == ({"small": 1}, 50_000)


def test_a_worker_that_finds_everything_claimed_asks_for_no_other_turn(run):
    from judges.runs import do_some

    claim(run)
    assert do_some(run, make_asker=FakeEndpoint()) is False


def test_a_turn_ends_in_time_and_asks_for_another(run, monkeypatch):
    from judges.runs import do_some

    monkeypatch.setattr("judges.runs.asking.TURN_SECONDS", 0.0)
    assert do_some(run, make_asker=FakeEndpoint()) is False
    monkeypatch.setattr("judges.runs.asking.TURN_SECONDS", 0.004)
    endpoint = FakeEndpoint(lambda lines: "tie")
    assert do_some(run, make_asker=endpoint) is True
    assert 0 < endpoint.asked.total() < 24
    run.refresh_from_db()
    assert run.state == "running"


def test_queries_do_not_grow_with_the_calls_of_a_batch(run):
    asked = []
    for at_most in (4, 20):
        keys = claim(run, at_most=at_most)
        with CaptureQueriesContext(connection) as captured:
            store_results(run.pk, [Result(call=key, choice=2) for key in keys])
        asked.append(len(captured))
    assert asked[1] <= asked[0]
