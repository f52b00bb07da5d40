import csv
import io
import json

import pytest

from judges.models import Judge
from ratings.models import Publication
from tests import cast
from tests.ratings.judge_reports import (
    alt_test,
    estimate,
    figures,
    make_panel,
    make_publication,
    make_report,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    arena = cast.make_arena()
    cast.make_judge(arena)
    return arena


def page_of(client, arena, **query) -> str:
    response = client.get(f"/a/{arena.slug}/judges/", query)
    assert response.status_code == 200
    return response.content.decode()


def names(client, arena, **query) -> list[str]:
    response = client.get(f"/a/{arena.slug}/judges/", query)
    return [row.judge.name for row in response.context["rows"]]


def test_a_judge_stands_in_a_row_with_all_its_figures(client, arena):
    make_report(cast.make_judge(arena, "GPT-4", Judge.Kind.LLM))
    page = page_of(client, arena)
    for figure in (".54", ".41 to .63", ".66", "1.84", "1.50 to 2.20", ".085", ".35", "62\u202f%"):
        assert figure in page
    assert "exaggerates" in page
    assert 'href="/a/poems/judges/gpt-4/"' in page
    assert "One judge is compared with people: the closer" in page


def test_tau_is_drawn_on_one_scale_with_the_ceiling(client, arena):
    make_report(cast.make_judge(arena, "GPT-4", Judge.Kind.LLM))
    response = client.get("/a/poems/judges/")
    (row,) = response.context["rows"]
    assert (row.bar.at, row.bar.left, row.bar.right, row.ceiling_at) == (54, 41, 63, 66)
    assert '<circle class="dot" cx="54.0%"' in response.content.decode()


def test_a_scale_reaches_below_zero_for_who_needs_it(client, arena):
    judge = cast.make_judge(arena, "Contrarian", Judge.Kind.LLM)
    make_report(judge, figures={"tau": estimate(-0.5, -0.7, -0.3)})
    response = client.get("/a/poems/judges/")
    assert response.context["scale"].low == -1
    assert "−.50" in response.content.decode()


def test_people_are_the_reference_and_no_row(client, arena):
    page = page_of(client, arena)
    assert names(client, arena) == []
    assert 'href="/a/poems/judges/people/"' in page
    assert "This arena has no judge but people yet." in page


def test_an_arena_without_people_says_that_there_is_no_reference(client):
    assert "nothing to compare its judges with" in page_of(client, cast.make_arena("prose"))


def test_a_judge_without_a_report_says_why(client, arena):
    for name, fields in {
        "Asked for": {"stale_since": "2026-01-01T00:00Z"},
        "Failed": {"error": "ValueError: no systems", "attempts": 3},
        "Failed once": {"error": "ValueError: no systems", "attempts": 1},
    }.items():
        make_publication(cast.make_judge(arena, name, Judge.Kind.LLM), **fields)
    cast.make_judge(arena, "Not asked for", Judge.Kind.LLM)
    lonely = cast.make_judge(arena, "Lonely", Judge.Kind.LLM)
    make_report(lonely, figures={"tau": estimate(None, reason="They share no systems.")}, tau=None)
    response = client.get("/a/poems/judges/")
    assert {row.judge.name: row.why for row in response.context["rows"]} == {
        "Asked for": "The report is being computed.",
        "Failed": "The report could not be computed: ValueError: no systems.",
        "Failed once": "The report could not be computed: ValueError: no systems. "
        "It will be tried again.",
        "Not asked for": "No report yet: opening the judge’s page asks for one.",
        "Lonely": "They share no systems.",
    }
    assert "They share no systems." in response.content.decode()


def test_simulated_judges_are_labelled(client, arena):
    make_report(cast.make_judge(arena, "Juror", Judge.Kind.JURY, is_simulated=True))
    page = page_of(client, arena)
    assert ">simulated</span>" in page
    assert "their verdicts come from a simulation" in page


def test_the_table_sorts_both_ways_and_puts_the_unknown_last(client, arena):
    make_panel(arena, 3)
    cast.make_judge(arena, "Without", Judge.Kind.LLM)
    assert names(client, arena) == ["Judge 02", "Judge 01", "Judge 00", "Without"]
    assert names(client, arena, sort="tau") == ["Judge 00", "Judge 01", "Judge 02", "Without"]
    assert names(client, arena, sort="name") == ["Judge 00", "Judge 01", "Judge 02", "Without"]
    assert names(client, arena, sort="nonsense") == names(client, arena)


@pytest.mark.parametrize(
    ("column", "field"),
    [
        ("alpha", "alpha"),
        ("delta", "delta"),
        ("kappa", "kappa"),
        ("accuracy", "accuracy"),
        ("verdicts", "n_judge_verdicts"),
        ("systems", "n_systems"),
        ("battles", "n_battles"),
    ],
)
def test_every_column_sorts(client, arena, column, field):
    for name, value in {"Low": 1, "High": 3, "Middle": 2}.items():
        make_report(cast.make_judge(arena, name, Judge.Kind.LLM), **{field: value})
    assert names(client, arena, sort=column) == ["Low", "Middle", "High"]
    assert names(client, arena, sort=f"-{column}") == ["High", "Middle", "Low"]


def test_judges_can_be_chosen_by_kind(client, arena):
    cast.make_judge(arena, "GPT-4", Judge.Kind.LLM)
    cast.make_judge(arena, "Panel", Judge.Kind.JURY)
    assert names(client, arena, kind="jury") == ["Panel"]
    assert 'aria-current="true">Jury</a>' in page_of(client, arena, kind="jury")
    assert "There is no kind of judge called “&lt;b&gt;”." in page_of(client, arena, kind="<b>")
    assert "no judge of this kind" in page_of(client, arena, kind="cascade")


def test_the_table_downloads_as_csv(client, arena):
    make_report(cast.make_judge(arena, "=1+1", Judge.Kind.LLM, family="OpenAI"))
    cast.make_judge(arena, "Without", Judge.Kind.LLM)
    response = client.get("/a/poems/judges/?format=csv&sort=-tau")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    first, second = csv.DictReader(io.StringIO(response.content.decode()))
    # A spreadsheet would take the name for a formula.
    assert first["name"] == "'=1+1"
    assert (first["tau"], first["ceiling"], first["gaps"]) == ("0.54", "0.66", "exaggerates")
    assert (second["name"], second["tau"]) == ("Without", "")
    assert "No report yet" in second["note"]


def test_the_table_downloads_as_json(client, arena):
    make_report(cast.make_judge(arena, "GPT-4", Judge.Kind.LLM))
    content = json.loads(client.get("/a/poems/judges/?format=json").content)
    assert content["reference"] == "people"
    (row,) = content["judges"]
    assert (row["judge"], row["tau"], row["tau_lower"], row["battles"]) == ("gpt-4", 0.54, 0.41, 70)


def test_fifty_judges_take_as_many_queries_as_one(client, arena, django_assert_num_queries):
    make_panel(arena, 1)
    with django_assert_num_queries(5):
        page_of(client, arena)
    Judge.objects.filter(arena=arena, kind="llm").delete()
    make_panel(arena, 50)
    with django_assert_num_queries(5):
        page_of(client, arena)


def test_the_figures_of_all_reports_are_not_fetched_for_two_of_them(client, arena):
    make_panel(arena, 1)
    (row,) = client.get("/a/poems/judges/").context["rows"]
    assert "figures" in row.report.get_deferred_fields()
    assert row.ceiling.value == 0.66


def test_the_page_asks_for_nothing(client, arena):
    cast.make_judge(arena, "GPT-4", Judge.Kind.LLM)
    page_of(client, arena)
    assert not Publication.objects.exists()


def test_a_report_on_all_battles_is_not_taken_for_that_on_shared_ones(client, arena):
    judge = cast.make_judge(arena, "GPT-4", Judge.Kind.LLM)
    make_report(judge, battles="all")
    assert "No report yet" in page_of(client, arena)


def test_a_hidden_arena_is_not_found(client):
    cast.make_arena("secret", is_public=False)
    assert client.get("/a/secret/judges/").status_code == 404


def test_the_other_view_says_who_may_replace_people(client, arena):
    make_report(cast.make_judge(arena, "GPT-4", Judge.Kind.LLM))
    few = estimate(None, reason="0 of 2 people have 30 decisions that others share.")
    lonely = alt_test(passes=None, needed=77) | {"omega": few, "rho": few}
    make_report(
        cast.make_judge(arena, "Llama", Judge.Kind.LLM), figures=figures(alt_tests=[lonely])
    )
    # A report that was made before there was such a test.
    old = dict.fromkeys(("alt_tests", "brier"))
    make_report(cast.make_judge(arena, "Old", Judge.Kind.LLM), figures=figures(**old))
    page = page_of(client, arena, show="replacing")
    for words in (
        "doesn’t pass",
        "of 4 people",
        "321",
        "too few votes",
        "77",
        "who voted isn’t known",
    ):
        assert words in page
    assert ".113" in page
    assert ".081 to .152" in page
    assert 'href="?show=replacing&amp;kind=llm"' in page
    by_brier = names(client, arena, show="replacing", sort="brier")
    assert by_brier[-1] == "Old"
    rows = json.loads(client.get("/a/poems/judges/?format=json").content)["judges"]
    found = {
        row["name"]: (row["alt_test_passes"], row["omega"], row["votes_needed"]) for row in rows
    }
    assert found == {
        "GPT-4": (False, 0.25, 321),
        "Llama": (None, None, 77),
        "Old": (None, None, None),
    }
