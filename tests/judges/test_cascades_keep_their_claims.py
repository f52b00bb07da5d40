"""Over many random divisions the agreement meets the target in at least 1 − δ of the runs."""

import math

import numpy as np
import pytest

from tests.judges.real_panel import DATA, read_real_panel
from tests.judges.simulated_cascades import Battles, resplit, simulate

RUNS, DELTA = 200, 0.1
# Luck that would be met in one of a thousand tests, where the claim holds with equality.
LEAST = 1 - DELTA - 3.1 * math.sqrt(DELTA * (1 - DELTA) / RUNS)


@pytest.mark.parametrize(
    ("tiers", "target", "coverage"),
    [
        ("calibrated", 0.75, 0.3),
        ("overconfident", 0.65, 0.1),
        ("blind", 0.8, 0.15),
        ("blind", 0.86, 0.0),  # right 85 times in a hundred: only luck lets it pass
        ("jury", 0.9, 0.3),
        ("calibrated+good", 0.8, 0.5),
    ],
)
def test_simulated_judges_of_known_accuracy(tiers, target, coverage):
    found = simulate(
        tiers, n=1_000, runs=RUNS, target=target, delta=DELTA, seed=1, population=4_000
    )
    assert found.kept >= LEAST
    assert found.coverage >= coverage


def test_a_hopeless_judge_abstains_entirely():
    found = simulate(
        "hopeless", n=1_000, runs=RUNS, target=0.6, delta=DELTA, seed=2, population=1_000
    )
    assert (found.kept, found.coverage, found.abstained) == (1, 0, 1)


def test_a_hopeless_first_tier_leaves_all_to_the_second():
    found = simulate(
        "hopeless+good", n=1_000, runs=50, target=0.8, delta=DELTA, seed=3, population=1_000
    )
    assert found.kept >= 0.8
    assert found.coverage > 0.5


@pytest.fixture(scope="module")
def panel():
    return read_real_panel()


real = pytest.mark.skipif(not DATA, reason="JURYBOX_DATA names no folder of real data")


@real
@pytest.mark.parametrize("target", [0.45, 0.5, 0.6, 0.7])
def test_real_judges_by_how_far_they_agree(panel, target):
    battles = Battles(panel.jury[:, None], panel.support[:, None], panel.people)
    found = resplit(battles, runs=RUNS, target=target, delta=DELTA, seed=4)
    assert found.kept >= LEAST
    # Of what all three say, people say the same of 61 in a hundred.
    assert (found.coverage > 0.3) == (target < 0.6)
    assert (found.abstained == 1) == (target > 0.6)


@real
@pytest.mark.parametrize("target", [0.7, 0.8, 0.9, 0.96])
def test_real_judges_where_people_prefer_a_side(panel, target):
    sided = panel.people != 2
    sure = np.where(panel.jury == 2, np.nan, panel.support)[sided]
    battles = Battles(panel.jury[sided, None], sure[:, None], panel.people[sided])
    found = resplit(battles, runs=RUNS, target=target, delta=DELTA, seed=5)
    assert found.kept >= LEAST
    # Of what all three say, 94 in a hundred.
    assert (found.coverage > 0.3) == (target < 0.94)


@real
def test_a_real_jury_and_then_the_dearer_judge(panel):
    sided = panel.people != 2
    said = np.column_stack([panel.jury, panel.said[:, 1]])[sided]
    confidence = np.column_stack([panel.support, np.ones(len(panel.people))])[sided]
    confidence[said == 2] = np.nan
    battles = Battles(said, confidence, panel.people[sided])
    found = resplit(battles, runs=RUNS, target=0.75, delta=DELTA, seed=6)
    assert found.kept >= LEAST
    assert found.coverage > 0.5
