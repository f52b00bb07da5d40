import json
import re

import pytest

from arena.models import System
from judges.models import JudgeRun, ProbeResult
from judges.probes import PROBES
from judges.runs import confirm_run, plan_run, work_on
from tests.accounts import client_of, make_member
from tests.judges.fake_llm import FakeEndpoint, make_arena, make_judge
from tests.judges.test_probe_a_judge import by_name, vain

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    return make_arena(prompts=8)


@pytest.fixture
def judge(arena, monkeypatch):
    return make_judge(arena, monkeypatch)


@pytest.fixture
def maintainer(arena):
    return client_of(make_member(arena, "maintainer"))


def address(judge) -> str:
    return f"/a/{judge.arena.slug}/judges/{judge.slug}/probes/"


def page_of(client, judge, status=200, **query) -> str:
    response = client.get(address(judge), query)
    assert response.status_code == status
    return response.content.decode()


def probe_it(judge, rule=vain, names=("swap", "attack-praise"), **limits) -> JudgeRun:
    run = plan_run(judge=judge, selection={}, probes={"names": list(names)}, **limits)
    return work_on(confirm_run(run=run), make_asker=FakeEndpoint(rule))


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_sentences_come_first_then_the_table_then_what_fooled_it(client, monkeypatch):
    monkeypatch.setattr("ratings.kept_figures.SLOW", -1)  # figures go through the cache
    judge = make_judge(make_arena(prompts=16), monkeypatch)
    run = probe_it(judge)
    page = page_of(client, judge)
    said = words(page)
    assert "decides the same on all 48 battles: it shows no noise of its own" in said
    assert "No verdicts" not in said
    praise = ProbeResult.objects.filter(probe="attack-praise")
    fooled = praise.filter(is_fooled=True)
    share = 1 - fooled.count() / 48
    assert f"attack: praise ({round(100 * (1 - share))} points)" in said
    assert said.index("More than noise moves it") < said.index("Beyond noise, points")
    assert said.index("Beyond noise, points") < said.index("Battles on which it was fooled")
    rows = client.get(address(judge), {"format": "json"}).json()["probes"]
    figures = {row["probe"]: row for row in rows}["attack-praise"]
    assert figures["unchanged"]["value"] == pytest.approx(share)
    assert figures["n_fooled"] == figures["n_towards"] == fooled.count()
    assert (figures["n_away"], figures["n"]) == (0, 48)
    assert figures["retest"]["value"] == 1
    # The changed text, as it was shown.
    assert page.count("<article") == min(10, fooled.count())
    assert any(phrase in page for phrase in ("flawlessly and in full", "outstanding quality"))
    assert str(run.pk) in page
    assert page_of(client, judge) == page
    assert client.get(address(judge), {"format": "csv"}).content.decode().count("\n") == 3


def test_what_strangers_wrote_is_escaped(client, judge, arena):
    arena.outputs.update(text="Ada <script>alert(1)</script> Basil Cleo")
    probe_it(judge, lambda lines: "first", names=["swap"])
    page = page_of(client, judge)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "favour the answer that comes first" in words(page)


def test_what_fooled_it_is_chosen_by_probe_and_paged_by_key(client, judge):
    probe_it(judge, lambda lines: "first", names=["swap", "padding"])
    first = page_of(client, judge, probe="swap")
    shown = [*map(int, re.findall(r'id="result-(\d+)"', first))]
    assert len(shown) == 10
    [after] = re.findall(r"after=(\d+)", first)
    assert int(after) == shown[-1]
    following = page_of(client, judge, probe="swap", after=after)
    assert min(map(int, re.findall(r'id="result-(\d+)"', following))) > shown[-1]
    assert "None." in page_of(client, judge, probe="padding")
    page_of(client, judge, status=404, probe="markup")
    page_of(client, judge, status=404, after="x")
    page_of(client, judge, status=404, run="0")
    page_of(client, judge, status=404, format="xml")


def test_battles_of_a_system_that_is_hidden_later_are_counted_and_shown_no_more(
    client, judge, arena, maintainer
):
    probe_it(judge, lambda lines: "first", names=["swap"])
    assert "24 battles on 8 prompts" in words(page_of(client, judge))
    System.objects.filter(slug="cleo").update(standing="withdrawn")
    page = page_of(client, judge)
    assert "8 battles on 8 prompts" in words(page)
    assert "Cleo" not in page
    # Figures are the same for everybody; whom the maintainer may know of, the list shows.
    theirs = page_of(maintainer, judge)
    assert "8 battles on 8 prompts" in words(theirs)
    assert "Cleo" in theirs


