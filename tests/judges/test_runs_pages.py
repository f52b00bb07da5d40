"""The maintainer's pages of runs: the list, a new run, how one goes and is steered."""

import csv
import io
import uuid
from decimal import Decimal

import pytest
from django.test import Client

from judges import tasks
from judges.answering import make_system, plan_answers
from judges.endpoints.interface import CallError, Failure
from judges.models import Judge, JudgeRun
from judges.programs import program_named
from judges.runs import confirm_run, make_program_judge, pause_run, plan_run, work_on
from judges.runs.answers import Asked
from judges.runs.calls import Result, claim_calls, store_results
from judges.runs.progress import WHAT_TO_DO
from judges.runs.rows import make_rows
from tests import cast
from tests.accounts import client_of, make_member
from tests.judges.fake_llm import FakeEndpoint, make_arena, make_judge

pytestmark = pytest.mark.django_db
TIMEOUT = CallError(Failure.TIMEOUT, "No answer within 60 seconds.")


@pytest.fixture
def arena():
    return make_arena()


@pytest.fixture
def judge(arena, monkeypatch) -> Judge:
    return make_judge(arena, monkeypatch)


@pytest.fixture
def maya(arena):
    return make_member(arena, "maintainer", "maya")


@pytest.fixture
def client(maya) -> Client:
    return client_of(maya)


@pytest.fixture(autouse=True)
def messages(monkeypatch) -> list[int]:
    """What was sent to workers."""
    sent: list[int] = []
    monkeypatch.setattr(tasks.work_on_run, "delay", sent.append)
    return sent


@pytest.fixture
def planned(judge, maya) -> JudgeRun:
    return plan_run(judge=judge, selection={}, budget=Decimal(5), actor=maya)


@pytest.fixture
def ended(planned) -> JudgeRun:
    """Every second answer didn't come: 24 calls about 12 battles, those on poems 2 and 3 failed."""
    confirm_run(run=planned)
    poems = ("Poem 2", "Poem 3")
    return work_on(
        planned,
        make_asker=FakeEndpoint(lambda lines: TIMEOUT if lines[0] in poems else "tie"),
    )


def page_of(client: Client, path: str = "", status: int = 200, **query) -> str:
    response = client.get(f"/a/poems/runs/{path}", query)
    assert response.status_code == status
    return response.content.decode()


def do(client: Client, run: JudgeRun, act: str, **more) -> str:
    """The page that one is led to."""
    response = client.post(f"/a/poems/runs/{run.pk}/", {"act": act, **more}, follow=True)
    assert response.status_code == 200
    run.refresh_from_db()
    return response.content.decode()


# --- which there are --------------------------------------------------------------------------------------


def test_only_maintainers_see_runs_and_calls(arena, ended):
    call = ended.calls.first()
    paths = (
        "runs/",
        "runs/new/",
        f"runs/{ended.pk}/",
        f"runs/{ended.pk}/calls/",
        f"calls/{call.pk}/",
    )
    voter, other = make_member(arena, "voter"), make_member(cast.make_arena("other"), "maintainer")
    for path in paths:
        assert Client().get(f"/a/poems/{path}").status_code == 302
        for user in (voter, other):
            assert client_of(user).get(f"/a/poems/{path}").status_code == 404
    # Nor under the address of an arena of their own.
    for path in (f"runs/{ended.pk}/", f"runs/{ended.pk}/calls/", f"calls/{call.pk}/"):
        assert client_of(other).get(f"/a/other/{path}").status_code == 404
    assert client_of(other).post(f"/a/other/runs/{ended.pk}/", {"act": "retry"}).status_code == 404


def test_an_arena_without_judges_or_runs_says_what_comes_next(client, arena):
    assert "There is no judge to run yet" in page_of(client)
    assert "There is no judge to run yet" in page_of(client, "new/")


def test_the_list_says_how_far_each_run_is_and_can_be_narrowed(client, judge, ended, maya):
    confirm_run(run=plan_run(judge=judge, selection={"battles": "voted"}))
    page = page_of(client)
    assert "12 of 24" in page
    assert "of $5.00" in page
    assert maya.email in page
    assert page.count('<th scope="row"') == 2
    assert page_of(client, state="done", judge=judge.slug).count('<th scope="row"') == 1
    assert "No run fits" in page_of(client, state="failed")
    assert (
        page_of(client, state="nonsense", judge="nobody", sort="odd").count('<th scope="row"') == 2
    )


