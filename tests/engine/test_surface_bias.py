"""Does a judge prefer what is longer, or marked up, more than people do?"""

import numpy as np
import pytest

from ratings.engine.surface_bias import longer_side, side_with, surface_preference


def drawn(rng, *, prompts=40, each=10, judge=0.5, people=0.3, votes=3):
    """Battles whose longer side wins by logits that differ from prompt to prompt."""
    n = prompts * each
    cluster = np.repeat(np.arange(prompts), each)
    side = rng.choice([-1, 1], n)
    moved = rng.normal(0, 0.4, prompts)[cluster]

    def longer_wins(logit):
        return rng.random(n) < 1 / (1 + np.exp(-(logit + moved)))

    said = np.where(longer_wins(judge) == (side > 0), 0, 1)
    counts = np.zeros((n, 4), int)
    for _ in range(votes):
        counts[np.arange(n), np.where(longer_wins(people) == (side > 0), 0, 1)] += 1
    return said, counts, side, cluster


def test_a_case_by_hand():
    side = np.array([1, -1, 1, 0, 1, -1] * 10)
    judge = np.array([0, 1, 1, 0, 2, 1] * 10)  # longer, longer, shorter, neither, tie, longer
    votes = np.tile(
        [[3, 1, 5, 0], [1, 1, 0, 0], [0, 2, 0, 0], [9, 0, 0, 0], [1, 0, 0, 0], [0, 0, 4, 0]],
        (10, 1),
    )
    found = surface_preference(judge, votes, side, np.repeat(np.arange(10), 6))
    # Both decided the first three of six.
    assert found.judge.n == found.people.n == 30
    assert found.judge.value == pytest.approx(2 / 3)
    assert found.people.value == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert found.difference.value == pytest.approx(found.judge.value - found.people.value)
    # Every prompt has the same battles: nothing varies between prompts.
    assert found.difference.lower == pytest.approx(found.difference.upper)


def test_intervals_cover_what_endless_data_say():
    exact = surface_preference(*drawn(np.random.default_rng(1), prompts=40_000))
    covered = np.zeros(3)
    for seed in range(200):
        found = surface_preference(*drawn(np.random.default_rng(10 + seed)))
        for at, name in enumerate(("judge", "people", "difference")):
            figure = getattr(found, name)
            covered[at] += figure.lower <= getattr(exact, name).value <= figure.upper
    assert (covered >= 182).all()


def test_a_judge_that_likes_length_as_people_do_is_not_biased():
    same = surface_preference(*drawn(np.random.default_rng(3), judge=0.5, people=0.5, prompts=400))
    assert same.judge.lower > 0.5
    assert same.difference.lower < 0 < same.difference.upper
    more = surface_preference(*drawn(np.random.default_rng(3), judge=1.2, people=0.2, prompts=400))
    assert more.difference.lower > 0.1


def test_sides_are_told_apart_only_where_they_are_known():
    lengths = np.array([100, 100, 130, 131, np.nan])
    others = np.array([131, 130, 100, 100, 100])
    assert longer_side(lengths, others).tolist() == [-1, 0, 0, 1, 0]
    counts = np.array([0, 2, 1, 0, np.nan])
    assert side_with(counts, np.array([3, 0, 1, 0, 1])).tolist() == [-1, 1, 0, 0, 0]


def test_few_battles_have_a_reason():
    found = surface_preference(np.zeros(5), np.ones((5, 4)), np.ones(5), np.arange(5))
    assert found.judge.value is None
    assert "20 are needed" in found.difference.reason
    with pytest.raises(ValueError, match="one length"):
        surface_preference(np.zeros(5), np.ones((4, 4)), np.ones(5), np.arange(5))
