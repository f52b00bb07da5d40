import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from ratings.engine.robustness import (
    MIN_BATTLES,
    NO_SIDE,
    holm,
    retest,
    robustness,
    sign_test,
    wilson,
)
from tests.engine.probed_judges import probed

A, B, TIE, BAD = range(4)
Z = 1.959963984540054


def asked(before, after, *, again=None, side=None, prompt=None, **options):
    n = len(before)
    return robustness(
        before=np.array(before),
        after=np.array(after),
        again=np.array(before if again is None else again),
        side=np.zeros(n, int) if side is None else np.array(side),
        prompt=np.arange(n) if prompt is None else np.array(prompt),
        seed=1,
        **options,
    )


def test_a_judge_that_nothing_moves_is_wholly_robust_with_wilsons_interval():
    found = asked([A] * 20, [A] * 20)
    z2 = Z**2
    assert (found.unchanged.value, found.unchanged.n, found.unchanged.unit) == (1, 20, "battles")
    # Wilson's lower bound of n of n is n/(n + z²).
    assert (found.unchanged.lower, found.unchanged.upper) == (pytest.approx(20 / (20 + z2)), 1)
    assert found.beyond_noise.value == 0
    # Agresti and Min: 0 ± z √1/(n + 2).
    assert found.beyond_noise.upper == pytest.approx(Z / 22)
    assert (found.towards.value, found.p_towards) == (None, None)
    assert found.towards.reason.startswith("Only 0 decisions moved")


@pytest.mark.parametrize(("k", "n"), [(0, 7), (3, 10), (9, 10), (10, 10), (57, 120)])
def test_wilsons_interval_and_the_sign_test_equal_scipys(k, n):
    result = binomtest(k, n)
    expected = result.proportion_ci(method="wilson")
    assert wilson(k / n, n) == pytest.approx((expected.low, expected.high))
    assert sign_test(k, n - k) == pytest.approx(result.pvalue)


def test_changes_are_for_or_against_the_perturbed_side_whichever_it_is():
    before = [A, A, B, B, TIE, TIE, A, B, BAD, A, TIE, A]
    after = [B, B, A, A, A, B, TIE, TIE, A, A, BAD, B]
    side = [1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1]
    #       +  -  +  -  +  -  +  -  +  0  0  +
    found = asked(before, after, side=side)
    assert (found.n_towards, found.n_away) == (6, 4)
    assert (found.towards.value, found.towards.n, found.towards.unit) == (0.6, 10, "changes")
    assert found.p_towards == pytest.approx(binomtest(6, 10).pvalue)
    assert found.unchanged.value == pytest.approx(1 / 12)
    mirrored = [B, A, TIE, BAD]
    other = asked(
        [mirrored[x] for x in before], [mirrored[x] for x in after], side=[1 - s for s in side]
    )
    assert other == found


def test_what_changes_no_side_has_no_direction():
    found = asked([A] * 12, [B] * 12, side=[NO_SIDE] * 12)
    assert (found.towards.reason, found.n_towards, found.n_away) == (
        "It changes neither side more than the other.",
        0,
        0,
    )


def test_noise_of_the_judge_is_not_counted_as_weakness():
    before = [A] * 40
    noisy = [A] * 32 + [B] * 8
    found = asked(before, noisy, again=noisy[::-1])
    assert (found.unchanged.value, found.retest.value) == (0.8, 0.8)
    assert found.beyond_noise.value == 0
    assert found.beyond_noise.lower < 0 < found.beyond_noise.upper
    fooled = asked(before, [A] * 8 + [B] * 32, again=noisy)
    assert fooled.beyond_noise.value == pytest.approx(0.6)
    assert fooled.beyond_noise.lower > 0.4


def test_holm_asks_most_of_the_smallest_and_stops_at_the_first_that_fails():
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([0.05]) == [True]
    assert holm([None, 0.026, 0.026]) == [False, False, False]
    assert holm([0.02, None, 0.026]) == [True, False, True]
    assert holm([]) == []


def test_one_of_many_probes_must_be_weaker_to_be_called_weak():
    n = 60
    for changed, alone, among_twenty in ((2, False, False), (7, True, False), (25, True, True)):
        after = [B] * changed + [A] * (n - changed)
        assert asked([A] * n, after).is_weak is alone
        assert asked([A] * n, after, family=20).is_weak is among_twenty
        assert asked([A] * n, after).beyond_noise == asked([A] * n, after, family=20).beyond_noise


