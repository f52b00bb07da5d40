from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from judges.endpoints.interface import CallError, Failure
from judges.models import JudgeRun, Verdict
from judges.programs import PROGRAMS
from judges.runs import make_program_judge
from tests import cast
from tests.judges.fake_llm import FakeEndpoint, make_arena, make_judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint(monkeypatch) -> FakeEndpoint:
    endpoint = FakeEndpoint(lambda lines: "tie")
    monkeypatch.setattr("judges.runs.asking.asker_for", endpoint)
    make_judge(make_arena(), monkeypatch)
    return endpoint


def command(*words: str, judge: str = "word-judge") -> str:
    out = StringIO()
    call_command("run_judge", "poems", judge, *words, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_plan_is_shown_and_the_work_done_here(endpoint):
    said = command("--yes", "--here")
    assert "24 calls about 12 battles" in said
    assert "An estimate" in said
    assert "done; 24 of 24 done, 0 failed, 12 verdicts, 0.0024 USD." in said
    assert Verdict.objects.count() == 12


@pytest.mark.parametrize(
    ("answer", "state"), [("y", "done"), ("n", "cancelled"), ("", "cancelled")]
)
def test_it_asks_before_it_starts(endpoint, monkeypatch, answer, state):
    monkeypatch.setattr("builtins.input", lambda question: answer)
    assert f": {state};" in command("--here")
    assert JudgeRun.objects.get().state == state


def test_without_a_terminal_and_without_yes_nothing_starts(endpoint):
    def closed(question):
        raise EOFError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.input", closed)
        assert "cancelled" in command("--here")
    assert endpoint.asked.total() == 0


def test_errors_are_told_by_reason(endpoint):
    endpoint.rule = lambda lines: (
        CallError(Failure.SERVER, "The server said 500.") if lines[0] == "Poem 0" else "gibberish"
    )
    said = command("--yes", "--here")
    assert "      18 unreadable reply: 'gibberish' is no choice." in said
    assert "       6 server error: The server said 500." in said


def test_probes_cast_no_verdicts(endpoint):
    said = command("--probes", "padding", "swap", "--limit", "3", "--yes", "--here")
    assert "12 calls about 3 battles" in said
    assert "done; 12 of 12 done, 0 failed, 9 comparisons" in said
    assert Verdict.objects.count() == 0


def test_selection_and_budget(endpoint):
    said = command(
        *("--pairs", "ada:cleo", "--limit", "2", "--max-calls", "3", "--budget", "1.5"),
        *("--yes", "--here"),
    )
    run = JudgeRun.objects.get()
    assert run.selection == {"battles": "all", "pairs": [["ada", "cleo"]], "limit": 2}
    assert (run.budget, run.calls_made, run.state) == (Decimal("1.5"), 3, "paused")
    assert "The budget is used up: 3 calls" in said


def test_a_run_that_paused_is_resumed_with_more(endpoint):
    command("--max-calls", "5", "--yes", "--here")
    run = JudgeRun.objects.get()
    assert run.state == "paused"
    said = command("--resume", str(run.pk), "--max-calls", "100", "--here")
    assert "done; 24 of 24 done" in said
    assert JudgeRun.objects.count() == 1


def test_what_failed_is_asked_again(endpoint):
    endpoint.rule = lambda lines: "gibberish"
    command("--yes", "--here")
    endpoint.rule = lambda lines: "tie"
    said = command("--retry", str(JudgeRun.objects.get().pk), "--here")
    assert "24 calls are asked again." in said
    assert "done; 24 of 24 done, 0 failed, 12 verdicts" in said


def test_it_follows_the_workers(endpoint, monkeypatch):
    from judges import runs

    def somebody_else_works(seconds):
        runs.work_on(JudgeRun.objects.get(), make_asker=endpoint)

    monkeypatch.setattr("time.sleep", somebody_else_works)
    assert "done; 24 of 24" in command("--yes", "--wait")


def test_a_run_that_failed_ends_with_an_error(endpoint):
    endpoint.rule = lambda lines: CallError(Failure.CREDENTIALS, "TEST_API_KEY was refused.")
    with pytest.raises(CommandError, match="TEST_API_KEY was refused"):
        command("--yes", "--here")


def test_a_program_is_run_at_once(endpoint):
    arena = cast.Arena.objects.get()
    make_program_judge(arena=arena, program=PROGRAMS["longer_is_better"], name="Longer")
    assert "done; 12 of 12 done" in command(judge="longer-is-better")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("nowhere", "word-judge"), "no arena 'nowhere'"),
        (("poems", "nobody"), "no judge 'nobody'"),
        (("poems", "word-judge", "--systems", "zoe"), "none of these systems: zoe"),
        (("poems", "word-judge", "--pairs", "ada"), "two different systems"),
        (("poems", "word-judge", "--budget", "nan"), "budget"),
        (("poems", "word-judge", "--budget", "0"), "more than 0"),
        (("poems", "word-judge", "--resume", "999999"), "no such run"),
    ],
)
def test_what_is_wrong_is_said(endpoint, words, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("run_judge", *words, stdout=StringIO())
    assert endpoint.asked.total() == 0
