"""Does a judge decide the same when something changes that should not matter?

CALM (arXiv 2410.02736) reports the share of decisions unchanged by each perturbation. That share alone
takes a judge's noise for weakness: a judge that contradicts itself on every tenth question when nothing
has changed can't stay above 90 %. So the share stands beside the judge's own, on the same questions asked
again unchanged, and their difference is what the perturbation did. All are of single decisions, before
two orders are combined into a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, sqrt
from statistics import NormalDist

import numpy as np

from ratings.engine.figure import Figure, estimate, missing

MIN_BATTLES = 10
# From so many prompts on they are resampled, if at least MIN_MOVED of them differ from the usual prompt: where
# nearly all are alike, so are nearly all resampled ones.
MIN_PROMPTS = 30
MIN_MOVED = 10
# Fewer changes to one side or the other can't be told from chance at .05, whatever they are: 2 · .5⁵ = .06.
MIN_MOVES = 6
# What the perturbed side gets from A, B, tie, both bad when it is A; mirrored when it is B.
_POINTS = np.array([[1, -1, 0, 0], [-1, 1, 0, 0]])
NO_SIDE = -1


@dataclass(frozen=True, slots=True)
class Robustness:
    """Of one perturbation. ``unchanged`` is the share of decisions that stayed; ``retest`` the same of the
    same battles asked again unchanged; ``beyond_noise`` the second minus the first: what the perturbation
    changed and asking again did not. ``towards`` is the share of changes for the perturbed side among those
    for it or against it, with ``p_towards``, the two-sided sign test of one half (None where there is none).
    ``is_weak``: the difference lies above 0 also where several perturbations are looked at together."""

    unchanged: Figure
    retest: Figure
    beyond_noise: Figure
    towards: Figure
    p_towards: float | None
    n_towards: int
    n_away: int
    is_weak: bool


def robustness(
    *,
    before: np.ndarray,
    after: np.ndarray,
    again: np.ndarray,
    side: np.ndarray,
    prompt: np.ndarray,
    rounds: int = 1000,
    seed: int,
    level: float = 0.95,
    family: int = 1,
) -> Robustness:
    """``before`` and ``after`` (n,) are outcomes (A, B, tie, both bad: 0..3) of the same battles without and
    with the perturbation, ``again`` those of asking once more without it (-1: not known), ``side`` (n,)
    which side was perturbed (0, 1, or NO_SIDE), ``prompt`` (n,) any integers.

    Intervals: a Bayesian bootstrap of prompts where MIN_PROMPTS and MIN_MOVED allow it, else Wilson's
    (1927), and Agresti and Min's (2005) for the difference, on the effective number of battles where prompts
    hold several (``_effective``). The sign test needs no such care: which side was perturbed was
    drawn for each battle by itself, so under "the perturbed side does not matter" each change falls to it
    with probability one half, however battles depend on each other. ``family`` is how many perturbations are
    looked at: ``is_weak`` then asks for 1 - (1 - level)/family (Bonferroni). ValueError for arrays that don't
    fit.
    """
    before, after, again, side, prompt = map(np.asarray, (before, after, again, side, prompt))
    if any(array.shape != before.shape for array in (after, again, side, prompt)):
        raise ValueError("Outcomes, sides and prompts must be arrays of one length.")
    for name, outcomes, least in (("before", before, 0), ("after", after, 0), ("again", again, -1)):
        if outcomes.size and (outcomes.min() < least or outcomes.max() > 3):
            raise ValueError(f"{name} holds {least}..3, an outcome each; it doesn't.")
    if side.size and not np.isin(side, (NO_SIDE, 0, 1)).all():
        raise ValueError(f"A side is 0, 1 or {NO_SIDE}.")
    stayed = (before == after).astype(float)
    known = again >= 0
    stayed_again = (before == again)[known].astype(float)
    draws = _Draws(rounds=rounds, seed=seed, level=level)
    towards, p, n_towards, n_away = _towards(before, after, side, level=level)
    beyond_noise, is_weak = _difference(stayed_again, stayed[known], prompt[known], draws, family)
    return Robustness(
        unchanged=_share(stayed, prompt, draws),
        retest=_share(stayed_again, prompt[known], draws),
        beyond_noise=beyond_noise,
        towards=towards,
        p_towards=p,
        n_towards=n_towards,
        n_away=n_away,
        is_weak=is_weak,
    )


def retest(
    *,
    before: np.ndarray,
    again: np.ndarray,
    prompt: np.ndarray,
    rounds: int = 1000,
    seed: int,
    level: float = 0.95,
) -> Figure:
    """The share of decisions that stayed when the very same was asked again."""
    stayed = (np.asarray(before) == np.asarray(again)).astype(float)
    return _share(stayed, np.asarray(prompt), _Draws(rounds=rounds, seed=seed, level=level))


def sign_test(towards: int, away: int) -> float:
    """Two-sided and exact: the probability of a split at least as uneven, each change a fair coin."""
    n, most = towards + away, max(towards, away)
    tail = sum(comb(n, k) for k in range(most, n + 1))
    return min(1.0, 2 * tail / 2**n)


def holm(p_values: Sequence[float | None], *, level: float = 0.05) -> list[bool]:
    """Which of several tests say so when all are looked at together (Holm 1979). None: no test was done."""
    found = [False] * len(p_values)
    known = sorted((p, at) for at, p in enumerate(p_values) if p is not None)
    for place, (p, at) in enumerate(known):
        if p > level / (len(known) - place):
            break
        found[at] = True
    return found


def wilson(share: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share of n > 0."""
    z2 = NormalDist().inv_cdf((1 + level) / 2) ** 2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2) * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # The share itself lies within, also where rounding would leave it out.
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


