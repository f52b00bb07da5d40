import uuid
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from arena.models import AuditEntry, System
from judges import runs
from judges.endpoints.interface import CallError, Failure
from judges.models import JudgeCall, JudgeRun, Outcome, ProbeResult, Score, Verdict
from judges.probes import PROBES, RETEST, UNCHANGED
from judges.runs import RunError, cancel_run, confirm_run, plan, plan_run, resume_run, work_on
from judges.runs.calls import Result, claim_calls, store_results
from judges.runs.once import plan_once
from judges.runs.rows import make_rows
from judges.runs.traces import asked_of, led_to
from tests import cast
from tests.judges.fake_llm import FakeEndpoint, WordProtocol, make_arena, make_judge

pytestmark = pytest.mark.django_db

PRAISED = "exceptionally helpful", "outstanding quality", "flawlessly and in full"


@pytest.fixture
def arena():
    return make_arena()


@pytest.fixture
def judge(arena, monkeypatch):
    return make_judge(arena, monkeypatch)


def by_name(lines):
    """Who comes first in the alphabet wins, wherever and however it is shown."""
    text = "\n".join(lines)
    places = {name: text.index(name) for name in ("Ada", "Basil", "Cleo") if name in text}
    best = min(places)
    return "first" if places[best] == min(places.values()) else "second"


def vain(lines):
    """Likewise, but praise wins."""
    text = "\n".join(lines)
    for phrase in PRAISED:
        if phrase in text:
            places = sorted(text.index(name) for name in ("Ada", "Basil", "Cleo") if name in text)
            return "first" if text.index(phrase) < places[1] else "second"
    return by_name(lines)


def probe_it(judge, rule=by_name, *, names=("swap", "attack-praise"), endpoint=None, **more):
    run = plan_run(judge=judge, selection={}, probes={"names": list(names)}, **more)
    return work_on(confirm_run(run=run), make_asker=endpoint or FakeEndpoint(rule))


def test_a_steady_judge_is_fooled_by_nothing_and_casts_no_verdict(judge):
    run = probe_it(judge, names=list(PROBES))
    # 12 battles, each as it is twice and changed by every probe.
    calls = 12 * (2 + len(PROBES))
    assert (run.state, run.total, run.done, run.failed) == ("done", calls, calls, 0)
    assert ProbeResult.objects.count() == 12 * (1 + len(PROBES))
    assert not ProbeResult.objects.filter(is_fooled=True).exists()
    assert {(row.before, row.after) for row in ProbeResult.objects.all()} == {
        (Outcome.A, Outcome.A)
    }
    assert (Verdict.objects.count(), Score.objects.count(), run.verdicts_cast) == (0, 0, 0)
    assert set(JudgeCall.objects.values_list("purpose", flat=True)) == {"probe"}


def test_a_judge_that_praise_wins_over_is_found_out_on_both_sides(judge):
    probe_it(judge, vain)
    praised = ProbeResult.objects.filter(probe="attack-praise")
    assert {row.changed_side for row in praised} == {0, 1}
    for row in praised:
        assert row.after == row.changed_side
        assert row.is_fooled == (row.changed_side == 1)
    assert not ProbeResult.objects.filter(probe__in=["swap", RETEST], is_fooled=True).exists()


def test_a_judge_that_prefers_what_comes_first_falls_for_the_order(judge):
    probe_it(judge, lambda lines: "first")
    swapped = ProbeResult.objects.filter(probe="swap")
    assert all(row.is_fooled and row.after == row.changed_side for row in swapped)
    assert {row.changed_side for row in swapped} == {0, 1}
    assert not ProbeResult.objects.exclude(probe="swap").filter(is_fooled=True).exists()


def test_a_decision_that_asking_again_changes_is_the_retests(judge):
    class Undecided(FakeEndpoint):
        async def ask(self, question, *, read):
            self.asked["again"] += question.repetition
            word = "second" if question.repetition else "first"
            return await FakeEndpoint(lambda lines: word).ask(question, read=read)

    endpoint = Undecided()
    run = probe_it(judge, endpoint=endpoint)
    again = ProbeResult.objects.filter(run=run, probe=RETEST)
    assert all(row.after == Outcome(row.before).mirrored for row in again)
    assert not again.filter(is_fooled=True).exists()
    assert endpoint.asked["again"] == again.count() == 12


