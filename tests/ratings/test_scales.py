import pytest

from ratings.scales import Scale


def test_positions_are_per_cent_of_the_scale():
    scale = Scale(0, 200)
    assert [scale.position(value) for value in (0, 50, 200)] == [0, 25, 100]


def test_positions_stay_on_the_scale():
    scale = Scale(0, 200)
    assert [scale.position(value) for value in (-10, 210)] == [0, 100]


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (830, 1240, [900, 1000, 1100, 1200]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0.1, 0.62, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        (-4000, 9000, [0, 5000]),
    ],
)
def test_ticks_are_round_numbers(low, high, values):
    assert [tick.value for tick in Scale(low, high).ticks] == pytest.approx(values)


def test_a_scale_around_one_value_has_a_length():
    scale = Scale.around(1000, 1000)
    assert scale.position(1000) == 50
    assert scale.ticks


def test_an_interval_beyond_the_scale_is_cut_and_says_so():
    bar = Scale(0, 100).bar(50, -20, 80)
    assert (bar.left, bar.right, bar.cut_left, bar.cut_right) == (0, 80, True, False)


def test_what_is_not_known_is_not_drawn():
    bar = Scale(0, 100).bar(50, None, None)
    assert bar.at == 50
    assert not bar.has_interval
    assert Scale(0, 1).bar(None, None, None).at is None


def test_labels_near_the_ends_stay_within():
    anchors = [tick.anchor for tick in Scale(0, 100).ticks]
    assert anchors[0] == "start"
    assert anchors[-1] == "end"
    assert set(anchors[1:-1]) == {"middle"}
