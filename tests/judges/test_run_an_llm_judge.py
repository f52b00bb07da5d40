from decimal import Decimal

import pytest

from judges import runs
from judges.endpoints.interface import CallError, Failure
from judges.models import JudgeCall, JudgeRun, Outcome, Score, Verdict, VerdictTrace
from judges.protocols.interface import MissingInput
from judges.runs import RunError, confirm_run, plan, plan_run, work_on
from judges.runs.rows import make_rows
from tests import cast
from tests.judges.fake_llm import FakeEndpoint, WordProtocol, make_arena, make_judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    return make_arena()


@pytest.fixture
def judge(arena, monkeypatch):
    return make_judge(arena, monkeypatch)


def prefers(*names: str):
    """Who comes earlier wins, wherever it was shown."""

    def rule(lines):
        first, second = (names.index(line.split()[0]) for line in lines[1:3])
        return "first" if first < second else "second"

    return rule


def run_it(
    judge, rule=lambda lines: "first", *, selection=None, endpoint=None, **limits
) -> JudgeRun:
    run = confirm_run(run=plan_run(judge=judge, selection=selection or {}, **limits))
    return work_on(run, make_asker=endpoint or FakeEndpoint(rule))


def counts(run) -> tuple[int, int, int]:
    return run.total, run.done, run.failed


def test_both_orders_that_agree_are_one_verdict_with_the_words_of_both(judge):
    run = run_it(judge, prefers("Cleo", "Basil", "Ada"))
    assert run.state == "done"
    assert counts(run) == (24, 24, 0)
    assert run.verdicts_cast == 12
    assert set(Verdict.objects.values_list("outcome", flat=True)) == {Outcome.B}
    verdict = Verdict.objects.first()
    assert (verdict.shown_first, verdict.confidence, verdict.run) == (None, 0.75, run)
    trace = verdict.trace
    assert trace.completion == "A shown first:\nsecond\n\nB shown first:\nfirst"
    assert "Because second." in trace.rationale
    assert (trace.tokens, trace.cost, trace.latency_ms) == (202, Decimal("0.000204"), 1000)
    assert [order["details"] for order in trace.parse["orders"]] == [{"strength": 2}] * 2


def test_orders_that_contradict_each_other_are_a_tie(judge):
    run = run_it(judge, lambda lines: "first")
    assert run.verdicts_cast == 12
    assert set(Verdict.objects.values_list("outcome", "confidence")) == {(Outcome.TIE, None)}
    orders = VerdictTrace.objects.first().parse["orders"]
    assert [order["outcome"] for order in orders] == ["A is better", "B is better"]


def test_both_bad_in_one_order_alone_is_a_tie_too(judge):
    run_it(judge, lambda lines: "bad" if lines[1] < lines[2] else "first")
    assert set(Verdict.objects.values_list("outcome", flat=True)) == {Outcome.TIE}


def test_both_bad_in_both_orders_stays_both_bad(judge):
    run_it(judge, lambda lines: "bad")
    assert set(Verdict.objects.values_list("outcome", flat=True)) == {Outcome.BOTH_BAD}


def test_an_order_that_failed_gives_no_verdict_and_is_never_a_tie(judge):
    def rule(lines):
        return "gibberish" if lines[1].startswith("Cleo") else "tie"

    run = run_it(judge, rule)
    assert run.state == "done"
    assert counts(run) == (24, 16, 8)
    assert Verdict.objects.count() == 4
    call = JudgeCall.objects.filter(state="error").first()
    assert (call.failure, call.text) == ("unreadable reply", "gibberish")
    assert call.error == "'gibberish' is no choice."


def test_what_failed_is_asked_again_and_then_decided(judge):
    down = CallError(Failure.SERVER, "The server said 500.")
    run = run_it(judge, lambda lines: down if lines[0] == "Poem 0" else "tie")
    assert counts(run) == (24, 18, 6)
    [failure] = runs.failures_of(run)
    assert (failure.failure, failure.count) == ("server error", 6)
    assert failure.example == "The server said 500."
    assert runs.retry_failed(run=run) == 6
    run.refresh_from_db()
    assert (run.state, counts(run)) == ("running", (24, 18, 0))
    endpoint = FakeEndpoint(lambda lines: "tie")
    run = work_on(run, make_asker=endpoint)
    assert (run.state, counts(run), Verdict.objects.count()) == ("done", (24, 24, 0), 12)
    assert endpoint.asked.total() == 6


def test_criteria_get_verdicts_of_their_own(judge):
    run = run_it(judge, lambda lines: "tie clarity=first style=bad")
    assert run.verdicts_cast == 36
    outcomes = set(Verdict.objects.values_list("criterion", "outcome"))
    assert outcomes == {
        ("", Outcome.TIE),
        ("clarity", Outcome.TIE),
        ("style", Outcome.BOTH_BAD),
    }


def test_one_order_alone_alternates_and_says_which_side_came_first(arena, monkeypatch):
    judge = make_judge(arena, monkeypatch, both_orders=False)
    run = run_it(judge, lambda lines: "first")
    assert counts(run) == (12, 12, 0)
    for verdict in Verdict.objects.all():
        assert verdict.shown_first == verdict.battle_id % 2
        assert verdict.outcome == verdict.shown_first


def test_repetitions_are_verdicts_of_their_own(arena, monkeypatch):
    judge = make_judge(arena, monkeypatch, repetitions=3)
    endpoint = FakeEndpoint(lambda lines: "tie")
    run = run_it(judge, endpoint=endpoint)
    assert counts(run) == (72, 72, 0)
    assert Verdict.objects.filter(repetition=2).count() == 12
    assert max(endpoint.asked.values()) == 1


