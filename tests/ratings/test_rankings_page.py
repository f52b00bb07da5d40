"""The table of an arena's rankings: counted by a worker, only when something changed, and downloadable."""

import csv
import json
import random  # noqa: TID251 (who votes how is drawn, seeded)
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from arena.models import Output
from judges.exclusions import exclude_voter
from judges.models import RankedOutput, Ranking
from judges.rankings import cast_ranking, last_decided, next_ranking, undo_ranking
from judges.voters import crowd_of
from ratings import rankings
from ratings.engine import plackett_luce
from ratings.models import RankingReport
from tests.cast import make_arena, make_voter

pytestmark = pytest.mark.django_db
BETTER = {"Ada": 1.5, "Basil": 0.5, "Cleo": -0.5, "Dora": -1.5}


@pytest.fixture
def arena(small_arena):
    small_arena.rank_size = 3
    small_arena.is_open = True
    small_arena.save()
    return small_arena


def rank_all(arena, handle="carol", seed=1):
    """Every prompt: a voter who sees BETTER through noise, written without the verbs, which take their time."""
    rng = random.Random(seed)
    voter = make_voter(crowd_of(arena), handle)
    outputs = list(Output.objects.filter(arena=arena).select_related("system").order_by("pk"))
    for prompt in arena.prompts.order_by("pk"):
        ranking = Ranking.objects.create(
            arena=arena,
            prompt=prompt,
            voter=voter,
            state=Ranking.State.DECIDED,
            is_ordered=True,
            decided_at=timezone.now(),
        )
        shown = rng.sample([output for output in outputs if output.prompt_id == prompt.pk], 3)
        best = sorted(shown, key=lambda output: BETTER[output.system.name] + rng.gauss(0, 1))[::-1]
        RankedOutput.objects.bulk_create(
            RankedOutput(
                ranking=ranking,
                prompt=prompt,
                output=output,
                system=output.system,
                position=position,
                is_ordered=True,
                rank=best.index(output) + 1,
            )
            for position, output in enumerate(shown)
        )
    rankings.mark_stale(arena_id=arena.pk)
    return voter


def count(arena):
    rankings.refresh(rankings.report_of(arena=arena).pk)
    return RankingReport.objects.get(arena=arena)


@pytest.fixture
def ranked(arena):
    for number in range(12):
        rank_all(arena, f"voter {number}", seed=number)
    return arena


def page_of(client, arena, **query):
    return client.get(reverse("ratings:rankings", args=[arena.slug]), query)


def test_the_table_has_the_engines_order_with_intervals_and_counts(client, ranked):
    report = count(ranked)
    rows = report.figures["rows"]
    names = dict(ranked.systems.values_list("pk", "name"))
    assert [names[row["system"]] for row in rows] == list(BETTER)
    assert all(row["lower"] < row["rating"] < row["upper"] for row in rows)
    assert sum(row["n_rankings"] for row in rows) == 3 * 72
    assert (report.figures["n_rankings"], report.figures["n_voters"]) == (72, 12)
    assert abs(sum(row["rating"] for row in rows) / 4 - 1000) < 0.01
    page = page_of(client, ranked).content.decode()
    assert "4 systems ranked by people who put up to 3 answers" in page
    assert "72 rankings on 6 prompts by 12 voters" in page
    where = [page.index(f"<bdi>{name}</bdi>") for name in BETTER]
    assert where == sorted(where)


def test_before_the_first_count_the_page_waits_and_downloads_say_so(client, arena):
    assert b"counted for the first time" in page_of(client, arena).content
    response = page_of(client, arena, format="csv")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")


def test_without_rankings_it_says_what_to_do(client, arena):
    count(arena)
    assert b"Nobody has put answers in order yet" in page_of(client, arena).content


def test_one_ranking_ranks_nobody_and_says_why(client, arena):
    voter = make_voter(crowd_of(arena), "carol")
    cast_ranking(ranking=next_ranking(arena=arena, voter=voter), places={0: 1, 1: 2, 2: 3})
    count(arena)
    page = page_of(client, arena).content.decode()
    assert "Nobody can be ranked yet" in page
    assert "Not comparable" in page


def test_an_arena_that_never_asked_computes_nothing(client):
    arena = make_arena("battles-only")
    assert b"Nobody is asked to put answers in order here" in page_of(client, arena).content
    assert page_of(client, arena, format="json").status_code == 404
    assert not RankingReport.objects.exists()


def test_rankings_of_the_excluded_are_set_aside_and_it_says_so(client, ranked):
    before = count(ranked)
    voter = crowd_of(ranked).voters.get(handle="voter 3")
    exclude_voter(voter=voter, reason="ranks by <i>length</i>")
    assert rankings.due().get() == before  # without any signal: the sweeper sees it
    after = count(ranked)
    assert after.figures["n_rankings"] == 66
    assert after.basis != before.basis
    assert not rankings.due().exists()
    page = page_of(client, ranked).content.decode()
    assert "6 rankings of excluded voters set aside, not counted: 6 of 1 voter" in page
    assert "ranks by &lt;i&gt;length&lt;/i&gt;" in page


