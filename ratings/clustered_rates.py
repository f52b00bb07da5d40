"""Win rates of one system with intervals that allow for prompts: arithmetic on sums that the database made."""

from collections.abc import Callable
from math import exp, lgamma, log, sqrt
from typing import NamedTuple

Z = 1.959964  # the normal's 97.5 % point
FEWEST_PROMPTS = 10


class Sums(NamedTuple):
    """Over prompts p: their verdicts n_p and the points s_p that the system got, a win two, a tie one."""

    n: int  # sum of n_p
    points: int  # sum of s_p
    n_prompts: int
    points_squared: int  # sum of s_p²
    points_n: int  # sum of s_p n_p
    n_squared: int  # sum of n_p²


class Rate(NamedTuple):
    """A win rate, ties one half; without an interval where it rests on too few prompts."""

    n: int
    n_prompts: int
    value: float
    lower: float | None
    upper: float | None

    @property
    def is_too_few(self) -> bool:
        return self.lower is None


def t_quantile(df: int) -> float:
    """Student's 97.5 % point by the expansion of Cornish and Fisher: within 0.002 from 9 degrees of freedom."""
    z = Z
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return sum(term / df**power for power, term in enumerate(terms))


def rate(sums: Sums) -> Rate:
    """The share of points with a 95 % interval of Wilson on the effective number of verdicts.

    Verdicts on one prompt go together, so prompts are the independent units. The variance of the share is that
    of a ratio of sums over prompts (linearised, C/(C-1)); the effective number of verdicts is what would give
    the same variance to independent ones, never more than there are, and the number of prompts where all
    verdicts are alike; a factor (z/t)² allows for few prompts (Korn and Graubard 1998, for Wilson's interval as
    in Dean and Pagano 2015). Fewer than FEWEST_PROMPTS prompts have no interval.
    """
    share = sums.points / (2 * sums.n)
    if sums.n_prompts < FEWEST_PROMPTS:
        return Rate(sums.n, sums.n_prompts, share, None, None)
    squares = (
        sums.points_squared / 4 - share * sums.points_n + share**2 * sums.n_squared
    )  # sum of (s_p/2 - share n_p)²
    variance = max(squares, 0.0) * sums.n_prompts / (sums.n_prompts - 1) / sums.n**2
    spread = share * (1 - share)
    effective = min(spread / variance, sums.n) if variance > 1e-15 else sums.n_prompts
    effective *= (Z / t_quantile(sums.n_prompts - 1)) ** 2
    lower, upper = wilson(share, effective)
    return Rate(sums.n, sums.n_prompts, share, lower, upper)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``n`` > 0."""
    middle = share + Z**2 / (2 * n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)


def mean_interval(
    total: float, n: int, *, n_prompts: int, squares: Callable[[float], float]
) -> tuple[float, float | None, float | None]:
    """(mean, lower, upper) of something per battle, total / n, with prompts as the independent units.

    ``squares`` gives the sum over prompts of (total_p - mean n_p)². Student's t; no interval below
    FEWEST_PROMPTS prompts.
    """
    mean = total / n
    if n_prompts < FEWEST_PROMPTS:
        return mean, None, None
    error = sqrt(max(squares(mean), 0.0) * n_prompts / (n_prompts - 1)) / n
    half = t_quantile(n_prompts - 1) * error
    return mean, mean - half, mean + half


def sign_test(one: int, other: int) -> float:
    """The exact two-sided p-value that of ``one`` + ``other`` fair coins so uneven a number is heads.

    1 without coins. In logarithms, so that a hundred thousand coins don't overflow.
    """
    n, fewer = one + other, min(one, other)
    if n == 0:
        return 1.0
    logs = [lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) for k in range(fewer + 1)]
    most = max(logs)
    tail = most + log(sum(exp(value - most) for value in logs)) - n * log(2)
    return min(1.0, 2 * exp(min(tail, 0.0)))
