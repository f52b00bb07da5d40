"""Who doesn't vote in good faith: three tests of one voter's votes, and their combination.

*Strange votes* is the sequential test of Chatbot Arena (arXiv 2403.04132, the section on anomalous users): a
p-value for each vote against the history of its pair, Fisher's method at a few random stops, Bonferroni over
the stops. The paper takes one-sided p-values of an outcome that has three values. Such p-values are too
large under honest votes, and in the paper's direction an outcome is strange only where it favours A. Ours

- call an outcome the stranger the rarer it is in the pair's history,
- are conformal: the vote is put among the history and ranked there, with ties broken at random, so that they
  are exactly uniform for honest votes however short the history is, and
- count the voter's own earlier votes on the pair as history, which makes them independent of each other.

One of the stops is always the last vote, so that no vote goes unread.

The published test is nearly blind to two kinds of voter, whence two tests of our own, both exact:

- *one side*: whoever always votes left gives no strange outcomes, because sides are drawn. Given the draw, an
  honest vote is for the left as often as for the right: binomial, two-sided.
- *one system*: the points given to a system (win 1, tie 1/2) against those that its pairs' histories expect,
  by the exact distribution of their sum; Bonferroni over the systems that the voter met.

All hold for voters whose votes are exchangeable with other people's. A person of unusual taste isn't, and
people in general lean a little to one side, so a small p-value is a reason to look, not a proof.

Random numbers come from a generator whose seed follows from the votes: nobody can shop for a better draw.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, chi2

A, B, TIE = 0, 1, 2
STOPS = 5
# With fewer votes than this on a system no test of it can reach any level that is of use.
LEAST_VOTES_ON_A_SYSTEM = 5
N_TESTS = 3


class Anomaly(NamedTuple):
    """p-values of one voter, each valid by itself; ``p`` is for all three together.

    A test that can't be made (no votes, no sides known, no system met often enough) has the p-value 1 and is
    counted all the same. ``system`` is the one most favoured, -1 where none was tested.
    """

    p: float
    strange: float
    side: float
    favour: float
    system: int
    n: int


def anomaly(
    outcome: np.ndarray, a: np.ndarray, b: np.ndarray, history: np.ndarray, left: np.ndarray
) -> Anomaly:
    """All tests of one voter; calling whoever has ``p`` < .05 anomalous is wrong for at most 5 % of the honest.

    ``outcome`` (n,): A, B or TIE in the order of the votes (both bad counts as a tie); ``a``, ``b`` (n,): the
    systems; ``history`` (n, 3): how often *other* voters gave A, B and TIE on the pair; ``left`` (n,): 1 where
    the vote was for the left side, 0 for the right, -1 for a tie or where the sides aren't known.
    """
    rng = np.random.default_rng(seed_of(outcome, history, left))
    bags = _with_own_votes(outcome, a, b, history)
    strange = sequential_fisher(strangeness(outcome, bags, rng), rng)
    side = one_side(left)
    favour, system = one_system(outcome, a, b, bags)
    p = min(1.0, N_TESTS * min(strange, side, favour))
    return Anomaly(p=p, strange=strange, side=side, favour=favour, system=system, n=len(outcome))


def seed_of(*votes: np.ndarray) -> int:
    """From what was voted and seen, not from the ids of a database."""
    hasher = hashlib.sha256()
    for column in votes:
        hasher.update(np.ascontiguousarray(column, dtype="<i8").tobytes())
        hasher.update(b"\x1d")
    return int.from_bytes(hasher.digest()[:8], "little")


def _with_own_votes(
    outcome: np.ndarray, a: np.ndarray, b: np.ndarray, history: np.ndarray
) -> np.ndarray:
    """(n, 3) the bag of outcomes that each vote is drawn from: history, own votes so far, and itself."""
    bags = np.array(history, dtype=np.int64)
    own: dict[tuple[int, int], np.ndarray] = {}
    pairs = zip(np.asarray(a).tolist(), np.asarray(b).tolist(), strict=True)
    for i, pair in enumerate(pairs):
        so_far = own.setdefault(pair, np.zeros(3, dtype=np.int64))
        so_far[outcome[i]] += 1
        bags[i] += so_far
    return bags


def strangeness(outcome: np.ndarray, bags: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) p-values: how rare the outcome is in its bag. Exactly uniform, and independent, under honesty."""
    own = np.take_along_axis(bags, np.asarray(outcome)[:, None], axis=1)
    rarer = np.where(bags < own, bags, 0).sum(axis=1)
    as_rare = np.where(bags == own, bags, 0).sum(axis=1)
    # 1 - random() lies in (0, 1]: the logarithm is always finite.
    return (rarer + (1.0 - rng.random(len(bags))) * as_rare) / bags.sum(axis=1)


def sequential_fisher(p: np.ndarray, rng: np.random.Generator) -> float:
    """Fisher's method on the first j p-values for a few j drawn at random and for all; Bonferroni over them."""
    n = len(p)
    if n == 0:
        return 1.0
    drawn = 1 + rng.permutation(n - 1)[: STOPS - 1]
    stops = np.append(drawn, n)
    statistic = -2 * np.cumsum(np.log(p))[stops - 1]
    return float(min(1.0, len(stops) * chi2.sf(statistic, 2 * stops).min()))


def one_side(left: np.ndarray) -> float:
    """Two-sided binomial p-value of the votes for the left among those for a side."""
    known = np.asarray(left)
    known = known[known >= 0]
    if not len(known):
        return 1.0
    return float(binomtest(int(known.sum()), len(known), 0.5).pvalue)


def one_system(
    outcome: np.ndarray, a: np.ndarray, b: np.ndarray, bags: np.ndarray
) -> tuple[float, int]:
    """The p-value of favouring any one system, and which it is; (1, -1) where none was met often enough."""
    a, b, outcome = np.asarray(a), np.asarray(b), np.asarray(outcome)
    met, times = np.unique(np.concatenate([a, b]), return_counts=True)
    tested = met[times >= LEAST_VOTES_ON_A_SYSTEM]
    best, favourite = 1.0, -1
    for system in tested.tolist():
        as_a, as_b = a == system, b == system
        # Half points: a win 2, a tie 1. Seen from B the first two columns change places.
        seen = np.concatenate([bags[as_a], bags[as_b][:, [B, A, TIE]]])[:, [B, TIE, A]]
        given = (
            2 * ((outcome[as_a] == A).sum() + (outcome[as_b] == B).sum())
            + (outcome[as_a] == TIE).sum()
            + (outcome[as_b] == TIE).sum()
        )
        p = _at_least(int(given), seen / seen.sum(axis=1, keepdims=True))
        if p < best or favourite < 0:
            best, favourite = min(p, best), system
    return min(1.0, best * max(len(tested), 1)), favourite


def _at_least(points: int, chances: np.ndarray) -> float:
    """P(sum ≥ points) where the i-th summand is 0, 1 or 2 with the chances of row i."""
    total = np.ones(1)
    for row in chances:
        total = np.convolve(total, row)
    return float(min(1.0, total[points:].sum()))