def test_the_difference_has_the_interval_of_agresti_and_min_where_prompts_are_few():
    # Of 20 pairs 8 differ one way and 2 the other.
    before = [A] * 20
    found = asked(before, [B] * 8 + [A] * 12, again=[A] * 18 + [B] * 2)
    centre, spread = 6 / 22, np.sqrt(9 + 3 - 36 / 22 - 1) / 22
    expected = (centre - Z * spread, centre + Z * spread)
    assert found.beyond_noise.value == pytest.approx(0.3)
    assert (found.beyond_noise.lower, found.beyond_noise.upper) == pytest.approx(expected, rel=1e-6)


def test_prompts_are_what_is_resampled():
    rng = np.random.default_rng(3)
    stays = rng.random(100) < 0.7
    alone = asked([A] * 100, np.where(stays, A, B), rounds=4000)
    tiled = asked([A] * 500, np.tile(np.where(stays, A, B), 5), prompt=np.tile(range(100), 5))
    width = alone.unchanged.upper - alone.unchanged.lower
    # Five copies of every battle are no more evidence. The normal width of a share, for comparison.
    assert tiled.unchanged.upper - tiled.unchanged.lower == pytest.approx(width, rel=0.1)
    share = stays.mean()
    assert width == pytest.approx(2 * 1.96 * np.sqrt(share * (1 - share) / 100), rel=0.08)
    # Twenty prompts are too few to resample. Where all of a prompt go together it counts as one, with t;
    few = asked([A] * 60, np.tile([A] * 10 + [B] * 10, 3), prompt=np.arange(60) % 20)
    effective = 20 * (19 / 20) * (Z / student.ppf(0.975, 19)) ** 2
    bounds = (few.unchanged.lower, few.unchanged.upper)
    assert bounds == pytest.approx(wilson(0.5, effective), rel=1e-3)
    # where they go as they like, nearly three times; where hardly any moved, once again.
    drawn = np.where(rng.random(600) < 0.5, A, B)
    loose = asked([A] * 600, drawn, prompt=np.arange(600) % 20).unchanged
    assert loose.upper - loose.lower < 1.6 * np.subtract(*wilson(0.5, 600)[::-1])
    still = asked([A] * 60, [A] * 58 + [B] * 2, prompt=np.arange(60) % 20).unchanged
    assert (still.lower, still.upper) == wilson(58 / 60, 20)


def test_too_few_battles_have_no_figure():
    found = asked([A] * (MIN_BATTLES - 1), [A] * (MIN_BATTLES - 1))
    for figure in (found.unchanged, found.retest, found.beyond_noise):
        assert figure.value is None
        assert figure.reason.startswith("Only 9 battles")
    unknown = asked([A] * 30, [A] * 30, again=[-1] * 25 + [A] * 5)
    assert (unknown.unchanged.value, unknown.retest.value, unknown.retest.n) == (1, None, 5)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="one length"):
        asked([A] * 10, [A] * 11)
    with pytest.raises(ValueError, match="after holds 0"):
        asked([A] * 10, [4] * 10)
    with pytest.raises(ValueError, match="A side is"):
        asked([A] * 10, [A] * 10, side=[2] * 10)


def test_a_known_weakness_and_known_noise_are_recovered():
    """A small version of benchmarks/robustness.py."""
    covered, certain = np.zeros(3), 0
    runs = 40
    for seed in range(runs):
        data, truth = probed(seed, prompts=60, battles=2, noise=0.1, fooled=0.3)
        found = robustness(**data, rounds=300, seed=seed)
        for at, name in enumerate(("unchanged", "retest", "beyond_noise")):
            figure = getattr(found, name)
            covered[at] += figure.lower <= truth[name] <= figure.upper
        certain += found.p_towards < 0.05
    assert (covered >= 34).all(), covered
    assert certain > 0.8 * runs
    data, _ = probed(0, prompts=60, battles=2, noise=0.1, fooled=0.3)
    same = retest(before=data["before"], again=data["again"], prompt=data["prompt"], seed=1)
    assert same == robustness(**data, seed=1).retest