def test_what_is_taken_back_is_not_counted(client, ranked):
    count(ranked)
    voter = crowd_of(ranked).voters.get(handle="voter 3")
    undo_ranking(ranking=last_decided(voter=voter))
    report = RankingReport.objects.get()
    assert report.stale_since is not None
    assert b"Newer rankings are being counted" in page_of(client, ranked).content
    assert count(ranked).figures["n_rankings"] == 71
    assert b"1 ranking taken back" in page_of(client, ranked).content


def test_the_engine_is_asked_only_when_the_rankings_are_others(ranked, monkeypatch):
    first = count(ranked)
    calls = []
    real = plackett_luce.rate_rankings

    def rate(*args, **kwargs):
        calls.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(plackett_luce, "rate_rankings", rate)
    assert rankings.refresh(first.pk) is False
    rankings.mark_stale(arena_id=ranked.pk)
    assert rankings.refresh(first.pk) is True
    assert calls == []
    rank_all(ranked, "dan", seed=99)
    assert count(ranked).figures["n_rankings"] == 78
    assert calls == [1]


def test_the_same_rankings_give_the_same_numbers(ranked):
    first = count(ranked).figures
    RankingReport.objects.update(basis="", stale_since=timezone.now())
    assert count(ranked).figures == first


def test_a_failure_is_told_repeated_and_given_up(client, ranked, monkeypatch):
    report = count(ranked)

    def fail(*args, **kwargs):
        raise ArithmeticError("It didn't converge.")

    monkeypatch.setattr(rankings, "_figures", fail)
    rank_all(ranked, "dan", seed=99)
    for _ in range(rankings.MAX_ATTEMPTS):
        with pytest.raises(ArithmeticError):
            rankings.refresh(report.pk)
    assert rankings.refresh(report.pk) is False
    page = page_of(client, ranked).content.decode()
    assert "the last attempt to count them failed: ArithmeticError" in page
    assert "72 rankings" in page  # the last good table stays
    monkeypatch.undo()
    rank_all(ranked, "eve", seed=98)
    assert count(ranked).figures["n_rankings"] == 84


def test_a_report_that_a_dead_worker_left_is_found_again(ranked):
    report = count(ranked)
    long_ago = timezone.now() - timedelta(hours=1)
    RankingReport.objects.update(claimed_until=long_ago)
    assert rankings.due().get() == report
    assert rankings.sweep() == 1
    assert rankings.refresh(report.pk)


def test_the_worker_counts_what_the_message_asks_for(arena, django_capture_on_commit_callbacks):
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rankings, "_queue", lambda key, *, countdown: asked.append(key))
        voter = make_voter(crowd_of(arena), "carol")
        with django_capture_on_commit_callbacks(execute=True):
            for _ in range(2):
                ranking = next_ranking(arena=arena, voter=voter)
                cast_ranking(ranking=ranking, places={0: 1, 1: 2, 2: 3})
    assert asked == [RankingReport.objects.get().pk]


def test_csv_and_json_have_every_system(client, ranked):
    count(ranked)
    rows = list(csv.DictReader(page_of(client, ranked, format="csv").content.decode().splitlines()))
    assert [row["system"] for row in rows] == list(BETTER)
    assert sum(map(int, rows[0]["places"].split())) == int(rows[0]["n_rankings"])
    told = json.loads(page_of(client, ranked, format="json").content)
    assert told["method"] == "Plackett-Luce"
    assert [row["system"] for row in told["systems"]] == list(BETTER)
    assert (told["n_rankings"], told["n_set_aside"], told["interval"]) == (72, 0, "rankings")
    assert page_of(client, ranked, format="xml").status_code == 404


def test_rankings_of_many_prompts_are_clustered_by_prompt(ranked, monkeypatch):
    alone = count(ranked).figures
    monkeypatch.setattr(rankings, "MIN_PROMPTS_TO_CLUSTER", 6)
    RankingReport.objects.update(basis="", stale_since=timezone.now())
    together = count(ranked).figures
    assert (alone["interval"], together["interval"]) == ("rankings", "prompts")
    assert [row["rating"] for row in alone["rows"]] == [row["rating"] for row in together["rows"]]
    assert [row["sd"] for row in alone["rows"]] != [row["sd"] for row in together["rows"]]


def test_an_arena_that_is_not_public_shows_strangers_nothing(client, ranked):
    type(ranked).objects.update(is_public=False)
    assert page_of(client, ranked).status_code == 404


def test_the_leaderboard_links_to_it_only_where_it_is_asked(client, ranked):
    from ratings import publications

    publications.refresh_all(arena=ranked)
    address = reverse("ratings:rankings", args=[ranked.slug])
    leaderboard = reverse("ratings:leaderboard", args=[ranked.slug])
    assert address in client.get(leaderboard).content.decode()
    type(ranked).objects.update(rank_size=0)
    assert address not in client.get(leaderboard).content.decode()


def test_the_page_takes_a_constant_number_of_queries(client, ranked, django_assert_max_num_queries):
    count(ranked)
    assert Ranking.objects.count() == 72
    with django_assert_max_num_queries(6):
        page_of(client, ranked)
