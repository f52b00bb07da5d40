"""Do 95 % intervals hold the truth 95 % of the time?

    python -m benchmarks.coverage            # 400 runs a row: about five minutes on two cores
    python -m benchmarks.coverage --quick    # 200 runs of the smaller rows

Simulated battles with known strengths, every interval by `rate`'s own bootstrap. "By verdict": verdicts are
independent. "Hanging together": every prompt favours some systems (a deviation of .7 logits for each system
on each prompt), so verdicts on a prompt hang together; the truth is then the half-win strengths of the
average over prompts, found from a fit to the expected verdicts of 20,000 prompts. "±" is the standard error
over runs, whose intervals share their data; "binomial" the one that all intervals as independent would have.
"""

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.rate import rate
from ratings.engine.scale import elo_scale
from ratings.engine.tallies import Tallies, tally_by_cluster

PROMPT_SPREAD = 0.7
TIES = 0.3


@dataclass(frozen=True)
class World:
    n_systems: int
    n: int
    n_prompts: int
    spread: float = 0.0

    @property
    def label(self) -> str:
        return "hanging together" if self.spread else "independent"


WORLDS = (
    World(5, 300, 300),
    World(10, 1_000, 1_000),
    World(20, 5_000, 500),
    World(50, 5_000, 500),
    World(5, 600, 30, PROMPT_SPREAD),
    World(10, 2_000, 50, PROMPT_SPREAD),
    World(10, 5_000, 200, PROMPT_SPREAD),
    World(20, 20_000, 200, PROMPT_SPREAD),
)


def outcome_shares(gap: np.ndarray) -> np.ndarray:
    """(3, ...) probabilities of A, B and tie (Davidson's model: what half wins have to cope with)."""
    shares = np.stack([np.exp(gap / 2), np.exp(-gap / 2), np.full_like(gap, TIES)])
    return shares / shares.sum(axis=0)


def strengths(world: World) -> np.ndarray:
    return np.linspace(-1, 1, world.n_systems)


@cache
def truth(world: World) -> np.ndarray:
    """(K,) what the half-win fit tends to with ever more prompts and verdicts, on the Elo scale."""
    rng = np.random.default_rng(99)
    k = world.n_systems
    a, b = np.triu_indices(k, 1)
    counts = np.zeros((len(a), 4))
    n_prompts = 20_000 if world.spread else 1
    for _ in range(n_prompts):
        theta = strengths(world) + rng.normal(0, world.spread, k)
        counts[:, :3] += outcome_shares(theta[a] - theta[b]).T
    return elo_scale(fit_bradley_terry(Tallies(k, a, b, counts)).theta)


def one_run(task: tuple[World, str, int, int]) -> tuple[float, float]:
    """Share of systems whose interval holds the truth, and the mean width."""
    world, interval, rounds, seed = task
    rng = np.random.default_rng(seed)
    k, n = world.n_systems, world.n
    theta = strengths(world) + rng.normal(0, world.spread, (world.n_prompts, k))
    prompt = rng.integers(0, world.n_prompts, n)
    a = rng.integers(0, k, n)
    b = (a + rng.integers(1, k, n)) % k
    shares = outcome_shares(theta[prompt, a] - theta[prompt, b]).cumsum(axis=0)
    outcome = (rng.random(n) > shares[:2]).sum(axis=0)
    data = tally_by_cluster(a, b, outcome, prompt, n_systems=k, n_clusters=world.n_prompts)
    table = rate(data, interval=interval, rounds=rounds, seed=seed, threads=1)
    held = (table.lower <= truth(world)) & (truth(world) <= table.upper)
    return float(held.mean()), float((table.upper - table.lower).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200 runs of the smaller rows")
    quick = parser.parse_args().quick
    runs, rounds = (200, 400) if quick else (400, 1000)
    start = time.perf_counter()
    print(f"{runs} runs a row, {rounds} rounds each; coverage of 95 % intervals in per cent")
    print(
        f"{'verdicts':18}{'systems':>8}{'n':>8}{'prompts':>9}  {'interval':10}{'coverage':>14}"
        f"{'intervals':>11}{'binomial':>10}{'Elo wide':>10}"
    )
    with ProcessPoolExecutor(2) as pool:
        for world in WORLDS:
            if quick and world.n > 2_000:
                continue
            for interval in ("cells", "clusters", "sandwich"):
                tasks = [(world, interval, rounds, seed) for seed in range(runs)]
                held, width = zip(*pool.map(one_run, tasks, chunksize=20), strict=True)
                mean, error = np.mean(held), np.std(held, ddof=1) / np.sqrt(runs)
                intervals = runs * world.n_systems
                binomial = np.sqrt(mean * (1 - mean) / intervals)
                print(
                    f"{world.label:18}{world.n_systems:8}{world.n:8,}{world.n_prompts:9,}  "
                    f"{interval:10}{100 * mean:8.1f} ± {100 * error:3.1f}"
                    f"{intervals:11,}{100 * binomial:10.1f}{np.mean(width):10.0f}",
                    flush=True,
                )
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
