"""What most people said about each battle, under a stated rule."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ratings.engine.tallies import Outcome

MajorityRule = Literal["plurality", "absolute", "plurality_else_tie"]
NO_MAJORITY = -1


def fold_both_bad(outcome: np.ndarray) -> np.ndarray:
    """Outcomes with BOTH_BAD counted as TIE: neither answer was preferred."""
    outcome = np.asarray(outcome)
    return np.where(outcome == Outcome.BOTH_BAD, int(Outcome.TIE), outcome)


def fold_votes(votes: np.ndarray) -> np.ndarray:
    """(n, 3) counts of A, B, tie from (n, 4) counts by outcome, or from (n, 3) unchanged."""
    votes = np.asarray(votes)
    if votes.ndim != 2 or votes.shape[1] not in (3, 4):
        raise ValueError(
            "Votes are counts of shape (battles, 4), one column per outcome "
            f"(A, B, tie, both bad); got {votes.shape}."
        )
    if (votes < 0).any():
        raise ValueError("A battle cannot have a negative number of votes; check the counts.")
    folded = votes[:, :3].copy()
    if votes.shape[1] == 4:
        folded[:, Outcome.TIE] += votes[:, Outcome.BOTH_BAD]
    return folded


def majority(votes: np.ndarray, *, rule: MajorityRule = "plurality") -> np.ndarray:
    """(n,) outcome that the votes (n, 4) of each battle stand for; -1 where the rule gives none.

    Both-bad votes count as ties. `plurality`: the one outcome with most votes; a draw at the top gives
    none. `absolute`: the outcome with more than half of the votes, else none. `plurality_else_tie`:
    plurality, and a draw at the top is a tie. A battle nobody voted on has none under every rule. A
    draw never falls to the first label, as it does where the mode is taken alphabetically.
    """
    if rule not in get_args(MajorityRule):
        raise ValueError(f"Unknown majority rule {rule!r}; use one of {get_args(MajorityRule)}.")
    counts = fold_votes(votes)
    total = counts.sum(axis=1)
    top = counts.max(axis=1, initial=0)
    winner = counts.argmax(axis=1)
    unique = (counts == top[:, None]).sum(axis=1) == 1
    if rule == "absolute":
        decided = np.where(2 * top > total, winner, NO_MAJORITY)
    else:
        otherwise = int(Outcome.TIE) if rule == "plurality_else_tie" else NO_MAJORITY
        decided = np.where(unique, winner, otherwise)
    return np.where(total > 0, decided, NO_MAJORITY)
