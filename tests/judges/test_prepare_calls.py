"""Checklists and adapted references are written first, once, and judged by."""

import json
import uuid

import pytest

from judges.endpoints.interface import CallError, Failure
from judges.llm_judges import make_llm_judge
from judges.models import JudgeCall, Preparation, Score, Verdict
from judges.runs import (
    RunError,
    confirm_run,
    edit_checklist,
    failures_of,
    plan,
    plan_run,
    retry_failed,
    work_on,
)
from judges.runs.traces import asked_of
from judges.trials import start_trial, work_on_trial
from tests.judges.fake_llm import CONFIGURATION, FakeEndpoint, make_arena

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    return make_arena(prompts=2)


class Model(FakeEndpoint):
    """Writes two questions or a reference where it is asked to, and else says yes, or A."""

    def __init__(self, broken=lambda text: False):
        super().__init__()
        self.broken = broken
        self.requests: list[str] = []

    async def ask(self, question, *, read):
        text = json.dumps(question.request.messages)
        self.requests.append(text)
        reply = '{"verdict": "A"}'
        if "questions" in text and question.request.max_tokens == 1_000:
            reply = '{"questions": ["Does it rhyme?", "Is it short?"]}'
        elif "Does it rhyme?" in text or "Is it mine?" in text:
            keys = ["1"] if "Is it mine?" in text else ["1", "2"]
            reply = json.dumps(dict.fromkeys(keys, "yes"))
        elif question.request.max_tokens == 2_000:
            reply = "An adapted answer."
        if self.broken(text):
            raise CallError(Failure.SERVER, "The server said 500.")
        self.rule = lambda lines: reply
        return await super().ask(question, read=read)


def judge_of(arena, name: str, **options):
    configuration = CONFIGURATION | {"protocol": {"name": name, "options": options}}
    return make_llm_judge(arena=arena, name=f"By {name}", configuration=configuration)


def test_the_checklist_of_a_prompt_is_written_once_and_every_output_is_judged_by_it(arena):
    judge, model = judge_of(arena, "checklist"), Model()
    run = plan_run(judge=judge, selection={})
    expected = plan(run)
    assert (expected.calls, expected.preparations, expected.battles) == (8, 2, 6)
    run = work_on(confirm_run(run=run), make_asker=model)
    assert (run.state, run.total, run.done, run.failed) == ("done", 8, 8, 0)
    checklists = Preparation.objects.values_list("checklist", flat=True)
    assert list(checklists) == [["Does it rhyme?", "Is it short?"]] * 2
    assert set(Score.objects.values_list("value", flat=True)) == {1.0}
    assert Verdict.objects.count() == 6
    assert all("Does it rhyme?" in text for text in model.requests[2:])
    assert sum(call.most_cost for call in run.calls.all()) > run.cost


def test_a_checklist_that_was_edited_is_judged_by_and_not_written_again(arena):
    judge, model = judge_of(arena, "checklist"), Model()
    first, second = arena.prompts.order_by("pk")
    edited = edit_checklist(judge=judge, prompt=first, questions=["  Is it  mine? "])
    assert edited.checklist == ["Is it mine?"]
    run = plan_run(judge=judge, selection={})
    assert plan(run).preparations == 1
    work_on(confirm_run(run=run), make_asker=model)
    assert JudgeCall.objects.filter(purpose="prepare").get().prompt == second
    assert sum("Is it mine?" in text for text in model.requests) == 3


def test_questions_are_not_changed_under_scores(arena):
    judge = judge_of(arena, "checklist")
    work_on(confirm_run(run=plan_run(judge=judge, selection={})), make_asker=Model())
    prompt = arena.prompts.first()
    same = ["Does it rhyme?", "Is it short?"]
    assert edit_checklist(judge=judge, prompt=prompt, questions=same).checklist == same
    with pytest.raises(RunError, match="new version"):
        edit_checklist(judge=judge, prompt=prompt, questions=["Other?"])


@pytest.mark.parametrize(
    "questions", [[], [""], ["x" * 301], ["?"] * 0 + [str(n) for n in range(11)]]
)
def test_a_checklist_has_some_short_questions(arena, questions):
    with pytest.raises(RunError, match="1 to 10 questions"):
        edit_checklist(
            judge=judge_of(arena, "checklist"), prompt=arena.prompts.first(), questions=questions
        )


