"""The pages of one call and of one verdict: what was asked, what came back, what it led to."""

from dataclasses import replace

import pytest
from django.test import Client

from judges.endpoints.cache import keep, key_of_question
from judges.endpoints.interface import Answer, CallError, Failure, Question
from judges.llm_judges import endpoint_of, make_llm_judge
from judges.models import JudgeCall, JudgeRun, Outcome, Score, Verdict, VerdictTrace
from judges.protocols.interface import Reply
from judges.runs import confirm_run, plan_run, work_on
from judges.runs.cases import Materials, fence_of, load_calls
from tests import cast
from tests.accounts import client_of, make_member
from tests.judges.fake_llm import CONFIGURATION, FakeEndpoint, WordProtocol, make_arena, make_judge

pytestmark = pytest.mark.django_db
HOSTILE = "first\u202e </pre><script>alert(1)</script>"


def run_of(judge, rule) -> JudgeRun:
    run = plan_run(judge=judge, selection={})
    confirm_run(run=run)
    return work_on(run, make_asker=FakeEndpoint(rule))


@pytest.fixture
def arena():
    return make_arena(prompts=1)


@pytest.fixture
def client(arena) -> Client:
    return client_of(make_member(arena, "maintainer"))


@pytest.fixture
def run(arena, monkeypatch) -> JudgeRun:
    """The answer that stands first wins, with a criterion of its own."""
    return run_of(make_judge(arena, monkeypatch), lambda lines: "first style=tie")


def page_of(client: Client, path: str) -> str:
    response = client.get(f"/a/poems/{path}")
    assert response.status_code == 200
    return response.content.decode()


def test_a_call_shows_the_request_the_reply_and_the_verdict(client, run):
    call = run.calls.get(shown_first=1, battle=run.arena.battles.earliest("pk"))
    page = page_of(client, f"calls/{call.pk}/")
    [loaded] = load_calls([call.pk])
    [case] = Materials.of(run).cases_of([loaded])
    # As shown: B's answer stands first, inside the very fence that was sent.
    assert f"Poem 0\nBasil answers.\nAda answers.\n\n{fence_of(case)}" in page
    assert "first style=tie</pre>" in page
    assert "Because first." in page
    assert "B was shown first" in page
    assert "100 read, 1 written" in page
    assert "$0.0001" in page
    # The two orders contradict each other.
    assert "<dt>Verdict</dt><dd>Tie" in page
    other = run.calls.get(shown_first=0, battle=call.battle_id)
    assert f"calls/{other.pk}/" in page


def test_a_request_is_proven_by_the_cached_reply_to_it(client, run, monkeypatch):
    call = run.calls.earliest("pk")
    assert "Requests aren’t stored." in page_of(client, f"calls/{call.pk}/")
    [case] = Materials.of(run).cases_of(load_calls([call.pk]))
    request = WordProtocol().render(case, fence=fence_of(case))
    question = Question(endpoint_of(run.judge), request, call.repetition)
    keep([(key_of_question(question), "a-model", Answer(Reply("first")))])
    assert "This is what was sent, to the letter" in page_of(client, f"calls/{call.pk}/")
    # Another reply limit is another request.
    monkeypatch.setattr(
        WordProtocol, "render", lambda self, case, fence: replace(request, max_tokens=11)
    )
    assert "Requests aren’t stored." in page_of(client, f"calls/{call.pk}/")


def test_a_request_of_another_protocol_is_not_made_up(client, run, monkeypatch):
    call = run.calls.earliest("pk")
    changed = WordProtocol(digest="e" * 64)
    monkeypatch.setattr("judges.llm_judges._protocol_from", lambda configuration: changed)
    page = page_of(client, f"calls/{call.pk}/")
    assert "can’t be rendered again" in page
    assert "asks or reads otherwise than when Word judge was made" in page
    assert "first style=tie</pre>" in page  # what came back is kept


def test_a_failed_call_says_why_and_keeps_what_came(client, arena, monkeypatch):
    error = CallError(Failure.UNREADABLE, "No <i>verdict</i> in it.", text=HOSTILE)
    run = run_of(make_judge(arena, monkeypatch), lambda lines: error)
    page = page_of(client, f"calls/{run.calls.earliest('pk').pk}/")
    assert "Unreadable reply." in page
    assert "No &lt;i&gt;verdict&lt;/i&gt; in it." in page
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)" in page
    assert "\u202e" not in page
    assert "every call about the battle has to be answered first" in page
    assert "TEST_API_KEY" not in page


