"""The peak memory of a bootstrap in a process that has loaded nothing else; run by `benchmarks.engine`."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from ratings.engine.bootstrap import bootstrap_cells
from ratings.engine.bradley_terry import fit_bradley_terry
from ratings.engine.tallies import tally


def peak() -> float:
    """MB that this process has held at most (VmHWM: a child inherits ru_maxrss from its parent)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main(file: str, n_systems: int) -> None:
    with np.load(file) as arrays:
        battles = arrays["a"], arrays["b"], arrays["outcome"]
    before = peak()
    tallies = tally(*battles, n_systems=n_systems)
    bootstrap_cells(tallies, fit_bradley_terry(tallies), seed=1)
    print(f"peak memory, arrays to replicates: {peak():.0f} MB (before: {before:.0f} MB)")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