def test_outputs_are_scored_once_and_verdicts_follow_by_the_margin(arena, monkeypatch):
    judge = make_judge(arena, monkeypatch, judges_battles=False, margin=1.0)
    scores = {"Ada": 3, "Basil": 4, "Cleo": 5}
    endpoint = FakeEndpoint(lambda lines: f"{scores[lines[1].split()[0]]} clarity=2")
    run = run_it(judge, endpoint=endpoint)
    assert counts(run) == (12, 12, 0)
    assert endpoint.asked.total() == 12
    assert Score.objects.filter(criterion="").count() == 12
    assert Score.objects.filter(criterion="clarity", value=2).count() == 12
    overall = Verdict.objects.filter(criterion="")
    assert overall.count() == 12
    assert overall.filter(outcome=Outcome.TIE).count() == 8
    assert overall.filter(outcome=Outcome.B).count() == 4
    assert run.verdicts_cast == 24
    assert overall.first().trace.parse["rule"] == "scores"


def test_a_second_run_asks_only_about_what_is_new(arena, judge):
    run_it(judge, lambda lines: "tie")
    cast.make_battle(*arena.systems.all()[:2], cast.make_prompt(arena, "A late poem"))
    run = run_it(judge, lambda lines: "tie")
    assert counts(run) == (2, 2, 0)
    assert Verdict.objects.count() == 13


def test_never_more_calls_at_once_than_the_endpoint_is_configured_for(judge):
    endpoint = FakeEndpoint()
    run_it(judge, endpoint=endpoint)
    assert endpoint.most_at_once == 4


def test_a_wrong_key_stops_the_run_and_leaves_its_calls_open(judge):
    run = run_it(judge, lambda lines: CallError(Failure.CREDENTIALS, "TEST_API_KEY was refused."))
    assert (run.state, run.error) == ("failed", "TEST_API_KEY was refused.")
    assert counts(run) == (24, 0, 0)
    assert JudgeCall.objects.filter(state="open", claimed_until=None).count() == 24
    run = work_on(runs.resume_run(run=run), make_asker=FakeEndpoint(lambda lines: "tie"))
    assert (run.state, run.error, counts(run)) == ("done", "", (24, 24, 0))


def test_an_endpoint_that_the_operator_does_not_allow_stops_the_run(judge, settings):
    settings.ENDPOINTS = []
    run = work_on(confirm_run(run=plan_run(judge=judge, selection={})))
    assert run.state == "failed"
    assert "JURYBOX_ENDPOINTS" in run.error
    assert counts(run) == (24, 0, 0)


def test_what_a_prompt_lacks_is_an_error_of_its_calls(judge, monkeypatch):
    def render(self, case, *, fence):
        raise MissingInput("This prompt has no reference answer.")

    run = confirm_run(run=plan_run(judge=judge, selection={}))
    make_rows(run)
    monkeypatch.setattr(WordProtocol, "render", render)
    run = work_on(run, make_asker=FakeEndpoint())
    assert (run.state, counts(run), run.cost) == ("done", (24, 0, 24), 0)
    assert [failure.failure for failure in runs.failures_of(run)] == ["missing input"]


def test_the_word_around_texts_is_the_same_again_and_another_for_other_texts(judge):
    endpoint = FakeEndpoint(lambda lines: "bad")
    run_it(judge, endpoint=endpoint)
    words = {text.split("\n")[-1] for text, _ in endpoint.asked}
    assert len(words) == 24
    Verdict.objects.all().delete()
    run_it(judge, endpoint=endpoint)
    assert {text.split("\n")[-1] for text, _ in endpoint.asked} == words


def test_an_endpoint_that_is_down_stops_the_run(judge, monkeypatch):
    monkeypatch.setattr("judges.runs.asking.MOST_FAILURES_IN_A_ROW", 8)
    run = run_it(judge, lambda lines: CallError(Failure.CONNECTION, "Nobody answers."))
    assert run.state == "failed"
    assert "in a row failed" in run.error
    assert 8 <= run.failed < 24


def test_a_mistake_of_ours_is_kept_on_the_run_and_raised(judge):
    run = confirm_run(run=plan_run(judge=judge, selection={}))
    with pytest.raises(ZeroDivisionError):
        work_on(run, make_asker=FakeEndpoint(lambda lines: 1 / 0))
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "ZeroDivisionError: division by zero")
    assert not JudgeCall.objects.exclude(claimed_until=None).exists()


def test_what_no_database_takes_is_made_storable(judge):
    run = run_it(judge, lambda lines: "tie \ud800=first \0=bad")
    assert run.state == "done"
    assert Verdict.objects.exclude(criterion="").count() == 24


def test_a_run_of_nothing_is_done_at_once(judge):
    run_it(judge, lambda lines: "tie")
    run = run_it(judge)
    assert (run.state, counts(run)) == ("done", (0, 0, 0))


@pytest.mark.parametrize("kind", ["crowd", "llm"])
def test_only_a_judge_with_an_endpoint_is_planned(arena, kind):
    with pytest.raises(RunError):
        plan_run(judge=cast.make_judge(arena, "Other", kind), selection={})


def test_a_plan_tells_calls_tokens_and_the_most_that_it_can_cost(judge):
    run = plan_run(judge=judge, selection={})
    expected = plan(run)
    assert (expected.battles, expected.calls) == (12, 24)
    assert not expected.is_measured
    assert expected.output_tokens == 24 * 10
    endpoint = FakeEndpoint(lambda lines: "tie")
    finished = work_on(confirm_run(run=run), make_asker=endpoint)
    asked = sum(len(text.encode()) for text, _ in endpoint.asked)
    assert 1 <= expected.input_tokens * 4 / asked < 2
    assert 0 < expected.cost < expected.most_cost
    most = sum(call.most_tokens for call in finished.calls.all())
    assert most >= asked + 24 * 10
