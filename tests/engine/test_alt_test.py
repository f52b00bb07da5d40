"""May a judge replace a person: the alternative annotator test."""

from collections import defaultdict

import numpy as np
import pytest
from scipy.stats import false_discovery_control, ttest_1samp, wilcoxon

from ratings.engine.alt_test import alt_test, benjamini_yekutieli


def slowly(votes, judge, *, epsilon, min_instances):
    """The published procedure, written over dictionaries. Votes are (instance, person, label)."""
    by_instance = defaultdict(dict)
    for instance, person, label in votes:
        if judge[instance] >= 0:
            by_instance[instance][person] = label
    differences, advantages = defaultdict(list), defaultdict(list)
    for instance, said in by_instance.items():
        if len(said) < 2:
            continue
        for person, label in said.items():
            others = [other for who, other in said.items() if who != person]
            like_judge = sum(other == judge[instance] for other in others) / len(others)
            like_person = sum(other == label for other in others) / len(others)
            judge_wins, person_wins = like_judge >= like_person, like_person >= like_judge
            differences[person].append(int(person_wins) - int(judge_wins))
            advantages[person].append(judge_wins)
    people = sorted(person for person, d in differences.items() if len(d) >= min_instances)
    p = []
    for person in people:
        d = np.array(differences[person], float) - epsilon
        if np.ptp(d) == 0:
            p.append(float(d[0] >= 0))
        elif len(d) < 30:
            p.append(wilcoxon(d, alternative="less").pvalue)
        else:
            p.append(ttest_1samp(d, 0, alternative="less").pvalue)
    omega = np.mean(false_discovery_control(p, method="by") <= 0.05)
    return people, p, omega, np.mean([np.mean(advantages[person]) for person in people])


def panel(rng, *, people=12, instances=120, noise=0.35, judge_noise=0.35, share=0.6):
    truth = rng.integers(0, 3, instances)

    def decides(wrong):
        return np.where(rng.random(instances) < wrong, rng.integers(0, 3, instances), truth)

    votes = [
        (instance, person, label)
        for person in range(people)
        for instance, label in enumerate(decides(noise))
        if rng.random() < share
    ]
    judge = decides(judge_noise)
    judge[rng.random(instances) < 0.1] = -1
    return votes, judge


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("min_instances", [8, 30])
def test_it_is_the_published_procedure(seed, min_instances):
    rng = np.random.default_rng(seed)
    votes, judge = panel(rng, share=0.3 + 0.1 * seed, judge_noise=0.1 * seed)
    people, p, omega, rho = slowly(votes, judge, epsilon=0.1, min_instances=min_instances)
    found = alt_test(*np.array(votes).T, judge, epsilon=0.1, min_instances=min_instances)
    if len(people) < 3:
        assert found.omega.value is None
        return
    assert found.people.annotator.tolist() == people
    assert found.people.p == pytest.approx(p, abs=1e-12)
    assert found.omega.value == pytest.approx(omega)
    assert found.rho.value == pytest.approx(rho)
    assert found.passes == (omega >= 0.5)


def test_a_case_by_hand():
    # Four people on 40 instances: three say 0 always, the last says 1 always. The judge says 0.
    votes = [(i, person, int(person == 3)) for i in range(40) for person in range(4)]
    found = alt_test(*np.array(votes).T, np.zeros(40, int), epsilon=0.1)
    # Beside each of the three the judge says the same: both "win", d = 0. Beside the last it wins alone.
    assert found.people.person_wins.tolist() == [1, 1, 1, 0]
    assert found.people.judge_wins.tolist() == [1, 1, 1, 1]
    assert found.people.p.tolist() == [0, 0, 0, 0]
    assert (found.omega.value, found.rho.value, found.passes) == (1.0, 1.0, True)
    # Who agrees with nobody doesn't pass, and no number of votes would help: all d are 1.
    loner = alt_test(*np.array(votes).T, np.full(40, 2), epsilon=0.1)
    assert loner.people.person_wins.tolist() == [1, 1, 1, 1]
    assert loner.people.judge_wins.tolist() == [0, 0, 0, 1]
    assert (loner.omega.value, loner.passes, loner.votes_needed) == (0.25, False, None)


def test_a_judge_as_good_as_people_passes_and_a_hopeless_one_does_not():
    rng = np.random.default_rng(5)
    passed = dict.fromkeys((0.35, 1.0), 0)
    for judge_noise in passed:
        for _ in range(20):
            votes, judge = panel(rng, instances=400, judge_noise=judge_noise)
            passed[judge_noise] += alt_test(*np.array(votes).T, judge, epsilon=0.2).passes
    assert passed[0.35] == 20
    assert passed[1.0] == 0


def test_with_too_few_shared_votes_it_says_how_many_are_missing():
    # Two people share 25 instances; a third shares 10 of them.
    votes = [(i, person, 0) for i in range(25) for person in (0, 1)]
    votes += [(i, 2, 0) for i in range(10)]
    found = alt_test(*np.array(votes).T, np.zeros(25, int), epsilon=0.1)
    assert found.passes is None
    assert found.votes_needed == 5 + 5 + 20
    assert "at least 30 more votes" in found.omega.reason
    nobody = alt_test(*np.zeros((3, 0), int), np.zeros(25, int), epsilon=0.1)
    assert nobody.votes_needed == 90


def test_the_votes_that_are_needed_are_about_enough():
    rng = np.random.default_rng(3)
    votes, judge = panel(rng, instances=70, people=8, noise=0.45, judge_noise=0.42, share=0.9)
    short = alt_test(*np.array(votes).T, judge, epsilon=0.1)
    assert short.passes is False
    assert short.votes_needed
    # They may all be one person's, whose difference is close to the allowance.
    factor = 2 + int(np.ceil(1.1 * short.votes_needed / short.people.n.min()))
    again = np.array(votes)
    longer = np.concatenate([again + np.array([70 * k, 0, 0]) for k in range(factor)])
    assert alt_test(*longer.T, np.tile(judge, factor), epsilon=0.1).passes is True


def test_the_interval_of_rho_covers():
    # rho of an endless panel, from one large draw.
    large = panel(np.random.default_rng(1), instances=60_000, people=6)
    truth = alt_test(*np.array(large[0]).T, large[1], epsilon=0.1).rho.value
    covered = 0
    for seed in range(200):
        votes, judge = panel(np.random.default_rng(100 + seed), people=6)
        rho = alt_test(*np.array(votes).T, judge, epsilon=0.1).rho
        covered += rho.lower <= truth <= rho.upper
    assert covered >= 184


def test_benjamini_yekutieli_is_that_of_scipy():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p = rng.random(rng.integers(1, 40)) ** 3
        expected = false_discovery_control(p, method="by") <= 0.05
        assert (benjamini_yekutieli(p, rate=0.05) == expected).all()


@pytest.mark.parametrize(
    ("votes", "words"),
    [
        ([(0, 0, 0), (0, 0, 1)], "has one vote"),
        ([(0, 0, 0), (9, 0, 1)], "instances from 0 to 9"),
        ([(0, 0, -1), (1, 0, 1)], "not negative"),
    ],
)
def test_what_makes_no_sense_is_refused(votes, words):
    with pytest.raises(ValueError, match=words):
        alt_test(*np.array(votes).T, np.zeros(5, int), epsilon=0.1)
