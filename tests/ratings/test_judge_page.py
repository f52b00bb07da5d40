import csv
import io
import json
import re

import pytest
from django.utils import timezone

from judges.models import Judge
from ratings import publications
from ratings.models import JudgeReport, Publication, Snapshot
from ratings.slices import Slice
from tests import cast
from tests.ratings.judge_reports import (
    estimate,
    figures,
    make_publication,
    make_report,
    system_row,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena():
    return cast.make_arena()


@pytest.fixture
def people(arena):
    return cast.make_judge(arena)


@pytest.fixture
def gpt4(arena, people):
    for name in ("Ada", "Basil", "Cleo"):
        cast.make_system(arena, name)
    return cast.make_judge(arena, "GPT-4", Judge.Kind.LLM, family="OpenAI")


def address(judge: Judge) -> str:
    return f"/a/{judge.arena.slug}/judges/{judge.slug}/"


def page_of(client, judge, **query) -> str:
    response = client.get(address(judge), query)
    assert response.status_code == 200
    return response.content.decode()


# --- the report -----------------------------------------------------------------------------------


def test_words_come_first_and_each_leads_to_its_figure(client, gpt4):
    make_report(gpt4)
    page = page_of(client, gpt4)
    sentences = re.findall(r'<a href="#([a-z]+)">([^<]+)</a>\. ', page)
    assert sentences == [
        ("agreement", "This judge ranks systems about as people do (τ .54 of a possible .66)"),
        ("decisiveness", "It exaggerates gaps (α 1.84)"),
        ("bias", "It favours Ada by 9 points, and is hard on Cleo by 7 points"),
        ("bias", "It favours systems of its own family (OpenAI) by 9 points"),
        (
            "battles",
            "On single battles it decides as most people do 62\u202f% of the time, "
            "agreeing fairly (κ .35)",
        ),
        (
            "style",
            "It prefers the longer output more often than people "
            "(71\u202f% of the time, people 58\u202f%)",
        ),
        (
            "replacing",
            "By the alt-test it may not replace one of the people here "
            "(of 4 people it is as good as 25\u202f%, ε .10)",
        ),
    ]
    for anchor, _ in sentences:
        assert f'id="{anchor}"' in page
    assert page.index(sentences[0][1]) < page.index("<figure")


def test_every_figure_has_its_n_interval_table_and_definition(client, gpt4):
    make_report(gpt4)
    page = page_of(client, gpt4)
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 3
    for figure in figures:
        assert "n = 3" in figure
        assert re.search(r"\(−?[\d.]+ to [\d.]+\)", figure)
        assert "<table>" in figure
        assert "How it is computed" in figure
        assert "format=csv" in figure


def test_the_confusion_table_has_people_in_rows(client, gpt4):
    make_report(gpt4)
    table = re.search(
        r'<table class="confusion">.*?</table>', page_of(client, gpt4), re.DOTALL
    ).group()
    rows = re.findall(r'<th scope="row">(\w+)</th>(.*?)</tr>', table, re.DOTALL)
    read = {name: [int(n) for n in re.findall(r">(\d+)[ <]", cells)] for name, cells in rows}
    assert read == {"A": [20, 6, 4, 30], "B": [5, 18, 2, 25], "tie": [7, 5, 3, 15]}


def test_notes_and_warnings_are_shown(client, gpt4):
    warned = estimate(0.7, 0.6, 0.8, warnings=["Its α is far too small."])
    make_report(gpt4, figures={"alpha_least_squares": warned})
    page = page_of(client, gpt4)
    assert "Only 3 systems are ranked by both" in page
    assert "Its α is far too small." in page


def test_figures_that_the_data_cannot_support_give_their_reason(client, gpt4):
    nothing = estimate(None, reason="They share no battle.")
    names = ("tau", "ceiling", "alpha", "alpha_least_squares", "delta", "delta_corrected")
    missing = dict.fromkeys((*names, "family_bias", "krippendorff"), nothing)
    for empty in (None, []):
        JudgeReport.objects.all().delete()
        Publication.objects.all().delete()
        make_report(
            gpt4,
            figures=missing
            | dict.fromkeys(("accuracy", "kappa", "kappa_without_ties", "confusion"))
            | dict.fromkeys(("systems", "pairs", "notes"), empty),
        )
        page = page_of(client, gpt4)
        assert page.count("They share no battle.") == 3
        assert "Too few data to say whether it ranks systems as people do" in page
        assert "No battle was decided by both" in page
        assert "<figure" not in page


def test_shared_battles_are_the_default_and_all_are_a_link_away(client, gpt4):
    make_report(gpt4)
    make_report(gpt4, battles="all", figures={"tau": estimate(0.11, 0.02, 0.2)})
    shared, everything = page_of(client, gpt4), page_of(client, gpt4, battles="all")
    assert "τ .54 of" in shared
    assert "τ .11 of" in everything
    assert 'href="?battles=all">' in shared
    assert '?battles=shared">' in everything
    assert client.get(address(gpt4), {"battles": "some"}).status_code == 404


def test_a_report_that_new_verdicts_outdated_is_shown_and_says_so(client, gpt4):
    make_report(gpt4)
    Publication.objects.update(stale_since=timezone.now())
    page = page_of(client, gpt4)
    assert "it is being computed anew" in page
    assert "hx-trigger" not in page


def test_a_name_cannot_break_the_page(client, gpt4):
    bad = system_row("Ada") | {"name": "<img src=x onerror=alert(1)>\u202e"}
    make_report(gpt4, figures={"systems": [bad, system_row("Basil"), system_row("Cleo")]})
    page = page_of(client, gpt4)
    assert "<img" not in page
    assert "\u202e" not in page


def test_a_report_of_many_systems_lists_some_and_links_to_all(client, gpt4):
    systems = [system_row(f"S{number}", bias=number / 1000) for number in range(250)]
    make_report(gpt4, figures={"systems": systems})
    page = page_of(client, gpt4)
    assert "50 more systems are in the CSV." in page
    assert "of which the 60 at both ends are shown" in page
    rows = client.get(address(gpt4), {"format": "csv"}).content.decode().splitlines()
    assert len(rows) == 251


def test_the_page_takes_as_many_queries_for_many_systems(client, gpt4, django_assert_num_queries):
    make_report(gpt4)
    with django_assert_num_queries(3):
        page_of(client, gpt4)
    JudgeReport.objects.all().delete()
    Publication.objects.all().delete()
    make_report(gpt4, figures={"systems": [system_row(f"S{n}") for n in range(60)]})
    with django_assert_num_queries(3):
        page_of(client, gpt4)


# --- waiting for it -------------------------------------------------------------------------------


def test_a_judge_without_a_report_has_one_asked_for_and_the_page_waits(client, gpt4):
    page = page_of(client, gpt4)
    assert "The report is being computed." in page
    assert 'hx-trigger="every 2s"' in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert Publication.objects.get(judge=gpt4).stale_since is not None


def test_the_waiting_stops_by_itself(client, gpt4):
    page_of(client, gpt4)
    Publication.objects.all().delete()
    make_report(gpt4)
    answer = client.get(address(gpt4), headers={"HX-Request": "true"}).content.decode()
    assert answer.lstrip().startswith('<div id="report">')
    assert "hx-trigger" not in answer
    assert "<figure" in answer


def test_a_failure_is_told_and_ends_the_waiting(client, gpt4):
    make_publication(gpt4, error="ValueError: no <systems>", attempts=publications.MAX_ATTEMPTS)
    page = page_of(client, gpt4)
    assert "could not be computed: ValueError: no &lt;systems&gt;." in page
    assert "hx-trigger" not in page
    assert "http-equiv" not in page


# --- charts and downloads -------------------------------------------------------------------------


def test_a_chart_comes_as_json_from_the_address_on_the_page(client, gpt4):
    make_report(gpt4)
    addresses = re.findall(r'data-chart="([^"]+)"', page_of(client, gpt4))
    assert len(addresses) == 3
    for query in addresses:
        response = client.get(address(gpt4) + query.replace("&amp;", "&"))
        figure = json.loads(response.content)
        assert figure["data"]
        assert figure["layout"]["xaxis"]["title"]["text"]


def test_a_chart_of_another_judges_report_is_not_found(client, arena, gpt4):
    report = make_report(cast.make_judge(arena, "Other", Judge.Kind.LLM))
    query = {"figure": "bias", "report": report.pk}
    assert client.get(address(gpt4), query).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        {"figure": "nothing", "report": "1"},
        {"figure": "bias"},
        {"figure": "bias", "report": "x"},
        {"figure": "bias", "report": "9" * 30},
        {"format": "xml"},
        {"format": "csv", "table": "users"},
    ],
)
def test_what_there_is_not_is_not_found(client, gpt4, query):
    report = make_report(gpt4)
    query = {key: str(report.pk) if value == "1" else value for key, value in query.items()}
    assert client.get(address(gpt4), query).status_code == 404


