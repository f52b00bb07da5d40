import csv
import io
import itertools

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from judges.models import Judge, Outcome
from ratings.models import Publication, Rating
from ratings.publications import MAX_ATTEMPTS
from tests import cast
from tests.ratings.published import hand_made, publish, text

URL = "/a/poems/leaderboard/"


def names(response) -> list[str]:
    return [row.rating.system.name for row in response.context["rows"]]


@pytest.fixture
def arena(db):
    arena = cast.make_arena()
    cast.make_judge(arena)
    return arena


def test_the_sentence_above_says_what_is_ranked_by_whom_and_from_how_much(small_arena, client):
    snapshot = publish(small_arena)
    words = text(client.get(URL))
    assert (
        f"{snapshot.n_ranked} systems ranked by people, from {snapshot.n_verdicts} verdicts on "
        f"{snapshot.n_battles} battles by 2 voters, computed just now" in words
    )


def test_every_row_has_a_rank_interval_a_rating_and_a_drawn_interval(arena, client):
    hand_made(arena, n_systems=5)
    html = client.get(URL).content.decode()
    assert ">1–2</td>" in html
    assert ">2–4</td>" in html
    assert "1,490" in html
    assert "1,470–1,510" in html
    assert html.count('<line class="whisker"') == 5


def test_all_rows_are_drawn_on_one_scale(arena, client):
    hand_made(arena, n_systems=5)
    response = client.get(URL)
    bars = [row.bar for row in response.context["rows"]]
    steps = {round(one.at - other.at, 1) for one, other in itertools.pairwise(bars)}
    assert len(steps) == 1
    assert steps.pop() > 0
    assert all(0 < bar.left < bar.at < bar.right < 100 for bar in bars)


def test_one_very_wide_interval_is_cut_rather_than_squeezing_the_others(arena, client):
    snapshot = hand_made(arena, n_systems=5)
    Rating.objects.filter(snapshot=snapshot, rank=5).update(lower=-9000)
    bars = [row.bar for row in client.get(URL).context["rows"]]
    assert [bar.cut_left for bar in bars] == [False, False, False, False, True]
    assert bars[0].right - bars[0].left > 15


def test_a_rule_opens_each_tier_when_rows_stand_by_rank_and_only_then(arena, client):
    hand_made(arena, n_systems=7)
    by_rank = client.get(URL)
    assert [row.opens_tier for row in by_rank.context["rows"]] == [False] * 3 + [True] + [
        False
    ] * 2 + [True]
    assert b'class="tier-start"' in by_rank.content
    assert b'class="tier-start"' not in client.get(URL, {"sort": "name"}).content


def test_the_sentence_below_says_what_was_left_out_and_why(arena, client):
    hand_made(arena, n_systems=3, unranked=("no_battles", "unbounded_above", "unbounded_above"))
    words = text(client.get(URL))
    assert (
        "Not ranked: 1 system (no verdicts yet); "
        "2 systems (unbounded: it never lost to a ranked system)." in words
    )
    assert "2 verdicts taken back, not counted." in words
    assert "by bootstrap by prompt, 1,000 rounds" in words
    assert "System 004" in words


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("", "System 000"),
        ("-rank", "System 004"),
        ("rating", "System 004"),
        ("-verdicts", "System 004"),
        ("-name", "System 004"),
        ("name", "System 000"),
        ("-change", "System 001"),
        ("change", "System 001"),
        ("password", "System 000"),
    ],
)
def test_rows_sort_by_the_address(arena, client, sort, first):
    hand_made(arena, n_systems=5)
    assert names(client.get(URL, {"sort": sort}))[0] == first


def test_a_header_sorts_and_turns_around_when_pressed_again(arena, client):
    hand_made(arena, n_systems=3)
    assert 'href="?sort=-verdicts"' in client.get(URL).content.decode()
    sorted_page = client.get(URL, {"sort": "-verdicts", "q": "System"}).content.decode()
    assert 'href="?sort=verdicts&amp;q=System"' in sorted_page
    assert 'aria-sort="descending"' in sorted_page


