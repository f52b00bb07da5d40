"""Battles with known strengths."""

import numpy as np


def strengths(k: int, *, seed: int, spread: float = 1.0) -> np.ndarray:
    theta = np.random.default_rng(seed).normal(0, spread, k)
    return theta - theta.mean()


def battles(
    theta: np.ndarray, n: int, *, seed: int, nu: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a, b, outcome), pairs uniform in either orientation, outcomes by Davidson's model."""
    rng = np.random.default_rng(seed)
    k = len(theta)
    a = rng.integers(0, k, n)
    b = (a + rng.integers(1, k, n)) % k
    gap = theta[a] - theta[b]
    weights = np.stack([np.exp(gap / 2), np.exp(-gap / 2), np.full(n, nu)])
    cut = np.cumsum(weights / weights.sum(axis=0), axis=0)
    return a, b, (rng.random(n) > cut[:2]).sum(axis=0)
