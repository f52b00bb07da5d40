"""Many random divisions of battles, real or simulated: how often a cascade keeps what it claims."""

from typing import NamedTuple

import numpy as np

from judges.cascades.calibration import calibrate_cascade

TIE = 2


class Battles(NamedTuple):
    """What K tiers say of n battles, how sure they are, and what most people say."""

    said: np.ndarray  # (n, K)
    confidence: np.ndarray  # (n, K)
    people: np.ndarray  # (n,)


class Kept(NamedTuple):
    """Of one division: agreement among what is decided (1 where that is nothing), and the share decided."""

    agreement: float
    coverage: float
    by_tier: tuple[float, ...]
    held_out: float


class Outcome(NamedTuple):
    """Of many: the share of runs whose agreement is at least the target, and means of the rest."""

    kept: float
    coverage: float
    agreement: float  # over the runs that decided anything
    abstained: float  # the share of runs that decided nothing
    held_out: float


def simulated(rng: np.random.Generator, n: int, tiers: str) -> Battles:
    """Tiers of known accuracy. People say A, B or tie at random; who is wrong says one of the others."""
    people = rng.integers(0, 3, n)
    columns = [_judge(rng, people, kind) for kind in tiers.split("+")]
    said, confidence = (np.column_stack(side) for side in zip(*columns, strict=True))
    return Battles(said, confidence, people)


def _judge(rng: np.random.Generator, people: np.ndarray, kind: str) -> tuple[np.ndarray, ...]:
    n = len(people)
    confidence = rng.beta(4, 2, n)
    if kind == "jury":
        members = np.stack([_said(rng, people, np.full(n, 0.75)) for _ in range(5)])
        counts = np.stack([(members == outcome).sum(axis=0) for outcome in range(3)])
        top = counts.max(axis=0)
        said = np.where(2 * top > 5, counts.argmax(axis=0), TIE)
        return said, np.take_along_axis(counts, said[None], axis=0)[0] / 5
    right = {
        "calibrated": lambda c: c,
        "overconfident": lambda c: c**2,
        "blind": lambda c: np.full_like(c, 0.85),
        "good": lambda c: 0.8 + 0.18 * c,
        "hopeless": lambda c: np.full_like(c, 1 / 3),
    }[kind]
    return _said(rng, people, right(confidence)), confidence


def _said(rng: np.random.Generator, people: np.ndarray, right: np.ndarray) -> np.ndarray:
    other = (people + rng.integers(1, 3, len(people))) % 3
    return np.where(rng.random(len(people)) < right, people, other)


def divide(battles: Battles, rng: np.random.Generator, *, share: float) -> np.ndarray:
    """(n,) the tier whose part a battle is in, -1 for what is held out."""
    drawn, n_tiers = rng.random(len(battles.people)), battles.said.shape[1]
    return np.where(drawn < share, (drawn / share * n_tiers).astype(int), -1)


def one_division(
    battles: Battles, part: np.ndarray, *, among: np.ndarray, target: float, delta: float
) -> Kept:
    """``among`` (n,) bool: the battles on which the true agreement is taken."""
    found = calibrate_cascade(
        battles.said, battles.confidence, battles.people, part, risk=1 - target, delta=delta
    )
    decided = found.decided >= 0
    agrees = found.decided == battles.people
    counted, held = decided & among, decided & (part < 0)
    passed = np.ones(len(part), dtype=bool)
    by_tier = []
    for column, tier in enumerate(found.tiers):
        threshold = np.inf if tier.threshold is None else tier.threshold
        takes = passed & (battles.confidence[:, column] >= threshold)
        by_tier.append(float(takes[among].mean()))
        passed &= ~takes
    return Kept(
        float(agrees[counted].mean()) if counted.any() else 1.0,
        float(decided[among].mean()),
        tuple(by_tier),
        float(agrees[held].mean()) if held.any() else 1.0,
    )


def summary(runs: list[Kept], *, target: float) -> Outcome:
    agreement = np.array([run.agreement for run in runs])
    coverage = np.array([run.coverage for run in runs])
    decided = coverage > 0
    return Outcome(
        kept=float((agreement >= target).mean()),
        coverage=float(coverage.mean()),
        agreement=float(agreement[decided].mean()) if decided.any() else float("nan"),
        abstained=float((~decided).mean()),
        held_out=float(np.mean([run.held_out >= target for run in runs])),
    )


def simulate(
    tiers: str, *, n: int, runs: int, target: float, delta: float, seed: int, population: int
) -> Outcome:
    """In every run ``n`` battles with votes, half of them calibrated on, and ``population`` to come."""
    kept = []
    for run in range(runs):
        rng = np.random.default_rng([seed, run])
        battles = simulated(rng, n + population, tiers)
        part = divide(battles, rng, share=0.5)
        to_come = np.arange(n + population) >= n
        part[to_come] = -1
        kept.append(one_division(battles, part, among=to_come, target=target, delta=delta))
    return summary(kept, target=target)


def resplit(battles: Battles, *, runs: int, target: float, delta: float, seed: int) -> Outcome:
    """The same battles divided anew in every run; the true agreement is that on all of them."""
    kept = []
    for run in range(runs):
        part = divide(battles, np.random.default_rng([seed, run]), share=0.5)
        everything = np.ones(len(part), dtype=bool)
        kept.append(one_division(battles, part, among=everything, target=target, delta=delta))
    return summary(kept, target=target)
