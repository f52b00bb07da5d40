import numpy as np
import pytest

from ratings.engine.majority import NO_MAJORITY, majority
from ratings.engine.tallies import Outcome

A, B, TIE = int(Outcome.A), int(Outcome.B), int(Outcome.TIE)


@pytest.mark.parametrize(
    ("votes", "plurality", "absolute", "else_tie"),
    [
        ([3, 1, 1, 0], A, A, A),
        ([1, 3, 1, 0], B, B, B),
        ([2, 1, 1, 0], A, NO_MAJORITY, A),
        ([2, 2, 0, 0], NO_MAJORITY, NO_MAJORITY, TIE),
        ([1, 1, 1, 0], NO_MAJORITY, NO_MAJORITY, TIE),
        ([1, 0, 1, 1], TIE, TIE, TIE),
        ([2, 0, 1, 1], NO_MAJORITY, NO_MAJORITY, TIE),
        ([0, 0, 0, 5], TIE, TIE, TIE),
        ([0, 0, 0, 0], NO_MAJORITY, NO_MAJORITY, NO_MAJORITY),
    ],
)
def test_each_rule_decides_as_it_says(votes, plurality, absolute, else_tie):
    votes = np.array([votes])
    assert majority(votes, rule="plurality")[0] == plurality
    assert majority(votes, rule="absolute")[0] == absolute
    assert majority(votes, rule="plurality_else_tie")[0] == else_tie


def test_swapping_the_sides_swaps_the_majority():
    votes = np.random.default_rng(1).integers(0, 4, (200, 4))
    mirrored = np.array([B, A, TIE, NO_MAJORITY])
    for rule in ("plurality", "absolute", "plurality_else_tie"):
        swapped = majority(votes[:, [1, 0, 2, 3]], rule=rule)
        np.testing.assert_array_equal(swapped, mirrored[majority(votes, rule=rule)])


def test_no_battles_have_no_majorities():
    assert majority(np.zeros((0, 4), dtype=int)).shape == (0,)


def test_unknown_rules_and_misshapen_or_negative_votes_are_refused():
    with pytest.raises(ValueError, match="Unknown majority rule"):
        majority(np.zeros((1, 4)), rule="mode")
    with pytest.raises(ValueError, match="shape"):
        majority(np.zeros(4))
    with pytest.raises(ValueError, match="negative"):
        majority(np.array([[1, -1, 0, 0]]))
