"""The Elo scale."""

import numpy as np

PER_LOG_STRENGTH = 400 / np.log(10)
CENTRE = 1000.0


def elo_scale(theta: np.ndarray) -> np.ndarray:
    """1000 + 400/ln 10 times the log-strength: 400 points are odds of ten to one."""
    return CENTRE + PER_LOG_STRENGTH * np.asarray(theta)


def expected_score(rating: float, other: float) -> float:
    """The probability that the first rating wins: 1200 against 1000 gives .76."""
    return float(1 / (1 + 10 ** ((other - rating) / 400)))
