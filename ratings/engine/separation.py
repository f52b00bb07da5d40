"""How clearly a judge tells systems apart, and whether it does so as people do. Arena-Hard (2406.11939)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratings.engine.figure import Figure, estimate, missing

MIN_SYSTEMS = 3
# Pairs of systems times replicates that are compared at a time.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Separation:
    """`separability`: share of pairs whose 95 % intervals are apart. `agreement_with_confidence`: over
    pairs that the reference separates, 1 for the same order, 0 for the opposite, one half where the judge's
    intervals overlap. `brier`: mean squared error of the judge's forecast of the reference's order, over all
    pairs (.25: no knowledge)."""

    separability: Figure
    separability_of_reference: Figure
    agreement_with_confidence: Figure
    brier: Figure


def separation(
    judge: np.ndarray,
    reference: np.ndarray,
    *,
    judge_replicates: np.ndarray,
    reference_replicates: np.ndarray,
    level: float = 0.95,
) -> Separation:
    """From strengths (K,), nan where not ranked, and their replicates (R, K), over what both rank.

    A system's interval is the percentiles of its replicates at 95 % whatever `level` is; the judge's forecast
    that i is above j is Phi((m_i - m_j) / sqrt(v_i + v_j)), v the variances of replicates. Intervals of the
    figures: the same with each replicate in the place of the strengths and the intervals as wide as they
    are, shifted to the data's own value (see `figure.estimate`).
    """
    kept = np.isfinite(judge) & np.isfinite(reference)
    n = int(kept.sum())
    if n < MIN_SYSTEMS:
        reason = (
            f"The judge and the reference both rank {n} systems; at least {MIN_SYSTEMS} are needed."
        )
        absent = missing(n=n * (n - 1) // 2, unit="pairs of systems", reason=reason)
        return Separation(absent, absent, absent, absent)
    first, second = np.triu_indices(n, 1)
    sides = [
        _Side.of(theta[kept], replicates[:, kept], first, second)
        for theta, replicates in ((judge, judge_replicates), (reference, reference_replicates))
    ]
    own = [side.data for side in sides]
    value = _figures(own[0], own[1], sides)
    rounds = len(judge_replicates)
    drawn = np.empty((rounds, 4))
    step = max(1, _BLOCK // len(first))
    for start in range(0, rounds, step):
        block = slice(start, start + step)
        drawn[block] = _figures(sides[0].gaps(block), sides[1].gaps(block), sides)

    n_separated = int((np.abs(own[1]) > sides[1].reach).sum())

    def figure(at: int, n_pairs: int) -> Figure:
        if not n_pairs:
            return missing(
                n=0,
                unit="pairs of systems",
                reason="The reference separates no two of these systems.",
            )
        return estimate(
            float(value[0, at]),
            drawn[:, at],
            n=n_pairs,
            unit="pairs of systems",
            level=level,
            recentre=True,
            bounds=(0.0, 1.0),
        )

    everything = len(first)
    return Separation(
        separability=figure(0, everything),
        separability_of_reference=figure(1, everything),
        agreement_with_confidence=figure(2, n_separated),
        brier=figure(3, everything),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """`reach` (P,): how far apart two strengths must be for their intervals not to touch; `scale` (P,) the
    standard deviation of the difference, replicates taken as independent, as Arena-Hard does."""

    data: np.ndarray
    replicates: np.ndarray
    first: np.ndarray
    second: np.ndarray
    below: np.ndarray
    above: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(
        cls, theta: np.ndarray, replicates: np.ndarray, first: np.ndarray, second: np.ndarray
    ) -> _Side:
        lower, upper = np.nanquantile(replicates, (0.025, 0.975), axis=0)
        variance = np.nanvar(replicates, axis=0)
        return cls(
            data=(theta[first] - theta[second])[None, :],
            replicates=replicates,
            first=first,
            second=second,
            below=np.maximum(theta - lower, 0.0),
            above=np.maximum(upper - theta, 0.0),
            scale=np.sqrt(variance[first] + variance[second]),
        )

    @property
    def reach(self) -> np.ndarray:
        ahead = self.below[self.first] + self.above[self.second]
        behind = self.above[self.first] + self.below[self.second]
        return np.where(self.data[0] > 0, ahead, behind)

    def gaps(self, block: slice) -> np.ndarray:
        return self.replicates[block][:, self.first] - self.replicates[block][:, self.second]

    def order(self, gaps: np.ndarray) -> np.ndarray:
        """(R, P): 1 where the first is above beyond both intervals, -1 below, 0 where they overlap."""
        ahead = gaps > self.below[self.first] + self.above[self.second]
        behind = -gaps > self.above[self.first] + self.below[self.second]
        return ahead.astype(np.int8) - behind

    def forecast(self, gaps: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        # Without any spread the order is certain, and a tie is even.
        certain = (np.sign(gaps) + 1) / 2
        z = np.divide(gaps, self.scale, out=np.zeros_like(gaps), where=self.scale > 0)
        return np.where(self.scale > 0, ndtr(z), certain)


def _figures(judge: np.ndarray, reference: np.ndarray, sides: list[_Side]) -> np.ndarray:
    """(R, 4) of gaps (R, P) of either side: separability of both, agreement with confidence, Brier."""
    own, theirs = (side.order(gaps) for side, gaps in zip(sides, (judge, reference), strict=True))
    separated = theirs != 0
    n_separated = separated.sum(axis=1)
    agrees = ((1 + own * theirs) / 2 * separated).sum(axis=1)
    with_confidence = np.divide(
        agrees, n_separated, out=np.full(len(own), np.nan), where=n_separated > 0
    )
    happened = (np.sign(reference) + 1) / 2
    brier = ((sides[0].forecast(judge) - happened) ** 2).mean(axis=1)
    return np.stack(
        [(own != 0).mean(axis=1), separated.mean(axis=1), with_confidence, brier], axis=1
    )