def test_the_list_downloads(client, ended):
    [row] = csv.DictReader(io.StringIO(page_of(client, format="csv")))
    assert (row["run"], row["done"], row["failed"], row["state"]) == (
        str(ended.pk),
        "12",
        "12",
        "done",
    )
    [same] = client.get("/a/poems/runs/", {"format": "json"}).json()["runs"]
    assert same["verdicts"] == 6
    assert same["selection"] == {"battles": "existing"}
    page_of(client, format="xml", status=404)


def test_pages_of_runs_ask_as_much_of_the_database_however_many_there_are(
    client, judge, ended, django_assert_max_num_queries
):
    def queries(path):
        with django_assert_max_num_queries(40) as captured:
            page_of(client, path)
        return len(captured)

    paths = ("", f"{ended.pk}/", f"{ended.pk}/calls/", "new/")
    before = {path: queries(path) for path in paths}
    more = make_judge_runs(judge, 5)
    assert JudgeRun.objects.count() == 1 + len(more)
    for number in range(10):
        cast.make_system(judge.arena, f"System {number}")
    assert {path: queries(path) for path in paths} == before


def make_judge_runs(judge: Judge, n: int) -> list[JudgeRun]:
    return [plan_run(judge=judge, selection={}) for _ in range(n)]


# --- a new one --------------------------------------------------------------------------------------------


def test_a_run_is_planned_once_however_often_the_form_is_sent(client, judge, maya):
    asked = {
        "judge": judge.slug,
        "battles": "existing",
        "limit": "5",
        "systems": ["ada", "basil"],
        "prompts": "",
        "budget": "2.50",
    }
    for _ in range(2):
        response = client.post("/a/poems/runs/new/", asked)
    run = JudgeRun.objects.get()
    assert response.url == f"/a/poems/runs/{run.pk}/"
    assert (run.state, run.budget, run.created_by) == ("planned", Decimal("2.5"), maya)
    assert run.selection == {"battles": "existing", "systems": ["ada", "basil"], "limit": 5}
    client.post("/a/poems/runs/new/", asked | {"budget": "3"})
    assert JudgeRun.objects.count() == 2


def test_a_form_that_is_wrong_keeps_what_was_typed(client, judge):
    asked = {"judge": judge.slug, "battles": "all", "prompts": "999999, 7x", "limit": "12"}
    response = client.post("/a/poems/runs/new/", asked)
    page = response.content.decode()
    assert response.status_code == 422
    assert "“7x” is no prompt’s number" in page
    assert 'value="999999, 7x"' in page
    assert 'value="12"' in page
    response = client.post("/a/poems/runs/new/", asked | {"prompts": "999999"})
    assert response.status_code == 422
    assert "none of these prompts: 999999" in response.content.decode()
    assert not JudgeRun.objects.exists()


def test_a_judge_whose_protocol_changed_is_not_planned(client, judge, monkeypatch):
    from tests.judges.fake_llm import WordProtocol

    changed = WordProtocol(digest="e" * 64)
    monkeypatch.setattr("judges.llm_judges._protocol_from", lambda configuration: changed)
    response = client.post("/a/poems/runs/new/", {"judge": judge.slug, "battles": "existing"})
    assert response.status_code == 422
    assert "make a new version of the judge" in response.content.decode()


def test_a_program_begins_at_once_and_only_once(
    client, arena, messages, django_capture_on_commit_callbacks
):
    judge = make_program_judge(
        arena=arena, program=program_named("longer_is_better"), name="Longer"
    )
    asked = {"judge": judge.slug, "battles": "existing"}
    refused = client.post("/a/poems/runs/new/", asked | {"budget": "1"})
    assert "A program judges every battle" in refused.content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/a/poems/runs/new/", asked)
        client.post("/a/poems/runs/new/", asked)
    run = JudgeRun.objects.get()
    assert run.state == "queued"
    assert set(messages) == {run.pk}
    assert "0 of 12 battles" in page_of(client, f"{run.pk}/")
    work_on(run)
    assert "Every battle was answered" in page_of(client, f"{run.pk}/")


# --- how one goes -----------------------------------------------------------------------------------------


