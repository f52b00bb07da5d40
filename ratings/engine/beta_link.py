"""The link of decisiveness: p = BetaCDF(σ(d); α, α), the judge's win rate at a reference gap d.

BetaCDF(·; 1, 1) is the identity, so α = 1 leaves people's win rates as they are, α > 1 pushes them
towards 0 and 1, α < 1 towards one half (JuStRank, arXiv 2412.09569).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# α outside this range looks like a coin or like a step: no data of ordinary size tells it from more.
LOG_ALPHA_BOUNDS = (np.log(0.05), np.log(60.0))
_COARSE_STEP = 0.2
_GAP_STEP, _GAP_MAX = 0.02, 14.0
_LOG_ALPHA_NUDGE = 0.01
# Seven Gauss-Hermite nodes integrate the link over a gap's posterior to better than 1e-4 up to sd 1.
_NODES, _NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_NODE_WEIGHTS = _NODE_WEIGHTS / _NODE_WEIGHTS.sum()


@dataclass(frozen=True, slots=True)
class LinkTable:
    """The link at one α on a grid of gaps d >= 0: `value` BetaCDF(σ(d)), `slope` its d/d log α."""

    value: np.ndarray
    slope: np.ndarray


def link_table(log_alpha: float) -> LinkTable:
    """Tabulate the link (and its derivative in log α) at one α."""
    from scipy.special import betainc, expit

    rate = expit(np.arange(0.0, _GAP_MAX + _GAP_STEP / 2, _GAP_STEP))
    at = [np.exp(log_alpha + nudge) for nudge in (-_LOG_ALPHA_NUDGE, 0.0, _LOG_ALPHA_NUDGE)]
    below, value, above = (betainc(alpha, alpha, rate) for alpha in at)
    return LinkTable(value=value, slope=(above - below) / (2 * _LOG_ALPHA_NUDGE))


@lru_cache(maxsize=1)
def coarse_tables() -> tuple[np.ndarray, tuple[LinkTable, ...]]:
    """A grid of log α over `LOG_ALPHA_BOUNDS` and the table at each; computed once per process."""
    low, high = LOG_ALPHA_BOUNDS
    grid = np.linspace(low, high, int(np.ceil((high - low) / _COARSE_STEP)) + 1)
    return grid, tuple(link_table(log_alpha) for log_alpha in grid)


@dataclass(frozen=True, slots=True)
class BlurredGaps:
    """Gaps d (m,) known up to a normal error of variance v (m,): the link is integrated over it.

    Built once for the data and evaluated at many α, so the interpolation indices are kept.
    """

    index: np.ndarray
    fraction: np.ndarray
    negative: np.ndarray

    @classmethod
    def of(cls, gap: np.ndarray, variance: np.ndarray | None = None) -> BlurredGaps:
        nodes = gap[:, None]
        if variance is not None:
            nodes = nodes + np.sqrt(np.maximum(variance, 0.0))[:, None] * _NODES
        position = np.minimum(np.abs(nodes) / _GAP_STEP, _GAP_MAX / _GAP_STEP - 1e-6)
        index = position.astype(np.int32)
        return cls(index=index, fraction=position - index, negative=nodes < 0)

    def _integrate(self, nodes: np.ndarray) -> np.ndarray:
        return nodes[:, 0] if nodes.shape[1] == 1 else nodes @ _NODE_WEIGHTS

    def _interpolate(self, column: np.ndarray) -> np.ndarray:
        low = column[self.index]
        return low + self.fraction * (column[self.index + 1] - low)

    def rate(self, table: LinkTable) -> np.ndarray:
        """(m,) expected win rate of the judge."""
        value = self._interpolate(table.value)
        return self._integrate(np.where(self.negative, 1.0 - value, value))

    def rate_slope(self, table: LinkTable) -> np.ndarray:
        """(m,) derivative of `rate` in log α."""
        slope = self._interpolate(table.slope)
        return self._integrate(np.where(self.negative, -slope, slope))
