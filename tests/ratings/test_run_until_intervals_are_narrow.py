"""A run in rounds asks where intervals are widest, and ends by itself when all of them are narrow enough."""

from collections import Counter
from io import StringIO

import pytest
from django.core.management import call_command

from judges import tasks
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
from judges.runs.rounds import spread_over
from ratings import rounds
from ratings.models import Snapshot
from ratings.publications import refresh_all
from tests import cast
from tests.judges.fake_llm import FakeEndpoint, make_judge

pytestmark = pytest.mark.django_db
NAMES = ("Ada", "Basil", "Cleo", "Dora")


@pytest.fixture
def arena():
    """Four systems, 40 prompts: 240 battles."""
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in NAMES]
    for number in range(40):
        prompt = cast.make_prompt(arena, f"Poem {number}")
        for first in range(4):
            for second in range(first + 1, 4):
                cast.make_battle(systems[first], systems[second], prompt)
    return arena


def says(lines):
    """The alphabetically earlier system is better on two prompts of three, whatever the order."""
    prompt, first, second = lines[:3]
    is_usual = int(prompt.split()[1]) % 3 != 0
    return "first" if (first < second) == is_usual else "second"


@pytest.fixture
def judge(arena, monkeypatch):
    return make_judge(arena, monkeypatch)


def turn(run, endpoint):
    """What workers do with the run until nothing is left to be done now."""
    work_on(run, make_asker=endpoint)
    while run.state == "waiting" and rounds.answer(run.pk):
        run.refresh_from_db()
        while run.state == "running":
            work_on(run, make_asker=endpoint)
    run.refresh_from_db()


def begun(judge, **selection):
    run = plan_run(judge=judge, selection=selection)
    confirm_run(run=run)
    run.refresh_from_db()
    return run


def widest(arena, judge):
    refresh_all(arena=arena)
    snapshot = Snapshot.objects.filter(arena=arena, slice__judge=judge.slug).latest("pk")
    return max(row.upper - row.lower for row in snapshot.ratings.all())


def test_it_ends_by_itself_with_every_interval_under_the_width_and_before_all_is_asked(
    arena, judge, settings, monkeypatch
):
    settings.BOOTSTRAP_ROUNDS = 500
    # Which battles are sampled first depends on ids: of fewer, luck may make the intervals narrow at once.
    monkeypatch.setattr("judges.runs.rounds.LEAST_IN_A_ROUND", 100)
    run = begun(judge, until_width=220)
    turn(run, FakeEndpoint(says))

    assert run.state == "done"
    assert "is under 220 rating points" in run.rounds["said"]
    assert run.rounds["widest"] < 220
    asked = Verdict.objects.filter(judge=judge).count()
    assert asked == run.rounds["battles"] < 240
    assert run.rounds["n"] > 1
    # The published intervals are of a bootstrap: near those in closed form, not the same.
    assert widest(arena, judge) < 1.25 * 220
    assert not rounds.answer(run.pk)


def test_it_ends_at_the_limit_and_says_how_wide_the_intervals_are(judge):
    run = begun(judge, until_width=20, limit=120)
    turn(run, FakeEndpoint(says))
    assert run.state == "done"
    assert run.rounds["battles"] == 120
    assert "limit of 120 battles is reached" in run.rounds["said"]
    assert "not under 20" in run.rounds["said"]


def test_it_ends_when_nothing_is_left_to_ask(judge):
    run = begun(judge, until_width=2)
    turn(run, FakeEndpoint(says))
    assert (run.state, run.rounds["battles"]) == ("done", 240)
    assert "Every battle that was chosen is asked" in run.rounds["said"]


def test_an_answer_that_comes_twice_adds_one_round(judge):
    run = begun(judge, until_width=100)
    work_on(run, make_asker=FakeEndpoint(says))
    assert run.state == "waiting"
    assert rounds.answer(run.pk)
    assert not rounds.answer(run.pk)
    run.refresh_from_db()
    assert (run.state, run.rounds["n"], run.rounds["battles"]) == ("running", 1, 50)
    assert run.total == JudgeCall.objects.filter(run=run).count() == 100  # both orders


def test_a_lost_message_is_sent_again_but_not_while_somebody_is_at_it(judge, monkeypatch):
    sent = []
    monkeypatch.setattr("ratings.tasks.answer_run.delay", sent.append)
    run = begun(judge, until_width=100)
    work_on(run, make_asker=FakeEndpoint(says))
    assert rounds.sweep() == 1
    assert sent == [run.pk]
    assert JudgeRun.objects.claim(run.pk)
    assert rounds.sweep() == 0
    assert not rounds.answer(run.pk)


