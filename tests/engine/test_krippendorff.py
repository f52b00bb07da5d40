import krippendorff
import numpy as np
import pytest

from ratings.engine.krippendorff import krippendorff_alpha, nominal_alpha


@pytest.mark.parametrize("seed", range(10))
def test_alpha_equals_the_krippendorff_package(seed):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, (80, 3))
    expected = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    assert nominal_alpha(counts) == pytest.approx(expected, abs=1e-12)


def test_units_with_one_rating_say_nothing():
    counts = np.array([[2, 0], [0, 2], [1, 1], [2, 1]])
    alone = np.array([[1, 0], [0, 1], [0, 0]])
    assert nominal_alpha(np.vstack([counts, alone])) == nominal_alpha(counts)


def test_full_agreement_is_one_and_one_value_is_undefined():
    assert nominal_alpha(np.array([[3, 0], [0, 3]])) == 1.0
    assert np.isnan(nominal_alpha(np.array([[3, 0], [2, 0]])))
    found = krippendorff_alpha(np.tile([3, 0], (20, 1)), rounds=20, seed=1)
    assert found.value is None
    assert "same one answer" in found.reason


def test_the_bootstrap_over_units_scatters_as_new_samples_of_units_do():
    rng = np.random.default_rng(5)

    def sample():
        lean = rng.dirichlet([0.6, 0.6, 0.6], 150)
        return np.array([rng.multinomial(4, row) for row in lean])

    drawn = np.array([nominal_alpha(sample()) for _ in range(300)])
    found = krippendorff_alpha(sample(), rounds=3000, seed=2)
    assert (found.upper - found.lower) / 3.92 == pytest.approx(drawn.std(), rel=0.2)
    assert found.n == 150


def test_too_few_units_give_a_reason_and_bad_counts_an_error():
    found = krippendorff_alpha(np.array([[2, 1], [1, 0]]), rounds=20, seed=1)
    assert found.value is None
    assert found.n == 1
    with pytest.raises(ValueError, match="negative"):
        nominal_alpha(np.array([[2, -1]]))
    with pytest.raises(ValueError, match="shape"):
        nominal_alpha(np.array([1, 2]))