def test_a_download_without_a_report_is_not_found(client, gpt4):
    assert client.get(address(gpt4), {"format": "json"}).status_code == 404


def test_all_figures_download_as_json_with_what_they_were_computed_from(client, gpt4):
    report = make_report(gpt4)
    content = json.loads(client.get(address(gpt4), {"format": "json"}).content)
    assert content["figures"] == report.figures
    assert content["data_digest"] == report.data_digest
    assert content["judge_digest"] == gpt4.digest
    assert content["n"]["judge_verdicts"] == 70


@pytest.mark.parametrize(
    ("table", "first"),
    [
        ("systems", {"slug": "ada", "bias": "0.09", "judge_rating": "1100.0"}),
        ("pairs", {"reference_win_rate": "0.62", "judge_win_rate": "0.8", "n": "12"}),
        ("confusion", {"reference": "A", "judge_A": "20", "judge_B": "6", "judge_tie": "4"}),
    ],
)
def test_every_table_downloads_as_csv(client, gpt4, table, first):
    make_report(gpt4)
    response = client.get(address(gpt4), {"format": "csv", "table": table})
    row = next(csv.DictReader(io.StringIO(response.content.decode())))
    assert first.items() <= row.items()


# --- who it is ------------------------------------------------------------------------------------


def test_the_page_says_who_the_judge_is_and_keeps_its_secrets(client, arena, people):
    judge = cast.make_judge(
        arena,
        "Juror",
        Judge.Kind.JURY,
        is_simulated=True,
        family="Mistral",
        description="A **panel** of three.",
        configuration={"temperature": 0, "api_key": "sk-0123456789abcdefghij"},
    )
    make_report(judge)
    page = page_of(client, judge)
    for part in (
        "Jury, simulated",
        "Mistral",
        "<strong>panel</strong>",
        "temperature",
        "Simulated.",
    ):
        assert part in page
    assert "0123456789abcdefghij" not in page
    assert judge.digest in page


