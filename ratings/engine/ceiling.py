"""The noise ceiling: how well would two panels of people agree with each other?

No judge can be expected to agree with a panel better than a second, equal panel does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ratings.engine.agreement import kendall_tau_b_rows
from ratings.engine.figure import Figure, missing, percentile_interval
from ratings.engine.reference_posterior import (
    OUTCOME_VALUES,
    ReferencePosterior,
    battle_sums,
    incidence,
    laplacian,
    plain_tallies,
)
from ratings.engine.tallies import ClusteredTallies, Outcome, Tallies

SplitUnit = Literal["battles", "prompts", "votes"]
MIN_SYSTEMS = 3
MIN_BATTLES = 30
# Keeps a system that won everything in its half at a finite place: at the edge of the ranking.
_PANEL_RIDGE = 0.05
_FIT_STEPS = 25
_SPREADS = np.linspace(0.2, 1.4, 7)


@dataclass(frozen=True, slots=True)
class NoiseCeiling:
    """`half` tau-b between random halves of people's verdicts (mean over splits, percentiles of them);
    `full` the same for two panels as large as the whole one; `split` what was kept together."""

    half: Figure
    full: Figure
    split: SplitUnit


def noise_ceiling(
    reference: Tallies | ClusteredTallies,
    *,
    posterior: ReferencePosterior,
    split: SplitUnit = "battles",
    splits: int = 40,
    seed: int,
    level: float = 0.95,
) -> NoiseCeiling:
    """tau-b between two halves of people, and between two simulated panels of the full size.

    Halves: every battle (pair on one prompt, with all its votes), prompt or vote falls to either half
    with equal chance; both halves are fitted. Full size: panels are simulated from the fitted
    strengths, whose spread is first set so that simulated *halves* agree as the real ones do (fitted
    strengths are spread out by their own errors, and votes on one battle follow one another: a
    simulation from them as they are would promise too much). The interval of `full` holds the central
    share of simulated panel pairs: how far a perfect colleague's tau would scatter.
    """
    if split not in get_args(SplitUnit):
        raise ValueError(f"Unknown unit to split by {split!r}; use one of {get_args(SplitUnit)}.")
    if split != "votes" and not isinstance(reference, ClusteredTallies):
        raise ValueError(
            f"Splitting by {split} needs tallies split by prompt; split by votes instead."
        )
    tallies = plain_tallies(reference)
    systems = np.flatnonzero(posterior.ranked)
    unit = split
    rng = np.random.default_rng(seed)
    n_units, halves_n, halves_wins = _halves(reference, posterior.ranked, split, splits, rng)
    needed = 2 if split == "prompts" else MIN_BATTLES
    if systems.size < MIN_SYSTEMS or n_units < needed:
        reason = (
            f"{n_units} {split} of {systems.size} ranked systems are too few to split in halves."
        )
        absent = missing(n=n_units, unit=unit, reason=reason)
        return NoiseCeiling(half=absent, full=absent, split=split)
    position = np.full(tallies.n_systems, -1)
    position[systems] = np.arange(systems.size)
    inside = posterior.ranked[tallies.a] & posterior.ranked[tallies.b]
    panel = _Panel(
        a=position[tallies.a[inside]],
        b=position[tallies.b[inside]],
        theta=posterior.mean[systems],
        tie_share=float(
            tallies.counts[inside][:, [Outcome.TIE, Outcome.BOTH_BAD]].sum()
            / max(tallies.counts[inside].sum(), 1.0)
        ),
    )
    halves_n, halves_wins = halves_n[..., inside], halves_wins[..., inside]
    observed = panel.agreement(halves_n, halves_wins, spread=1.0)
    if not np.isfinite(observed).any():
        absent = missing(n=n_units, unit=unit, reason="Each half ties all systems.")
        return NoiseCeiling(half=absent, full=absent, split=split)
    simulated = np.array(
        [
            # The same random numbers at every spread, so that the curve is smooth.
            np.nanmean(panel.simulate(halves_n, spread=spread, rng=np.random.default_rng(seed + 1)))
            for spread in _SPREADS
        ]
    )
    half = float(np.nanmean(observed))
    rising = np.maximum.accumulate(simulated) + 1e-9 * np.arange(_SPREADS.size)
    spread = float(np.interp(half, rising, _SPREADS))
    whole = np.broadcast_to(tallies.n_per_pair[inside], halves_n.shape)
    full = panel.simulate(whole, spread=spread, rng=rng)
    return NoiseCeiling(
        half=_figure(observed, n=n_units, unit=unit, level=level),
        full=_figure(full, n=n_units, unit=unit, level=level),
        split=split,
    )


def _figure(drawn: np.ndarray, *, n: int, unit: str, level: float) -> Figure:
    lower, upper = percentile_interval(drawn, level=level)
    return Figure(value=float(np.nanmean(drawn)), lower=lower, upper=upper, n=n, unit=unit)


def _halves(
    reference: Tallies | ClusteredTallies,
    ranked: np.ndarray,
    split: SplitUnit,
    splits: int,
    rng: np.random.Generator,
) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of units, and votes and wins of A in each half: (2, splits, m) each."""
    tallies = plain_tallies(reference)
    inside = ranked[tallies.a] & ranked[tallies.b]
    if isinstance(reference, ClusteredTallies) and split != "votes":
        n_units, first_n, first_wins = _half_of_battles(reference, inside, split, splits, rng)
    else:
        votes = np.rint(tallies.counts).astype(np.int64)
        drawn = rng.binomial(votes, 0.5, size=(splits, *votes.shape))
        first_n, first_wins = drawn.sum(axis=2).astype(float), drawn @ OUTCOME_VALUES
        n_units = int(votes[inside].sum())
    halves_n = np.stack([first_n, tallies.n_per_pair - first_n])
    return n_units, halves_n, np.stack([first_wins, tallies.wins_a - first_wins])


