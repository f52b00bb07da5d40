from datetime import timedelta

import pytest
from django.utils import timezone

from arena.templatetags import typeset


@pytest.mark.parametrize(
    ("value", "words"), [(1234.4, "1,234"), (-12, "−12"), (0, "0"), (None, "–"), ("", "–")]
)
def test_whole_numbers_have_thousands_and_a_true_minus(value, words):
    assert typeset.whole(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(12.4, "+12"), (-3, "−3"), (0.2, "0"), (-0.2, "0"), (None, "–")]
)
def test_changes_carry_their_sign(value, words):
    assert typeset.signed(value) == words


@pytest.mark.parametrize(
    ("lower", "upper", "words"),
    [
        (3, 7, "3–7"),
        (3, 3, "3"),
        (-20, 15, "−20 to 15"),
        (None, 7, "–"),
        (1116.4, 1229.6, "1,116–1,230"),
    ],
)
def test_intervals_read_well(lower, upper, words):
    assert typeset.span(lower, upper) == words


def test_percentages_keep_their_sign_close():
    assert typeset.percent(0.543) == "54\u202f%"
    assert typeset.percent(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "just now"),
        (4, "just now"),
        (59, "59 seconds ago"),
        (60, "1 minute ago"),
        (7200, "2 hours ago"),
        (86_400 * 3, "3 days ago"),
        (86_400 * 70, "2 months ago"),
        (86_400 * 800, "2 years ago"),
    ],
)
def test_times_are_relative(seconds, words):
    assert typeset.in_words(seconds) == words


def test_the_exact_time_shows_on_hover():
    when = timezone.now() - timedelta(hours=2)
    html = typeset.ago(when)
    assert f'datetime="{when.isoformat(timespec="seconds")}"' in html
    assert when.strftime("%H:%M:%S UTC") in html
    assert html.endswith(">2 hours ago</time>")


@pytest.mark.parametrize(
    ("n", "noun", "words"),
    [
        (1, "battle", "1 battle"),
        (0, "battle", "0 battles"),
        (2, "category,categories", "2 categories"),
    ],
)
def test_nouns_follow_their_number(n, noun, words):
    assert typeset.count_of(n, noun) == words
