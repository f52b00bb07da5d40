"""How sure a judge is of a battle, from what it said. Nothing heavy: every worker may import it.

``stored`` is the confidence that is stored with the verdict: what the judge stated, what the probabilities of
its tokens say, or of a jury the share of the panel behind it. ``annotators`` takes a judge's repetitions for
annotators of their own, each asked in both orders where its verdicts tell these. ``none`` takes all verdicts
of a judge alike.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from judges.programs.verdicts import Decision

SOURCES = ("stored", "annotators", "none")
CLASSES = (Decision.A, Decision.B, Decision.TIE)  # both bad counts as a tie here
DIGITS = 9


class Sure(NamedTuple):
    """What a judge says, and how sure it is: None where it doesn't say so."""

    decision: Decision
    confidence: float | None


def folded(decision: Decision) -> Decision:
    """Neither output was preferred: people's majority makes no difference between tie and both bad."""
    return Decision.TIE if decision is Decision.BOTH_BAD else decision


def simulated_annotators(p: Sequence[Sequence[Sequence[float]]]) -> Sure:
    """The likeliest outcome and its mean probability over annotators and orders.

    ``p[annotator][order]`` are the probabilities of A, B and tie, both orders in the battle's orientation.
    Where two are level at the top it is a tie, as sure as the tie is. Raises ValueError for other numbers.
    """
    rows = [row for orders in p for row in orders]
    if not rows:
        raise ValueError("There are no annotators.")
    for row in rows:
        if len(row) != len(CLASSES) or min(row) < 0 or not math.isclose(sum(row), 1, abs_tol=1e-6):
            raise ValueError(f"{list(row)} aren't the probabilities of A, B and tie.")
    means = [round(math.fsum(column) / len(rows), DIGITS) for column in zip(*rows, strict=True)]
    top = max(means)
    if means.count(top) > 1:
        return Sure(Decision.TIE, means[CLASSES.index(Decision.TIE)])
    return Sure(CLASSES[means.index(top)], top)


def probabilities(decision: Decision, confidence: float | None) -> list[float]:
    """Of A, B and tie, where one decision was stated with a confidence; the others share the rest.

    Without one the decision is taken for certain.
    """
    stated = 1.0 if confidence is None else confidence
    rest = (1 - stated) / (len(CLASSES) - 1)
    return [stated if c is folded(decision) else rest for c in CLASSES]
