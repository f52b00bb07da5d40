"""Every protocol over the wire: asked in both orders, read, and turned into verdicts or scores."""

import json
import math
import re
from typing import Any

import pytest

from judges.llm_judges import make_llm_judge
from judges.models import JudgeCall, Outcome, Score, Verdict
from judges.protocols import PROTOCOLS
from judges.runs import confirm_run, plan_run, work_on
from tests import cast
from tests.endpoint import MisbehavingEndpoint, _send, running_endpoint

pytestmark = pytest.mark.django_db(transaction=True)

ANSWER = re.compile(r"<<<\w+ answer[^>]*>>>\n(.*?)\n<<<end", re.DOTALL)
OPTIONS = {"rubric": {"criteria": ["accuracy", "style"]}}


class LongerIsBetter(MisbehavingEndpoint):
    """A model that prefers the longer answer, wherever it stands, and says so in the form it is asked for."""

    async def _answer(self, body: dict[str, Any], path: str, send) -> None:
        asked = body["messages"][-1]["content"]
        lengths = [len(answer) for answer in ANSWER.findall(asked)]
        better = "A" if lengths[:1] == [max(lengths, default=0)] else "B"
        choice: dict[str, Any] = {"finish_reason": "stop"}
        if body.get("logprobs"):
            yes, no = (better, "AB".replace(better, "")) if len(lengths) > 1 else ("Yes", "No")
            said = yes
            choice["logprobs"] = {
                "content": [
                    {
                        "token": yes,
                        "logprob": math.log(0.8),
                        "top_logprobs": [
                            {"token": yes, "logprob": math.log(0.8)},
                            {"token": no, "logprob": math.log(0.2)},
                        ],
                    }
                ]
            }
        elif '"questions"' in asked:
            said = json.dumps({"questions": ["Is it long?"]})
        else:
            said = json.dumps(self.said(asked, better, lengths))
        choice["message"] = {"role": "assistant", "content": said}
        usage = {"prompt_tokens": len(asked) // 4, "completion_tokens": 5}
        await _send(send, 200, {"choices": [choice], "usage": usage})

    def said(self, asked: str, better: str, lengths: list[int]) -> dict[str, Any]:
        if "A>>B" in asked:
            return {"verdict": {"A": "A>>B", "B": "B>>A"}[better]}
        if "question 1" in asked:
            return {"1": "yes" if lengths[0] > 20 else "no"}
        if '"score"' in asked:
            return {"score": 5 if lengths[0] > 20 else 1}
        criteria = {"accuracy": better, "style": better} if "accuracy" in asked else {}
        return {**criteria, "verdict": better}


@pytest.fixture(scope="module")
def model():
    with running_endpoint(LongerIsBetter()) as endpoint:
        yield endpoint


@pytest.fixture
def arena():
    """The later system always has the longer answer."""
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil", "Cleo")]
    for number in range(2):
        prompt = cast.make_prompt(arena, f"Write poem {number}.")
        for place, system in enumerate(systems):
            cast.make_output(system, prompt, "rose " * (3 + 2 * place))
        for first in range(3):
            for second in range(first + 1, 3):
                cast.make_battle(systems[first], systems[second], prompt)
    return arena


def test_both_orders_lead_to_verdicts_or_scores(model, arena, settings, subtests):
    settings.ENDPOINTS = [model.url]
    for name in PROTOCOLS:
        with subtests.test(protocol=name):
            check(name, model, arena)


def check(name: str, model: LongerIsBetter, arena) -> None:
    model.forget()
    judge = make_llm_judge(
        arena=arena,
        name=f"By {name}",
        configuration={
            "endpoint": {"url": model.url, "model": "longer"},
            "protocol": {"name": name, "options": OPTIONS.get(name, {})},
        },
    )
    run = work_on(confirm_run(run=plan_run(judge=judge, selection={})))
    assert (run.state, run.failed, run.error) == ("done", 0, "")
    calls = JudgeCall.objects.filter(run=run)
    assert set(calls.values_list("state", flat=True)) == {"done"}
    assert len(model.calls) == calls.count()
    if PROTOCOLS[name].judges_battles:
        assert calls.count() == 2 * 6
        assert set(calls.values_list("shown_first", flat=True)) == {0, 1}
        # Side B is the later system: it has the longer answer, wherever it stood.
        criteria = {"", "accuracy", "style"} if name == "rubric" else {""}
        verdicts = Verdict.objects.filter(judge=judge)
        assert set(verdicts.values_list("criterion", flat=True)) == criteria
        assert verdicts.count() == 6 * len(criteria)
        assert set(verdicts.values_list("outcome", flat=True)) == {Outcome.B}
    else:
        assert Score.objects.filter(judge=judge).count() == 6
        assert Verdict.objects.filter(judge=judge).count() == 6
