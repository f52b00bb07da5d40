"""The exam that members of a weighted jury sit: how often each agrees with people, and what that weighs.

The idea is PRE's (arXiv 2401.15641): members that know better what people prefer have more of a say, and
those that know it no better than a coin have none.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from judges.programs.verdicts import Decision

Weighting = Literal["log odds", "accuracy"]


@dataclass(frozen=True, slots=True)
class Exam:
    """``right`` of ``n`` questions; ``accuracy`` is smoothed, (right + 1) / (n + 2)."""

    n: int
    right: float
    accuracy: float


def examine(answers: Iterable[tuple[Decision, Decision]]) -> Exam:
    """``answers`` are (what the member said, what people said) of one battle each.

    Only battles on which people preferred a side are questions. A member who says tie or both bad there is
    half right, like somebody who tosses a coin, so that one half is the level of chance.
    """
    n, right = 0, 0.0
    for said, people in answers:
        if people not in (Decision.A, Decision.B):
            continue
        n += 1
        if said not in (Decision.A, Decision.B):
            right += 0.5
        elif said == people:
            right += 1
    return Exam(n, right, (right + 1) / (n + 2))


def weight_of(exam: Exam, *, weighting: Weighting = "log odds") -> float:
    """log(p / (1 − p)) of the smoothed accuracy p, at least 0; or p itself.

    A member that sat no question has accuracy ½: no log odds.
    """
    if weighting == "accuracy":
        return exam.accuracy
    if weighting != "log odds":
        raise ValueError(f"{weighting!r} is not a weighting: there are log odds and accuracy.")
    return max(0.0, math.log(exam.accuracy / (1 - exam.accuracy)))
