"""A judge is tried on one battle: requests, replies and what would follow are kept, and nothing is cast."""

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from judges.endpoints.interface import Answer, CallError, Failure
from judges.llm_judges import ConfigurationError, make_llm_judge
from judges.models import JudgeCall, Outcome, Score, Trial, Verdict
from judges.protocols.interface import Reply, UnreadableReply
from judges.runs.errors import RunError
from judges.trials import MAX_ATTEMPTS, start_trial, sweep_trials, work_on_trial
from tests import cast

pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1:9/v1"


def configuration(protocol="battle", *, options=None, **others):
    return {
        "endpoint": {"url": URL, "model": "m", "input_price": 1.0},
        "protocol": {"name": protocol, "options": options or {}},
        **others,
    }


class Model:
    """Answers what the function says of the words that it is asked."""

    def __init__(self, says):
        self.says, self.asked = says, []

    def __call__(self, endpoint):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        return None

    async def ask(self, question, *, read):
        self.asked.append(question.request)
        text = self.says(question.request.messages[-1]["content"])
        if isinstance(text, Exception):
            raise text
        try:
            reading = read(Reply(text))
        except UnreadableReply as error:
            raise CallError(Failure.UNREADABLE, str(error), text=text) from error
        return Answer(Reply(text), 100, 5, cost=0.0001, seconds=0.25), reading


@pytest.fixture
def battle(settings):
    settings.ENDPOINTS = [URL]
    arena = cast.make_arena(guidelines="Be strict.")
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil")]
    return cast.make_battle(*systems, cast.make_prompt(arena, "Write a poem."))


def tried(battle, says, given=None, **others):
    trial = start_trial(
        arena=battle.arena,
        battle=battle,
        configuration=given or configuration(),
        key=uuid.uuid4(),
        **others,
    )
    return work_on_trial(trial.pk, make_asker=Model(says))


def test_both_orders_are_asked_and_what_would_be_cast_is_told(battle):
    trial = tried(battle, lambda asked: '{"verdict": "A"}')

    assert trial.state == Trial.State.DONE
    one, other = trial.steps
    assert [one["shown_first"], other["shown_first"]] == [0, 1]
    first, second = (step["request"]["messages"][-1]["content"] for step in trial.steps)
    assert first.index("Ada answers.") < first.index("Basil answers.")
    assert second.index("Basil answers.") < second.index("Ada answers.")
    assert one["request"]["schema"]["properties"]["verdict"]["enum"] == [
        "A",
        "B",
        "tie",
        "both bad",
    ]
    assert [step["reply"] for step in trial.steps] == ['{"verdict": "A"}'] * 2
    assert (one["reading"]["choice"], one["input_tokens"], one["cost"]) == (0, 100, 0.0001)
    [decision] = trial.decisions
    assert decision["outcome"] == Outcome.TIE
    assert "contradict" in decision["rule"]
    assert not Verdict.objects.exists()
    assert not JudgeCall.objects.exists()


def test_outputs_are_scored_and_the_difference_decides(battle):
    def says(asked):
        return json.dumps({"score": 90 if "Basil" in asked else 20})

    trial = tried(battle, says, configuration("numeric"))

    assert [step["output"] for step in trial.steps] == ["A", "B"]
    assert trial.decisions[0]["outcome"] == Outcome.B
    assert "20 for A and 90 for B" in trial.decisions[0]["rule"]
    assert not Score.objects.exists()


def test_a_checklist_is_written_first_and_shown(battle):
    def says(asked):
        return '{"questions": ["Does it rhyme?"]}' if '"questions"' in asked else '{"1": "yes"}'

    trial = tried(battle, says, configuration("checklist"))

    assert [step["purpose"] for step in trial.steps] == ["prepare", "judge", "judge"]
    assert trial.steps[0]["prepared"]["checklist"] == ["Does it rhyme?"]
    assert all("Does it rhyme?" in s["request"]["messages"][-1]["content"] for s in trial.steps[1:])
    assert trial.decisions[0]["outcome"] == Outcome.TIE


def test_an_unreadable_reply_is_shown_with_its_text_and_decides_nothing(battle):
    trial = tried(battle, lambda asked: "I like both of them!")

    assert [step["failure"] for step in trial.steps] == ["unreadable reply"] * 2
    assert trial.steps[0]["reply"] == "I like both of them!"
    assert trial.steps[0]["error"]
    assert trial.decisions == []


