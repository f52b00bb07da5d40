"""How often the tests of ratings/engine/anomaly.py find voters in bad faith, and honest ones.

    python -m benchmarks.anomalies [--voters 400]

Prints a table in Markdown: the share of simulated voters of each kind with p < .05, after 50, 100 and 200
votes, for a thin and a well-filled history, by the published test alone and by all three together.
"""

import argparse
from time import perf_counter

import numpy as np

from tests.engine.voters import make_panel, voter_tested

LEVEL = 0.05
KINDS = {
    "honest": "honest (false alarms)",
    "random": "random voter",
    "left": "always left",
    "fan": "fan of the median system, honest elsewhere",
    "paid": "fan who skips every other battle",
}
PANELS = {
    "59 systems, 5 votes a pair": {"systems": 59, "votes_a_pair": 5},
    "20 systems, 30 votes a pair": {"systems": 20, "votes_a_pair": 30},
    "8 systems, 200 votes a pair": {"systems": 8, "votes_a_pair": 200},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--voters", type=int, default=400, help="of each kind")
    voters = parser.parse_args().voters
    began = perf_counter()
    print("| history | voter | votes | published test | side | one system | all three |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for title, sizes in PANELS.items():
        for kind, name in KINDS.items():
            for n in (50, 100, 200):
                shares = _shares(voters, sizes, n, kind)
                print(
                    f"| {title} | {name} | {n} | " + " | ".join(f"{s:.1%}" for s in shares) + " |"
                )
    print(
        f"\n{voters} voters a row, each with a panel of their own; {perf_counter() - began:.0f} s."
    )


def _shares(voters: int, sizes: dict[str, int], n: int, kind: str) -> list[float]:
    """The share found by each test at its own level of 5 %, and by all at 5 % together."""
    found = np.zeros(4)
    for number in range(voters):
        rng = np.random.default_rng([number, n, sizes["systems"], list(KINDS).index(kind)])
        panel = make_panel(rng, **sizes)
        median = int(np.argsort(panel.strength)[len(panel.strength) // 2])
        result = voter_tested(rng, panel, n=n, kind=kind, system=median)
        found += np.array([result.strange, result.side, result.favour, result.p]) < LEVEL
    return (found / voters).tolist()


if __name__ == "__main__":
    main()
