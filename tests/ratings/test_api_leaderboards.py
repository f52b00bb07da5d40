"""Leaderboards, snapshots and judge reports in the read API."""

import pytest
from django.test import Client

from judges.models import Judge, Outcome
from ratings import publications
from ratings.models import JudgeReport, Publication, Rating, Snapshot
from ratings.slices import Slice
from tests import cast
from tests.api_client import get, make_published_arena, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def arena(settings):
    settings.BOOTSTRAP_ROUNDS = 200
    return make_published_arena()


def only(path: str) -> dict:
    (row,) = rows(path)
    return row


def test_a_leaderboard_holds_the_ratings_of_its_latest_snapshot_best_first(arena):
    publication = Publication.objects.get(kind="leaderboard", judge=None)
    listed = only("arenas/poems/leaderboards/?judge=people")
    assert "ratings" not in listed["snapshot"]
    found = get(f"arenas/poems/leaderboards/{listed['id']}/")["snapshot"]
    assert found["id"] == publication.snapshot_id
    assert [row["rank"] for row in found["ratings"]] == [1, 2, 3, 4]
    for row in found["ratings"]:
        stored = Rating.objects.get(snapshot=publication.snapshot, system__slug=row["system"])
        columns = ("status", "rating", "lower", "upper", "rank_lower", "tier", "wins", "win_rate")
        assert [row[column] for column in columns] == [getattr(stored, c) for c in columns]


def test_systems_without_a_rank_come_last_with_the_reason(arena):
    cast.make_system(arena, "Zeno")
    publication = publications.publication_for(arena=arena, slice=Slice(judge="judge-llm"))
    cast.make_verdict(
        cast.make_battle(*arena.systems.all()[:2], cast.make_prompt(arena, "One more")),
        publication.judge,
        Outcome.TIE,
    )
    publications.refresh_now(publication)
    last = get(f"arenas/poems/leaderboards/{publication.pk}/")["snapshot"]["ratings"][-1]
    assert (last["system"], last["status"], last["rating"]) == ("zeno", "no_battles", None)


def test_leaderboards_by_judge_category_and_method(arena):
    for options in ({"category": "odes"}, {"method": "davidson"}, {"judge": "judge-llm"}):
        publications.refresh_now(publications.publication_for(arena=arena, slice=Slice(**options)))
    everything = rows("arenas/poems/leaderboards/")
    assert len(everything) == 4

    def slices(query: str) -> list[tuple]:
        return [
            tuple(row["snapshot"]["slice"][part] for part in ("judge", "category", "method"))
            for row in rows(f"arenas/poems/leaderboards/?{query}")
        ]

    assert slices("judge=judge-llm") == [("judge-llm", "", "bt")]
    assert slices("category=odes") == [("people", "odes", "bt")]
    assert slices("method=davidson") == [("people", "", "davidson")]
    assert slices("judge=people&category=&method=bt") == [("people", "", "bt")]
    assert len(slices("category=")) == 3
    for query in ("category=nothing", "judge=nobody", "method=guess"):
        get(f"arenas/poems/leaderboards/?{query}", status=400)


def test_asking_starts_no_computation(arena):
    before = Publication.objects.count()
    assert rows("arenas/poems/leaderboards/?method=elo") == []
    assert Publication.objects.count() == before


def test_a_leaderboard_that_was_never_computed_is_not_there(arena):
    publication = publications.publication_for(arena=arena, slice=Slice(method="elo"))
    get(f"arenas/poems/leaderboards/{publication.pk}/", status=404)


