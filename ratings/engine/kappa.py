"""Accuracy and Cohen's kappa of a judge against the human majority, battle by battle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ratings.engine.figure import Figure, estimate, missing
from ratings.engine.majority import (
    NO_MAJORITY,
    MajorityRule,
    fold_both_bad,
    majority,
)

MIN_INSTANCES = 10
_N_CLASSES = 3


@dataclass(frozen=True, slots=True)
class InstanceAgreement:
    """`ties_in` keeps three classes (A, B, tie); `ties_out` drops battles where either says tie."""

    rule: MajorityRule
    accuracy_ties_in: Figure
    kappa_ties_in: Figure
    accuracy_ties_out: Figure
    kappa_ties_out: Figure
    confusion: np.ndarray  # (3, 3): judge by majority
    n_without_majority: int


def accuracy_of(confusion: np.ndarray) -> np.ndarray:
    """Share on the diagonal of (..., c, c) confusion counts; nan where there are none."""
    agree = np.trace(confusion, axis1=-2, axis2=-1)
    total = confusion.sum(axis=(-2, -1))
    return np.divide(agree, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def cohen_kappa_of(confusion: np.ndarray) -> np.ndarray:
    """Cohen's kappa (1960), unweighted, of (..., c, c) confusion counts.

    nan where chance alone agrees fully: both sides always gave the same one answer. A judge that always
    gives one answer against people who don't has kappa 0.
    """
    total = confusion.sum(axis=(-2, -1))
    chance = (confusion.sum(axis=-1) * confusion.sum(axis=-2)).sum(axis=-1)
    room = total * total - chance
    got = total * np.trace(confusion, axis1=-2, axis2=-1) - chance
    defined = room > 1e-12 * np.maximum(total * total, 1e-300)
    return np.divide(got, room, out=np.full(np.shape(total), np.nan), where=defined)


def judge_against_majority(
    judge: np.ndarray,
    votes: np.ndarray,
    *,
    rule: MajorityRule = "plurality",
    cluster: np.ndarray | None = None,
    rounds: int = 1000,
    seed: int,
    level: float = 0.95,
) -> InstanceAgreement:
    """Compare the judge's outcomes (n,) with the majority of people's votes (n, 4).

    Intervals: percentiles over a Bayesian bootstrap of the prompts where `cluster` (n,) names them,
    else of the battles. Battles without a majority under `rule` are left out and counted.
    """
    judge = fold_both_bad(judge)
    decided = majority(votes, rule=rule)
    if judge.shape != decided.shape:
        raise ValueError(
            f"The judge has {judge.shape[0]} outcomes and people voted on {decided.shape[0]} battles; "
            "give one outcome for each battle."
        )
    if judge.size and not np.isin(judge, range(_N_CLASSES)).all():
        raise ValueError(
            "A judge's outcome is 0 (A), 1 (B), 2 (tie) or 3 (both bad); leave others out."
        )
    kept = decided != NO_MAJORITY
    cell = judge[kept].astype(np.intp) * _N_CLASSES + decided[kept]
    counts = np.bincount(cell, minlength=_N_CLASSES**2).astype(float)
    rng = np.random.default_rng(seed)
    if cluster is None:
        # The unit-exponential weights of n equal battles sum to Gamma(n).
        drawn = rng.standard_gamma(counts, size=(rounds, counts.size))
    else:
        prompts, prompt = np.unique(np.asarray(cluster)[kept], return_inverse=True)
        table = np.zeros((prompts.size, counts.size))
        np.add.at(table, (prompt, cell), 1.0)
        drawn = rng.standard_exponential((rounds, prompts.size)) @ table
    confusion = counts.reshape(_N_CLASSES, _N_CLASSES)
    weighted = drawn.reshape(rounds, _N_CLASSES, _N_CLASSES)
    figures: dict[str, Figure] = {}
    for ties, n_classes in (("ties_in", _N_CLASSES), ("ties_out", _N_CLASSES - 1)):
        point, resampled = (c[..., :n_classes, :n_classes] for c in (confusion, weighted))
        for name, statistic in (("accuracy", accuracy_of), ("kappa", cohen_kappa_of)):
            figures[f"{name}_{ties}"] = _figure(statistic, point, resampled, level=level)
    return InstanceAgreement(
        rule=rule,
        confusion=confusion.astype(np.int64),
        n_without_majority=int((~kept).sum()),
        **figures,
    )


def _figure(
    statistic: Callable[[np.ndarray], np.ndarray],
    point: np.ndarray,
    drawn: np.ndarray,
    *,
    level: float,
) -> Figure:
    n = int(point.sum())
    if n < MIN_INSTANCES:
        reason = f"Only {n} battles have both a verdict of the judge and a human majority."
        return missing(n=n, unit="battles", reason=reason)
    value = float(statistic(point))
    if not np.isfinite(value):
        reason = (
            "The judge and the majority always gave the same one answer: nothing beyond chance."
        )
        return missing(n=n, unit="battles", reason=reason)
    return estimate(value, statistic(drawn), n=n, unit="battles", level=level)
