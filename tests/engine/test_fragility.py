"""How little would have to be otherwise for another system to be first."""

from itertools import combinations

import numpy as np
import pytest

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.fragility import (
    Verdicts,
    fewest_removed,
    leave_one_out,
    rank_width_curve,
    votes_to_separate,
)
from ratings.engine.sandwich import sandwich_covariance


def drawn(seed: int, *, n: int, k: int = 5, spread: float = 0.5) -> Verdicts:
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, spread, k)
    a = rng.integers(0, k, n)
    b = (a + rng.integers(1, k, n)) % k
    won = rng.random(n) < 1 / (1 + np.exp(theta[b] - theta[a]))
    outcome = np.where(rng.random(n) < 0.15, 2, np.where(won, 0, 1))
    return Verdicts(k, a, b, outcome)


def fitted(verdicts: Verdicts, kept: np.ndarray | None = None):
    return fit_bradley_terry(verdicts.tallies(kept))


def top_of(verdicts: Verdicts, kept: np.ndarray, top: int) -> set[int]:
    fit = fitted(verdicts, kept)
    theta = np.where(fit.comparability.ranked, fit.theta, -np.inf)
    return set(np.argsort(-theta)[:top].tolist())


def fewest_by_trying_all(verdicts: Verdicts, units: np.ndarray, top: int, most: int) -> int | None:
    """The true minimum: every set of units, the small ones first."""
    everything = np.ones(len(units), bool)
    now = top_of(verdicts, everything, top)
    for size in range(1, most + 1):
        for chosen in combinations(np.unique(units), size):
            kept = ~np.isin(units, chosen)
            fit = fitted(verdicts, kept)
            if fit.comparability.ranked[list(now)].all() and top_of(verdicts, kept, top) != now:
                return size
    return None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("top", [1, 2])
def test_the_fewest_verdicts_are_nearly_the_true_fewest(seed, top):
    verdicts = drawn(seed, n=60, k=4)
    fit = fitted(verdicts)
    if not fit.comparability.ranked.all():
        pytest.fail("The case is made so that all are ranked.")
    found = fewest_removed(verdicts, fit, top=top)
    truth = fewest_by_trying_all(verdicts, np.arange(60), top, most=2)
    if truth is not None:
        assert len(found.units) == truth
    else:
        assert len(found.units) > 2
    proof(verdicts, fit, np.arange(60), found, top)


def proof(verdicts, fit, units, found, top):
    """Without them the top is the one that is named, and another than now."""
    kept = ~np.isin(units, found.units)
    now = set(np.argsort(-np.nan_to_num(fit.theta, nan=-9))[:top].tolist())
    then = top_of(verdicts, kept, top)
    assert then == set(found.top.tolist()) != now
    assert found.n_verdicts == (~kept).sum()


@pytest.mark.parametrize("top", [1, 3])
def test_prompts_and_voters_are_removed_whole(top):
    verdicts = drawn(11, n=2_000, k=8, spread=0.3)
    units = np.random.default_rng(1).integers(0, 60, 2_000)
    units[:100] = -1  # verdicts of nobody known stay
    fit = fitted(verdicts)
    found = fewest_removed(verdicts, fit, unit=units, top=top)
    proof(verdicts, fit, units, found, top)
    assert found.units.min() >= 0
    # Fewer whole prompts than single verdicts are needed, and more verdicts in all.
    single = fewest_removed(verdicts, fit, top=top)
    assert len(found.units) <= len(single.units) <= found.n_verdicts


def test_few_prompts_are_nearly_the_true_fewest():
    for seed in range(4):
        verdicts = drawn(100 + seed, n=400, k=4, spread=0.3)
        units = np.arange(400) % 12
        truth = fewest_by_trying_all(verdicts, units, 1, most=4)
        found = fewest_removed(verdicts, fitted(verdicts), unit=units)
        if truth is None:
            assert found.units.size == 0 or len(found.units) > 4
        else:
            assert truth <= len(found.units) <= truth + 1


def test_a_lead_that_no_half_of_the_verdicts_makes_has_no_number():
    # Of 100 battles one side won 95: it would take 91 fewer.
    zeros = np.zeros(100, int)
    verdicts = Verdicts(2, zeros, zeros + 1, np.where(np.arange(100) < 95, 0, 1))
    found = fewest_removed(verdicts, fitted(verdicts))
    assert found.units.size == 0
    assert "up to half" in found.reason
    assert found.top.tolist() == [0]
    with pytest.raises(ValueError, match="among 3"):
        fewest_removed(verdicts, fitted(verdicts), top=2)


def test_leaving_one_out_is_a_fit_without_it():
    verdicts = drawn(4, n=900, k=6)
    units = np.random.default_rng(2).integers(0, 25, 900)
    fit = fitted(verdicts)
    found = leave_one_out(verdicts, fit, units)
    assert found.n_units == len(found.unit) == 25
    first = int(np.argmax(fit.theta))
    for unit, then, lead, shift in zip(
        found.unit, found.first, found.lead, found.shift, strict=True
    ):
        without = fitted(verdicts, units != unit)
        assert then == np.argmax(without.theta)
        assert lead == pytest.approx(
            without.theta[first] - np.delete(without.theta, first).max(), abs=1e-6
        )
        assert shift == pytest.approx(np.abs(without.theta - fit.theta).max(), abs=1e-6)


def test_the_most_influential_are_tried_where_there_are_many():
    verdicts = drawn(4, n=6_000, k=6)
    found = leave_one_out(verdicts, fitted(verdicts), np.arange(6_000))
    assert (found.n_units, len(found.unit)) == (6_000, 1_000)
    # The first tried move the lead more than the last.
    now = found.lead.mean()
    assert abs(found.lead[:50] - now).mean() > abs(found.lead[-50:] - now).mean()


def test_the_votes_that_are_needed_are_about_enough():
    verdicts = drawn(21, n=1_500, k=5, spread=0.25)
    fit = fitted(verdicts)
    found = votes_to_separate(fit, sandwich_covariance(verdicts.tallies(), fit), 1_500)
    assert found.more is not None
    assert 0 < found.more < found.more_surely
    order = np.argsort(-fit.theta)
    assert (found.first, found.second) == tuple(order[:2])
    # As many more verdicts that fall as these did: the same again, so often.
    times = (1_500 + found.more) / 1_500
    covariance = sandwich_covariance(verdicts.tallies(), fit) / times
    variance = covariance[found.first, found.first] + covariance[found.second, found.second]
    variance -= 2 * covariance[found.first, found.second]
    assert found.gap / np.sqrt(variance) == pytest.approx(1.96, abs=0.01)
    # Battles of the two alone need fewer.
    assert 0 < found.direct < found.more


def test_twice_the_verdicts_give_the_ranks_that_the_curve_foretells():
    verdicts = drawn(9, n=3_000, k=10, spread=0.4)
    fit = fitted(verdicts)
    covariance = sandwich_covariance(verdicts.tallies(), fit)
    curve = rank_width_curve(fit, covariance, seed=1)
    assert (np.diff(curve.width) <= 0).all()
    doubled = Verdicts(
        10, *(np.tile(column, 2) for column in (verdicts.a, verdicts.b, verdicts.outcome))
    )
    again = fitted(doubled)
    width = rank_width_curve(again, sandwich_covariance(doubled.tallies(), again), seed=1)
    assert curve.width[curve.factor == 2] == pytest.approx(width.width[width.factor == 1], abs=0.05)
