"""How often the intervals of ratings/engine/robustness.py hold the truth, and how often a weakness is found.

    python -m benchmarks.robustness [--runs 400]

Prints a table in Markdown, by judges of tests/engine/probed_judges.py: how many of the 95 % intervals hold the
true share of unchanged decisions, the true test-retest rate and the true difference; how often the difference
lies above 0 for certain, and how often the sign test says so (p < .05). For a judge without a weakness the last
two are false alarms.
"""

import argparse
from time import perf_counter

import numpy as np

from ratings.engine.robustness import holm, robustness
from tests.engine.probed_judges import probed, probed_in_vain

FAMILY = 12
FIGURES = ("unchanged", "retest", "beyond_noise")
SIZES = ((15, 1), (15, 5), (40, 1), (100, 1), (40, 5))
JUDGES = (
    ("steady, no weakness", 0.0, 0.0, 0.0),
    ("noisy, no weakness", 0.15, 0.0, 0.0),
    ("steady, weak on 10 %", 0.02, 0.1, 0.0),
    ("noisy, weak on 10 %", 0.15, 0.1, 0.0),
    ("noisy, weak on 30 %", 0.15, 0.3, 0.0),
    ("noisy, weak on 30 %, by prompt", 0.15, 0.3, 0.5),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="of each row")
    runs = parser.parse_args().runs
    began = perf_counter()
    print(
        "| judge | prompts × battles | unchanged | retest | difference | difference > 0 | sign test |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, noise, fooled, spread in JUDGES:
        for prompts, battles in SIZES:
            shares = _shares(runs, prompts, battles, noise, fooled, spread)
            cells = " | ".join(f"{share:.1%}" for share in shares)
            print(f"| {name} | {prompts} × {battles} | {cells} |")
    print(f"\nA judge without weakness, asked with {FAMILY} probes; how often any is called one:\n")
    print("| judge | prompts × battles | any difference | any sign test |")
    print("| --- | ---: | ---: | ---: |")
    for name, noise in [(name, noise) for name, noise, fooled, _ in JUDGES if not fooled]:
        for prompts, battles in SIZES:
            cells = " | ".join(
                f"{share:.1%}" for share in _false_alarms(runs, prompts, battles, noise)
            )
            print(f"| {name} | {prompts} × {battles} | {cells} |")
    print(f"\n{runs} runs a row; {perf_counter() - began:.0f} s.")


def _false_alarms(runs: int, prompts: int, battles: int, noise: float) -> list[float]:
    found = np.zeros(2)
    for number in range(runs):
        seed = 7_000_000 + 10_000 * prompts + 1_000_003 * battles + number * FAMILY
        asked = probed_in_vain(seed, prompts=prompts, battles=battles, noise=noise, probes=FAMILY)
        results = [robustness(**one, rounds=200, seed=number, family=FAMILY) for one in asked]
        found += [
            any(one.is_weak for one in results),
            any(holm([one.p_towards for one in results])),
        ]
    return (found / runs).tolist()


def _shares(
    runs: int, prompts: int, battles: int, noise: float, fooled: float, spread: float
) -> list[float]:
    found = np.zeros(len(FIGURES) + 2)
    for number in range(runs):
        seed = 10_000 * prompts + 1_000_003 * battles + number
        data, truth = probed(
            seed, prompts=prompts, battles=battles, noise=noise, fooled=fooled, spread=spread
        )
        result = robustness(**data, rounds=500, seed=number)
        for at, name in enumerate(FIGURES):
            figure = getattr(result, name)
            found[at] += figure.lower <= truth[name] <= figure.upper
        found[-2] += result.beyond_noise.lower > 0
        found[-1] += result.p_towards is not None and result.p_towards < 0.05
    return (found / runs).tolist()


if __name__ == "__main__":
    main()
