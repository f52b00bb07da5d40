"""A submission that LLM judges decide: rounds that wait for replies, budgets, failures, and giving up."""

import json

import pytest

from arena.models import Arena, Battle, Submission
from arena.submissions.policy import SubmissionPolicy
from arena.submissions.verbs import cancel, retry, submit
from judges.endpoints.interface import CallError, Failure
from judges.models import JudgeCall, JudgeRun, Verdict
from judges.placing import PlacingError, change_policy
from judges.runs import work_on
from ratings import placing, rounds
from tests import cast
from tests.accounts import make_member
from tests.arena.test_submit_a_system import about
from tests.judges.fake_llm import FakeEndpoint, make_judge

pytestmark = pytest.mark.django_db
State = Submission.State
NAMES = ("Ada", "Basil", "Cleo", "Dora")


def says(lines):
    """The alphabetically earlier is better on two prompts of three, whatever the order."""
    prompt, first, second = lines[:3]
    is_usual = int(prompt.split()[1]) % 3 != 0
    return "first" if (first < second) == is_usual else "second"


@pytest.fixture
def arena(monkeypatch) -> Arena:
    """Four systems that the judge has ranked on 40 prompts."""
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in NAMES]
    judge = make_judge(arena, monkeypatch)
    for number in range(40):
        prompt = cast.make_prompt(arena, f"Poem {number}")
        for first in range(4):
            for second in range(first + 1, 4):
                battle = cast.make_battle(systems[first], systems[second], prompt)
                cast.make_verdict(battle, judge, 0 if number % 3 else 1)
    arena.submission_policy = {
        "judges": [judge.slug], "battles": 100, "width": 250, "budget": 5.0, "who": "accounts",
    }  # fmt: skip
    arena.save()
    return arena


@pytest.fixture
def submission(arena) -> Submission:
    lines = [
        json.dumps({"prompt": prompt.text, "output": "Bea answers."})
        for prompt in arena.prompts.order_by("pk")
    ]
    return submit(
        arena=arena,
        owner=make_member(arena, "researcher"),
        about=about("Bea"),
        content="\n".join(lines).encode(),
    ).submission


def work(submission: Submission, endpoint: FakeEndpoint, *, most: int = 60) -> int:
    """What workers do until nothing is left to be done now; how many turns."""
    placing.step(submission.pk)
    for turn in range(most):
        run = JudgeRun.objects.filter(
            submission=submission, state__in=["queued", "running"]
        ).first()
        if run is not None:
            work_on(run, make_asker=endpoint)
            continue
        waiting = JudgeRun.objects.filter(submission=submission, state="waiting").first()
        if waiting is None or not rounds.answer(waiting.pk):
            submission.refresh_from_db()
            return turn
    raise AssertionError("It goes on for ever.")


def test_it_is_asked_in_rounds_until_its_interval_is_narrow(submission):
    endpoint = FakeEndpoint(says)
    work(submission, endpoint)
    assert submission.state == State.RANKED, submission.reason
    assert submission.reason.startswith("Its 95 % interval is ")
    [run] = submission.runs.all()
    assert run.state == "done"
    assert submission.n_judged == submission.n_battles == run.verdicts_cast <= 100
    assert len(submission.rounds) > 1
    battles = Battle.objects.filter(system_b=submission.system)
    assert Verdict.objects.filter(battle__in=battles).count() == submission.n_battles
    # Asked once about each, and nobody is asked again by a message that comes late.
    asked = len(endpoint.asked)
    placing.step(submission.pk)
    assert len(endpoint.asked) == asked == JudgeCall.objects.filter(run=run).count()


def test_a_model_that_only_fails_ends_it_with_the_reason_and_it_can_be_tried_again(submission):
    work(submission, FailingEndpoint(says))
    assert submission.state == State.FAILED
    assert "came to no verdict" in submission.reason or "stopped" in submission.reason
    assert "failed" in submission.reason
    retry(submission=submission, actor=None)
    submission.refresh_from_db()
    assert submission.state == State.QUEUED


class FailingEndpoint(FakeEndpoint):
    async def ask(self, question, *, read):
        raise CallError(Failure.TIMEOUT, "No answer within a minute.")


def test_cancelling_stops_the_model_and_keeps_what_was_said(submission):
    placing.step(submission.pk)
    endpoint = FakeEndpoint(says)
    run = submission.runs.get()
    work_on(run, make_asker=endpoint)
    rounds.answer(run.pk)
    assert JudgeCall.objects.filter(run=run, state="open").exists()
    JudgeRun.objects.filter(pk=run.pk).update(cost=2)
    cancel(submission=submission, actor=None)
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert not JudgeCall.objects.filter(run=run, state="open").exists()
    retry(submission=submission, actor=None)
    work(submission, endpoint)
    assert submission.state == State.RANKED
    again = submission.runs.get()
    assert again != run
    # What the first one took isn't there to be spent again.
    assert submission.spent_before == run.cost == 2
    assert float(again.budget) == pytest.approx(5 - float(run.cost), abs=1e-4)
    assert submission.cost == run.cost + again.cost


def test_to_cancel_and_try_again_buys_no_more_than_the_budget(submission):
    endpoint = FakeEndpoint(says)
    for _ in range(3):
        placing.step(submission.pk)
        run = submission.runs.filter(state__in=["queued", "running"]).first()
        if run is not None:
            work_on(run, make_asker=endpoint)
        cancel(submission=submission, actor=None)
        # As if it had taken much more.
        JudgeRun.objects.filter(submission=submission).update(cost=2)
        retry(submission=submission, actor=None)
    submission.refresh_from_db()
    assert submission.spent_before == 6
    asked = len(endpoint.asked)
    work(submission, endpoint)
    assert submission.state == State.FAILED
    assert "5.00 USD that the arena spends on one system are spent" in submission.reason
    assert len(endpoint.asked) == asked


def test_who_may_not_have_models_asked_cant_let_submissions_do_it(arena, settings):
    settings.WHO_ASKS_MODELS = "staff"
    maintainer = make_member(arena, "maintainer")
    slug = arena.submission_policy["judges"][0]
    policy = SubmissionPolicy(judges=(slug,), budget=100.0)
    with pytest.raises(PlacingError, match="only staff have models asked"):
        change_policy(arena=arena, policy=policy, actor=maintainer)
    # To ask fewer is always allowed.
    assert change_policy(arena=arena, policy=SubmissionPolicy(), actor=maintainer)
    with pytest.raises(PlacingError, match="only staff"):
        change_policy(arena=arena, policy=SubmissionPolicy(judges=(slug,)), actor=maintainer)
    assert change_policy(arena=arena, policy=policy, actor=None)
    with pytest.raises(PlacingError, match="no judge 'people'"):
        change_policy(arena=arena, policy=SubmissionPolicy(judges=("people",)), actor=None)
