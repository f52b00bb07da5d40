"""What runs in rounds save, and whether their intervals still cover: ``python -m benchmarks.rounds``.

Simulated judges by Bradley-Terry, each asked as `ratings.rounds` does: in rounds, where intervals are widest,
until all are under a width; beside it as many battles drawn evenly over all pairs. Prompts are independent.
"""

import argparse
import os

import django
import numpy as np
from tqdm import tqdm

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from ratings.engine.bradley_terry import fit_bradley_terry  # noqa: E402
from ratings.engine.sampling import pair_weights  # noqa: E402
from ratings.engine.sandwich import sandwich_sd  # noqa: E402
from ratings.engine.scale import PER_LOG_STRENGTH  # noqa: E402
from ratings.engine.tallies import tally  # noqa: E402
from ratings.rounds import ACTIVE, LEAST_VERDICTS, UNIFORM, Z  # noqa: E402

LEAST_IN_A_ROUND, SHARE_OF_A_ROUND = 50, 0.1  # as judges.runs.rounds has them
MOST = 20_000


def draw(rng, theta, shares, n):
    """``n`` verdicts of pairs by these shares: (a, b, outcome)."""
    k = len(theta)
    a, b = np.triu_indices(k, 1)
    weights = shares[a, b]
    pair = rng.choice(len(a), size=n, p=weights / weights.sum())
    a, b = a[pair], b[pair]
    wins = rng.random(n) < 1 / (1 + np.exp(theta[b] - theta[a]))
    return np.stack([a, b, np.where(wins, 0, 1)])


def standing(verdicts, k):
    """(fit, widths in rating points, nan where there is none)."""
    tallies = tally(*verdicts, n_systems=k)
    fit = fit_bradley_terry(tallies)
    wins = tallies.win_matrix()
    width = 2 * Z * PER_LOG_STRENGTH * sandwich_sd(tallies, fit)
    width[(wins + wins.T).sum(axis=1) < LEAST_VERDICTS] = np.nan
    return tallies, fit, width


def covered(fit, width, theta):
    """How many true ratings lie within their intervals."""
    error = np.abs(fit.theta - (theta - theta.mean())) * PER_LOG_STRENGTH
    return int((error <= width / 2).sum())


def one(seed, k, spread, wanted):
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, spread, k)
    verdicts, even = np.zeros((3, 0), dtype=int), np.ones((k, k))
    while verdicts.shape[1] < MOST:
        tallies, fit, width = standing(verdicts, k)
        if not np.isnan(width).any() and width.max() < wanted:
            break
        shares = pair_weights(tallies).mixed(active=ACTIVE, least_judged=0, uniform=UNIFORM)
        n = max(LEAST_IN_A_ROUND, round(SHARE_OF_A_ROUND * verdicts.shape[1]))
        verdicts = np.concatenate([verdicts, draw(rng, theta, shares, n)], axis=1)
    n = verdicts.shape[1]
    _, plain, even_width = standing(draw(rng, theta, even, n), k)
    return n, covered(fit, width, theta), covered(plain, even_width, theta), np.nanmax(even_width)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--systems", type=int, default=8)
    parser.add_argument("--width", type=float, default=100)
    asked = parser.parse_args()
    for spread in (0.5, 1.0, 2.0):
        rows = np.array(
            [
                one(seed, asked.systems, spread, asked.width)
                for seed in tqdm(range(asked.runs), desc=f"spread {spread:g}", disable=None)
            ]
        )
        share = rows[:, 1:3].mean(axis=0) / asked.systems
        error = np.sqrt(share * (1 - share) / (asked.runs * asked.systems))
        print(
            f"{asked.systems} systems, spread {spread:g} logits, until under {asked.width:g} points: "
            f"{rows[:, 0].mean():,.0f} battles; coverage {share[0]:.3f} ± {error[0]:.3f}, of as many drawn "
            f"evenly {share[1]:.3f} ± {error[1]:.3f}, whose widest interval is {rows[:, 3].mean():.0f}"
        )


if __name__ == "__main__":
    main()
