"""The likelihood of a judge's verdicts as a function of its decisiveness α."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratings.engine.beta_link import BlurredGaps, LinkTable, coarse_tables, link_table
from ratings.engine.judged_pairs import JudgedPairs

GAP_NUDGE = 0.05
_RATE_FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class VerdictLikelihood:
    """Score of the judge's verdicts in log α. `gaps` at, above and below the posterior mean gap;
    `shared` (p,) covariance of the judge's error and the gap's error, 0 where they are independent."""

    pairs: JudgedPairs
    gaps: tuple[BlurredGaps, BlurredGaps, BlurredGaps]
    shared: np.ndarray

    @classmethod
    def of(
        cls, pairs: JudgedPairs, gap: np.ndarray, variance: np.ndarray | None
    ) -> VerdictLikelihood:
        """Without shared errors; `variance` (p,) None takes the gaps for exact."""
        at, above, below = (
            BlurredGaps.of(gap + nudge, variance) for nudge in (0.0, GAP_NUDGE, -GAP_NUDGE)
        )
        return cls(pairs=pairs, gaps=(at, above, below), shared=np.zeros(len(gap)))

    def rate(self, log_alpha: float, *, at: int = 0) -> np.ndarray:
        """(p,) expected win rate of A; `at` 0, 1, 2 for the gaps themselves, above and below."""
        rate = self.gaps[at].rate(link_table(log_alpha))
        return np.clip(rate, _RATE_FLOOR, 1 - _RATE_FLOOR)

    def weight(self, table: LinkTable, *, at: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """(p,) weight of a verdict's residual in the score, and the expected rate."""
        rate = np.clip(self.gaps[at].rate(table), _RATE_FLOOR, 1 - _RATE_FLOOR)
        return self.gaps[at].rate_slope(table) / (rate * (1 - rate)), rate

    def score_in(self, table: LinkTable) -> float:
        """d log-likelihood / d log α at the α of `table`."""
        weight, rate = self.weight(table)
        score = float((weight * (self.pairs.wins - self.pairs.n * rate)).sum())
        if self.shared.any():
            # E[w(d + u) e] = w'(d) E[u e]: what shared errors add to the score of the right α.
            above, below = (self.weight(table, at=at)[0] for at in (1, 2))
            score -= float(((above - below) / (2 * GAP_NUDGE) * self.shared).sum())
        return score

    def score(self, log_alpha: float) -> float:
        return self.score_in(link_table(log_alpha))

    def maximum(self) -> float | str:
        """log α where the score crosses zero downwards for good; "low" or "high" beyond the bounds."""
        from scipy.optimize import brentq

        grid, tables = coarse_tables()
        score = np.array([self.score_in(table) for table in tables])
        gain = np.concatenate([[0.0], np.cumsum((score[1:] + score[:-1]) / 2)])
        best = int(gain.argmax())
        if best == 0 and score[0] <= 0:
            return "low"
        if best == len(grid) - 1 and score[-1] >= 0:
            return "high"
        low = best if score[best] > 0 else best - 1
        return float(brentq(self.score, grid[low], grid[low + 1], xtol=1e-5))