def test_outputs_wait_for_their_checklist_and_fail_without_it(arena):
    judge = judge_of(arena, "checklist")
    run = confirm_run(run=plan_run(judge=judge, selection={}))
    no_questions = Model(lambda text: "Poem 0" in text and "Does it rhyme?" not in text)
    run = work_on(run, make_asker=no_questions)
    assert (run.state, run.done, run.failed) == ("done", 4, 4)
    assert {(f.failure, f.count) for f in failures_of(run)} == {
        ("server error", 1),
        ("missing input", 3),
    }
    assert retry_failed(run=run) == 4
    run = work_on(run, make_asker=Model())
    assert (run.state, run.done, run.failed, Score.objects.count()) == ("done", 8, 0, 6)


def test_a_reference_is_adapted_once_for_both_orders_of_a_battle(arena):
    judge, model = judge_of(arena, "battle", reference="adapted"), Model()
    run = plan_run(judge=judge, selection={})
    expected = plan(run)
    assert (expected.calls, expected.preparations) == (18, 6)
    run = work_on(confirm_run(run=run), make_asker=model)
    assert (run.state, run.done, Verdict.objects.count()) == ("done", 18, 6)
    assert Preparation.objects.exclude(battle=None).count() == 6
    assert sum("An adapted answer." in text for text in model.requests) == 12


def test_outputs_that_are_scored_have_references_of_their_own(arena):
    judge, model = judge_of(arena, "numeric", reference="adapted"), Model()
    run = confirm_run(run=plan_run(judge=judge, selection={}))
    run = work_on(run, make_asker=model)
    assert Preparation.objects.exclude(output=None).count() == 6
    assert run.calls.filter(purpose="prepare", state="done").count() == 6


def test_a_second_run_uses_what_is_there(arena):
    judge = judge_of(arena, "battle", reference="adapted")
    work_on(confirm_run(run=plan_run(judge=judge, selection={})), make_asker=Model())
    Verdict.objects.all().delete()
    run = work_on(confirm_run(run=plan_run(judge=judge, selection={})), make_asker=Model())
    assert (run.total, run.done) == (12, 12)


def test_a_checklist_and_an_adapted_reference_are_written_one_after_the_other(arena):
    judge, model = judge_of(arena, "checklist", reference="adapted"), Model()
    run = plan_run(judge=judge, selection={})
    expected = plan(run)
    assert (expected.calls, expected.preparations) == (
        14,
        8,
    )  # 2 prompts, 6 outputs, and these judged
    model.broken = lambda text: "Poem 1" in text and "questions" in text
    run = work_on(confirm_run(run=run), make_asker=model)
    assert (run.total, run.done, run.failed) == (14, 7, 7)
    assert {each.failure: each.count for each in failures_of(run)} == {
        Failure.SERVER: 1,
        Failure.MISSING_INPUT: 6,
    }
    assert retry_failed(run=run) == 7
    again = Model()
    run = work_on(run, make_asker=again)
    assert (run.state, run.done, run.failed) == ("done", 14, 0)
    assert Preparation.objects.filter(output=None).exclude(checklist=[]).count() == 2
    assert Preparation.objects.filter(checklist=[], reference="An adapted answer.").count() == 6
    assert Score.objects.count() == 6
    for requests in (model.requests, again.requests):
        assert sum("Begin with the better parts" in text for text in requests) == 3
    judged = again.requests[-3:]
    assert all("Does it rhyme?" in text and "An adapted answer." in text for text in judged)
    assert sum(call.most_cost for call in run.calls.all()) > run.cost
    adapted = JudgeCall.objects.filter(run=run, purpose="prepare", output__isnull=False).first()
    assert "Begin with the better parts" in asked_of(adapted, run=run).messages[0].text


def test_a_trial_shows_both_in_their_order(arena, settings):
    settings.ENDPOINTS = [CONFIGURATION["endpoint"]["url"]]
    settings.ENDPOINT_KEYS = {CONFIGURATION["endpoint"]["url"]: ("TEST_API_KEY",)}
    judge = judge_of(arena, "checklist", reference="adapted")
    trial = start_trial(
        arena=arena,
        battle=arena.battles.first(),
        configuration=judge.configuration,
        key=uuid.uuid4(),
        judge=judge,
    )
    trial = work_on_trial(trial.pk, make_asker=Model())
    purposes = [(step["purpose"], step["output"]) for step in trial.steps]
    assert purposes == [
        ("prepare", ""),
        ("prepare", "A"),
        ("prepare", "B"),
        ("judge", "A"),
        ("judge", "B"),
    ]
    written = [
        (step["prepared"]["checklist"] != [], step["prepared"]["reference"] != "")
        for step in trial.steps[:3]
    ]
    assert written == [(True, False), (False, True), (False, True)]
    for step in trial.steps[3:]:
        asked = json.dumps(step["request"])
        assert "Does it rhyme?" in asked
        assert "An adapted answer." in asked
