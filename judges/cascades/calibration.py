"""From what a judge was sure of and where it was wrong to the confidence from which it may be trusted.

Trust or Escalate (Jung, Brahman & Choi, arXiv 2407.18370): thresholds are tested from the strictest one down,
each by an exact upper bound of the share of errors among what is accepted; the last one before the first that
fails is taken. Pure, and for workers: it needs numpy and scipy, which the web process never loads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

# The strictest threshold is expected to accept this many times the battles without which nothing can pass (at
# fewer, an unlucky error among the first few would end the test before it began), but at most this share.
START = 6
MOST = 0.75
MOST_LEVELS = 50


@dataclass(frozen=True, slots=True)
class Calibration:
    """``threshold`` is None where the judge must abstain on everything; ``reason`` says why then.

    ``accepted``, ``errors`` and ``bound`` are the threshold's, or the strictest one's where none passed: how
    many calibration battles it accepts, on how many of them the judge was wrong, and the upper bound of its
    risk. ``n`` is how many battles there were, ``tested`` how many thresholds were looked at.
    """

    threshold: float | None
    n: int
    accepted: int
    errors: int
    bound: float
    tested: int
    reason: str = ""


def upper_bound(errors: np.ndarray | int, n: np.ndarray | int, *, delta: float) -> np.ndarray:
    """The risk r at which so few errors of n have probability delta: BinomCDF(errors; n, r) = delta.

    The true risk is above it with probability at most delta (Clopper & Pearson). 1 where all are errors, and
    where there are none to look at.
    """
    errors, n = np.asarray(errors, dtype=float), np.asarray(n, dtype=float)
    if ((errors < 0) | (errors > n)).any():
        raise ValueError("There can't be more errors than battles, nor fewer than none.")
    inside = errors < n
    bound = special.betaincinv(errors + 1, np.where(inside, n - errors, 1), 1 - delta)
    return np.where(inside, bound, 1.0)


def interval(right: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of Clopper & Pearson for a share; (0, 1) where there is nothing to look at."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = 1 - float(upper_bound(n - right, n, delta=tail))
    return low, float(upper_bound(right, n, delta=tail))


def least_needed(*, risk: float, delta: float) -> int:
    """The battles without which nothing can pass: with fewer, even no error at all is too little to say."""
    return math.ceil(math.log(delta) / math.log(1 - risk))


def thresholds(elsewhere: np.ndarray, *, n: int, risk: float, delta: float) -> np.ndarray:
    """The sequence of thresholds to be tested, strictest first; empty where n battles are too few.

    ``elsewhere`` are confidences on battles that aren't calibrated on, so that the sequence knows nothing of
    the errors that it is tested with. The last threshold, -inf, accepts all that has a confidence.
    """
    needed = least_needed(risk=risk, delta=delta)
    if n < needed:
        return np.empty(0)
    known = np.sort(elsewhere[np.isfinite(elsewhere)])[::-1]
    if not len(known):
        return np.array([-np.inf])
    first = max(needed, min(START * needed, MOST * n)) / n
    shares = np.linspace(min(first, 1), 1, MOST_LEVELS)
    places = np.minimum(np.ceil(shares * len(known)).astype(int), len(known)) - 1
    return np.append(np.unique(known[places])[::-1], -np.inf)


def calibrate(
    confidence: np.ndarray,
    is_wrong: np.ndarray,
    *,
    levels: np.ndarray,
    risk: float,
    delta: float,
) -> Calibration:
    """The least strict threshold that passes, and all stricter ones with it.

    ``confidence`` (n,), nan where there is none, which no threshold accepts; ``is_wrong`` (n,). If the battles
    are drawn like those to come, P(wrong | accepted) is at most ``risk`` with probability 1 − ``delta``.
    """
    n = len(confidence)
    if not len(levels):
        needed = least_needed(risk=risk, delta=delta)
        reason = (
            f"{n:,} battles to calibrate on are too few: even without an error it takes {needed:,}"
        )
        return Calibration(None, n, 0, 0, 1.0, 0, reason)
    known = np.where(np.isnan(confidence), -np.inf, confidence)
    accepts = (known >= levels[:, None]) & ~np.isnan(confidence)
    accepted = accepts.sum(axis=1)
    errors = (accepts & is_wrong.astype(bool)).sum(axis=1)
    bounds = upper_bound(errors, accepted, delta=delta)
    failed = np.flatnonzero(bounds > risk)
    passed = int(failed[0]) if len(failed) else len(levels)
    at = max(passed - 1, 0)
    found = (n, int(accepted[at]), int(errors[at]), float(bounds[at]), min(passed + 1, len(levels)))
    if not passed:
        return Calibration(
            None,
            *found,
            f"wrong on {errors[0]:,} of the {accepted[0]:,} battles that it was surest of",
        )
    # The threshold that accepts all is written as one that is below every confidence.
    level = float(levels[at])
    return Calibration(level if math.isfinite(level) else 0.0, *found)


@dataclass(frozen=True, slots=True)
class Cascade:
    """The tiers' calibrations, and what they decide: (n,) outcomes, -1 where all pass on or one is silent."""

    tiers: list[Calibration]
    decided: np.ndarray