def test_a_simulated_judge_is_told_wherever_its_verdicts_count(arena):
    assert not any(row["snapshot"]["is_simulated"] for row in rows("arenas/poems/leaderboards/"))
    Judge.objects.filter(slug="judge-llm").update(is_simulated=True)
    told = {
        row["snapshot"]["slice"]["judge"]: row["snapshot"]["is_simulated"]
        for row in rows("arenas/poems/leaderboards/")
    }
    assert told == {"people": False, "judge-llm": True}
    assert only("arenas/poems/judge-reports/")["is_simulated"]
    Judge.objects.filter(slug="judge-llm").update(is_simulated=False)
    Judge.objects.filter(slug="people").update(is_simulated=True)
    assert only("arenas/poems/leaderboards/?judge=people")["snapshot"]["is_simulated"]
    assert only("arenas/poems/judge-reports/")["is_simulated"]


def test_the_history_of_a_leaderboard_and_what_is_current_of_it(arena):
    publication = publications.publication_for(arena=arena, slice=Slice(judge="judge-llm"))
    first = publication.snapshot
    cast.make_verdict(
        cast.make_battle(*arena.systems.all()[:2], cast.make_prompt(arena, "One more")),
        publication.judge,
        Outcome.B,
    )
    second = publications.refresh_now(publication).snapshot
    path = f"arenas/poems/snapshots/?slice_digest={first.slice_digest}"
    assert [row["id"] for row in rows(path)] == [first.pk, second.pk]
    assert [row["id"] for row in rows(f"{path}&current=true")] == [second.pk]
    assert [row["id"] for row in rows(f"{path}&current=false")] == [first.pk]
    assert rows(path)[1]["previous"] == first.pk
    get("arenas/poems/snapshots/?current=maybe", status=400)


def test_a_snapshot_tells_what_is_needed_to_compute_it_again(arena):
    snapshot = Snapshot.objects.first()
    found = get(f"arenas/poems/snapshots/{snapshot.pk}/")
    assert found["slice"] == snapshot.slice
    columns = ("data_digest", "seed", "rounds", "code_version", "last_verdict_id", "timings")
    assert [found[column] for column in columns] == [getattr(snapshot, c) for c in columns]
    assert len(found["ratings"]) == 4


def test_a_report_is_short_in_the_list_and_whole_by_itself(arena):
    report = JudgeReport.objects.get()
    listed = only("arenas/poems/judge-reports/?judge=judge-llm&reference=people&current=true")
    assert (listed["judge"], listed["tau"]) == ("judge-llm", report.tau)
    assert "figures" not in listed
    assert get(f"arenas/poems/judge-reports/{report.pk}/")["figures"] == report.figures


@pytest.mark.parametrize("noun", ["snapshots", "judge-reports"])
def test_what_never_changes_may_be_taken_from_a_cache(arena, noun):
    pk = rows(f"arenas/poems/{noun}/")[0]["id"]
    response = Client().get(f"/api/v1/arenas/poems/{noun}/{pk}/")
    assert set(response.headers["Cache-Control"].split(", ")) == {"public", "max-age=300"}
    again = Client().get(
        f"/api/v1/arenas/poems/{noun}/{pk}/", headers={"If-None-Match": response.headers["ETag"]}
    )
    assert again.status_code == 304


@pytest.mark.parametrize("more", [0, 8])
def test_the_number_of_queries_does_not_grow(arena, django_assert_num_queries, more):
    for number in range(more):
        cast.make_system(arena, f"Another {number}")
        publications.refresh_now(
            publications.publication_for(arena=arena, slice=Slice(ridge=0.1 * (number + 1)))
        )
    snapshot, report = Snapshot.objects.latest("pk"), JudgeReport.objects.get()
    publication = Publication.objects.get(snapshot=snapshot)
    expected = {
        "leaderboards/": 3,
        "leaderboards/?judge=people": 3,
        f"leaderboards/{publication.pk}/": 4,
        "snapshots/": 3,
        f"snapshots/{snapshot.pk}/": 4,
        "judge-reports/": 3,
        "judge-reports/?current=true": 3,
        f"judge-reports/{report.pk}/": 3,
    }
    for path, queries in expected.items():
        with django_assert_num_queries(queries):
            get(f"arenas/poems/{path}")
