"""Does a judge prefer what is longer, or what is marked up, more than people do on the same battles?"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from ratings.engine.figure import Figure, missing
from ratings.engine.tallies import Outcome

# Outputs whose lengths differ by less aren't told apart by length: CALM and others take about a sentence.
LENGTH_GAP = 30
MIN_BATTLES = 20


@dataclass(frozen=True, slots=True)
class SurfacePreference:
    """How often the side that has more is preferred, ties left out: by the judge, by people, and the
    difference, each over the battles that both decided for a side."""

    judge: Figure
    people: Figure
    difference: Figure


def longer_side(
    length_a: np.ndarray, length_b: np.ndarray, *, gap: float = LENGTH_GAP
) -> np.ndarray:
    """(n,) 1 where A is longer by more than `gap`, -1 where B is, 0 otherwise and where one isn't known."""
    difference = np.nan_to_num(length_a - length_b)
    return np.where(np.abs(difference) > gap, np.sign(difference), 0).astype(int)


def side_with(count_a: np.ndarray, count_b: np.ndarray) -> np.ndarray:
    """(n,) 1 where only A has any (lists, headers, bold), -1 where only B has, 0 otherwise."""
    known = np.isfinite(count_a) & np.isfinite(count_b)
    has_a, has_b = np.nan_to_num(count_a) > 0, np.nan_to_num(count_b) > 0
    return np.where(known, has_a.astype(int) - has_b, 0)


def surface_preference(
    judge: np.ndarray,
    votes: np.ndarray,
    side: np.ndarray,
    cluster: np.ndarray,
    *,
    level: float = 0.95,
) -> SurfacePreference:
    """From the judge's outcomes (n,), people's votes (n, 4), the side that has more (n,) and the prompt (n,).

    A battle counts once, people's preference in it as the share of their votes for a side. Intervals take
    prompts as drawn at random (sums by prompt, C/(C - 1)); the difference is of the same battles, so what
    makes longer outputs better in them is in both and cancels. Fewer than 20 battles have a reason.
    ValueError for arrays of different lengths.
    """
    if not len(judge) == len(votes) == len(side) == len(cluster):
        raise ValueError(
            f"Battles must have one length; outcomes have {len(judge)}, votes {len(votes)}, sides {len(side)}, "
            f"clusters {len(cluster)}."
        )
    decided = votes[:, Outcome.A] + votes[:, Outcome.B]
    used = (side != 0) & (decided > 0) & ((judge == Outcome.A) | (judge == Outcome.B))
    n = int(used.sum())
    if n < MIN_BATTLES:
        absent = missing(
            n=n,
            unit="battles",
            reason=f"{n} battles differ in it and were decided for a side by both; {MIN_BATTLES} are needed.",
        )
        return SurfacePreference(absent, absent, absent)
    with_a = side[used] > 0
    said_a = judge[used] == Outcome.A
    own = (said_a == with_a).astype(float)
    share = votes[used, Outcome.A] / decided[used]
    theirs = np.where(with_a, share, 1 - share)
    _, at = np.unique(cluster[used], return_inverse=True)

    def figure(values: np.ndarray, low: float) -> Figure:
        mean = float(values.mean())
        sums = np.bincount(at, values - mean)
        clusters = len(sums)
        if clusters < 2:
            return Figure(mean, None, None, n, "battles")
        sd = np.sqrt((sums**2).sum() * clusters / (clusters - 1)) / n
        half = float(NormalDist().inv_cdf((1 + level) / 2) * sd)
        return Figure(mean, max(mean - half, low), min(mean + half, 1.0), n, "battles")

    return SurfacePreference(figure(own, 0.0), figure(theirs, 0.0), figure(own - theirs, -1.0))
