"""The edge cases that break other tools, each with its defined answer."""

import numpy as np
import pytest

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.comparability import Status, comparability
from ratings.engine.rate import rate
from ratings.engine.tallies import Outcome, tally

RANKED, NONE = Status.RANKED, Status.NO_BATTLES
ABOVE, BELOW = Status.UNBOUNDED_ABOVE, Status.UNBOUNDED_BELOW
ISLAND = Status.NOT_COMPARABLE


def cells(*wins: tuple[int, int], k: int, ties: tuple[tuple[int, int], ...] = ()):
    """Each (winner, loser) once."""
    rows = [(a, b, Outcome.A) for a, b in wins] + [(a, b, Outcome.TIE) for a, b in ties]
    columns = np.array(rows, dtype=int).reshape(-1, 3).T
    return tally(*columns, n_systems=k)


CIRCLE = ((0, 1), (1, 2), (2, 0))
CASES = {
    "everybody beat somebody in a circle": (cells(*CIRCLE, k=3), [RANKED] * 3),
    "a system that won everything": (
        cells(*CIRCLE, (3, 0), (3, 1), k=4),
        [RANKED, RANKED, RANKED, ABOVE],
    ),
    "a system that lost everything": (
        cells(*CIRCLE, (0, 3), (1, 3), k=4),
        [RANKED, RANKED, RANKED, BELOW],
    ),
    "a system that never played": (cells(*CIRCLE, k=4), [RANKED, RANKED, RANKED, NONE]),
    "two islands, the larger is ranked": (
        cells(*CIRCLE, (3, 4), (4, 3), k=5),
        [RANKED, RANKED, RANKED, ISLAND, ISLAND],
    ),
    "two islands of one size, more verdicts win": (
        cells((0, 1), (1, 0), (2, 3), (3, 2), (2, 3), k=4),
        [ISLAND, ISLAND, RANKED, RANKED],
    ),
    "a one-way bridge downwards": (
        cells(*CIRCLE, (0, 3), (3, 4), (4, 3), k=5),
        [RANKED, RANKED, RANKED, BELOW, BELOW],
    ),
    "a chain of wins above the ranked": (
        cells(*CIRCLE, (4, 3), (3, 0), k=5),
        [RANKED, RANKED, RANKED, ABOVE, ABOVE],
    ),
    "beaten by one who never met the rest": (
        cells(*CIRCLE, (3, 0), (3, 4), k=5),
        [RANKED, RANKED, RANKED, ABOVE, ISLAND],
    ),
    "only ties": (cells(k=3, ties=((0, 1), (1, 2))), [RANKED] * 3),
    "only one-way results": (cells((0, 1), (1, 2), (0, 2), k=3), [ISLAND] * 3),
    "no battles": (cells(k=3), [NONE] * 3),
    "one system": (cells(k=1), [NONE]),
    "no systems": (cells(k=0), []),
}


@pytest.mark.parametrize("case", CASES)
def test_status(case):
    tallies, expected = CASES[case]
    found = comparability(tallies)
    assert found.status.tolist() == expected
    assert found.ranked.tolist() == [status == RANKED for status in expected]


@pytest.mark.parametrize("interval", ["cells", "sandwich"])
@pytest.mark.parametrize("method", ["bt", "davidson"])
@pytest.mark.parametrize("case", CASES)
def test_exactly_the_ranked_have_finite_ratings_and_intervals(case, method, interval):
    if (method, interval) == ("davidson", "sandwich"):
        with pytest.raises(ValueError, match="Davidson"):
            rate(CASES[case][0], method=method, interval=interval, rounds=50, seed=1)
        return
    tallies, expected = CASES[case]
    table = rate(tallies, method=method, interval=interval, rounds=50, seed=1)
    ranked = np.array([status == RANKED for status in expected], dtype=bool)
    for values in (table.rating, table.lower, table.upper, table.sd):
        assert np.isfinite(values).tolist() == ranked.tolist()
    assert (table.rank > 0).tolist() == ranked.tolist()


def test_a_system_that_won_everything_leaves_the_ratings_of_the_others_alone():
    rows = [(0, 1), (1, 2), (2, 0), (0, 1), (0, 2)]
    without = fit_bradley_terry(cells(*rows, k=3)).theta
    with_hero = fit_bradley_terry(cells(*rows, (3, 0), (3, 1), (3, 2), k=4)).theta
    np.testing.assert_allclose(with_hero[:3], without, atol=1e-12)
    assert np.isnan(with_hero[3])


def test_a_ridge_gives_everybody_who_is_linked_a_finite_rating():
    tallies = cells((0, 1), (1, 2), k=4)
    fit = fit_bradley_terry(tallies, ridge=0.1)
    assert fit.comparability.status.tolist() == [RANKED] * 3 + [NONE]
    assert fit.theta[0] > fit.theta[1] > fit.theta[2]


@pytest.mark.parametrize("ridge", [-1.0, float("nan"), float("inf")])
def test_a_ridge_that_is_no_penalty_is_refused(ridge):
    with pytest.raises(ValueError, match="ridge"):
        fit_bradley_terry(cells(*CIRCLE, k=3), ridge=ridge)


def test_large_arenas_get_the_same_answer_as_small_ones(monkeypatch):
    from ratings.engine import comparability as module

    monkeypatch.setattr(module, "_MAX_DENSE", 0)
    for tallies, expected in CASES.values():
        assert comparability(tallies).status.tolist() == expected
