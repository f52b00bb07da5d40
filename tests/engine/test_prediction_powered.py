"""Prediction-powered ratings: a judge's verdicts sharpen people's, and can't spoil them."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.mixed_evidence import panel, simulate
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.prediction_powered import BattleRows, fit_prediction_powered
from ratings.engine.sandwich import sandwich_covariance
from ratings.engine.tallies import tally, tally_by_cluster

K = 6


@pytest.fixture
def rows() -> BattleRows:
    rng = np.random.default_rng(3)
    made = panel(rng, rng.normal(0, 0.8, K), prompts=80, a_prompt=20, share=0.3, judge="good")
    # Some battles have several votes, and some no verdict of the judge.
    votes, judge = made.votes.copy(), made.judge.copy()
    votes[::7] *= 2
    judge[::11] = np.nan
    return replace(made, votes=votes, judge=judge)


def by_pair(rows: BattleRows) -> dict[tuple[int, int], dict[str, float]]:
    """Sums of each pair, in plain loops."""
    sums: dict[tuple[int, int], dict[str, float]] = {}
    for a, b, votes, judge in zip(rows.a, rows.b, rows.votes, rows.judge, strict=True):
        if np.isnan(judge):
            continue
        won, lost, *ties = votes.tolist()
        y, f, n = won + sum(ties) / 2, judge, sum(votes)
        if a > b:
            a, b, y, f = b, a, lost + sum(ties) / 2, 1 - f
        at = sums.setdefault((a, b), dict.fromkeys(("n", "won", "judged", "judge", "seen"), 0.0))
        for name, value in (("n", n), ("won", y), ("judged", 1), ("judge", f), ("seen", n * f)):
            at[name] += value
    return sums


@pytest.mark.parametrize("power", [0.3, 1.0])
def test_the_strengths_solve_the_rectified_equations(rows, power):
    theta = fit_prediction_powered(rows, power=power, seed=1).theta
    gradient = np.zeros(K)
    for (a, b), of in by_pair(rows).items():
        rectified = of["won"] + power * (of["n"] * of["judge"] / of["judged"] - of["seen"])
        residual = rectified - of["n"] / (1 + np.exp(theta[b] - theta[a]))
        gradient[a] += residual
        gradient[b] -= residual
    assert np.abs(gradient).max() < 1e-8
    assert theta.sum() == pytest.approx(0)


def test_people_alone_are_the_plain_fit_and_its_sandwich_by_prompt(rows):
    found = fit_prediction_powered(rows, power=0.0, seed=1)
    kept = np.isfinite(rows.judge)
    battle, outcome = np.nonzero(rows.votes * kept[:, None])
    arguments = (rows.a[battle], rows.b[battle], outcome)
    weights = rows.votes[battle, outcome]
    plain = fit_bradley_terry(tally(*arguments, n_systems=K, count=weights))
    assert found.people_theta == pytest.approx(plain.theta, abs=1e-9)
    assert found.theta == pytest.approx(plain.theta, abs=1e-9)
    clustered = tally_by_cluster(
        *arguments, rows.cluster[battle], n_systems=K, n_clusters=80, count=weights
    )
    prompts = len(np.unique(rows.cluster[battle]))
    expected = sandwich_covariance(clustered, plain) * prompts / (prompts - 1)
    assert found.people_covariance == pytest.approx(expected, abs=1e-12)
    assert found.covariance == pytest.approx(expected, abs=1e-9)
    assert found.worth.value == pytest.approx(0, abs=1e-6)
    assert found.n_votes == weights.sum()
    assert found.n_votes_left_out == rows.votes[~kept].sum() > 0


def test_the_covariance_is_that_of_plain_loops(rows):
    found = fit_prediction_powered(rows, power=0.6, seed=1)
    sums, theta = by_pair(rows), found.theta
    scores, information = np.zeros((80, K)), np.zeros((K, K))
    for a, b, votes, judge, cluster in zip(
        rows.a, rows.b, rows.votes, rows.judge, rows.cluster, strict=True
    ):
        if np.isnan(judge):
            continue
        won, lost, *ties = votes.tolist()
        y, f, n = won + sum(ties) / 2, judge, sum(votes)
        if a > b:
            a, b, y, f = b, a, lost + sum(ties) / 2, 1 - f
        of = sums[(a, b)]
        p = 1 / (1 + np.exp(theta[b] - theta[a]))
        widened = np.sqrt(of["judged"] / (of["judged"] - 1))
        away = (f - of["judge"] / of["judged"]) * widened
        residual = y - n * p + 0.6 * away * (of["n"] / of["judged"] - n)
        scores[cluster, [a, b]] += residual, -residual
    for (a, b), of in sums.items():
        p = 1 / (1 + np.exp(theta[b] - theta[a]))
        x = np.zeros(K)
        x[[a, b]] = 1, -1
        information += of["n"] * p * (1 - p) * np.outer(x, x)
    bread = np.linalg.pinv(information)
    voted = len(np.unique(rows.cluster[(rows.votes.sum(axis=1) > 0) & np.isfinite(rows.judge)]))
    expected = bread @ scores.T @ scores @ bread * voted / (voted - 1)
    assert found.covariance == pytest.approx(expected, abs=1e-10)


def test_which_system_stands_first_in_a_row_changes_nothing(rows):
    turned = np.arange(len(rows.a)) % 3 == 0
    mirrored = replace(
        rows,
        a=np.where(turned, rows.b, rows.a),
        b=np.where(turned, rows.a, rows.b),
        votes=np.where(turned[:, None], rows.votes[:, [1, 0, 2, 3]], rows.votes),
        judge=np.where(turned, 1 - rows.judge, rows.judge),
    )
    one, other = (fit_prediction_powered(given, seed=1) for given in (rows, mirrored))
    assert one.theta == pytest.approx(other.theta, abs=1e-9)
    assert one.power == pytest.approx(other.power)
    assert one.worth.value == pytest.approx(other.worth.value)


def test_a_judge_that_says_what_people_say_is_taken_at_its_word():
    rng = np.random.default_rng(8)
    made = panel(rng, rng.normal(0, 0.8, K), prompts=200, a_prompt=40, share=1.0, judge="good")
    said = made.votes @ [1, 0, 0.5, 0.5]
    asked = rng.random(len(said)) < 0.1
    rows = replace(made, votes=np.where(asked[:, None], made.votes, 0), judge=said)
    found = fit_prediction_powered(rows, seed=1)
    assert found.power > 0.9
    # 8,000 verdicts that are as good as votes; they are of 200 prompts, which 7,200 further votes needn't be.
    assert 3 * found.n_votes < found.worth.lower < found.worth.upper < 7_200
    assert found.p_random > 0.01


def test_prompts_that_were_chosen_by_what_the_judge_says_are_found_out():
    rng = np.random.default_rng(8)
    made = panel(rng, rng.normal(0, 0.8, K), prompts=200, a_prompt=40, share=1.0, judge="good")
    favours = np.where(made.a < made.b, made.judge, 1 - made.judge)
    asked = rng.random(len(favours)) < np.where(favours == 1, 0.25, 0.15)
    rows = replace(made, votes=np.where(asked[:, None], made.votes, 0))
    assert fit_prediction_powered(rows, seed=1).p_random < 0.001
    # Which pairs are asked about may follow any rule.
    of_pair = np.where((made.a + made.b) % 3 == 0, 0.5, 0.05)
    asked = rng.random(len(favours)) < of_pair
    rows = replace(made, votes=np.where(asked[:, None], made.votes, 0))
    assert fit_prediction_powered(rows, seed=1).p_random > 0.01


@pytest.mark.parametrize("judge", ["good", "useless", "adversarial"])
def test_intervals_cover_whatever_the_judge_is(judge):
    found = simulate(judge=judge, runs=60, systems=10, prompts=120, a_prompt=30, share=0.15)
    assert found["coverage"] > 0.915
    assert found["width"] <= (1.0 if judge == "good" else 1.01)


def test_rates_beyond_one_do_not_end_in_nothing():
    # One vote a pair, all against what the judge says of the rest: a full lambda has no finite fit.
    pairs = [(0, 1), (1, 2), (2, 0)]
    rows = []
    for prompt, (a, b) in enumerate(pairs):
        rows += [(a, b, (1, 0, 0, 0), 1.0, prompt)]
        rows += [(a, b, (0, 0, 0, 0), 0.0, prompt + 3 * n) for n in range(1, 9)]
    a, b, votes, judge, cluster = (np.array(column) for column in zip(*rows, strict=True))
    found = fit_prediction_powered(BattleRows(3, a, b, votes, judge, cluster), power=1.0, seed=1)
    assert np.isfinite(found.theta).all()
    extreme = replace(
        BattleRows(3, a, b, votes, judge, cluster),
        judge=np.where((a == 0) | (b == 0), judge, 1 - judge),
    )
    again = fit_prediction_powered(extreme, power=1.0, seed=1)
    assert np.isfinite(again.theta).all()
    assert again.power < 1


def test_without_votes_there_is_a_reason(rows):
    found = fit_prediction_powered(replace(rows, votes=rows.votes * 0), seed=1)
    assert np.isnan(found.theta).all()
    assert found.worth.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"judge": np.full(1600, 2.0)}, "between 0"),
        ({"judge": np.zeros(3)}, "one length"),
        ({"votes": np.zeros((1600, 3), int)}, r"\(battles, 4\)"),
    ],
)
def test_what_makes_no_sense_is_refused(rows, change, words):
    with pytest.raises(ValueError, match=words):
        fit_prediction_powered(replace(rows, **change), seed=1)
    with pytest.raises(ValueError, match="power"):
        fit_prediction_powered(rows, power=1.5, seed=1)
