"""One reported number: its value, its interval, what it was counted from, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Below half, the replicates that have an answer are a selected, better-looking lot.
_MIN_DEFINED_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Figure:
    """A statistic with its n. `value` is None where the data cannot support it: then `reason` says why.

    `lower` and `upper` bound the interval (None where there is no interval); `n` counts `unit`.
    """

    value: float | None
    lower: float | None
    upper: float | None
    n: int
    unit: str
    reason: str = ""

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise ValueError("A figure without a value must say why: give a reason.")


def missing(*, n: int, unit: str, reason: str) -> Figure:
    """The figure that the data cannot support."""
    return Figure(value=None, lower=None, upper=None, n=n, unit=unit, reason=reason)


def percentile_interval(
    replicates: np.ndarray, *, level: float = 0.95
) -> tuple[float | None, float | None]:
    """Central percentiles of the finite `replicates` (R,); (None, None) where under half are finite."""
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval lies between 0 and 1; {level} does not.")
    finite = replicates[np.isfinite(replicates)]
    if finite.size < max(2, _MIN_DEFINED_SHARE * replicates.size):
        return None, None
    tail = (1 - level) / 2
    lower, upper = np.quantile(finite, (tail, 1 - tail))
    return float(lower), float(upper)


def estimate(
    value: float,
    replicates: np.ndarray,
    *,
    n: int,
    unit: str,
    level: float = 0.95,
    recentre: bool = False,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Figure:
    """A Figure from a value and its replicates (R,).

    `recentre` shifts the replicates so that their mean is the value. A replicate carries the noise of
    the data twice (once from the data, once from the resampling), so a statistic that noise lowers,
    like a rank correlation, is lower in every replicate than it is in the data; unshifted percentiles
    may then leave out the value itself.
    """
    if recentre:
        finite = replicates[np.isfinite(replicates)]
        if finite.size:
            replicates = np.clip(replicates - finite.mean() + value, *bounds)
    lower, upper = percentile_interval(replicates, level=level)
    return Figure(value=float(value), lower=lower, upper=upper, n=n, unit=unit)