def test_search_finds_names_and_organisations(arena, client):
    hand_made(arena, n_systems=10)
    assert names(client.get(URL, {"q": "system 003"})) == ["System 003"]
    assert names(client.get(URL, {"q": "lab 2"})) == ["System 002", "System 009"]


def test_a_search_that_finds_nobody_says_so_and_leads_back(arena, client):
    hand_made(arena, n_systems=3)
    assert "No ranked system fits" in text(client.get(URL, {"q": "zebra"}))


def test_long_leaderboards_come_in_pages(arena, client):
    hand_made(arena, n_systems=130)
    first, second = client.get(URL), client.get(URL, {"page": 2})
    assert len(first.context["rows"]) == 100
    assert len(second.context["rows"]) == 30
    assert "Systems 101–130 of 130" in text(second)
    assert names(client.get(URL, {"page": "nonsense"})) == names(first)


@pytest.mark.parametrize("n_systems", [5, 50])
def test_queries_do_not_grow_with_systems(arena, client, n_systems):
    hand_made(arena, n_systems=n_systems, unranked=("no_battles",) * (n_systems // 5))
    with CaptureQueriesContext(connection) as queries:
        client.get(URL)
    assert len(queries) == 9, [query["sql"][:120] for query in queries]


def test_a_judge_has_a_leaderboard_of_its_own(small_arena, client):
    publish(small_arena, judge="judge-llm")
    response = client.get(URL, {"judge": "judge-llm"})
    assert "systems ranked by Judge LLM, from 36 verdicts" in text(response)


def test_a_category_narrows_the_prompts(small_arena, client):
    category = small_arena.categories.create(slug="short", name="Short")
    category.prompts.set(small_arena.prompts.all()[:3])
    publish(small_arena, category="short")
    words = text(client.get(URL, {"category": "short"}))
    assert "in category “Short”, from 36 verdicts on 18 battles" in words


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"judge": "nobody"}, "This arena has no judge “nobody”."),
        ({"category": "none"}, "This arena has no category “none”."),
        ({"criterion": "wit"}, "This arena has no criterion “wit”."),
        ({"method": "magic"}, "The method is one of bt, davidson, style, elo, not “magic”."),
        ({"format": "xls"}, "format is one of csv, json."),
    ],
)
def test_what_is_not_there_is_said_and_asks_for_no_work(small_arena, client, query, sentence):
    publish(small_arena)
    before = Publication.objects.count()
    response = client.get(URL, query)
    assert response.status_code == 404
    assert sentence in text(response)
    assert Publication.objects.count() == before


def test_a_crowd_under_its_own_name_is_people(arena, client):
    Judge.objects.filter(arena=arena).delete()
    cast.make_judge(arena, "Volunteers")
    hand_made(arena, n_systems=3)
    response = client.get(URL, {"judge": "volunteers"})
    assert response.context["chosen"].slice.judge == "people"


def test_simulated_people_are_called_simulated(arena, client):
    Judge.objects.filter(arena=arena).update(is_simulated=True)
    hand_made(arena, n_systems=3)
    assert "ranked by people simulated, from" in text(client.get(URL))


def test_a_new_leaderboard_is_asked_for_and_polls_until_it_is_there(small_arena, client):
    waiting = client.get(URL)
    assert "is being computed for the first time" in text(waiting)
    assert 'hx-trigger="every 2s"' in waiting.content.decode()
    publish(small_arena)
    done = client.get(URL).content.decode()
    assert "every 2s" not in done
    assert "every 5s" not in done


def test_a_leaderboard_that_failed_says_why_and_stops_polling_when_it_gave_up(small_arena, client):
    client.get(URL)
    Publication.objects.update(error="ValueError: the moon", attempts=1)
    trying = client.get(URL)
    assert "will be repeated: ValueError: the moon" in text(trying)
    assert "every 2s" in trying.content.decode()
    Publication.objects.update(attempts=MAX_ATTEMPTS)
    given_up = client.get(URL)
    assert "could not be computed" in text(given_up)
    assert "ValueError: the moon" in text(given_up)
    assert "every 2s" not in given_up.content.decode()