def test_an_error_is_no_decision_and_is_compared_once_it_is_asked_again(judge):
    down = CallError(Failure.SERVER, "The server said 500.")

    def rule(lines):
        return down if "Poem 0" in lines[0] else "tie"

    run = probe_it(judge, rule)
    assert (run.failed, ProbeResult.objects.count()) == (12, 27)
    # The battle as it is stays an error: nothing is compared with it.
    unchanged = JudgeCall.objects.filter(state="error", probe=UNCHANGED, repetition=0)
    assert unchanged.count() == 3
    assert runs.retry_failed(run=run, failure="server error") == 12
    run = work_on(run, make_asker=FakeEndpoint(lambda lines: "tie"))
    assert (run.state, ProbeResult.objects.count()) == ("done", 36)


def test_what_is_delivered_twice_or_killed_in_between_doubles_nothing(judge):
    run = confirm_run(
        run=plan_run(judge=judge, selection={}, probes={"names": ["swap", "padding"]})
    )
    run = make_rows(run)
    make_rows(JudgeRun.objects.get(pk=run.pk))  # a worker died at it and another began anew
    assert JudgeCall.objects.count() == 48
    run.refresh_from_db()
    run.state = JudgeRun.State.RUNNING
    run.save()
    claim = uuid.uuid4()
    claimed = claim_calls(run.pk, claim=claim, at_most=10, mine=[])
    results = [Result(call=pk, choice=0, cost=0.001) for pk in claimed]
    assert store_results(run.pk, results) == 10
    # 4 calls a battle: two battles whole and half of a third.
    assert ProbeResult.objects.count() == 7
    assert store_results(run.pk, results) == 0
    # A worker that was killed leaves its claims; when they ran out, others ask.
    claim_calls(run.pk, claim=claim, at_most=10, mine=[])
    JudgeCall.objects.update(claimed_until=None)
    endpoint = FakeEndpoint()
    run = work_on(run, make_asker=endpoint)
    assert (run.state, run.done, endpoint.asked.total()) == ("done", 48, 38)
    assert ProbeResult.objects.count() == 36
    assert run.cost == Decimal("0.01") + 38 * Decimal("0.000102")
    assert not work_on(run, make_asker=endpoint).verdicts_cast
    assert endpoint.asked.total() == 38
    row = ProbeResult.objects.first()
    row.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save(force_insert=True)


def test_the_plan_bounds_what_a_run_costs_and_its_budget_holds(judge):
    names = list(PROBES)
    run = plan_run(judge=judge, selection={"limit": 5}, probes={"names": names}, max_calls=20)
    planned = plan(run)
    assert (planned.battles, planned.calls) == (5, 5 * (2 + len(names)))
    assert 0 < planned.cost < planned.most_cost
    run = work_on(confirm_run(run=run), make_asker=FakeEndpoint(by_name))
    most = sum(JudgeCall.objects.values_list("most_cost", flat=True))
    assert planned.most_cost == pytest.approx(float(most), rel=0.02)
    for call in JudgeCall.objects.all():
        request = asked_of(call, run=run)
        length = sum(len(message.text.encode()) for message in request.messages)
        assert length + 10 <= call.most_tokens
    assert (run.state, run.calls_made) == ("paused", 20)
    assert "20 calls were made and 20 are allowed" in run.error
    run = work_on(resume_run(run=run, max_calls=1000), make_asker=FakeEndpoint(by_name))
    assert (run.state, run.calls_made, run.done) == ("done", planned.calls, planned.calls)


def test_cancelling_keeps_what_was_compared(judge):
    run = plan_run(judge=judge, selection={}, probes={"names": ["swap"]}, max_calls=6)
    run = work_on(confirm_run(run=run), make_asker=FakeEndpoint())
    assert cancel_run(run=run).state == "cancelled"
    assert ProbeResult.objects.count() == 4
    assert JudgeCall.objects.filter(state="cancelled").count() == 30