def test_what_is_missing_is_told_without_asking(battle):
    model = Model(lambda asked: "")
    trial = start_trial(
        arena=battle.arena,
        battle=battle,
        configuration=configuration(options={"reference": "given"}),
        key=uuid.uuid4(),
    )
    trial = work_on_trial(trial.pk, make_asker=model)
    assert "reference answer" in trial.steps[0]["error"]
    assert model.asked == []


def test_the_same_form_sent_twice_is_one_trial_and_asks_once(battle):
    key, model = uuid.uuid4(), Model(lambda asked: '{"verdict": "B"}')
    given = {
        "arena": battle.arena, "battle": battle, "configuration": configuration(), "key": key,
    }  # fmt: skip
    trial = start_trial(**given)
    assert start_trial(**given) == trial
    work_on_trial(trial.pk, make_asker=model)
    work_on_trial(trial.pk, make_asker=model)
    assert len(model.asked) == 2


def test_what_cannot_be_tried_is_refused_before_anything_is_stored(battle, settings):
    def start(given, *, arena=None):
        start_trial(
            arena=arena or battle.arena, battle=battle, configuration=given, key=uuid.uuid4()
        )

    with pytest.raises(ConfigurationError, match="protocol"):
        start(configuration("telepathy"))
    settings.ENDPOINTS = []
    with pytest.raises(CallError, match="JURYBOX_ENDPOINTS"):
        start(configuration())
    settings.ENDPOINTS = [URL]
    with pytest.raises(RunError, match="another arena"):
        start(configuration(), arena=cast.make_arena("other"))
    assert not Trial.objects.exists()


def test_a_judge_that_exists_is_tried_with_the_checklist_that_it_has(battle):
    from judges.runs import edit_checklist

    judge = make_llm_judge(
        arena=battle.arena, name="List", configuration=configuration("checklist")
    )
    edit_checklist(judge=judge, prompt=battle.prompt, questions=["Is it short?"])

    trial = tried(battle, lambda asked: '{"1": "no"}', judge.configuration, judge=judge)

    assert trial.steps[0]["was_there"]
    assert trial.steps[0]["prepared"]["checklist"] == ["Is it short?"]
    assert len(trial.steps) == 3


def test_an_endpoint_that_refuses_fails_the_trial_in_words(battle):
    class Closed(Model):
        async def __aenter__(self):
            raise CallError(Failure.CREDENTIALS, "The environment variable KEY isn't set.")

    trial = start_trial(
        arena=battle.arena, battle=battle, configuration=configuration(), key=uuid.uuid4()
    )
    trial = work_on_trial(trial.pk, make_asker=Closed(lambda asked: ""))
    assert (trial.state, trial.error) == ("failed", "The environment variable KEY isn't set.")


def test_a_slow_endpoint_is_not_asked_by_a_second_worker_meanwhile(battle, settings):
    settings.JOB_LEASE_SECONDS = 60
    given = configuration()
    given["endpoint"]["timeout"] = 3_600
    trial = start_trial(arena=battle.arena, battle=battle, configuration=given, key=uuid.uuid4())
    left = []

    class Looking(Model):
        async def ask(self, question, *, read):
            until = await Trial.objects.values_list("claimed_until", flat=True).aget(pk=trial.pk)
            left.append(until - timezone.now())
            return await super().ask(question, read=read)

    work_on_trial(trial.pk, make_asker=Looking(lambda asked: '{"verdict": "A"}'))
    assert min(left) > timedelta(hours=2)


def test_the_sweeper_asks_again_gives_up_in_the_end_and_forgets(battle, monkeypatch):
    queued = []
    monkeypatch.setattr("judges.trials._queue", queued.append)
    old, tired, waiting = (
        start_trial(
            arena=battle.arena, battle=battle, configuration=configuration(), key=uuid.uuid4()
        )
        for _ in range(3)
    )
    long_ago = timezone.now() - timedelta(days=40)
    Trial.objects.filter(pk=old.pk).update(created_at=long_ago)
    Trial.objects.filter(pk=tired.pk).update(attempts=MAX_ATTEMPTS)

    assert sweep_trials() == 1
    assert queued == [waiting.pk]
    assert not Trial.objects.filter(pk=old.pk).exists()
    tired.refresh_from_db()
    assert tired.state == "failed"
    assert "never finished" in tired.error
