"""How often cascades keep what they claim, and how much they decide.

    JURYBOX_DATA=/path/to/data python -m benchmarks.cascades [--runs 1000]

Prints two tables in Markdown. Simulated judges of known accuracy: in every run new battles, half of those with
votes calibrated on, the agreement taken on 20,000 to come. Real ones, where JURYBOX_DATA names the folder of
LLMFAO: the same battles divided anew in every run, the agreement taken on all of them, and on those held out.
"""

import argparse
from time import perf_counter

import numpy as np

from tests.judges.real_panel import DATA, RealPanel, read_real_panel
from tests.judges.simulated_cascades import TIE, Battles, Outcome, resplit, simulate

DELTA = 0.1
TIERS = {
    "calibrated": "right as often as it is sure",
    "overconfident": "right as often as the square of its confidence",
    "blind": "right 85 in 100, however sure",
    "jury": "jury of five, each right 75 in 100, by support",
    "hopeless": "a guess among three",
    "calibrated+good": "right as often as sure; then right 80 to 98 in 100",
    "hopeless+good": "a guess; then right 80 to 98 in 100",
}
SIMULATED = {
    "calibrated": (0.7, 0.75, 0.8),
    "overconfident": (0.6, 0.7),
    "blind": (0.8, 0.84, 0.86),
    "jury": (0.9, 0.95),
    "hopeless": (0.4, 0.6, 0.8),
    "calibrated+good": (0.8, 0.9),
    "hopeless+good": (0.8, 0.9),
}
SIZES = (300, 1_000, 4_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000, help="a row")
    runs = parser.parse_args().runs
    began = perf_counter()
    print("| tiers | battles with votes | target | kept | decided | agreement | abstained |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for tiers, targets in SIMULATED.items():
        for n in SIZES:
            for target in targets:
                found = simulate(
                    tiers, n=n, runs=runs, target=target, delta=DELTA, seed=n, population=20_000
                )
                print(f"| {TIERS[tiers]} | {n:,} | {target:.2f} | {_cells(found)} |")
    if DATA:
        _real(read_real_panel(), runs)
    print(f"\nδ = {DELTA}, {runs:,} runs a row; {perf_counter() - began:.0f} s.")


def _real(panel: RealPanel, runs: int) -> None:
    print(
        f"\n{len(panel.people):,} battles with a majority, {(panel.people != TIE).sum():,} of a side.\n"
    )
    print("| tiers | ties | target | kept | kept, held out | decided | agreement | abstained |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    everything = np.ones(len(panel.people), dtype=bool)
    for title, said, confidence in (
        ("jury", panel.jury[:, None], panel.support[:, None]),
        (
            "jury, then GPT-4",
            np.column_stack([panel.jury, panel.said[:, 1]]),
            np.column_stack([panel.support, np.ones(len(panel.people))]),
        ),
        ("GPT-4", panel.said[:, 1:2], np.ones((len(panel.people), 1))),
        ("GPT-3.5", panel.said[:, 0:1], np.ones((len(panel.people), 1))),
    ):
        for ties, rows, targets in (
            ("count", everything, (0.4, 0.45, 0.5, 0.55, 0.6)),
            ("left out", panel.people != TIE, (0.6, 0.7, 0.75, 0.8, 0.85, 0.9)),
        ):
            sure = confidence[rows].astype(float)
            if ties == "left out":
                sure[said[rows] == TIE] = np.nan
            battles = Battles(said[rows], sure, panel.people[rows])
            for target in targets:
                found = resplit(battles, runs=runs, target=target, delta=DELTA, seed=1)
                kept, *rest = _cells(found).split(" | ")
                print(
                    f"| {title} | {ties} | {target:.2f} | {kept} | {found.held_out:.1%} | "
                    + " | ".join(rest)
                    + " |"
                )


def _cells(found: Outcome) -> str:
    agreement = "–" if np.isnan(found.agreement) else f"{found.agreement:.1%}"
    return f"{found.kept:.1%} | {found.coverage:.1%} | {agreement} | {found.abstained:.1%}"


if __name__ == "__main__":
    main()