@dataclass(frozen=True, slots=True)
class _Draws:
    rounds: int
    seed: int
    level: float

    def of_mean(self, values: np.ndarray, prompt: np.ndarray) -> np.ndarray | None:
        """(rounds,) means of values by resampled prompts; None where these are too few."""
        _, index = np.unique(prompt, return_inverse=True)
        n = np.bincount(index).astype(float)
        sums = np.bincount(index, weights=values)
        # Prompts all of whose battles are alike in the most frequent way move nothing.
        usual = np.round(values.mean())
        moved = np.count_nonzero(np.abs(sums - usual * n) > 0)
        if len(n) < MIN_PROMPTS or moved < MIN_MOVED:
            return None
        drawn = np.random.default_rng(self.seed).standard_exponential((self.rounds, len(n)))
        replicates = (drawn @ sums) / (drawn @ n)
        # Of C prompts a bootstrap has (C - 1)/C of the variance, and the normal's quantiles.
        centre = replicates.mean()
        return centre + (replicates - centre) * _widened(len(n))


def _widened(prompts: int) -> float:
    """The t quantile over the normal's, by two terms of Cornish and Fisher's expansion, times √(C/(C - 1))."""
    z, df = 1.96, prompts - 1
    t = 1 + (z**2 + 1) / (4 * df) + (5 * z**4 + 16 * z**2 + 3) / (96 * df**2)
    return t * sqrt(prompts / df)


def _effective(values: np.ndarray, prompt: np.ndarray) -> float:
    """How many independent battles would give their mean the variance that it has: by sums over prompts, as
    Korn and Graubard (1998) have it, with t for the normal's quantile. Never more than there are battles, and
    the number of prompts where fewer than MIN_MOVED of these hold anything but the usual."""
    _, index, n = np.unique(prompt, return_inverse=True, return_counts=True)
    if n.max() == 1:
        return len(values)
    prompts, mean = len(n), values.mean()
    moved = np.bincount(index, weights=values != np.round(mean))
    sums = np.bincount(index, weights=values) - mean * n
    if np.count_nonzero(moved) < MIN_MOVED or not sums.any():
        return prompts
    variance = (sums @ sums) / len(values) ** 2 * _widened(prompts) ** 2
    return min(len(values), values.var() / variance)


def _too_few(n: int) -> Figure:
    reason = f"Only {n} battles were asked about both ways; at least {MIN_BATTLES} are needed."
    return missing(n=n, unit="battles", reason=reason)


def _share(stayed: np.ndarray, prompt: np.ndarray, draws: _Draws) -> Figure:
    n = len(stayed)
    if n < MIN_BATTLES:
        return _too_few(n)
    share = float(stayed.mean())
    replicates = draws.of_mean(stayed, prompt)
    if replicates is None:
        lower, upper = wilson(share, _effective(stayed, prompt), level=draws.level)
        return Figure(value=share, lower=lower, upper=upper, n=n, unit="battles")
    return estimate(share, replicates, n=n, unit="battles", level=draws.level)


def _difference(
    one: np.ndarray, other: np.ndarray, prompt: np.ndarray, draws: _Draws, family: int
) -> tuple[Figure, bool]:
    """Of the shares of two indicators of the same battles; whether it is above 0, one of a family."""
    n = len(one)
    if n < MIN_BATTLES:
        return _too_few(n), False
    apart = one - other
    value = float(apart.mean())
    strict = 1 - (1 - draws.level) / family
    replicates = draws.of_mean(apart, prompt)
    if replicates is not None:
        figure = estimate(value, replicates, n=n, unit="battles", level=draws.level)
        # So far out there are too few replicates: by their spread.
        z = NormalDist().inv_cdf((1 + strict) / 2)
        return figure, bool(value - z * replicates.std() > 0)
    effective = _effective(apart, prompt)
    plus, minus = ((apart == sign).mean() * effective for sign in (1, -1))
    lower, upper = _agresti_min(plus, minus, effective, level=draws.level)
    is_weak = _agresti_min(plus, minus, effective, level=strict)[0] > 0
    return Figure(value=value, lower=lower, upper=upper, n=n, unit="battles"), bool(is_weak)


def _agresti_min(plus: float, minus: float, n: float, *, level: float) -> tuple[float, float]:
    """Of (plus - minus)/n, where so many of n pairs differ one way and the other: Wald's interval after half
    a pair was added to each of the four cells (Agresti and Min 2005, Statistics in Medicine 24)."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (plus - minus) / (n + 2)
    spread = sqrt(plus + minus + 1 - (plus - minus) ** 2 / (n + 2)) / (n + 2)
    return max(-1.0, centre - z * spread), min(1.0, centre + z * spread)


def _towards(
    before: np.ndarray, after: np.ndarray, side: np.ndarray, *, level: float
) -> tuple[Figure, float | None, int, int]:
    unit = "changes"
    sided = side != NO_SIDE
    if not sided.any():
        reason = "It changes neither side more than the other."
        return missing(n=0, unit=unit, reason=reason), None, 0, 0
    gain = _POINTS[side[sided], after[sided]] - _POINTS[side[sided], before[sided]]
    towards, away = int((gain > 0).sum()), int((gain < 0).sum())
    n = towards + away
    if n < MIN_MOVES:
        reason = (
            f"Only {n} decisions moved for or against the changed side; fewer than {MIN_MOVES} can't be told "
            "from chance."
        )
        return missing(n=n, unit=unit, reason=reason), None, towards, away
    lower, upper = wilson(towards / n, n, level=level)
    figure = Figure(value=towards / n, lower=lower, upper=upper, n=n, unit=unit)
    return figure, sign_test(towards, away), towards, away