def calibrate_cascade(
    said: np.ndarray,
    confidence: np.ndarray,
    people: np.ndarray,
    part: np.ndarray,
    *,
    risk: float,
    delta: float,
) -> Cascade:
    """Every tier on its own part of the battles, of which only those count that the tiers before it pass on.

    ``said`` (n, K) outcomes of the tiers' judges, -1 where one is silent; ``confidence`` (n, K), nan where one
    states none; ``people`` (n,) what most people say, -1 where that isn't known; ``part`` (n,) the number of
    the tier that is calibrated on a battle, below 0 where none is. The risk of what is decided is at most
    ``risk`` with probability 1 − ``delta``, of which every tier gets an equal part.
    """
    n, n_tiers = said.shape
    if (people[part >= 0] < 0).any():
        raise ValueError("A battle that is calibrated on needs a majority of people.")
    open_ = np.ones(n, dtype=bool)  # passed on by all tiers so far
    decided = np.full(n, -1)
    tiers = []
    for tier in range(n_tiers):
        reaches = open_ & (said[:, tier] >= 0)
        mine, elsewhere = reaches & (part == tier), reaches & (part != tier)
        sure = confidence[:, tier]
        given = {"risk": risk, "delta": delta / n_tiers}
        found = calibrate(
            sure[mine],
            said[mine, tier] != people[mine],
            levels=thresholds(sure[elsewhere], n=int(mine.sum()), **given),
            **given,
        )
        tiers.append(found)
        if found.threshold is not None:
            accepts = reaches & (sure >= found.threshold)
            decided = np.where(accepts, said[:, tier], decided)
            # Where this tier is silent, whether it would pass on isn't known.
            open_ = reaches & ~accepts
    return Cascade(tiers, decided)


def evidence_against(agreed: int, n: int, *, target: float) -> float:
    """How strongly ``agreed`` of n speak against an agreement of at least ``target``: an e-value.

    The mean likelihood ratio of all lower agreements, evenly weighted, to the target. It may be looked at after
    every battle: if the target holds, it ever reaches 1 / delta with probability at most delta (Ville).
    """
    if not 0 <= agreed <= n:
        raise ValueError("No more battles can be agreed on than there are.")
    wrong = n - agreed
    mass = special.betainc(agreed + 1, wrong + 1, target)
    if mass <= 0:
        return 0.0
    log_mean = math.log(mass) + special.betaln(agreed + 1, wrong + 1) - math.log(target)
    log_target = agreed * math.log(target) + wrong * math.log1p(-target)
    return float(np.exp(min(log_mean - log_target, 700.0)))
