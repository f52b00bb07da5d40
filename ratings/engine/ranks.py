"""Ranks that admit what the data don't decide."""

import numpy as np


def rank_intervals(theta: np.ndarray, *, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles of each system's rank across replicates `theta` (R, K); (K,) ints each, 1 is best."""
    ranks = np.empty(theta.shape, dtype=np.int64)
    rows = np.arange(len(theta))[:, None]
    ranks[rows, np.argsort(-theta, axis=1, kind="stable")] = np.arange(1, theta.shape[1] + 1)
    tail = (1 - level) / 2
    lower = np.quantile(ranks, tail, axis=0, method="inverted_cdf")
    upper = np.quantile(ranks, 1 - tail, axis=0, method="inverted_cdf")
    return lower.astype(np.int64), upper.astype(np.int64)


def rank_upper_bound(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """1 + how many systems' intervals lie wholly above (K,); the rank of Chatbot Arena (2403.04132)."""
    return 1 + (lower[None, :] > upper[:, None]).sum(axis=1)


def tiers(lower: np.ndarray, upper: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Tier of each system (K,), 1 is best. From the top, the first system opens a tier; a system joins
    while its interval overlaps that of the tier's first, else it opens the next."""
    tier = np.zeros(len(theta), dtype=np.int64)
    current, anchor = 0, np.inf
    for system in np.argsort(-theta, kind="stable"):
        if current == 0 or upper[system] < anchor:
            current, anchor = current + 1, lower[system]
        tier[system] = current
    return tier