def test_people_are_the_reference_and_agree_with_each_other_so_far(client, people, gpt4):
    make_report(gpt4)
    page = page_of(client, people)
    assert "People are the reference" in page
    for figure in (".29", ".27 to .31", ".66", ".60 to .71"):
        assert figure in page
    assert 'href="/a/poems/judges/gpt-4/"' in page
    assert not Publication.objects.filter(kind="report").exclude(judge=gpt4).exists()


def test_people_without_a_judge_beside_them_have_no_figures_yet(client, people):
    page = page_of(client, people)
    assert "measured together with the first judge" in page
    assert "Their ranking is being computed." in page


def test_the_page_of_people_counts_what_their_ranking_rests_on(client, arena, people):
    publication = publications.publication_for(arena=arena, slice=Slice())
    publication.snapshot = Snapshot.objects.create(
        arena=arena,
        slice=Slice().as_json(),
        slice_digest=Slice().digest,
        data_digest="d",
        seed=1,
        code_version="test",
        interval="prompts",
        rounds=1000,
        n_verdicts=8931,
        n_battles=2139,
        n_prompts=13,
        n_voters=124,
        n_ranked=59,
    )
    publication.save()
    page = page_of(client, people)
    assert "8,931 votes by 124 voters on 2,139 battles" in page


def test_simulated_people_are_labelled(client, arena):
    crowd = cast.make_judge(arena, "Crowd", is_simulated=True)
    assert "These people are not real" in page_of(client, crowd)


def test_a_judge_that_is_not_there_is_not_found(client, arena, gpt4):
    cast.make_arena("prose")
    for slug in ("nobody", "%00", "%ED%A0%80"):
        assert client.get(f"/a/poems/judges/{slug}/").status_code == 404
    assert client.get("/a/prose/judges/gpt-4/").status_code == 404
    arena.is_public = False
    arena.save()
    assert client.get(address(gpt4)).status_code == 404


def test_a_real_report_fills_the_page(client, small_arena):
    """What ratings.reports writes is what the page reads."""
    judge = Judge.objects.get(arena=small_arena, kind=Judge.Kind.LLM)
    publications.refresh_now(publications.report_for(arena=small_arena, judge=judge))
    response = client.get(address(judge))
    page = response.content.decode()
    report = response.context["report"]
    assert report.tau is not None
    assert "This judge ranks systems" in page or "Too few data to say whether it ranks" in page
    for name in ("systems", "confusion"):
        assert report.figures[name]
    assert "<figure" in page
    assert page_of(client, Judge.objects.get(arena=small_arena, kind=Judge.Kind.CROWD))


def test_it_says_whether_the_judge_may_replace_people_without_naming_one(client, gpt4):
    make_report(gpt4)
    page = page_of(client, gpt4)
    for words in ("doesn’t pass", "<strong>passes</strong>", "about 321", "4 of 9", ".74 to .84"):
        assert words in page
    assert "Agreement with confidence" in page
    table = page_of(client, gpt4, format="csv", table="people")
    assert table.splitlines() == [
        "n,judge,person,p_epsilon_0.2,p_epsilon_0.15,p_epsilon_0.1",
        "44,0.81,0.8,0.001,0.01,0.0441",
    ]


def test_where_nobody_is_known_the_test_is_not_made_up(client, gpt4):
    make_report(gpt4, figures=figures(alt_tests=[], alt_test_people=[]))
    page = page_of(client, gpt4)
    assert "It isn’t known who cast the votes here" in page
    assert "may replace one of" not in page


def test_style_stands_beside_that_of_people(client, gpt4):
    make_report(gpt4)
    page = page_of(client, gpt4)
    for words in ("the longer output (by more", "+13.0", "+8.0 to +18.0", "Too few for this."):
        assert words in page