def test_a_planned_run_shows_its_plan_and_begins_when_it_is_confirmed(client, planned, messages):
    page = page_of(client, f"{planned.pk}/")
    assert "24 calls about 12 battles" in page
    assert "Most it can cost" in page
    assert "It has made no calls yet" in page
    assert "hx-get" not in page
    assert "The run begins as soon as a worker is free." in do(client, planned, "confirm")
    assert planned.state == "queued"
    do(client, planned, "confirm")
    assert planned.state == "queued"


def test_a_page_asks_again_only_while_the_run_is_under_way(client, planned):
    confirm_run(run=planned)
    page = page_of(client, f"{planned.pk}/")
    assert 'hx-trigger="every 2s"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    part = client.get(
        f"/a/poems/runs/{planned.pk}/", {"part": "progress", "state": "queued", "said": "0"}
    )
    assert "<html" not in part.content.decode()
    assert "progress-said" not in part.content.decode()
    work_on(planned, make_asker=FakeEndpoint(lambda lines: "tie"))
    part = client.get(
        f"/a/poems/runs/{planned.pk}/", {"part": "progress", "state": "running", "said": "0"}
    )
    assert part.headers["HX-Refresh"] == "true"
    page = page_of(client, f"{planned.pk}/")
    assert "Every call was answered" in page
    assert "hx-trigger" not in page
    assert "http-equiv" not in page


def test_half_of_a_run_under_way_is_said_once(client, planned):
    confirm_run(run=planned)
    JudgeRun.objects.filter(pk=planned.pk).update(state="running", total=24, done=12)
    asked = {"part": "progress", "state": "running", "said": "40"}
    part = client.get(f"/a/poems/runs/{planned.pk}/", asked).content.decode()
    assert "50 per cent of the run is done." in part
    assert "said=50" in part
    part = client.get(f"/a/poems/runs/{planned.pk}/", asked | {"said": "50"}).content.decode()
    assert "per cent of the run" not in part


def test_failures_are_named_and_asked_again(client, ended):
    page = page_of(client, f"{ended.pk}/")
    assert "12 calls of 24 failed" in page
    assert "12 calls: timeout." in page
    assert "No answer within 60 seconds." in page
    assert "6</dd>" in page  # verdicts
    assert f"failed_of={ended.pk}" in page
    assert "12 calls will be asked again." in do(client, ended, "retry", failure="timeout")
    assert (ended.state, ended.failed) == ("running", 0)
    assert "Nothing of it has failed any more." in do(client, ended, "retry", failure="timeout")
    work_on(ended, make_asker=FakeEndpoint(lambda lines: "tie"))
    ended.refresh_from_db()
    assert (ended.state, ended.verdicts_cast) == ("done", 12)


def test_every_failure_has_a_word_on_what_to_do(client, ended):
    assert set(WHAT_TO_DO) == set(Failure)
    path = f"/a/poems/runs/{ended.pk}/"
    # What is no reason isn't taken for all of them.
    assert client.post(path, {"act": "retry", "failure": "time\0out"}).status_code == 404
    ended.refresh_from_db()
    assert ended.failed == 12


def test_a_run_is_paused_resumed_with_another_budget_and_cancelled(client, planned):
    confirm_run(run=planned)
    assert "Nothing further is asked" in do(client, planned, "pause")
    page = do(client, planned, "pause")
    assert "Nothing is asked until somebody resumes it." in page
    response = client.post(f"/a/poems/runs/{planned.pk}/", {"act": "resume", "budget": "-1"})
    assert response.status_code == 422
    do(client, planned, "resume", budget="7", max_calls="")
    assert (planned.state, planned.budget, planned.max_calls) == ("queued", 7, None)
    assert "The run is cancelled" in do(client, planned, "cancel")
    assert "was cancelled" in do(client, planned, "confirm")
    assert planned.state == "cancelled"
    response = client.post(f"/a/poems/runs/{planned.pk}/", {"act": "explode"})
    assert response.status_code == 404


def test_why_a_run_paused_or_stopped_is_on_its_page(client, judge):
    run = plan_run(judge=judge, selection={}, max_calls=4)
    confirm_run(run=run)
    work_on(run, make_asker=FakeEndpoint(lambda lines: "tie"))
    assert "4 calls were made and 4 are allowed" in page_of(client, f"{run.pk}/")
    do(client, run, "resume", max_calls="100")
    refused = CallError(Failure.CREDENTIALS, "The server refuses the key <b>x</b>.")
    work_on(run, make_asker=FakeEndpoint(lambda lines: refused))
    page = page_of(client, f"{run.pk}/")
    assert "It stopped for a reason" in page
    assert "The server refuses the key &lt;b&gt;x&lt;/b&gt;." in page


