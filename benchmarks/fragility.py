"""How long it takes to say how fragile the top is, beside one fit and one bootstrap of the same verdicts.

python -m benchmarks.fragility
"""

import argparse
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import resource
import time
from collections.abc import Callable

import numpy as np

from ratings.engine.bootstrap import bootstrap_cells
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.fragility import Verdicts, fewest_removed, leave_one_out

PROMPTS = 500


def simulated(n: int, systems: int, seed: int = 1) -> Verdicts:
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 0.6, systems)
    a = rng.integers(0, systems, n)
    b = (a + rng.integers(1, systems, n)) % systems
    won = rng.random(n) < 1 / (1 + np.exp(theta[b] - theta[a]))
    return Verdicts(systems, a, b, np.where(rng.random(n) < 0.15, 2, np.where(won, 0, 1)))


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("systems verdicts                     what  seconds  of a bootstrap  found")
    for systems in (60, 200):
        for n in (10_000, 100_000, 1_000_000):
            verdicts = simulated(n, systems)
            fit = fit_bradley_terry(verdicts.tallies())
            rng = np.random.default_rng(0)
            prompt = rng.integers(0, PROMPTS, n)
            voter = rng.integers(0, max(n // 200, 20), n)
            work: dict[str, Callable[[], object]] = {
                "bootstrap, 1,000 rounds": lambda v=verdicts, f=fit: bootstrap_cells(
                    v.tallies(), f, seed=1
                ),
                "one fit": lambda v=verdicts: fit_bradley_terry(v.tallies()),
                "fewest verdicts": lambda v=verdicts, f=fit: fewest_removed(v, f),
                "fewest prompts": lambda v=verdicts, f=fit, u=prompt: fewest_removed(v, f, unit=u),
                "fewest for the top 10": lambda v=verdicts, f=fit: fewest_removed(v, f, top=10),
                "leave one prompt out": lambda v=verdicts, f=fit, u=prompt: leave_one_out(v, f, u),
                "leave one voter out": lambda v=verdicts, f=fit, u=voter: leave_one_out(v, f, u),
            }
            unit = 0.0
            for name, run in work.items():
                started = time.perf_counter()
                found = run()
                spent = time.perf_counter() - started
                unit = unit or spent
                said = len(found.units) if hasattr(found, "units") else ""
                print(
                    f"{systems:7} {n:8} {name:>24} {spent:8.2f} {spent / unit:15.2f}  {said}",
                    flush=True,
                )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"Peak memory {peak:.0f} MB.")


if __name__ == "__main__":
    main()
