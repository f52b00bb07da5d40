"""No run spends more than it may, whatever is in flight."""

from decimal import Decimal

import pytest

from judges.endpoints.interface import Answer, CallError, Failure
from judges.models import JudgeCall
from judges.runs import confirm_run, plan, plan_run, resume_run, work_on
from tests.judges.fake_llm import CONFIGURATION, FakeEndpoint, make_arena, make_judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def judge(monkeypatch):
    return make_judge(make_arena(), monkeypatch)


class Dear(FakeEndpoint):
    """Every call takes the most that it can; knows what was spent and in flight at any time."""

    def __init__(self, *, tells: bool = True):
        super().__init__(lambda lines: "tie")
        self.tells = tells

    async def ask(self, question, *, read):
        answer, reading = await super().ask(question, read=read)
        size = len(question.request.messages[0]["content"].encode()) + 64
        if not self.tells:
            return Answer(answer.reply), reading
        return Answer(answer.reply, size, 10, (size + 2 * 10) / 1e6), reading


def run_it(judge, endpoint, **limits):
    return work_on(
        confirm_run(run=plan_run(judge=judge, selection={}, **limits)), make_asker=endpoint
    )


def test_calls(judge):
    endpoint = Dear()
    run = run_it(judge, endpoint, max_calls=7)
    assert (run.state, run.calls_made, endpoint.asked.total()) == ("paused", 7, 7)
    assert run.error.startswith("The budget is used up: 7 calls were made and 7 are allowed.")
    run = work_on(resume_run(run=run, max_calls=24), make_asker=endpoint)
    assert (run.state, run.error, endpoint.asked.total()) == ("done", "", 24)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_money(judge, share):
    run = plan_run(judge=judge, selection={})
    most = sum(call.most_cost for call in _rows(run))
    budget = round(most * Decimal(share), 4)
    run = run_it(judge, Dear(), budget=budget)
    assert run.state == "paused"
    assert "USD are spent" in run.error
    assert run.cost <= budget
    # It stops because of the very next call, not long before.
    following = JudgeCall.objects.filter(run=run, state="open").order_by("pk").first()
    assert run.cost + 5 * following.most_cost > budget


def test_tokens(judge):
    run = run_it(judge, Dear(), max_tokens=2_000)
    assert run.state == "paused"
    assert "tokens are used" in run.error
    used = run.input_tokens + run.output_tokens
    following = JudgeCall.objects.filter(run=run, state="open").order_by("pk").first()
    assert 2_000 - 5 * following.most_tokens < used <= 2_000


def test_what_nobody_tells_counts_as_the_most_that_it_can_be(judge):
    run = run_it(judge, Dear(tells=False), max_tokens=2_000)
    most = sum(call.most_tokens for call in run.calls.filter(state="done"))
    assert 0 < run.input_tokens + run.output_tokens == most <= 2_000
    assert run.cost == sum(call.most_cost for call in run.calls.filter(state="done"))


def test_a_reply_that_could_not_be_read_was_paid_for_and_a_refusal_was_not(judge):
    replies = {"Poem 0": "gibberish", "Poem 1": CallError(Failure.RATE_LIMITED, "429")}
    run = run_it(judge, FakeEndpoint(lambda lines: replies.get(lines[0], "tie")))
    unreadable = run.calls.filter(failure="unreadable reply")
    assert (run.done, unreadable.count(), run.failed) == (12, 6, 12)
    told = Decimal("0.000102") * 12
    assert run.cost == told + sum(call.most_cost for call in unreadable)


def test_attempts_in_vain_are_paid_for_too(judge):
    class Reluctant(FakeEndpoint):
        async def ask(self, question, *, read):
            answer, reading = await super().ask(question, read=read)
            return Answer(answer.reply, 100, 1, cost=0.0005, attempts=5), reading

    unread = CallError(Failure.UNREADABLE, "?", cost=0.0007, attempts=5)
    run = run_it(
        judge, Reluctant(lambda lines: unread if lines[0] == "Poem 0" else "tie"), max_tokens=6_000
    )
    assert run.state == "paused"
    assert run.failed == 6
    assert run.cost == Decimal("0.0007") * 6 + Decimal("0.0005") * run.done
    assert run.input_tokens + run.output_tokens <= 6_000


def test_what_attempts_in_vain_cost_untold_is_the_most_that_it_can_be(judge):
    class Slow(FakeEndpoint):
        async def ask(self, question, *, read):
            answer, reading = await super().ask(question, read=read)
            return Answer(answer.reply, 100, 1, cost=0.0001, attempts=5, untold=4), reading

    refused = CallError(Failure.RATE_LIMITED, "429", attempts=5)
    refused.untold = 2
    run = run_it(judge, Slow(lambda lines: refused if lines[0] == "Poem 0" else "tie"))
    most = {
        of: sum(call.most_cost for call in run.calls.filter(state=of)) for of in ("done", "error")
    }
    assert (run.done, run.failed) == (18, 6)
    assert run.cost == Decimal("0.0001") * 18 + 4 * most["done"] + 2 * most["error"]


def test_a_reply_may_be_as_long_as_the_parameters_allow(monkeypatch):
    limit = {"parameters": {"max_completion_tokens": 30_000}}
    endpoint = CONFIGURATION["endpoint"] | limit
    judge = make_judge(make_arena(1), monkeypatch, endpoint=endpoint)
    run = plan_run(judge=judge, selection={})
    dear = Decimal(str(plan(run).most_cost))
    calls = _rows(run)
    assert all(call.most_tokens > 30_000 for call in calls)
    assert all(call.most_cost > Decimal("0.06") for call in calls)
    assert Decimal("0.06") * len(calls) < dear


def test_answers_from_the_cache_are_free(judge):
    class Cached(FakeEndpoint):
        async def ask(self, question, *, read):
            answer, reading = await super().ask(question, read=read)
            return Answer(answer.reply, 100, 1, 0.0, from_cache=True), reading

    run = run_it(judge, Cached(lambda lines: "tie"), max_calls=1)
    assert (run.state, run.done, run.from_cache, run.calls_made, run.cost) == ("done", 24, 24, 0, 0)
    assert run.input_tokens == 0


def _rows(run):
    from judges.runs.rows import make_rows

    make_rows(confirm_run(run=run))
    calls = list(run.calls.all())
    run.calls.all().delete()
    return calls


def test_as_many_attempts_are_set_aside_as_the_endpoint_makes():
    from judges.endpoints.asking import Patience
    from judges.runs.calls import MOST_ATTEMPTS

    assert Patience().attempts == MOST_ATTEMPTS
