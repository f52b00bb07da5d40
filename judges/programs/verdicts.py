"""From two scores to a verdict."""

import math
from enum import IntEnum


class Decision(IntEnum):
    """A verdict in a battle's orientation. The numbers are those of the database."""

    A = 0
    B = 1
    TIE = 2
    BOTH_BAD = 3


def verdict(score_a: float, score_b: float, *, margin: float) -> Decision:
    """The side with the higher score; a tie when they differ by at most `margin`.

    Exchanging the scores exchanges A and B. Raises ValueError for a score that isn't finite (an output
    that couldn't be scored is no tie) and for a margin below zero.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise ValueError(f"The margin must be a number from 0 up, not {margin}.")
    for side, score in (("A", score_a), ("B", score_b)):
        if not math.isfinite(score):
            raise ValueError(f"The score of output {side} is {score}: it must be a finite number.")
    if abs(score_a - score_b) <= margin:
        return Decision.TIE
    return Decision.A if score_a > score_b else Decision.B
