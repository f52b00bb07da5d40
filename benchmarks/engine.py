"""How fast the ratings engine is, beside choix, evalica and FastChat's method, in one run.

    python -m benchmarks.engine            # about three minutes on two idle cores
    python -m benchmarks.engine --quick    # fewer repetitions, fewer rounds of the peers

Battles are simulated, arrays in memory: systems int16, prompts int32, outcomes int8. Ours are 1,000 full
rounds; peers run fewer and are scaled, as the table says. Every time is the best of several; processor time
stands beside it, because on a busy machine the clock measures the neighbours. Peers may use every core.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time

# The engine's own threads use the cores: set before numpy loads its BLAS.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import choix
import evalica
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.peers import fastchat
from ratings.engine.bootstrap import bootstrap_cells, bootstrap_clusters
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.tallies import tally, tally_by_cluster

ROUNDS = 1000
TIES = 0.15
Battles = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Measured:
    wall: float
    cpu: float

    def scaled(self, factor: float) -> "Measured":
        return Measured(self.wall * factor, self.cpu * factor)


def simulate(n_systems: int, n: int, *, seed: int = 1) -> Battles:
    """a, b, outcome (n,): pairs uniform, strengths normal with deviation .7, 15 % ties."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 0.7, n_systems)
    a = rng.integers(0, n_systems, n)
    b = (a + rng.integers(1, n_systems, n)) % n_systems
    lost = rng.random(n) > 1 / (1 + np.exp(theta[b] - theta[a]))
    outcome = np.where(rng.random(n) < TIES, 2, lost)
    return a.astype(np.int16), b.astype(np.int16), outcome.astype(np.int8)


def best(repeat: int, work: Callable[[], object]) -> Measured:
    found = []
    for _ in range(repeat):
        wall, cpu = perf_counter(), process_time()
        work()
        found.append((perf_counter() - wall, process_time() - cpu))
    return Measured(*(min(column) for column in zip(*found, strict=True)))


def ours(battles: Battles, n_systems: int, *, rounds: int = ROUNDS) -> np.ndarray:
    """From arrays to replicates."""
    tallies = tally(*battles, n_systems=n_systems)
    return bootstrap_cells(tallies, fit_bradley_terry(tallies), rounds=rounds, seed=1).theta


def line(name: str, measured: Measured, note: str = "") -> None:
    print(f"{name:58}{_time(measured.wall):>11}{_time(measured.cpu):>11}   {note}", flush=True)


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:,.1f} ms" if seconds < 1 else f"{seconds:,.2f} s"


def versus(peer: Measured, us: Measured) -> str:
    """Ratio by the clock, and by processor time."""
    return f"{peer.wall / us.wall:,.0f} × ours ({peer.cpu / us.cpu:,.0f} × by processor)"


def large(repeat: int) -> None:
    battles, k, n_prompts = simulate(200, 1_000_000), 200, 500
    prompt = np.random.default_rng(2).integers(0, n_prompts, len(battles[0])).astype(np.int32)
    tallies = tally(*battles, n_systems=k)
    fit = fit_bradley_terry(tallies)
    print("\n200 systems, 1,000,000 battles")
    line("tally", best(4 * repeat, lambda: tally(*battles, n_systems=k)))
    line(f"fit ({fit.iterations} steps)", best(4 * repeat, lambda: fit_bradley_terry(tallies)))
    line("1,000 rounds by verdict", best(repeat, lambda: bootstrap_cells(tallies, fit, seed=1)))

    def by_prompt():
        return tally_by_cluster(*battles, prompt, n_systems=k, n_clusters=n_prompts)

    clustered = by_prompt()
    line("tally by prompt (500 prompts)", best(repeat, by_prompt))
    line("1,000 rounds by prompt", best(repeat, lambda: bootstrap_clusters(clustered, fit, seed=1)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "battles.npz"
        np.savez(file, a=battles[0], b=battles[1], outcome=battles[2])
        command = [sys.executable, "-m", "benchmarks.peak_memory", str(file), str(k)]
        sys.stdout.flush()
        subprocess.run(command, check=True)  # noqa: S603 (our own module)


def sparse(repeat: int) -> None:
    battles = simulate(200, 10_000)
    print("\n200 systems, 10,000 battles")
    line("tally, fit and 1,000 rounds by verdict", best(repeat, lambda: ours(battles, 200)))


def against_fastchat(repeat: int, rounds: int) -> None:
    battles, k = simulate(60, 100_000), 60
    us = best(repeat, lambda: ours(battles, k))
    print("\n60 systems, 100,000 battles")
    line("ours: tally, fit and 1,000 rounds", us)
    rng = np.random.default_rng(1)
    with threadpool_limits(os.cpu_count()):
        logistic = best(rounds, lambda: fastchat.logistic_round(battles, k, rng)).scaled(ROUNDS)
        note = f"{versus(logistic, us)}; best of {rounds} single rounds × 1,000"
        line("FastChat's method: logistic regression on rows", logistic, note)
        cells = fastchat.Cells(battles, k)
        later = best(5 * rounds, lambda: fastchat.cells_round(cells, rng)).scaled(ROUNDS)
        note = f"{versus(later, us)}; best of {5 * rounds} single rounds × 1,000, one process"
        line("FastChat's later method: L-BFGS on cells", later, note)


def against_evalica_and_choix(repeat: int, rounds: int) -> None:
    battles, k = simulate(60, 10_000), 60
    us = best(repeat, lambda: ours(battles, k))
    print("\n60 systems, 10,000 battles")
    line("ours: tally, fit and 1,000 rounds", us)
    names = [f"system {number}" for number in range(k)]
    xs, ys = ([names[system] for system in side] for side in battles[:2])
    labels = np.array([evalica.Winner.X, evalica.Winner.Y, evalica.Winner.Draw])
    winners = labels[battles[2]].tolist()

    def bootstrap():
        return evalica.bootstrap(
            evalica.bradley_terry,
            xs,
            ys,
            winners,
            n_resamples=rounds,
            bootstrap_method="percentile",
            random_state=1,
        )

    with threadpool_limits(os.cpu_count()):
        peer = best(max(repeat // 2, 1), bootstrap).scaled(ROUNDS / rounds)
        line("evalica's bootstrap", peer, f"{versus(peer, us)}; {rounds} rounds, scaled")
        tallies = tally(*battles, n_systems=k)
        fit = best(4 * repeat, lambda: fit_bradley_terry(tallies))
        line("ours: fit of tallies", fit)
        wins = tallies.win_matrix()
        for tolerance in (1e-8, 1e-13):
            dense = partial(choix.ilsr_pairwise_dense, wins, tol=tolerance)
            peer = best(repeat, dense)
            line(f"choix: ilsr_pairwise_dense, tol {tolerance:g}", peer, versus(peer, fit))
        peer = best(repeat, lambda: evalica.bradley_terry(xs, ys, winners))
        everything = best(4 * repeat, lambda: fit_bradley_terry(tally(*battles, n_systems=k)))
        line("ours: tally and fit", everything)
        line("evalica: bradley_terry", peer, versus(peer, everything))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    repeat, rounds = (2, 3) if parser.parse_args().quick else (7, 10)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start.")
    print(f"{'':58}{'clock':>11}{'processor':>11}   (best of several)")
    large(repeat)
    sparse(repeat)
    against_fastchat(repeat, rounds)
    against_evalica_and_choix(repeat, 2 * rounds)
    print(f"\nLoad {os.getloadavg()[0]:.1f} at the end.")


if __name__ == "__main__":
    main()
