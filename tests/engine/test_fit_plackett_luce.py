import numpy as np
import pytest

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.plackett_luce import fit_plackett_luce
from ratings.engine.tallies import tally
from tests.engine import simulate


def test_rankings_of_two_are_bradley_terry():
    a, b, outcome = simulate.battles(simulate.strengths(5, seed=1), 800, seed=2)
    rankings = [(x, y) if o == 0 else (y, x) for x, y, o in zip(a, b, outcome, strict=True)]
    np.testing.assert_allclose(
        fit_plackett_luce(rankings, n_systems=5),
        fit_bradley_terry(tally(a, b, outcome, n_systems=5)).theta,
        atol=1e-5,
    )


def test_strengths_are_recovered_from_rankings_of_four():
    theta = simulate.strengths(6, seed=3)
    rng = np.random.default_rng(4)
    rankings = []
    for _ in range(4000):
        shown = rng.permutation(6)[:4]
        # Adding Gumbel noise and sorting draws from Plackett-Luce.
        rankings.append(shown[np.argsort(-(theta[shown] + rng.gumbel(size=4)))].tolist())
    np.testing.assert_allclose(fit_plackett_luce(rankings, n_systems=6), theta, atol=0.12)


@pytest.mark.parametrize(
    ("rankings", "says"),
    [
        ([(0,)], "Ranking 0 must name two or more"),
        ([(0, 1), (1, 1)], "Ranking 1 must name two or more different"),
        ([(0, 7)], r"outside 0\.\.2"),
        ([(0, 1), (0, 2)], "ridge above 0"),
    ],
)
def test_rankings_that_cannot_be_fitted_say_why(rankings, says):
    with pytest.raises(ValueError, match=says):
        fit_plackett_luce(rankings, n_systems=3)
