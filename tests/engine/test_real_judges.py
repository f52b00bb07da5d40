"""Two LLM judges and 124 people on the same 2,139 battles, against independent implementations."""

import csv
import os
from collections import Counter
from pathlib import Path

import krippendorff
import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, cohen_kappa_score

from ratings.engine.judge_report import Instances, judge_report
from ratings.engine.majority import majority
from ratings.engine.tallies import Outcome, tally_by_cluster

DATA = os.environ.get("JURYBOX_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="JURYBOX_DATA names no folder of real data")
OUTCOMES = {"left": Outcome.A, "right": Outcome.B, "tie": Outcome.TIE}


@pytest.fixture(scope="module")
def battles():
    """Votes of people by (prompt, model_x, model_y), and the numbering of models and prompts."""
    votes = Counter()
    for row in rows("crowd"):
        votes[row["prompt"], row["model_x"], row["model_y"], OUTCOMES[row["winner"]]] += 1
    models = sorted({model for key in votes for model in key[1:3]})
    prompts = sorted({key[0] for key in votes})
    return votes, models, prompts


def rows(name):
    path = Path(DATA) / "llmfao" / f"{name}-comparisons.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tallied(name, battles):
    _, models, prompts = battles
    read = rows(name)
    sides = [[models.index(row[side]) for row in read] for side in ("model_x", "model_y")]
    return tally_by_cluster(
        *(np.array(side) for side in sides),
        np.array([OUTCOMES[row["winner"]] for row in read]),
        np.array([prompts.index(row["prompt"]) for row in read]),
        n_systems=len(models),
        n_clusters=len(prompts),
    )


def instances_of(name, battles):
    votes, _, prompts = battles
    read = rows(name)
    keys = [(row["prompt"], row["model_x"], row["model_y"]) for row in read]
    return Instances(
        judge=np.array([OUTCOMES[row["winner"]] for row in read]),
        votes=np.array([[votes[(*key, outcome)] for outcome in Outcome] for key in keys]),
        prompt=np.array([prompts.index(key[0]) for key in keys]),
    )


@pytest.fixture(scope="module", params=["gpt4", "gpt3"])
def judged(request, battles):
    name = f"{request.param}-crowd"
    instances = instances_of(name, battles)
    found = judge_report(
        tallied(name, battles), tallied("crowd", battles), instances=instances, rounds=200, seed=1
    )
    return request.param, found, instances


def test_rank_correlations_equal_scipy(judged):
    _, found, _ = judged
    x, y = found.judge_theta, found.reference_theta
    assert found.tau.n == 59
    assert found.tau.value == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)
    assert found.agreement.spearman.value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.agreement.pearson.value == pytest.approx(stats.pearsonr(x, y).statistic)


def test_accuracy_and_kappa_equal_sklearn(judged):
    _, found, instances = judged
    people = majority(instances.votes, rule="plurality")
    kept = people >= 0
    mine, theirs = instances.judge[kept], people[kept]
    assert found.instances.kappa_ties_in.n == kept.sum()
    assert found.instances.accuracy_ties_in.value == pytest.approx(accuracy_score(theirs, mine))
    assert found.instances.kappa_ties_in.value == pytest.approx(cohen_kappa_score(theirs, mine))
    decided = (mine != Outcome.TIE) & (theirs != Outcome.TIE)
    assert found.instances.kappa_ties_out.value == pytest.approx(
        cohen_kappa_score(theirs[decided], mine[decided])
    )


def test_agreement_among_people_equals_the_krippendorff_package(judged):
    _, found, instances = judged
    expected = krippendorff.alpha(
        value_counts=instances.votes[:, :3], level_of_measurement="nominal"
    )
    assert found.people_alpha.value == pytest.approx(expected, abs=1e-12)


def test_counts_are_those_of_the_data_set(judged):
    _, found, _ = judged
    assert found.judge_counts.verdicts == 2139
    assert found.reference_counts.verdicts == 8931
    assert found.judge_counts.prompts == found.reference_counts.prompts == 13


def test_people_agree_with_themselves_as_far_as_is_known_of_these_data(judged):
    _, found, _ = judged
    assert found.ceiling.half.value == pytest.approx(0.63, abs=0.02)
    assert found.tau.value < found.ceiling.full.value
    assert found.ceiling.half.value < found.ceiling.full.value


def test_the_stronger_judge_exaggerates_and_the_weaker_one_flattens(judged):
    name, found, _ = judged
    if name == "gpt4":
        assert found.alpha.lower > 1
    else:
        assert found.alpha.upper < 1
    assert found.decisiveness_least_squares.warning
    assert found.decisiveness_least_squares.alpha.value < found.alpha.value
