"""Resampling a judge and its reference together.

Where both judged the same prompts, a lucky draw of prompts moves both; an interval that resamples them
apart would miss it. Here one weight per prompt and round goes to both sides. With too few prompts for
that, the verdicts themselves are resampled, each side on its own.

Statistics that a refit per round would make slow, or that a resampling of single verdicts would make
wrong (the win rate of a pair with one verdict never moves when that verdict is weighted), are resampled
through their linear influence: a weight moves a total by (weight - 1) times the verdict's residual
about the *model's* rate, and that noise is carried through the statistic's derivative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ratings.engine.tallies import ClusteredTallies, Tallies

ResamplingUnit = Literal["prompts", "verdicts"]
_BLOCK_ENTRIES = 2_000_000  # 16 MB of draws at a time
# More prompts than this are resampled in random groups: unions of independent prompts are independent
# too, and the weights stay below 32 MB for 1,000 rounds.
_MAX_GROUPS = 4000


@dataclass(frozen=True, slots=True)
class PairedResampling:
    """`weights` (R, G), mean 1, for groups of prompts and `group` (C,) of each prompt (a group of its
    own unless there are thousands); both None when verdicts are resampled (drawn from `seed`)."""

    unit: ResamplingUnit
    rounds: int
    seed: int
    weights: np.ndarray | None
    group: np.ndarray | None

    def grouped(self, tallies: ClusteredTallies) -> ClusteredTallies:
        """The same cells, with the weights' groups as clusters."""
        if self.weights is None or self.group is None:
            return tallies
        return ClusteredTallies(
            tallies=tallies.tallies,
            n_clusters=self.weights.shape[1],
            pair=tallies.pair,
            outcome=tallies.outcome,
            cluster=self.group[tallies.cluster],
            count=tallies.count,
        )

    def noise(
        self,
        tallies: Tallies | ClusteredTallies,
        residual: np.ndarray,
        projection,
        *,
        side: int,
    ) -> np.ndarray:
        """(R, q) draws of the projected pair totals' noise.

        `residual` (m, 4) is a verdict's deviation by pair and outcome; `projection` (m, q), sparse or
        dense, maps pair totals to statistics; `side` tells the judge (0) from the reference (1), so that
        resampled verdicts are independent between them.
        """
        from scipy.sparse import csr_array

        if self.weights is None:
            return self._verdict_noise(tallies, residual, projection, side=side)
        if not isinstance(tallies, ClusteredTallies):
            raise ValueError("Prompts can be resampled only where tallies are split by prompt.")
        tallies = self.grouped(tallies)
        value = tallies.count * residual[tallies.pair, tallies.outcome]
        shape = (tallies.n_clusters, len(residual))
        by_prompt = csr_array((value, (tallies.cluster, tallies.pair)), shape=shape) @ projection
        by_prompt = by_prompt if isinstance(by_prompt, np.ndarray) else by_prompt.toarray()
        return (self.weights - 1.0) @ by_prompt

    def _verdict_noise(self, tallies, residual, projection, *, side: int) -> np.ndarray:
        """The weights of a pair's n verdicts sum to Gamma(n), here drawn as the normal with the same
        variance: the same seed and side give a pair the same draws in every statistic."""
        counts = tallies.tallies.counts if isinstance(tallies, ClusteredTallies) else tallies.counts
        spread = np.sqrt((counts * residual**2).sum(axis=1))
        rng = np.random.default_rng([self.seed, side])
        noise = np.empty((self.rounds, projection.shape[1]))
        step = max(1, _BLOCK_ENTRIES // max(len(spread), 1))
        for start in range(0, self.rounds, step):
            block = noise[start : start + step]
            block[:] = (rng.standard_normal((len(block), len(spread))) * spread) @ projection
        return noise


def paired_resampling(
    *, unit: ResamplingUnit, rounds: int, seed: int, n_prompts: int = 0
) -> PairedResampling:
    """Draw the weights once; every statistic of a report then uses the same rounds."""
    if rounds < 2:
        raise ValueError(
            f"An interval needs at least 2 rounds of resampling; {rounds} were asked for."
        )
    if unit == "verdicts":
        return PairedResampling(unit=unit, rounds=rounds, seed=seed, weights=None, group=None)
    rng = np.random.default_rng(seed)
    n_groups = min(n_prompts, _MAX_GROUPS)
    group = np.arange(n_prompts) if n_groups == n_prompts else rng.permutation(n_prompts) % n_groups
    weights = rng.standard_exponential((rounds, n_groups))
    return PairedResampling(unit=unit, rounds=rounds, seed=seed, weights=weights, group=group)
