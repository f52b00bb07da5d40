"""Whether one of two systems does better than the other on the same prompts against the same opponents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_PROMPTS = 10
SUBSETS = 1999
_BLOCK_ENTRIES = 4_000_000


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """`difference` of win shares, -1 to 1, with its 95 % interval [`lower`, `upper`] and two-sided `p_value`;
    the interval leaves 0 out exactly when the p-value is at most .05."""

    difference: float
    lower: float
    upper: float
    p_value: float
    n_prompts: int


def paired_difference(
    total: Sequence[float] | np.ndarray,
    weight: Sequence[float] | np.ndarray,
    *,
    seed: int,
    subsets: int = SUBSETS,
) -> PairedDifference:
    """Sum of `total` over sum of `weight`, with an interval and a test that resample prompts.

    `total` (C,): on each prompt, the sum over common opponents of the one's win share minus the other's, each
    in -1 to 1. `weight` (C,), positive: how many common opponents there were. Everything of a prompt stays
    together, so battles that share a prompt and its outputs may depend on each other.

    The means of random subsets of prompts (each prompt in with probability 1/2, empty ones drawn again) are
    typical values of the centre (Hartigan 1969): each of the R + 1 gaps between R sorted ones holds it with
    equal probability, where prompts' differences are symmetric about it. Leaving a prompt out is flipping its
    sign, so the p-value is that of the sign-flip test, two-sided by doubling, the observed value counted in.

    Raises ValueError for fewer than FEWEST_PROMPTS prompts, other shapes, weights that aren't positive, and
    fewer than 39 subsets, which can't reach 95 %.
    """
    total, weight = np.asarray(total, dtype=float), np.asarray(weight, dtype=float)
    if total.ndim != 1 or total.shape != weight.shape:
        raise ValueError(
            f"total and weight need one shape (C,), not {total.shape}, {weight.shape}."
        )
    if len(total) < FEWEST_PROMPTS:
        raise ValueError(f"At least {FEWEST_PROMPTS} prompts are needed; there are {len(total)}.")
    if not (weight > 0).all() or not np.isfinite(total).all():
        raise ValueError("Weights must be positive, and totals finite.")
    if subsets < 39:
        raise ValueError(f"At least 39 subsets are needed for 95 %; {subsets} were asked for.")
    means = np.sort(_subset_means(total, weight, subsets, np.random.default_rng(seed)))
    cut = int(0.025 * (subsets + 1))
    below, above = (means <= 0).sum(), (means >= 0).sum()
    return PairedDifference(
        difference=float(total.sum() / weight.sum()),
        lower=float(means[cut - 1]),
        upper=float(means[subsets - cut]),
        p_value=float(min(1.0, 2 * (min(below, above) + 1) / (subsets + 1))),
        n_prompts=len(total),
    )


def _subset_means(
    total: np.ndarray, weight: np.ndarray, subsets: int, rng: np.random.Generator
) -> np.ndarray:
    """(subsets,) the weighted means of random non-empty subsets."""
    columns = np.column_stack([total, weight])
    step = max(1, _BLOCK_ENTRIES // len(total))
    found: list[np.ndarray] = []
    missing = subsets
    while missing:
        drawn = rng.integers(0, 2, size=(min(step, missing), len(total)), dtype=np.int8)
        sums = drawn @ columns
        sums = sums[sums[:, 1] > 0]
        found.append(sums[:, 0] / sums[:, 1])
        missing -= len(sums)
    return np.concatenate(found)
