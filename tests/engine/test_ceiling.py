import numpy as np
import pytest

from ratings.engine.agreement import kendall_tau_b
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.ceiling import noise_ceiling
from ratings.engine.reference_posterior import reference_posterior
from tests.engine.judge_panels import panel, panel_rates, strengths

K = 20


def ceiling(people, *, split="battles", seed=1):
    cells = getattr(people, "tallies", people)
    ranked = fit_bradley_terry(cells).comparability.ranked
    return noise_ceiling(
        people, posterior=reference_posterior(people, ranked=ranked), split=split, seed=seed
    )


def people_of(n, *, seed=5):
    return panel(panel_rates(strengths(K)), n=n, seed=seed, n_systems=K)


@pytest.mark.parametrize("split", ["battles", "prompts", "votes"])
def test_halves_agree_as_fresh_panels_of_half_the_size_do_and_the_full_ceiling_as_full_ones(split):
    def agreement(n):
        fits = [fit_bradley_terry(people_of(n, seed=seed).tallies).theta for seed in range(60)]
        return np.nanmean([kendall_tau_b(*fits[at : at + 2]) for at in range(0, 60, 2)])

    found = [ceiling(people_of(6, seed=seed), split=split) for seed in range(100, 112)]
    assert np.mean([one.half.value for one in found]) == pytest.approx(agreement(3), abs=0.04)
    assert np.mean([one.full.value for one in found]) == pytest.approx(agreement(6), abs=0.04)


def test_the_ceiling_rises_with_the_votes_and_lies_above_the_halves():
    few, many = ceiling(people_of(4)), ceiling(people_of(100))
    assert few.half.value < few.full.value < many.full.value <= 1
    assert few.full.lower < few.full.value < few.full.upper
    assert (
        few.full.n
        == few.half.n
        == len(np.unique([people_of(4).pair, people_of(4).cluster], axis=1).T)
    )


def test_halves_of_plain_tallies_can_be_split_by_votes_only():
    cells = people_of(6).tallies
    assert ceiling(cells, split="votes").half.n == 6 * K * (K - 1) // 2
    with pytest.raises(ValueError, match="split by votes"):
        ceiling(cells)
    with pytest.raises(ValueError, match="Unknown unit"):
        ceiling(people_of(6), split="days")


def test_too_few_battles_give_a_reason_and_no_number():
    few = panel(panel_rates(strengths(4)), n=4, seed=2, n_systems=4, n_prompts=1)
    found = noise_ceiling(
        few, posterior=reference_posterior(few, ranked=np.ones(4, dtype=bool)), seed=1
    )
    assert found.half.value is None
    assert "too few" in found.full.reason


def test_the_same_seed_gives_the_same_ceiling():
    people = people_of(6)
    assert ceiling(people, seed=3) == ceiling(people, seed=3)
    assert ceiling(people, seed=3) != ceiling(people, seed=4)