def test_a_call_about_one_output_shows_its_score(client, arena, monkeypatch):
    judge = make_judge(arena, monkeypatch, judges_battles=False)
    run = run_of(judge, lambda lines: "7.5 style=2")
    call = run.calls.earliest("pk")
    page = page_of(client, f"calls/{call.pk}/")
    assert "<dt>Score</dt><dd>7.5" in page
    assert "<dt>style</dt><dd>2.0" in page
    assert Score.objects.filter(output=call.output_id).count() == 2


def test_what_the_judge_wrote_first_is_in_the_request(client, arena, server_of_checklists):
    run, call = server_of_checklists
    page = page_of(client, f"calls/{call.pk}/")
    assert "Does it rhyme?" in page
    [first] = run.calls.filter(purpose="prepare")
    page = page_of(client, f"calls/{first.pk}/")
    assert "checklist" in page
    assert "can’t be rendered again" not in page


@pytest.fixture
def server_of_checklists(arena) -> tuple[JudgeRun, JudgeCall]:
    """A real protocol, of checklists."""
    judge = make_llm_judge(
        arena=arena,
        name="Checklist",
        configuration=CONFIGURATION | {"protocol": {"name": "checklist"}},
    )
    from judges.runs.calls import Result, store_results
    from judges.runs.rows import make_rows

    run = plan_run(judge=judge, selection={})
    confirm_run(run=run)
    make_rows(run)
    first = run.calls.filter(purpose="prepare").values_list("pk", flat=True)
    store_results(run.pk, [Result(pk, parse={"checklist": ["Does it rhyme?"]}) for pk in first])
    return run, run.calls.filter(purpose="judge").earliest("pk")


# --- verdicts ---------------------------------------------------------------------------------------------


def test_whoever_sees_the_arena_opens_the_trace_and_maintainers_its_calls(client, run):
    verdict = run.verdicts.filter(criterion="").earliest("pk")
    battle = page_of(Client(), f"battles/{verdict.battle_id}/")
    assert battle.count(f"verdicts/{verdict.pk}/") == 1
    page = page_of(Client(), f"verdicts/{verdict.pk}/")
    assert "A shown first:\nfirst style=tie" in page
    assert "both orders, a tie where they contradict each other" in page
    assert "<dd>1,000 ms</dd>" in page
    assert "calls/" not in page
    calls = [call.pk for call in run.calls.filter(battle=verdict.battle_id)]
    page = page_of(client, f"verdicts/{verdict.pk}/")
    assert [f"calls/{call}/" in page for call in calls] == [True, True]
    run.arena.is_public = False
    run.arena.save()
    assert Client().get(f"/a/poems/verdicts/{verdict.pk}/").status_code == 404


def test_the_trace_of_a_scoring_judge_leads_to_the_calls_about_both_outputs(
    client, arena, monkeypatch
):
    run = run_of(make_judge(arena, monkeypatch, judges_battles=False), lambda lines: "7")
    verdict = run.verdicts.earliest("pk")
    outputs = (verdict.battle.output_a_id, verdict.battle.output_b_id)
    page = page_of(client, f"verdicts/{verdict.pk}/")
    calls = run.calls.filter(output__in=outputs)
    assert calls.count() == 2
    assert all(f"calls/{call.pk}/" in page for call in calls)


def test_a_verdict_without_a_trace_and_one_of_a_hostile_reply(client, arena):
    battle = arena.battles.earliest("pk")
    llm, people = cast.make_judge(arena, "GPT", "llm"), cast.make_judge(arena)
    bare = cast.make_verdict(battle, llm, Outcome.A)
    assert "Nothing is kept beside this verdict." in page_of(client, f"verdicts/{bare.pk}/")
    assert f"verdicts/{bare.pk}/" not in page_of(client, f"battles/{battle.pk}/")
    VerdictTrace.objects.create(
        verdict=bare, completion=HOSTILE, parse={HOSTILE: HOSTILE}, rationale=HOSTILE
    )
    page = page_of(client, f"verdicts/{bare.pk}/")
    assert "<script>alert" not in page
    assert "\u202e" not in page
    vote = cast.make_verdict(battle, people, Outcome.A, cast.make_voter(people))
    VerdictTrace.objects.create(verdict=vote, rationale="I like it.")
    assert f"verdicts/{vote.pk}/" not in page_of(client, f"battles/{battle.pk}/")


def test_traces_and_calls_ask_as_much_whatever_there_is(
    client, run, django_assert_num_queries, django_assert_max_num_queries
):
    call = run.calls.earliest("pk")
    with django_assert_max_num_queries(20):
        page_of(client, f"calls/{call.pk}/")
    verdict = Verdict.objects.filter(run=run).earliest("pk")
    with django_assert_max_num_queries(10):
        page_of(client, f"verdicts/{verdict.pk}/")
    with django_assert_max_num_queries(13):
        page_of(client, f"battles/{verdict.battle_id}/")
