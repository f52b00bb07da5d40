"""An arena of prompts, two models that answer them and one that judges: over the wire, and without files."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from arena.models import Battle, Output
from judges.answering import make_system, plan_answers
from judges.llm_judges import make_llm_judge
from judges.models import CachedReply, JudgeRun, Outcome, Verdict
from judges.runs import confirm_run, failures_of, plan_run, work_on
from tests import cast
from tests.endpoint import _send, running_endpoint
from tests.judges.test_ask_by_every_protocol import ANSWER, LongerIsBetter

pytestmark = pytest.mark.django_db(transaction=True)


class PoetsAndJudge(LongerIsBetter):
    """Models called poet:N answer with N words, and count what they are asked; another one judges."""

    async def _answer(self, body: dict[str, Any], path: str, send) -> None:
        kind, _, words = body["model"].partition(":")
        if kind != "poet":
            await super()._answer(body, path, send)
            return
        self.seen[body["messages"][-1]["content"]] += 1
        said = " ".join(["rose"] * int(words))
        choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 20, "completion_tokens": int(words)}
        await _send(send, 200, {"choices": [choice], "usage": usage})


@pytest.fixture(scope="module")
def model():
    with running_endpoint(PoetsAndJudge()) as endpoint:
        yield endpoint


@pytest.fixture
def arena(model, settings):
    settings.ENDPOINTS = [model.url]
    model.forget()
    arena = cast.make_arena()
    for number in range(5):
        cast.make_prompt(arena, f"Write poem {number}.")
    return arena


def answer(*options: str, **kwargs: str) -> str:
    said = StringIO()
    call_command("answer_prompts", "poems", *options, stdout=said, stderr=StringIO(), **kwargs)
    return said.getvalue()


def test_two_systems_answer_and_a_judge_decides_without_a_file(arena, model):
    where = ("--url", model.url, "--yes", "--here")
    said = answer("--system", "Terse", "--model", "poet:3", *where)
    assert "5 prompts to answer: about" in said
    assert "done; 5 of 5 done, 0 failed, 5 outputs, 0.0000 USD." in said
    said = answer(
        *("--system", "Wordy", "--model", "poet:30", "--system-prompt", "Be long.", "--limit", "2"),
        *("--endpoint", "output_price=2", "--parameter", "max_tokens=64", "--family", "Llama"),
        *where,
    )
    assert "done; 2 of 2 done, 0 failed, 2 outputs, 0.0001 USD." in said
    # The same system goes on where it was asked, for what it hasn't answered.
    assert "3 of 3 done" in answer("--system", "Wordy", "--yes", "--here")
    sent = [call.body for call in model.calls if call.body["model"] == "poet:30"]
    assert {body["max_tokens"] for body in sent} == {64}
    assert sent[0]["messages"][0] == {"role": "system", "content": "Be long."}
    assert model.seen == {f"Write poem {number}.": 2 for number in range(5)}
    wordy = arena.systems.get(name="Wordy")
    assert (wordy.family, wordy.outputs.first().tokens) == ("Llama", 30)

    judge = make_llm_judge(
        arena=arena,
        name="By length",
        configuration={
            "endpoint": {"url": model.url, "model": "judge"},
            "protocol": {"name": "battle", "options": {}},
        },
    )
    run = work_on(confirm_run(run=plan_run(judge=judge, selection={"battles": "all"})))
    assert (run.state, run.done, run.failed, run.verdicts_cast) == ("done", 10, 0, 5)
    assert (Battle.objects.count(), Output.objects.count()) == (5, 10)
    longer = Outcome.B if wordy == Battle.objects.first().system_b else Outcome.A
    assert set(Verdict.objects.values_list("outcome", flat=True)) == {longer}
    assert ANSWER.search(model.calls[-1].body["messages"][-1]["content"])


def test_what_was_answered_once_is_not_paid_for_again(arena, model):
    configuration = {"endpoint": {"url": model.url, "model": "poet:4", "output_price": 1.0}}
    runs = []
    for version in ("", "again"):
        system = make_system(arena=arena, name="Ada", version=version, configuration=configuration)
        runs.append(work_on(confirm_run(run=plan_answers(system=system, selection={}))))
    first, second = runs
    assert (first.from_cache, second.from_cache, second.cost) == (0, 5, 0)
    assert CachedReply.objects.count() == model.seen.total() == 5
    costs = set(Output.objects.values_list("tokens", "cost"))
    assert [(tokens, float(cost)) for tokens, cost in costs] == [(4, 0.000004)]


def test_half_an_answer_is_asked_for_once_and_no_key_is_asked_with(arena, model, server):
    cut = {"message": {"content": "Half of"}, "finish_reason": "length"}
    held = {"message": {"content": None}, "finish_reason": "content_filter"}
    for said, failure, text in (
        (f"message:{json.dumps(cut)}", "cut off", "Half of"),
        (f"message:{json.dumps(held)}", "request refused", None),
        ("status:400", "request refused", None),
    ):
        server.forget()
        system = make_system(
            arena=arena,
            name=said[:40],
            configuration={"endpoint": {"url": server.url, "model": said}},
        )
        run = work_on(confirm_run(run=plan_answers(system=system, selection={"limit": 2})))
        assert (run.state, run.failed, len(server.calls)) == ("done", 2, 2), said
        assert [one.failure for one in failures_of(run)] == [failure]
        assert text is None or set(run.calls.values_list("text", flat=True)) == {text}
        assert not system.outputs.exists()
    assert not CachedReply.objects.exists()
    system = make_system(
        arena=arena,
        name="No key",
        configuration={"endpoint": {"url": server.url, "model": "status:401"}},
    )
    run = work_on(confirm_run(run=plan_answers(system=system, selection={})))
    assert (run.state, run.done, run.failed) == ("failed", 0, 0)


def test_the_command_says_what_is_missing_and_goes_on_with_a_run(arena, model):
    with pytest.raises(CommandError, match="with --url and --model it is made"):
        answer("--system", "Nobody")
    with pytest.raises(CommandError, match=r"endpoint\.model"):
        answer("--system", "Ada", "--url", model.url)
    ada = ("--system", "Ada")
    said = answer(
        *ada, "--url", model.url, "--model", "poet:2", "--max-calls", "2", "--yes", "--here"
    )
    assert "The budget is used up: 2 calls were made" in said
    run = JudgeRun.objects.get()
    said = answer(*ada, "--resume", str(run.pk), "--max-calls", "9", "--here")
    assert "done; 5 of 5 done" in said
    with pytest.raises(CommandError, match="make a system of another name or version"):
        answer(*ada, "--url", model.url, "--model", "poet:7", "--yes", "--here")
    assert "0 prompts to answer" in answer(*ada)