def _half_of_battles(
    reference: ClusteredTallies,
    inside: np.ndarray,
    split: SplitUnit,
    splits: int,
    rng: np.random.Generator,
) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of battles or prompts, and votes and wins (splits, m) of a random half of them."""
    m = len(inside)
    pair, n, key = battle_sums(reference, np.ones((m, OUTCOME_VALUES.size)))
    wins = battle_sums(reference, np.broadcast_to(OUTCOME_VALUES, (m, OUTCOME_VALUES.size)))[1]
    group = np.arange(len(pair))
    if split == "prompts":
        group = np.unique(key % max(reference.n_clusters, 1), return_inverse=True)[1]
    first_n, first_wins = np.empty((splits, m)), np.empty((splits, m))
    for row in range(splits):
        chosen = (rng.random(int(group.max(initial=-1)) + 1) < 0.5)[group]
        for half, amount in ((first_n, n), (first_wins, wins)):
            half[row] = np.bincount(pair[chosen], weights=amount[chosen], minlength=m)
    return len(np.unique(group[inside[pair]])), first_n, first_wins


@dataclass(frozen=True, slots=True)
class _Panel:
    """Pairs (m,) among k ranked systems, their strengths (k,) and the share of ties."""

    a: np.ndarray
    b: np.ndarray
    theta: np.ndarray
    tie_share: float

    def simulate(self, n: np.ndarray, *, spread: float, rng: np.random.Generator) -> np.ndarray:
        """(S,) tau-b of two simulated panels with n (2, S, m) votes and strengths spread · θ."""
        from scipy.special import expit

        rate = expit(spread * (self.theta[self.a] - self.theta[self.b]))
        tie = np.minimum(self.tie_share, 2 * np.minimum(rate, 1 - rate))
        ties = rng.binomial(np.rint(n).astype(np.int64), tie)
        decided = np.clip((rate - tie / 2) / np.maximum(1 - tie, 1e-12), 0.0, 1.0)
        wins = rng.binomial(np.rint(n).astype(np.int64) - ties, decided) + ties / 2
        return self.agreement(np.rint(n), wins, spread=spread)

    def agreement(self, n: np.ndarray, wins: np.ndarray, *, spread: float) -> np.ndarray:
        first, second = (self._fit(n[side], wins[side], spread=spread) for side in (0, 1))
        return kendall_tau_b_rows(first, second)

    def _fit(self, n: np.ndarray, wins: np.ndarray, *, spread: float) -> np.ndarray:
        """(S, k) ridge Bradley-Terry strengths of S panels at once, n and wins (S, m).

        Chord steps with the inverse information of the average panel; a panel's own step is halved
        whenever its gradient grew. Good to far less than a gap between ranks.
        """
        from scipy.special import expit

        k = len(self.theta)
        design = incidence(self.a, self.b, k)
        rate = expit(spread * (self.theta[self.a] - self.theta[self.b]))
        information = laplacian(self.a, self.b, n.mean(axis=0) * rate * (1 - rate), k)
        inverse = np.linalg.inv(information + _PANEL_RIDGE * np.eye(k))
        theta = np.broadcast_to(spread * self.theta, (len(n), k)).copy()
        pace, previous = np.ones(len(n)), np.full(len(n), np.inf)
        for _ in range(_FIT_STEPS):
            expected = n * expit(theta[:, self.a] - theta[:, self.b])
            gradient = (wins - expected) @ design - _PANEL_RIDGE * theta
            size = np.abs(gradient).max(axis=1)
            pace = np.where(size > previous, pace / 2, pace)
            previous = size
            step = gradient @ inverse * pace[:, None]
            theta += step
            if np.abs(step).max() < 1e-4:
                break
        return theta
