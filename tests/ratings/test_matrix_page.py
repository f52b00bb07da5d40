import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import cast
from tests.ratings.published import hand_made, publish, text

URL = "/a/poems/matrix/"


@pytest.fixture
def arena(db):
    arena = cast.make_arena()
    cast.make_judge(arena)
    return arena


def test_a_cell_is_the_win_rate_of_its_row_against_its_column(small_arena, client):
    publish(small_arena)
    matrix = client.get(URL).context["matrix"]
    cells = {
        (cell.row.system.slug, cell.column.system.slug): cell for _, row in matrix for cell in row
    }
    assert len(cells) == 16
    # On every third prompt both voters differ; see the cast: Ada beats Basil in 8 of 12.
    assert cells["ada", "basil"].record.win_rate == pytest.approx(8 / 12)
    assert cells["basil", "ada"].record.win_rate == pytest.approx(4 / 12)
    assert cells["ada", "ada"].is_self


def test_rows_and_columns_stand_in_the_order_of_ratings(small_arena, client):
    publish(small_arena)
    response = client.get(URL)
    rows = [rating.rank for rating, _ in response.context["matrix"]]
    assert rows == [1, 2, 3, 4]
    assert [rating.rank for rating in response.context["columns"]] == rows


def test_colours_are_centred_on_one_half(small_arena, client):
    publish(small_arena)
    for _, row in client.get(URL).context["matrix"]:
        for cell in row:
            if cell.record:
                assert cell.side == ("win" if cell.record.win_rate >= 0.5 else "loss")
                assert cell.away == pytest.approx(abs(2 * cell.record.win_rate - 1), abs=1e-3)


def test_a_cell_says_on_how_many_verdicts_it_rests(small_arena, client):
    publish(small_arena)
    assert 'title="12 verdicts">67</td>' in client.get(URL).content.decode()


def test_systems_that_never_met_have_a_dot(small_arena, client):
    one, other = small_arena.systems.order_by("pk")[:2]
    small_arena.verdicts.filter(pair__system_a=one, pair__system_b=other).delete()
    publish(small_arena)
    html = client.get(URL).content.decode()
    assert html.count('aria-label="never met"') == 2


def test_headers_belong_to_rows_and_columns(small_arena, client):
    publish(small_arena)
    html = client.get(URL).content.decode()
    assert html.count('<th scope="row"') == 4
    assert html.count('<th scope="col"') == 4


def test_large_matrices_show_the_best_forty_first(arena, client):
    hand_made(arena, n_systems=90)
    response = client.get(URL)
    assert len(response.context["columns"]) == 40
    assert "Rows: systems 1–40 of 90" in text(response)
    other = client.get(URL, {"page": "3", "columns": "1"})
    assert [rating.rank for rating, _ in other.context["matrix"]] == list(range(81, 91))
    assert other.context["columns"][0].rank == 1


def test_the_csv_has_every_ordered_pair(arena, client):
    hand_made(arena, n_systems=45)
    rows = list(csv.DictReader(io.StringIO(client.get(URL, {"format": "csv"}).content.decode())))
    assert len(rows) == 45 * 44
    by_pair = {(row["system"], row["opponent"]): row for row in rows}
    # Hand-made: the earlier system of each pair wins twice, loses once, ties once.
    assert by_pair["s-0", "s-44"]["wins"] == "2"
    assert by_pair["s-44", "s-0"]["wins"] == "1"
    assert float(by_pair["s-0", "s-44"]["win_rate"]) == 0.625
    assert {row["n_verdicts"] for row in rows} == {"4"}


def test_the_json_has_the_same_pairs_and_says_where_they_are_from(arena, client):
    snapshot = hand_made(arena, n_systems=5)
    response = client.get(URL, {"format": "json"})
    assert 'filename="poems-win-rates-people.json"' in response.headers["Content-Disposition"]
    content = response.json()
    assert (content["arena"], content["snapshot"]) == ("poems", snapshot.pk)
    assert content["slice"]["judge"] == "people"
    assert content["data_digest"] == snapshot.data_digest
    rows = csv.DictReader(io.StringIO(client.get(URL, {"format": "csv"}).content.decode()))
    assert [{k: str(v) for k, v in pair.items()} for pair in content["pairs"]] == list(rows)
    assert len(content["pairs"]) == 5 * 4
    assert "format=json" in client.get(URL).content.decode()


def test_an_unknown_format_is_said(arena, client):
    hand_made(arena, n_systems=3)
    response = client.get(URL, {"format": "xml"})
    assert response.status_code == 404
    assert "format is one of csv, json" in response.content.decode()


@pytest.mark.parametrize("n_systems", [5, 40])
def test_queries_do_not_grow_with_systems(arena, client, n_systems):
    hand_made(arena, n_systems=n_systems)
    with CaptureQueriesContext(connection) as queries:
        client.get(URL)
    assert len(queries) == 7, [query["sql"][:120] for query in queries]


def test_while_there_is_nothing_the_page_says_so_and_polls(small_arena, client):
    response = client.get(URL)
    assert "being computed" in text(response)
    assert "every 2s" in response.content.decode()


def test_an_unknown_judge_is_not_found(small_arena, client):
    assert client.get(URL, {"judge": "nobody"}).status_code == 404
