"""The alternative annotator test: may a judge replace a person? Calderon, Reichart & Dror (2501.10970).

Each person is set against the judge: whose decisions are more like those of the *other* people? The judge
passes when it is at least as good as most of them, after an allowance epsilon for what it saves.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ratings.engine.figure import Figure, missing

# What a judge may fall short of a person and still be worth it: by who the people are.
EPSILON = {"experts": 0.2, "skilled": 0.15, "crowd": 0.1}
MIN_INSTANCES = 30
FALSE_DISCOVERY_RATE = 0.05
PASSES_AT = 0.5
# With fewer people than this a share of them says little. Ours: the paper asks for three at least.
MIN_PEOPLE = 3


@dataclass(frozen=True, slots=True)
class Comparisons:
    """The judge against each of J people who have enough instances, in the order of `annotator`.

    annotator (J,) labels; n (J,) instances; judge_wins, person_wins (J,) the shares of instances where the
    judge, and the person, is at least as much like the others; p (J,); rejected (J,) bool: the judge is
    at least as good as this person, minus epsilon.
    """

    annotator: np.ndarray
    n: np.ndarray
    judge_wins: np.ndarray
    person_wins: np.ndarray
    p: np.ndarray
    rejected: np.ndarray


@dataclass(frozen=True, slots=True)
class AltTest:
    """`omega` the share of people that the judge can replace, `rho` the judge's mean advantage probability.

    `passes` is None where there is no omega. `votes_needed`: how many more votes, on instances that others
    vote on too, would let it be run, or if it doesn't pass, would be expected to let it pass with the
    differences as they are; None where no number would.
    """

    omega: Figure
    rho: Figure
    passes: bool | None
    epsilon: float
    people: Comparisons
    n_people: int
    n_instances: int
    votes_needed: int | None


def alt_test(
    instance: np.ndarray,
    annotator: np.ndarray,
    label: np.ndarray,
    judge: np.ndarray,
    *,
    epsilon: float,
    min_instances: int = MIN_INSTANCES,
    min_people: int = MIN_PEOPLE,
    level: float = 0.95,
) -> AltTest:
    """May `judge` (N,), a label of each instance, replace one of the people?

    People's votes are `instance` (v,) in 0..N-1, `annotator` (v,) and `label` (v,), non-negative ints, one
    vote of a person on an instance (ValueError otherwise). A judge's label of -1 is no decision: such
    instances are left out, as are those with one person. S is the share of the other people with the same
    label; a person's d is the mean of [S(person) >= S(judge)] - [S(judge) >= S(person)]; H0: d >= epsilon is
    tested by a one-sided t-test (Wilcoxon's signed ranks where a person has under 30 instances), and
    corrected over people by Benjamini & Yekutieli at .05. Where every d of a person is the same, t isn't
    defined: then p is 0 or 1. The interval of rho takes instances as drawn at random (linearised).
    """
    instance, annotator, label, judge = (
        np.asarray(given) for given in (instance, annotator, label, judge)
    )
    _check(instance, annotator, label, judge)
    kept = judge[instance] >= 0
    instance, annotator, label = instance[kept], annotator[kept], label[kept]
    n_labels = int(max(label.max(initial=0), judge.max(initial=0))) + 1
    votes = np.bincount(instance * n_labels + label, minlength=len(judge) * n_labels)
    votes = votes.reshape(len(judge), n_labels)
    shared = votes.sum(axis=1)[instance] >= 2
    instance, annotator, label = instance[shared], annotator[shared], label[shared]
    decided = judge[instance]
    # How many of the others say the same; the person's own vote is never one of them.
    person_like = votes[instance, label] - 1
    judge_like = votes[instance, decided] - (label == decided)
    judge_wins = judge_like >= person_like
    person_wins = person_like >= judge_like

    who, place = np.unique(annotator, return_inverse=True)
    n = np.bincount(place, minlength=len(who))
    enough = n >= min_instances
    tested = np.flatnonzero(enough)
    n_instances = len(np.unique(instance))
    if len(tested) < min_people:
        lacking = np.sort(np.maximum(min_instances - n, 0))[:min_people]
        absent_people = max(min_people - len(who), 0)
        needed = int(lacking.sum()) + absent_people * min_instances
        reason = (
            f"{len(tested)} of {len(who)} people have {min_instances} decisions that others share; the test "
            f"needs {min_people} such people: at least {needed:,} more votes on battles that others vote on."
        )
        absent = missing(n=len(tested), unit="people", reason=reason)
        no = np.zeros(0)
        empty = Comparisons(who[:0], n[:0], no, no, no, np.zeros(0, dtype=bool))
        return AltTest(absent, absent, None, epsilon, empty, len(who), n_instances, needed)

    wins_judge = (np.bincount(place, judge_wins, len(who)) / np.maximum(n, 1))[tested]
    wins_person = (np.bincount(place, person_wins, len(who)) / np.maximum(n, 1))[tested]
    difference = person_wins.astype(np.int8) - judge_wins
    p, spread = _p_values(difference, place, tested, n[tested], epsilon)
    rejected = benjamini_yekutieli(p, rate=FALSE_DISCOVERY_RATE)
    omega = float(rejected.mean())
    passes = omega >= PASSES_AT
    people = Comparisons(who[tested], n[tested], wins_judge, wins_person, p, rejected)
    return AltTest(
        omega=Figure(omega, None, None, len(tested), "people"),
        rho=_rho(judge_wins, instance, place, tested, wins_judge, n, level=level),
        passes=passes,
        epsilon=epsilon,
        people=people,
        n_people=len(who),
        n_instances=n_instances,
        votes_needed=0 if passes else _votes_to_pass(people, spread, epsilon),
    )


def benjamini_yekutieli(p: np.ndarray, *, rate: float) -> np.ndarray:
    """(m,) bool: which hypotheses fall, with the false discovery rate under `rate` however they depend."""
    m = len(p)
    order = np.argsort(p, kind="stable")
    bounds = rate * np.arange(1, m + 1) / (m * (1 / np.arange(1, m + 1)).sum())
    under = np.flatnonzero(p[order] <= bounds)
    rejected = np.zeros(m, dtype=bool)
    if under.size:
        rejected[order[: under[-1] + 1]] = True
    return rejected


def _check(
    instance: np.ndarray, annotator: np.ndarray, label: np.ndarray, judge: np.ndarray
) -> None:
    if not len(instance) == len(annotator) == len(label):
        raise ValueError(
            f"Votes must have one length; instances have {len(instance)}, annotators {len(annotator)}, "
            f"labels {len(label)}."
        )
    if len(instance) and (instance.min() < 0 or instance.max() >= len(judge)):
        raise ValueError(
            f"The judge has {len(judge)} labels; votes name instances from {instance.min()} to "
            f"{instance.max()}."
        )
    if (label < 0).any():
        raise ValueError("People's labels are not negative: leave out votes that decide nothing.")
    pairs = np.stack([instance, annotator]) if len(instance) else np.zeros((2, 0), int)
    if len(np.unique(pairs, axis=1).T) < len(instance):
        raise ValueError(
            "A person has one vote on an instance: keep the first or the last of them."
        )


def _p_values(
    difference: np.ndarray, place: np.ndarray, tested: np.ndarray, n: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """(J,) one-sided p-values of mean d < epsilon, and the standard deviations of d."""
    from scipy.stats import t, wilcoxon

    total = np.bincount(place, difference)[tested]
    squares = np.bincount(place, difference.astype(float) ** 2)[tested]
    mean = total / n
    spread = np.sqrt(np.maximum(squares - n * mean**2, 0.0) / np.maximum(n - 1, 1))
    spread[spread < 1e-12] = 0.0
    below = np.where(mean < epsilon, 0.0, 1.0)
    statistic = np.divide(
        mean - epsilon, spread / np.sqrt(n), out=np.zeros_like(mean), where=spread > 0
    )
    p = np.where(spread > 0, t.cdf(statistic, n - 1), below)
    for at in np.flatnonzero((n < MIN_INSTANCES) & (spread > 0)):
        own = difference[place == tested[at]] - epsilon
        p[at] = wilcoxon(own, alternative="less").pvalue
    return p, spread


def _rho(
    judge_wins: np.ndarray,
    instance: np.ndarray,
    place: np.ndarray,
    tested: np.ndarray,
    shares: np.ndarray,
    n: np.ndarray,
    *,
    level: float,
) -> Figure:
    """The mean over people of the judge's share; an instance moves the shares of all who voted on it."""
    counted = np.isin(place, tested)
    at = np.searchsorted(tested, place[counted])
    influence = (judge_wins[counted] - shares[at]) / n[tested][at] / len(tested)
    by_instance = np.bincount(instance[counted], influence)
    half = NormalDist().inv_cdf((1 + level) / 2) * float(np.sqrt((by_instance**2).sum()))
    value = float(shares.mean())
    return Figure(
        value, max(value - half, 0.0), min(value + half, 1.0), int(counted.sum()), "votes"
    )


def _votes_to_pass(people: Comparisons, spread: np.ndarray, epsilon: float) -> int | None:
    """How many more votes let the judge pass, if the mean differences stay what they are; None: no number.

    Half of the people must fall at once: each then needs the p that Benjamini & Yekutieli ask of that many.
    """
    m = len(people.n)
    wanted = int(np.ceil(PASSES_AT * m))
    mean = people.person_wins - people.judge_wins
    bound = FALSE_DISCOVERY_RATE * wanted / (m * (1 / np.arange(1, m + 1)).sum())
    z = NormalDist().inv_cdf(bound)
    reachable = mean < epsilon
    if reachable.sum() < wanted:
        return None
    total = np.ceil((z * spread[reachable] / (epsilon - mean[reachable])) ** 2)
    more = np.maximum(total - people.n[reachable], 0)
    # A t-test of few asks a little more than the normal that is used here: never none.
    return max(int(np.sort(more)[:wanted].sum()), 1)
