"""How many votes active sampling saves against drawing pairs by lot, and whether the intervals stay honest.

    python -m benchmarks.sampling            # 20, 60 and 200 systems; some minutes
    python -m benchmarks.sampling --quick    # 20 and 60 systems, fewer runs

Simulated Bradley-Terry worlds with known strengths. A policy draws votes in batches and weighs the pairs
anew after each, as the app does when it refreshes. Printed are, for each number of systems and spread of
strengths (standard deviation in logits), the mean half-width of the 95 % sandwich intervals and Kendall's tau
to the truth along the way; then the ratio of votes that the policy needs to reach what lots reach at the
end (linear interpolation in the logarithm of votes), and the coverage of the intervals at the end. The
bound is the same ratio of widths for the best spread of votes by strengths that are known beforehand: no
policy can need fewer, so where strengths are near each other little can be saved at all.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.special import expit
from scipy.stats import kendalltau

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.sampling import PRIOR_RIDGE, best_shares, pair_weights
from ratings.engine.sandwich import sandwich_sd
from ratings.engine.tallies import tally

FLOOR = 0.3  # the share that goes by lot, as an arena's usual policy has it
STEPS = 16
POLICIES = ("lots", "published", "active")
VOTES_A_PAIR = {20: 20.0, 60: 6.0, 200: 2.0}


def draw_weights(policy: str, tallies, k: int) -> np.ndarray:
    upper = np.triu_indices(k, 1)
    lots = np.full(len(upper[0]), 1 / len(upper[0]))
    if policy == "lots":
        return lots
    if policy == "published":
        weights = published_worth(tallies)[upper]
        return FLOOR * lots + (1 - FLOOR) * weights / weights.sum()
    shares = pair_weights(tallies).mixed(active=1 - FLOOR, least_judged=0, uniform=FLOOR)
    return shares[upper] / shares[upper].sum()


def published_worth(tallies) -> np.ndarray:
    """(K, K) Chatbot Arena's weights: sqrt(v / n) - sqrt(v / (n + 1)), v = p (1 - p).

    As if every pair had one verdict more than it has, or those without any would weigh infinitely much.
    arXiv 2403.04132, section 5.
    """
    wins = tallies.win_matrix()
    n = wins + wins.T + 1
    theta = np.zeros(tallies.n_systems)
    if n.max() > 1:
        theta = np.nan_to_num(fit_bradley_terry(tallies, ridge=PRIOR_RIDGE).theta)
    p = expit(theta[:, None] - theta)
    v = p * (1 - p)
    return np.sqrt(v / n) - np.sqrt(v / (n + 1))


def mean_sd(shares: np.ndarray, theta: np.ndarray) -> float:
    """Of all strengths, by the information of one verdict spread by the shares."""
    p = expit(theta[:, None] - theta)
    information = -shares * p * (1 - p)
    np.fill_diagonal(information, -information.sum(axis=1))
    return float(np.sqrt(np.diag(np.linalg.pinv(information, rcond=1e-9, hermitian=True))).mean())


def bound(seed: int, *, k: int, spread: float) -> float:
    """Votes that the best spread needs, over those by lot, if the strengths were known beforehand."""
    truth = np.random.default_rng([seed, k, round(10 * spread)]).normal(scale=spread, size=k)
    meets = ~np.eye(k, dtype=bool)
    lots = 2 * meets / meets.sum()
    p = expit(truth[:, None] - truth)
    return (mean_sd(best_shares(p * (1 - p), meets), truth) / mean_sd(lots, truth)) ** 2


def run(seed: int, *, k: int, spread: float, policy: str) -> np.ndarray:
    """(STEPS, 4): votes, mean half-width in logits, tau, coverage."""
    rng = np.random.default_rng([seed, k, round(10 * spread)])
    truth = rng.normal(scale=spread, size=k)
    truth -= truth.mean()
    rng = np.random.default_rng([seed, k, POLICIES.index(policy)])
    upper_a, upper_b = np.triu_indices(k, 1)
    total = VOTES_A_PAIR[k] * len(upper_a)
    marks = np.round(np.geomspace(total / 12, total, STEPS)).astype(int)
    counts = np.zeros((len(upper_a), 4), dtype=np.int64)
    rows, cast = [], 0
    for mark in marks:
        # Refits come as votes do: several between two marks.
        for share in np.array_split(np.arange(mark - cast), 2):
            given = np.nonzero(counts)
            so_far = tally(upper_a[given[0]], upper_b[given[0]], given[1], n_systems=k,
                           count=counts[given])  # fmt: skip
            chosen = rng.multinomial(len(share), draw_weights(policy, so_far, k))
            wins = rng.binomial(chosen, expit(truth[upper_a] - truth[upper_b]))
            counts[:, 0] += wins
            counts[:, 1] += chosen - wins
        cast = mark
        given = np.nonzero(counts)
        tallies = tally(upper_a[given[0]], upper_b[given[0]], given[1], n_systems=k,
                        count=counts[given])  # fmt: skip
        fit = fit_bradley_terry(tallies)
        half = 1.96 * sandwich_sd(tallies, fit)
        ranked = np.isfinite(half)
        centred = truth - truth[ranked].mean()
        covered = np.abs(fit.theta - centred) <= half
        tau = kendalltau(np.nan_to_num(fit.theta, nan=0.0), truth).statistic
        rows.append((mark, half[ranked].mean(), tau, covered[ranked].mean()))
    return np.array(rows)


def votes_until(votes: np.ndarray, values: np.ndarray, goal: float, *, falling: bool) -> float:
    """Votes at which the averaged curve first reaches the goal; nan when it doesn't."""
    reached = values <= goal if falling else values >= goal
    if not reached.any():
        return float("nan")
    at = int(np.argmax(reached))
    if at == 0:
        return float(votes[0])
    low, high = values[at - 1], values[at]
    share = (goal - low) / (high - low) if high != low else 1.0
    logs = np.log(votes)
    return float(np.exp(logs[at - 1] + share * (logs[at] - logs[at - 1])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--curves", action="store_true", help="print the curves as well")
    given = parser.parse_args()
    sizes = {20: 60, 60: 24} if given.quick else {20: 100, 60: 50, 200: 30}
    with ProcessPoolExecutor(2) as pool:
        for k, runs in sizes.items():
            for spread in (0.5, 1.0, 2.0):
                curves = {}
                for policy in POLICIES:
                    work = partial(run, k=k, spread=spread, policy=policy)
                    curves[policy] = np.array(list(pool.map(work, range(runs))))
                mean = {policy: curve.mean(axis=0) for policy, curve in curves.items()}
                lots = mean["lots"]
                least = np.mean([bound(seed, k=k, spread=spread) for seed in range(min(runs, 12))])
                print(f"{k} systems, spread {spread} logits, {int(lots[-1, 0]):,} votes by lot, "
                      f"{runs} runs; bound {least:.2f}")  # fmt: skip
                if given.curves:
                    for policy in POLICIES:
                        for votes, half, tau, _ in mean[policy]:
                            print(f"    {policy:9} {votes:8.0f} votes: ±{half:.3f}, tau {tau:.3f}")
                for policy in POLICIES:
                    curve = mean[policy]
                    width = votes_until(curve[:, 0], curve[:, 1], lots[-1, 1], falling=True)
                    tau = votes_until(curve[:, 0], curve[:, 2], lots[-1, 2], falling=False)
                    coverage = curves[policy][:, -1, 3]
                    error = coverage.std() / np.sqrt(runs)
                    print(f"  {policy:9}: width ±{curve[-1, 1]:.3f}, votes for lots' width "
                          f"{width / lots[-1, 0]:.2f}, for lots' tau {tau / lots[-1, 0]:.2f}; "
                          f"coverage {100 * coverage.mean():.1f} ± {100 * error:.1f} %",
                          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
