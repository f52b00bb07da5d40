"""Voters in good and in bad faith on simulated systems, for tests and benchmarks of the anomaly tests."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ratings.engine.anomaly import TIE, Anomaly, anomaly


@dataclass(frozen=True)
class Panel:
    """Systems with known strengths, and what other people have voted: (K, K, 3) counts for i < j."""

    strength: np.ndarray
    ties: float
    history: np.ndarray

    def chances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(n, 3) how likely an honest vote is A, B, tie."""
        wins = (1 - self.ties) / (1 + np.exp(self.strength[b] - self.strength[a]))
        return np.stack([wins, 1 - self.ties - wins, np.full(len(wins), self.ties)], axis=1)


def make_panel(
    rng: np.random.Generator, *, systems: int, votes_a_pair: int, spread: float = 0.8
) -> Panel:
    """``spread`` is the standard deviation of the log-strengths: .8 is 139 points of Elo."""
    panel = Panel(rng.normal(0, spread, systems), 0.2, np.zeros((systems, systems, 3), dtype=int))
    a, b = np.triu_indices(systems, 1)
    panel.history[a, b] = rng.multinomial(votes_a_pair, panel.chances(a, b))
    return panel


def voter_tested(
    rng: np.random.Generator, panel: Panel, *, n: int, kind: str, **how: Any
) -> Anomaly:
    return anomaly(*cast_votes(rng, panel, n=n, kind=kind, **how))


def cast_votes(
    rng: np.random.Generator, panel: Panel, *, n: int, kind: str, system: int = 0
) -> tuple[np.ndarray, ...]:
    """The votes of one voter, as arguments of ``anomaly``.

    "honest"; "random" presses A, B or tie with the same chance; "left" always the left; "fan" votes for
    ``system`` wherever it is shown and honestly elsewhere; "paid" is a fan who skips all other battles.
    """
    k = len(panel.strength)
    if kind == "paid":
        other = rng.integers(1, k, n)
        pairs = np.stack([np.full(n, system), (system + other) % k], axis=1)
    else:
        first = rng.integers(0, k, n)
        pairs = np.stack([first, (first + rng.integers(1, k, n)) % k], axis=1)
    a, b = np.sort(pairs, axis=1).T
    a_is_left = rng.random(n) < 0.5
    chances = panel.chances(a, b)
    outcome = (rng.random(n)[:, None] > chances.cumsum(axis=1)[:, :2]).sum(axis=1)
    if kind == "random":
        outcome = rng.integers(0, 3, n)
    elif kind == "left":
        outcome = np.where(a_is_left, 0, 1)
    elif kind in ("fan", "paid"):
        outcome = np.where(a == system, 0, np.where(b == system, 1, outcome))
    left = np.where(outcome == TIE, -1, (outcome == 0) == a_is_left).astype(int)
    return outcome, a, b, panel.history[a, b], left