def test_a_run_that_no_worker_takes_up_says_so(client, planned):
    from datetime import timedelta

    from django.utils import timezone

    confirm_run(run=planned)
    assert "No worker has taken it up" not in page_of(client, f"{planned.pk}/")
    long_ago = timezone.now() - timedelta(minutes=5)
    JudgeRun.objects.filter(pk=planned.pk).update(created_at=long_ago)
    assert "No worker has taken it up" in page_of(client, f"{planned.pk}/")
    pause_run(run=planned)
    assert "No worker has taken it up" not in page_of(client, f"{planned.pk}/")


def test_who_may_not_have_models_asked_is_told_before_pressing(client, ended, settings):
    settings.WHO_ASKS_MODELS = "staff"
    said = "On this site only staff have models asked"
    assert said in page_of(client, f"{ended.pk}/")
    assert said in page_of(client, "new/")
    assert said in do(client, ended, "retry")
    assert ended.state == "done"


def test_a_run_of_a_system_speaks_of_prompts_and_outputs(client, arena):
    endpoint = {"url": "http://127.0.0.1:9/v1", "model": "a-model", "parameters": {"top_p": 0.5}}
    system = make_system(
        arena=arena, name="Dora", configuration={"endpoint": endpoint, "system_prompt": "Rhyme!"}
    )
    ids = list(arena.prompts.values_list("pk", flat=True))[:3]
    run = plan_answers(system=system, selection={"prompts": ids})
    page = page_of(client, f"{run.pk}/")
    assert "3 calls, for about" in page
    assert f"Prompts {ids[0]}, {ids[1]} and {ids[2]}." in page
    assert f"systems/{system.slug}/" in page
    assert "Dora" in page_of(client)
    do(client, run, "confirm")
    make_rows(run)
    calls = list(run.calls.order_by("pk"))
    answer = {"text": "Roses rhyme.", "asked": Asked.of(system)}
    store_results(run.pk, [Result(call.pk, **answer) for call in calls[:2]])
    failed = Result(calls[2].pk, failure=Failure.CUT_OFF, error="Half an answer.")
    store_results(run.pk, [failed])
    claim_calls(run.pk, claim=uuid.uuid4(), at_most=1, mine=[])
    page = page_of(client, f"{run.pk}/")
    assert "1 call of 3 failed; what they belong to has no output." in page
    assert "Plan a new run of only what failed" not in page
    page = page_of(client, f"{run.pk}/calls/")
    assert page.count('<th scope="row"') == 3
    response = client.get(f"/a/poems/calls/{calls[0].pk}/")
    page = response.content.decode()
    assert "Rhyme!" in page
    assert "<dt>top_p</dt><dd>0.5</dd>" in page
    assert "of 12 characters, on the prompt’s page" in page
    assert "1 call will be asked again." in do(client, run, "retry")


# --- its calls --------------------------------------------------------------------------------------------


def test_calls_are_listed_by_state_and_reason_a_page_at_a_time(client, ended, monkeypatch):
    monkeypatch.setattr("judges.run_tables.CALLS_A_PAGE", 10)
    path = f"{ended.pk}/calls/"
    page = page_of(client, path)
    assert page.count('<th scope="row"') == 10
    after = [call.pk for call in ended.calls.all()][19]
    assert page_of(client, path, after=after).count('<th scope="row"') == 4
    assert "Next →" not in page_of(client, path, after=after)
    failed = page_of(client, path, state="error", failure="timeout")
    assert failed.count('<span class="chip warn">timeout</span>') == 10
    assert "No call fits" in page_of(client, path, failure="cut off")
    page_of(client, path, after="x", status=404)


def test_a_plan_warns_of_an_endpoint_that_the_operator_does_not_list(client, judge, settings):
    run = plan_run(judge=judge, selection={"limit": 2})
    page = f"/a/{judge.arena.slug}/runs/{run.pk}/"
    settings.ENDPOINTS = []
    assert "JURYBOX_ENDPOINTS" in client.get(page).content.decode()
    settings.ENDPOINTS = [judge.configuration["endpoint"]["url"]]
    settings.ENDPOINT_KEYS = {settings.ENDPOINTS[0]: [judge.configuration["endpoint"]["key_name"]]}
    assert "JURYBOX_ENDPOINTS" not in client.get(page).content.decode()