def test_it_is_paused_resumed_and_cancelled_while_it_waits(judge):
    endpoint = FakeEndpoint(says)
    run = begun(judge, until_width=220)
    work_on(run, make_asker=endpoint)
    pause_run(run=run)
    assert not rounds.answer(run.pk)
    resume_run(run=run)
    work_on(run, make_asker=endpoint)
    assert run.state == "waiting"
    turn(run, endpoint)
    assert run.state == "done"
    other = begun(judge, until_width=20, limit=60)
    work_on(other, make_asker=endpoint)
    cancel_run(run=other)
    assert not rounds.answer(other.pk)


def test_calls_that_fail_are_not_asked_again_in_another_round(judge):
    """One prompt in four can't be judged: it costs its calls once, and may be retried by hand."""

    def sometimes(lines):
        return "???" if int(lines[0].split()[1]) % 4 == 0 else says(lines)

    endpoint = FakeEndpoint(sometimes)
    run = begun(judge, until_width=2)
    turn(run, endpoint)
    assert run.state == "done"
    assert run.failed == 120
    assert max(endpoint.asked.values()) == 1
    retry_failed(run=run)
    endpoint.rule = says
    work_on(run, make_asker=endpoint)
    turn(run, endpoint)
    assert (run.state, run.failed) == ("done", 0)
    assert Verdict.objects.filter(judge=judge).count() == 240


def test_a_round_without_any_verdict_stops_the_run(judge):
    run = begun(judge, until_width=100)
    turn(run, FakeEndpoint(lambda lines: "???"))
    assert run.state == "failed"
    assert "A whole round gave no verdict" in run.error
    assert run.rounds["n"] == 1


def test_battles_that_are_missing_are_made_and_scores_decide_them_too(arena, monkeypatch):
    arena.battles.all().delete()
    judge = make_judge(arena, monkeypatch, name="Scorer", judges_battles=False)

    def score(lines):
        prompt, answer = lines[:2]
        return str(-ord(answer[0]) + (5 if int(prompt.split()[1]) % 3 == ord(answer[0]) % 3 else 0))

    run = begun(judge, until_width=300, battles="all")
    turn(run, FakeEndpoint(score))
    assert run.state == "done"
    assert 0 < arena.battles.count() < 240
    assert run.rounds["widest"] < 300


def test_only_systems_that_were_named_have_to_be_sure(judge):
    run = begun(judge, until_width=220, systems=["ada", "basil"])
    turn(run, FakeEndpoint(says))
    assert run.state == "done"
    met = Verdict.objects.filter(judge=judge).values_list(
        "battle__system_a__slug", "battle__system_b__slug"
    )
    assert set(met) == {("ada", "basil")}


def test_a_width_that_is_none_is_refused(judge):
    for width in (0, -1, 5_000, "narrow", True):
        with pytest.raises(RunError, match="until_width"):
            plan_run(judge=judge, selection={"until_width": width})


def test_battles_are_spread_by_largest_remainders_and_never_more_than_are_open():
    shares = [((1, 2), 0.5), ((1, 3), 0.3), ((2, 3), 0.2)]
    assert spread_over(shares, 10, {(1, 2): 9, (1, 3): 9, (2, 3): 9}) == {
        (1, 2): 5, (1, 3): 3, (2, 3): 2,
    }  # fmt: skip
    few = spread_over(shares, 10, {(1, 2): 2, (1, 3): 9, (2, 3): 1})
    assert few == {(1, 2): 2, (1, 3): 7, (2, 3): 1}
    assert spread_over(shares, 100, {(1, 2): 1, (1, 3): 1, (2, 3): 1}) == Counter(
        {(1, 2): 1, (1, 3): 1, (2, 3): 1}
    )
    assert sum(spread_over(shares, 1, {(1, 2): 9, (1, 3): 9, (2, 3): 9}).values()) == 1


def test_a_worker_that_dies_at_it_again_and_again_is_given_up(judge):
    run = begun(judge, until_width=100)
    work_on(run, make_asker=FakeEndpoint(says))
    JudgeRun.objects.filter(pk=run.pk).update(attempts=3)
    rounds.answer(run.pk)
    run.refresh_from_db()
    assert (run.state, "never came" in run.error) == ("failed", True)


def test_the_tasks_are_wired(judge, monkeypatch):
    heard = []
    monkeypatch.setattr("ratings.rounds.answer_soon", heard.append)
    run = begun(judge, until_width=100)
    work_on(run, make_asker=FakeEndpoint(says))
    assert heard == [run.pk]
    assert tasks.sweep_runs() == 0


def test_the_command_goes_on_without_a_worker(judge, monkeypatch):
    monkeypatch.setattr("judges.runs.asking.asker_for", FakeEndpoint(says))
    out = StringIO()
    call_command(
        "run_judge", "poems", judge.slug, "--until-width", "220", "--here", "--yes", stdout=out
    )
    assert "done" in out.getvalue()
    assert JudgeRun.objects.get().rounds["widest"] < 220
