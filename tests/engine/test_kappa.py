import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score

from ratings.engine.kappa import judge_against_majority
from ratings.engine.majority import majority
from ratings.engine.tallies import Outcome


def battles(*, n=300, seed=1):
    rng = np.random.default_rng(seed)
    votes = rng.integers(0, 4, (n, 4))
    judge = np.where(rng.random(n) < 0.5, votes.argmax(axis=1), rng.integers(0, 4, n))
    return judge, votes


@pytest.mark.parametrize("rule", ["plurality", "absolute", "plurality_else_tie"])
def test_accuracy_and_kappa_equal_sklearn_with_ties_in_and_out(rule):
    judge, votes = battles()
    found = judge_against_majority(judge, votes, rule=rule, rounds=50, seed=1)
    people = majority(votes, rule=rule)
    kept = people != -1
    mine, theirs = np.minimum(judge, 2)[kept], people[kept]
    assert found.accuracy_ties_in.value == pytest.approx(accuracy_score(theirs, mine))
    assert found.kappa_ties_in.value == pytest.approx(cohen_kappa_score(theirs, mine))
    assert found.kappa_ties_in.n == kept.sum()
    decided = (mine != Outcome.TIE) & (theirs != Outcome.TIE)
    assert found.accuracy_ties_out.value == pytest.approx(
        accuracy_score(theirs[decided], mine[decided])
    )
    assert found.kappa_ties_out.value == pytest.approx(
        cohen_kappa_score(theirs[decided], mine[decided])
    )
    assert found.kappa_ties_out.n == decided.sum()
    assert found.n_without_majority == (~kept).sum()


def test_the_interval_holds_the_value_and_is_wider_when_battles_come_in_prompts():
    judge, votes = battles(n=100)
    prompt = np.arange(100)
    alone = judge_against_majority(judge, votes, rounds=2000, seed=1)
    # Every battle ten times: a thousand battles, but still only a hundred prompts.
    again = judge_against_majority(
        np.tile(judge, 10),
        np.tile(votes, (10, 1)),
        cluster=np.tile(prompt, 10),
        rounds=2000,
        seed=1,
    )
    naive = judge_against_majority(np.tile(judge, 10), np.tile(votes, (10, 1)), rounds=2000, seed=1)
    widths = []
    for found in (alone, again, naive):
        kappa = found.kappa_ties_in
        assert kappa.lower < kappa.value < kappa.upper
        widths.append(kappa.upper - kappa.lower)
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[2] == pytest.approx(widths[0] / np.sqrt(10), rel=0.1)


def test_a_judge_that_always_says_a_has_kappa_zero():
    _, votes = battles()
    found = judge_against_majority(np.zeros(300, dtype=int), votes, rounds=20, seed=1)
    assert found.kappa_ties_in.value == pytest.approx(0.0, abs=1e-12)
    assert found.kappa_ties_out.value == pytest.approx(0.0, abs=1e-12)


def test_a_judge_of_only_ties_has_no_kappa_without_ties():
    _, votes = battles()
    found = judge_against_majority(np.full(300, Outcome.TIE), votes, rounds=20, seed=1)
    assert found.kappa_ties_in.value == pytest.approx(0.0, abs=1e-12)
    assert found.kappa_ties_out.value is None
    assert "0 battles" in found.kappa_ties_out.reason


def test_one_answer_from_everybody_is_nothing_beyond_chance():
    votes = np.tile([3, 0, 0, 0], (50, 1))
    found = judge_against_majority(np.zeros(50, dtype=int), votes, rounds=20, seed=1)
    assert found.accuracy_ties_in.value == 1.0
    assert found.kappa_ties_in.value is None
    assert "same one answer" in found.kappa_ties_in.reason


def test_too_few_battles_give_a_reason_and_no_number():
    judge, votes = battles(n=4)
    found = judge_against_majority(judge, votes, rounds=20, seed=1)
    assert found.accuracy_ties_in.value is None
    assert "battles" in found.accuracy_ties_in.reason


def test_outcomes_that_dont_match_the_battles_are_refused():
    judge, votes = battles()
    with pytest.raises(ValueError, match="one outcome for each battle"):
        judge_against_majority(judge[:-1], votes, seed=1)
    with pytest.raises(ValueError, match="outcome is 0"):
        judge_against_majority(np.full(300, -1), votes, seed=1)
