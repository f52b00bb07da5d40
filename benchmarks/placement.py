"""How many battles place one new system, planned against drawn by lot, and whether its intervals stay honest.

    python -m benchmarks.placement            # 20, 60 and 200 systems; about a quarter of an hour
    python -m benchmarks.placement --quick    # 20 and 60 systems, fewer runs; some minutes

Simulated Bradley-Terry worlds. The others' strengths are normal with a given standard deviation ("spread", in
logits) and fitted to verdicts on random pairs of theirs, 1,000 a system ("well known") or 40 ("poorly"). A
new system then gets battles in rounds until its provisional 95 % interval is under 150, 100 and 60 rating
points, three ways: opponents by lot; as `plan_opponents` plans; and by an oracle that knows all true strengths
and always takes the opponent who tells most there. No plan can need much fewer. The new system is as good as
the mean of the others (middle), as their best or worst (top, bottom), or a logit better than the best
(outside).

Printed for each width are the mean number of battles by lot (interpolated between rounds, in which information
grows evenly), planned and oracle over it with the standard error of the ratio over runs, and how often the
interval holds the truth at the end of the round in which it first was narrow enough. "Limit" is the mean of
p (1 - p) over all opponents, over its maximum: what the ratio tends to where anchors are known exactly.

Ties: none; "even", such that half wins hold exactly (half of the verdicts between equals tie); "Davidson",
where they don't (as many ties): the truth is then what a half-win fit to ever more verdicts on all pairs
tends to.
"By prompt": each system is better or worse on each prompt by a deviation of .7 logits, and fits and intervals
are by prompt; the truth likewise is that of the fit to ever more prompts.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.special import expit

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.placement import (
    LEAST_IN_A_ROUND,
    SHARE_OF_A_ROUND,
    STEPS,
    Anchors,
    Place,
    drawn,
    find_anchors,
    locate,
    shares_at,
    spread_round,
)
from ratings.engine.scale import PER_LOG_STRENGTH
from ratings.engine.tallies import Tallies, tally_by_cluster

WIDTHS = (150.0, 100.0, 60.0)
POLICIES = ("lots", "planned", "oracle")
VERDICTS = {"well": 1_000, "poorly": 40}  # of a system
MOST = 6_000  # battles; a run that isn't narrow enough by then has no figure
PROMPTS = 500  # so many battles can be had with each opponent
PROMPT_SPREAD = 0.7
TIES = ("even", "Davidson", "by prompt")
NU = 2.0  # Davidson's: half of the verdicts between equals tie


@dataclass(frozen=True)
class World:
    k: int
    spread: float
    where: str = "middle"
    known: str = "well"
    ties: str = "none"

    @property
    def by_prompt(self) -> bool:
        return self.ties == "by prompt"

    @property
    def label(self) -> str:
        ties = {"none": "", "by prompt": ", by prompt"}.get(self.ties, f", ties {self.ties}")
        return (
            f"{self.k:4} systems, spread {self.spread}, {self.known:6} known, {self.where:7}{ties}"
        )


def outcome_shares(gap: np.ndarray, ties: str) -> np.ndarray:
    """(3, ...) probabilities of A, B and tie."""
    if ties == "Davidson":
        shares = np.stack([np.exp(gap / 2), np.exp(-gap / 2), np.full_like(gap, NU)])
        return shares / shares.sum(axis=0)
    p = expit(gap)
    tie = 2 * p * (1 - p) if ties == "even" else np.zeros_like(gap)
    return np.stack([p - tie / 2, 1 - p - tie / 2, tie])


def strengths(world: World, seed: int) -> np.ndarray:
    """(k + 1,) true strengths, the last the new system's; the others' mean is 0."""
    theta = np.random.default_rng([seed, world.k]).normal(0, world.spread, world.k)
    theta -= theta.mean()
    new = {"middle": 0.0, "top": theta.max(), "bottom": theta.min(), "outside": theta.max() + 1}
    return np.append(theta, new[world.where])


def truth(theta: np.ndarray, world: World) -> float:
    """The new system's strength, less the others' mean, that a half-win fit tends to."""
    if world.ties not in ("Davidson", "by prompt"):
        return float(theta[-1])
    k = len(theta)
    a, b = np.triu_indices(k, 1)
    counts = np.zeros((len(a), 4))
    rng = np.random.default_rng(99)
    deviations = rng.normal(0, PROMPT_SPREAD, (2_000, k)) if world.by_prompt else np.zeros((1, k))
    for row in theta + deviations:
        counts[:, :3] += outcome_shares(row[a] - row[b], world.ties).T
    fitted = fit_bradley_terry(Tallies(k, a, b, counts)).theta
    return float(fitted[-1] - fitted[:-1].mean())


def others(
    theta: np.ndarray, world: World, deviations: np.ndarray, rng: np.random.Generator
) -> Anchors:
    """What the others' verdicts say of them; `deviations` (PROMPTS, k + 1) matter by prompt only."""
    k = world.k
    if world.by_prompt:
        n = VERDICTS[world.known] * k // 2
        prompt, a = rng.integers(0, PROMPTS, n), rng.integers(0, k, n)
        b = (a + rng.integers(1, k, n)) % k
        gap = theta[a] - theta[b] + deviations[prompt, a] - deviations[prompt, b]
        outcome = (rng.random(n) > expit(gap)).astype(int)
        data = tally_by_cluster(a, b, outcome, prompt, n_systems=k + 1, n_clusters=PROMPTS)
        return find_anchors(data, new=k)
    a, b = np.triu_indices(k, 1)
    met = rng.multinomial(VERDICTS[world.known] * k // 2, np.full(len(a), 1 / len(a)))
    shares = outcome_shares(theta[a] - theta[b], world.ties)
    counts = np.zeros((len(a), 4))
    counts[:, :3] = rng.multinomial(met, np.maximum(shares.T, 0))
    kept = met > 0
    return find_anchors(Tallies(k + 1, a[kept], b[kept], counts[kept]), new=k)


def opponents(
    policy: str, place: Place, gaps: np.ndarray, left: np.ndarray, size: int, rng
) -> np.ndarray:
    """(k,) battles of the next round; `gaps` (k,) are the true ones, told to the oracle only."""
    k = len(left)
    if policy == "planned":
        possible = np.append(left, 0.0)
        shares = shares_at(place, new=k, possible=possible, size=size)[:k]
    elif policy == "lots":
        shares = left / left.sum()
    else:
        p = expit(gaps)
        telling = np.tile(p * (1 - p) / place.factor, (STEPS, 1))
        shares = spread_round(place.covariance, telling, left, size / STEPS)
    return drawn(shares / shares.sum(), size=size, possible=left, rng=rng)


class Prompts:
    """Which prompts the new system met whom on: those that it met least often come first."""

    def __init__(self, deviations: np.ndarray, rng: np.random.Generator) -> None:
        self.deviations, self.rng = deviations, rng
        self.used = np.zeros((deviations.shape[1] - 1, PROMPTS), dtype=bool)

    @property
    def per_prompt(self) -> np.ndarray:
        return self.used.sum(axis=0)

    def wins(self, asked: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        found = np.zeros(len(asked))
        for b in np.flatnonzero(asked):
            often = self.per_prompt + self.rng.random(PROMPTS) + 1e6 * self.used[b]
            chosen = np.argsort(often)[: asked[b]]
            self.used[b, chosen] = True
            gap = gaps[b] + self.deviations[chosen, -1] - self.deviations[chosen, b]
            found[b] = (self.rng.random(len(chosen)) < expit(gap)).sum()
        return found


def one_run(seed: int, *, world: World, policy: str) -> np.ndarray:
    """(len(WIDTHS), 3): battles until narrow enough, whether the interval holds the truth then, rounds."""
    theta = strengths(world, seed)
    goal = truth(theta, world)
    # The others' verdicts are the same for every policy.
    rng = np.random.default_rng([seed, world.k, 1])
    deviations = rng.normal(0, PROMPT_SPREAD, (PROMPTS, world.k + 1))
    anchors = others(theta[:-1], world, deviations, rng)
    rng = np.random.default_rng([seed, world.k, 2, POLICIES.index(policy)])
    if len(anchors.ids) < world.k:
        # Ratings are then relative to the mean of fewer.
        goal -= theta[anchors.ids].mean()
    gaps = theta[-1] - theta[anchors.ids]
    prompts = Prompts(deviations[:, np.append(anchors.ids, world.k)], rng)
    k = len(gaps)
    anchors = Anchors(
        k + 1, np.arange(k), anchors.theta, anchors.covariance, anchors.prior_sd,
        anchors.dispersion, anchors.within,
    )  # fmt: skip
    shares = np.maximum(outcome_shares(gaps, world.ties).T, 0)
    n, wins = np.zeros(k), np.zeros(k)
    place = locate(anchors, n=n, wins=wins)
    found = np.full((len(WIDTHS), 3), np.nan)
    last, size, rounds = (0.0, np.inf), LEAST_IN_A_ROUND, 0
    while n.sum() < MOST and np.isnan(found[-1, 0]) and (PROMPTS - n).sum() > size:
        asked = opponents(policy, place, gaps, PROMPTS - n, size, rng)
        if world.by_prompt:
            n, wins = n + asked, wins + prompts.wins(asked, gaps)
            place = locate(anchors, n=n, wins=wins, per_cluster=prompts.per_prompt)
        else:
            told = rng.multinomial(asked, shares)
            n, wins = n + asked, wins + told[:, 0] + told[:, 2] / 2
            place = locate(anchors, n=n, wins=wins)
        low, high = place.quantile(np.array([0.025, 0.975]))
        now = (n.sum(), PER_LOG_STRENGTH * (high - low))
        rounds += 1
        for row, width in zip(found, WIDTHS, strict=True):
            if now[1] < width and np.isnan(row[0]):
                before, after = last[1] ** -2, now[1] ** -2
                part = (width**-2 - before) / (after - before)
                row[:] = last[0] + part * (now[0] - last[0]), low <= goal <= high, rounds
        last, size = now, max(LEAST_IN_A_ROUND, round(SHARE_OF_A_ROUND * n.sum()))
    return found


def ratio(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Of two means over the same runs, and its standard error (delta method)."""
    found = ours.mean() / theirs.mean()
    error = (ours - found * theirs).std(ddof=1) / np.sqrt(len(ours)) / theirs.mean()
    return found, error


def limit(world: World, runs: int) -> float:
    """Mean of p (1 - p) over the opponents, over its maximum; mean over runs' strengths."""
    found = []
    for seed in range(runs):
        theta = strengths(world, seed)
        p = expit(theta[-1] - theta[:-1])
        worth = p * (1 - p)
        found.append(worth.mean() / worth.max())
    return float(np.mean(found))


def report(world: World, runs: int, pool: ProcessPoolExecutor) -> np.ndarray:
    """(widths, 2) shares of intervals that held, by lot and planned."""
    results = {}
    for policy in POLICIES:
        work = partial(one_run, world=world, policy=policy)
        results[policy] = np.array(list(pool.map(work, range(runs), chunksize=4)))
    print(f"{world.label}; {runs} runs, limit {limit(world, runs):.2f}")
    all_held = []
    for at, width in enumerate(WIDTHS):
        rows = {policy: result[:, at] for policy, result in results.items()}
        reached = np.isfinite([row[:, 0] for row in rows.values()]).all(axis=0)
        if reached.mean() < 0.9:
            print(f"  under {width:3.0f}: only {reached.sum()} of {runs} runs come there")
            continue
        lots = rows["lots"][reached, 0]
        line = f"  under {width:3.0f}: by lot {lots.mean():5.0f} battles"
        for policy in POLICIES[1:]:
            mean, error = ratio(rows[policy][reached, 0], lots)
            line += f"; {policy} {mean:.2f} ± {error:.2f}"
        line += "; held by lot, planned"
        for policy in POLICIES[:2]:
            held = rows[policy][reached, 1]
            line += f" {100 * held.mean():.1f}"
        all_held.append([rows[policy][reached, 1].mean() for policy in POLICIES[:2]])
        error = np.sqrt(max(held.mean() * (1 - held.mean()), 1 / runs) / len(held))
        print(f"{line} ± {100 * error:.1f} %", flush=True)
    return np.array(all_held).reshape(-1, 2)


def say_held(what: str, held: list[np.ndarray]) -> None:
    mean = 100 * np.concatenate(held).mean(axis=0)
    print(f"{what}: intervals held by lot {mean[0]:.1f}, planned {mean[1]:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int, help="of each world, instead of the usual number")
    given = parser.parse_args()
    sizes = {20: 30, 60: 12} if given.quick else {20: 100, 60: 40, 200: 15}
    started = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        for k, runs in sizes.items():
            held = [
                report(World(k, spread, where), given.runs or runs, pool)
                for spread in (0.5, 1.0, 2.0)
                for where in ("top", "middle", "bottom", "outside")
            ]
            say_held(f"{k} systems", held)
        runs = given.runs or sizes[20]
        for more in ({"known": "poorly"}, *({"ties": ties} for ties in TIES)):
            held = [
                report(World(20, spread, where, **more), runs, pool)
                for spread in (0.5, 1.0, 2.0)
                for where in ("top", "middle")
            ]
            say_held(" ".join(more.values()), held)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