def test_a_run_under_way_shows_what_there_is_and_asks_for_more_until_it_is_over(
    client, judge, maintainer
):
    run = probe_it(judge, max_calls=50)
    assert run.state == "paused"
    page = page_of(client, judge)
    assert "The run has stopped at 50 of 96 calls" in words(page)
    assert "hx-get" not in page.split('id="figures"')[1].split(">")[0]
    JudgeRun.objects.filter(pk=run.pk).update(state="running")
    page = page_of(client, judge)
    assert "The judge is being asked: 50 of 96 calls" in words(page)
    assert f'hx-get="?run={run.pk}&amp;part=figures" hx-trigger="every 5s"' in page
    assert "Steer or cancel" not in page
    assert f"Steer or cancel run {run.pk}" in page_of(maintainer, judge)
    asked = {"run": run.pk, "part": "figures"}
    part = client.get(address(judge), asked, headers={"HX-Request": "true"}).content.decode()
    assert part.strip().startswith('<div id="figures"')
    assert "<h1" not in part
    JudgeRun.objects.filter(pk=run.pk).update(state="done")
    over = client.get(address(judge), asked, headers={"HX-Request": "true"})
    assert (over.headers["HX-Refresh"], over.content) == ("true", b"")
    few = JudgeRun.objects.get(pk=run.pk)
    ProbeResult.objects.filter(run=few).delete()
    few.done = 0
    few.save()
    assert "Too little has been compared" in page_of(client, judge)


def test_a_judge_that_was_not_probed_says_so_and_asks_no_figures(client, judge, arena, maintainer):
    assert "has not been probed yet" in page_of(client, judge)
    assert "Probe this judge" not in page_of(client, judge)
    assert "Probe this judge" in page_of(maintainer, judge)
    run = plan_run(judge=judge, selection={}, probes={"names": ["swap"]})
    assert "has not been probed yet" in page_of(client, judge)  # planned is not asked
    page_of(client, judge, status=404, run=run.pk)
    page_of(client, judge, status=404, format="json")
    assert address(judge) in client.get(address(judge).removesuffix("probes/")).content.decode()


def test_queries_do_not_grow_with_battles(client, judge, django_assert_max_num_queries):
    probe_it(judge, lambda lines: "first", names=list(PROBES)[:4])
    client.get(address(judge))
    with django_assert_max_num_queries(16):
        client.get(address(judge))


def test_a_maintainer_plans_probes_sees_the_price_and_confirms(maintainer, judge, arena):
    planning = f"/a/{arena.slug}/manage/judges/{judge.slug}/probe/"
    page = maintainer.get(planning).content.decode()
    assert all(probe.title in page for probe in PROBES.values())
    assert maintainer.post(planning, {"limit": ""}).status_code == 422
    sent = {"probes": ["swap", "markup"], "battles": "voted", "limit": "7", "seed": "3"}
    refused = maintainer.post(planning, sent | {"probes": ["nonsense"]})
    assert refused.status_code == 422
    sent |= {"battles": "existing", "budget": "2"}
    answer = maintainer.post(planning, sent)
    assert maintainer.post(planning, sent).url == answer.url  # a double click plans once
    run = JudgeRun.objects.get()
    assert answer.url == f"/a/{arena.slug}/runs/{run.pk}/"
    assert (run.state, run.probes["names"], run.probes["seed"]) == (
        "planned",
        ["swap", "markup"],
        3,
    )
    assert run.selection == {"battles": "existing", "limit": 7}
    plan = words(maintainer.get(answer.url).content.decode())
    assert "28 calls about 7 battles" in plan
    assert "Most it can cost" in plan
    assert "swap, markup: no verdicts are cast" in plan
    maintainer.post(answer.url, {"act": "confirm"})
    run.refresh_from_db()
    assert run.state == "queued"
    assert "The probes wait for a worker" in page_of(maintainer, judge)
    run = work_on(run, make_asker=FakeEndpoint(by_name))
    page = maintainer.get(answer.url).content.decode()
    assert "verdicts cast" not in page
    assert f"{address(judge)}?run={run.pk}" in page
    calls = maintainer.get(f"{answer.url}calls/").content.decode()
    assert "probe: nothing changed" in calls
    assert "probe: markup, " in calls
    [row] = json.loads(maintainer.get(f"/a/{arena.slug}/runs/?format=json").content)["runs"]
    assert (row["total"], row["verdicts"]) == (28, 0)


def test_the_noise_of_a_judge_is_said_before_its_weakness(client, judge):
    class Undecided(FakeEndpoint):
        async def ask(self, question, *, read):
            word = "tie" if question.repetition else "first"
            return await FakeEndpoint(lambda lines: word).ask(question, read=read)

    run = plan_run(judge=judge, selection={}, probes={"names": ["padding"]})
    work_on(confirm_run(run=run), make_asker=Undecided())
    said = words(page_of(client, judge))
    assert "decides the same on 0 % of 24 battles: the rest is its own noise" in said
    assert "No probe is shown to move it more than its own noise does." in said
