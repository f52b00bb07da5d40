import json

import numpy as np
import pytest
from scipy.special import betainc

from ratings import charts
from ratings.report_tables import bias_order, confusion_rows, win_rate_bins
from tests.ratings.judge_reports import figures, system_row


@pytest.mark.parametrize("alpha", [0.05, 0.3, 0.64, 1, 1.84, 4.8, 20, 200, 5000])
def test_the_curve_is_that_of_the_beta_distribution(alpha):
    ours = charts.beta_curve(alpha, steps=50)
    theirs = betainc(alpha, alpha, np.arange(51) / 50)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_scatter_has_people_on_x_with_their_intervals():
    chart = charts.rating_scatter(figures()["systems"], judge="GPT-4")
    diagonal, dots = chart["data"]
    assert dots["x"] == [1050, 1030, 1010]
    assert dots["y"] == [1100, 1050, 1000]
    assert dots["error_x"]["array"] == [20, 20, 20]
    assert dots["error_y"]["arrayminus"] == [40, 40, 40]
    assert diagonal["x"] == diagonal["y"]
    assert chart["layout"]["yaxis"]["title"]["text"] == "Rating by GPT-4 (Elo points)"


def test_a_system_that_one_side_does_not_rank_is_left_out():
    unranked = system_row("Dora") | {"judge_rating": None, "judge_lower": None, "judge_upper": None}
    chart = charts.rating_scatter([system_row("Ada"), unranked], judge="GPT-4")
    assert chart["data"][-1]["text"] == ["Ada"]
    assert charts.rating_scatter([unranked], judge="GPT-4") is None


def test_there_is_no_diagonal_where_the_axes_share_nothing():
    apart = system_row("Ada") | {"judge_rating": 2000, "judge_lower": 1900, "judge_upper": 2100}
    chart = charts.rating_scatter([apart], judge="GPT-4")
    assert [trace["mode"] for trace in chart["data"]] == ["markers"]


def test_every_pair_is_drawn_from_both_sides():
    chart = charts.decisiveness([[0.7, 0.9, 12]], alpha=None, judge="GPT-4")
    diagonal, cloud = chart["data"]
    assert list(zip(cloud["x"], cloud["y"], cloud["customdata"], strict=True)) == [
        (0.7, 0.9, 12),
        (0.3, 0.1, 12),
    ]
    assert diagonal["x"] == [0, 1]


def test_the_fitted_curve_lies_in_its_band():
    chart = charts.decisiveness(
        [[0.7, 0.9, 12]], alpha={"value": 1.84, "lower": 1.5, "upper": 2.2}, judge="GPT-4"
    )
    band, curve = chart["data"][2:]
    quarter = charts.CURVE_STEPS // 4
    there, back = band["y"][quarter], band["y"][::-1][quarter]
    # A larger α lies lower on the left half.
    assert back < curve["y"][quarter] < there
    assert band["fill"] == "toself"


def test_a_curve_without_an_interval_has_no_band():
    alpha = {"value": 1.84, "lower": None, "upper": None}
    chart = charts.decisiveness([[0.7, 0.9, 12]], alpha=alpha, judge="GPT-4")
    assert [trace["name"] for trace in chart["data"]][2:] == ["α = 1.84"]


def test_of_too_many_pairs_those_with_most_verdicts_are_drawn():
    pairs = [[0.5, 0.5, n] for n in range(charts.MOST_PAIRS + 10)]
    cloud = charts.decisiveness(pairs, alpha=None, judge="GPT-4")["data"][1]
    assert len(cloud["x"]) == 2 * charts.MOST_PAIRS
    assert min(cloud["customdata"]) == 10


def test_the_most_favoured_system_is_on_top():
    chart = charts.biases(figures()["systems"])
    dots = chart["data"][1]
    assert chart["layout"]["yaxis"]["ticktext"] == ["Cleo", "Basil", "Ada"]
    assert dots["y"] == [0, 1, 2]
    assert dots["x"] == [-0.07, -0.02, 0.09]
    assert dots["error_x"]["array"] == pytest.approx([0.04] * 3)


def test_of_many_biases_both_ends_are_drawn():
    systems = [system_row(f"S{n:03}", bias=n / 1000) for n in range(100)]
    chart = charts.biases(systems)
    assert len(chart["data"][1]["x"]) == charts.MOST_BIASES
    assert (chart["data"][1]["x"][0], chart["data"][1]["x"][-1]) == (0, 0.099)
    assert 0.05 not in chart["data"][1]["x"]


def test_charts_of_nothing_are_none():
    assert charts.biases([system_row("Ada", bias=None)]) is None
    assert charts.decisiveness([], alpha=None, judge="GPT-4") is None
    assert charts.rating_scatter([], judge="GPT-4") is None


def test_plotly_reads_no_tags_in_names():
    hostile = '<a href="https://evil.example">Ada</a>\u202e'
    systems = [system_row("Ada") | {"name": hostile}]
    for chart in (
        charts.rating_scatter(systems, judge=hostile),
        charts.biases(systems),
        charts.decisiveness([[0.7, 0.9, 12]], alpha=None, judge=hostile),
    ):
        text = json.dumps(chart, ensure_ascii=False)
        assert "<a" not in text
        assert "\u202e" not in text


def test_a_long_name_is_cut_before_it_is_escaped():
    chart = charts.biases([system_row("Ada") | {"name": "x" * 38 + "<<<<"}])
    assert chart["layout"]["yaxis"]["ticktext"] == ["x" * 38 + "&lt;…"]


def test_colours_are_those_of_the_stylesheet():
    text = json.dumps(charts.biases(figures()["systems"]))
    assert '"var(--accent)"' in text
    assert "#" not in text


# --- the tables under them ------------------------------------------------------------------------


def test_pairs_are_binned_from_their_stronger_side():
    # 40 % is the same pair as 60 % from the other side.
    first, second = win_rate_bins([[0.62, 0.8, 12], [0.38, 0.4, 8], [1.0, 0.9, 5]])
    assert (first.lower, first.upper) == pytest.approx((0.6, 0.65))
    assert (first.pairs, first.verdicts) == (2, 20)
    assert (first.people, first.judge) == pytest.approx((0.62, 0.7))
    assert (second.lower, second.upper) == pytest.approx((0.95, 1))
    assert (second.pairs, second.judge) == (1, 0.9)


def test_the_shares_of_a_confusion_are_of_its_rows():
    rows, total = confusion_rows([[3, 1, 0], [0, 0, 0], [1, 1, 2]])
    assert total == 8
    assert [row.people for row in rows] == ["A", "B", "tie"]
    assert [cell.share for cell in rows[0].cells] == [0.75, 0.25, 0]
    assert [cell.share for cell in rows[1].cells] == [0, 0, 0]
    assert confusion_rows(None) == ([], 0)


def test_biases_are_ordered_and_the_unknown_left_out():
    systems = [system_row("A", bias=0.1), system_row("B", bias=None), system_row("C", bias=0.2)]
    assert [system["name"] for system in bias_order(systems)] == ["C", "A"]