def test_while_newer_verdicts_are_counted_the_page_looks_for_a_newer_leaderboard(
    small_arena, client
):
    seen = publish(small_arena)
    Publication.objects.update(stale_since=timezone.now())
    stale = client.get(URL)
    assert "Newer verdicts are being counted." in text(stale)
    assert f"part=freshness&amp;seen={seen.pk}" in stale.content.decode()
    battle = small_arena.battles.first()
    voter = cast.make_voter(Judge.objects.get(slug="people"), "carol")
    cast.make_verdict(battle, voter.judge, Outcome.A, voter)
    publish(small_arena)
    asked = {"part": "freshness", "seen": seen.pk}
    poll = client.get(URL, asked)
    assert "A newer leaderboard is there" in text(poll)
    assert "every 5s" not in poll.content.decode()


def test_the_csv_holds_the_whole_leaderboard_and_where_it_is_from(arena, client):
    snapshot = hand_made(arena, n_systems=130, unranked=("no_battles",))
    response = client.get(URL, {"format": "csv", "q": "003", "page": "2"})
    assert response.headers["Content-Disposition"].endswith('"poems-leaderboard-people-bt.csv"')
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert len(rows) == 131
    assert {row["data_digest"] for row in rows} == {snapshot.data_digest}
    assert rows[0]["system"] == "System 000"
    assert float(rows[0]["rating"]) == 1490
    assert rows[-1]["status"] == "no_battles"


def test_a_name_that_looks_like_a_formula_is_defused_in_the_csv(arena, client):
    snapshot = hand_made(arena, n_systems=2)
    system = snapshot.ratings.get(rank=1).system
    system.name = "=HYPERLINK(1)"
    system.save()
    assert "'=HYPERLINK(1)" in client.get(URL, {"format": "csv"}).content.decode()


def test_the_json_is_the_snapshot(arena, client):
    snapshot = hand_made(arena, n_systems=4)
    content = client.get(URL, {"format": "json"}).json()
    assert content["snapshot"] == snapshot.pk
    assert content["seed"] == 1
    assert [row["rating"] for row in content["systems"]] == [1490, 1480, 1470, 1460]


def test_a_download_before_there_is_anything_says_when_to_come_back(small_arena, client):
    response = client.get(URL, {"format": "csv"})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"


def test_an_arena_without_people_is_ranked_by_its_first_judge(arena, client):
    Judge.objects.filter(arena=arena).delete()
    cast.make_judge(arena, "Robot", Judge.Kind.LLM)
    response = client.get(URL)
    assert response.context["chosen"].slice.judge == "robot"


def test_an_empty_arena_says_that_nobody_can_be_ranked(arena, client):
    cast.make_system(arena, "Ada")
    publish(arena)
    words = text(client.get(URL))
    assert "Nobody can be ranked yet" in words
    assert "Not ranked: 1 system (no verdicts yet)." in words


def test_a_private_arena_is_not_shown_to_strangers(arena, client, admin_client):
    hand_made(arena, n_systems=3)
    type(arena).objects.update(is_public=False)
    assert client.get(URL).status_code == 404
    assert admin_client.get(URL).status_code == 200


def test_the_top_five_come_as_a_part_or_as_a_page(arena, client):
    hand_made(arena, n_systems=9)
    part = client.get(f"{URL}top/", headers={"HX-Request": "true"})
    assert len(part.context["rows"]) == 5
    assert b"<html" not in part.content
    assert "HX-Request" in part.headers["Vary"]
    assert b"<html" in client.get(f"{URL}top/").content


def test_names_from_strangers_are_escaped(arena, client):
    snapshot = hand_made(arena, n_systems=2)
    system = snapshot.ratings.get(rank=1).system
    system.name = "<script>alert(1)</script>"
    system.organisation = '"><img src=x onerror=alert(1)>'
    system.save()
    html = client.get(URL).content.decode()
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)" in html