def test_battles_are_probed_whether_decided_or_not_and_none_of_hidden_systems(judge, arena):
    work_on(confirm_run(run=plan_run(judge=judge, selection={})), make_asker=FakeEndpoint(by_name))
    assert Verdict.objects.count() == 12
    System.objects.filter(slug="cleo").update(standing="withdrawn")
    run = probe_it(judge)
    assert run.total == 4 * 4
    assert Verdict.objects.count() == 12
    [pair] = {row.pair for row in ProbeResult.objects.select_related("pair")}
    assert {pair.system_a.slug, pair.system_b.slug} == {"ada", "basil"}
    other = work_on(
        confirm_run(run=plan_run(judge=judge, selection={})), make_asker=FakeEndpoint(by_name)
    )
    assert other.total == 0


def test_a_call_of_a_probe_shows_what_it_asked_and_led_to_no_verdict(judge):
    run = probe_it(judge, names=["attack-order"])
    call = JudgeCall.objects.filter(probe="attack-order").first()
    [message] = asked_of(call, run=run).messages
    assert any(word in message.text for word in ("Decide for it", "report that", "prefer this"))
    led = led_to(call, run=run)
    assert (led.verdicts, led.scores, len(led.others)) == ([], [], 2)


def test_the_same_plan_is_made_once_and_other_probes_make_another(judge):
    once = {"judge": judge, "selection": {"limit": 5}, "limits": {}, "actor": None}
    first = plan_once(**once, probes={"names": ["swap", "markup"]})
    assert plan_once(**once, probes={"names": ["markup", "swap"]}) == first
    assert plan_once(**once, probes={"names": ["swap"]}) != first
    assert plan_once(**once, probes={"names": ["swap", "markup"], "seed": 2}) != first
    judging = plan_once(**once)
    assert (judging.probes, judging.is_probing) == ({}, False)
    assert first.probes == {"names": ["swap", "markup"], "seed": 1, "version": 1}
    assert AuditEntry.objects.count() == 1  # of making the judge: planning leaves none
    assert confirm_run(run=first).state == "queued"


@pytest.mark.parametrize(
    ("selection", "probes", "sentence"),
    [
        ({}, {"names": []}, "at least one probe"),
        ({}, {"names": ["nonsense"]}, "no probe 'nonsense'"),
        ({}, {"names": "swap"}, "must be a list of names"),
        ({}, {"names": ["swap"], "seed": -1}, "The seed must be"),
        ({"battles": "all"}, {"names": ["swap"]}, "battles that there are"),
        ({"until_width": 30}, {"names": ["swap"]}, "has no 'until_width'"),
        ({"limit": 5000}, {"names": ["swap"]}, "from 1 to 2,000"),
        ({"limit": 0}, {"names": ["swap"]}, "from 1 to 2,000"),
        ({"systems": ["nobody"]}, {"names": ["swap"]}, "has none of these systems"),
    ],
)
def test_what_cannot_be_probed_is_refused_with_a_sentence(judge, selection, probes, sentence):
    with pytest.raises(RunError, match=sentence):
        plan_run(judge=judge, selection=selection, probes=probes)


def test_a_judge_of_single_answers_or_one_that_hears_others_is_refused(judge, monkeypatch):
    for protocol, sentence in (
        (WordProtocol(judges_battles=False), "scores one answer at a time"),
        (WordProtocol(hears=2), "decides after it heard"),
    ):
        monkeypatch.setattr("judges.llm_judges._protocol_from", lambda _, asks=protocol: asks)
        with pytest.raises(RunError, match=sentence):
            plan_run(judge=judge, selection={}, probes={"names": ["swap"]})


def test_judges_that_nobody_can_ask_are_refused(arena):
    crowd, imported = cast.make_judge(arena), cast.make_judge(arena, "GPT-4", "llm")
    for judge, sentence in ((crowd, "not an LLM judge"), (imported, "came with a dataset")):
        with pytest.raises(RunError, match=sentence):
            plan_once(judge=judge, selection={}, probes={"names": ["swap"]}, limits={}, actor=None)
