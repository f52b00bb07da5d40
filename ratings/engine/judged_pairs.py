"""The pairs that a judge decided and people can rank, on one footing for decisiveness and bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ratings.engine.reference_posterior import (
    OUTCOME_VALUES,
    ReferencePosterior,
    battle_sums,
    pair_variance,
    plain_tallies,
)
from ratings.engine.tallies import ClusteredTallies, Tallies


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """The judge's p pairs whose two systems the reference ranks, and the reference's gap for each."""

    pair: np.ndarray  # (p,) index into the judge's pairs
    a: np.ndarray
    b: np.ndarray
    n: np.ndarray  # the judge's verdicts
    wins: np.ndarray  # of A, ties and both-bad as halves
    gap: np.ndarray  # posterior mean of θ_a - θ_b
    gap_variance: np.ndarray
    n_systems: int

    @property
    def n_verdicts(self) -> int:
        return round(float(self.n.sum()))

    def residual(self, judge: Tallies | ClusteredTallies, rate: np.ndarray) -> np.ndarray:
        """(m, 4) verdict value minus the expected `rate` (p,); 0 for pairs that are not judged pairs."""
        residual = np.zeros((len(plain_tallies(judge).a), OUTCOME_VALUES.size))
        residual[self.pair] = OUTCOME_VALUES[None, :] - rate[:, None]
        return residual


def judged_pairs(judge: Tallies | ClusteredTallies, posterior: ReferencePosterior) -> JudgedPairs:
    """Select the judge's pairs that the reference ranks. ValueError where the systems don't match."""
    tallies = plain_tallies(judge)
    if tallies.n_systems != posterior.mean.size:
        raise ValueError(
            f"The judge has {tallies.n_systems} systems and the reference {posterior.mean.size}; "
            "number both by the same list."
        )
    n = tallies.n_per_pair
    pair = np.flatnonzero(posterior.ranked[tallies.a] & posterior.ranked[tallies.b] & (n > 0))
    a, b = tallies.a[pair], tallies.b[pair]
    return JudgedPairs(
        pair=pair,
        a=a,
        b=b,
        n=n[pair],
        wins=tallies.wins_a[pair],
        gap=posterior.mean[a] - posterior.mean[b],
        gap_variance=pair_variance(posterior.covariance, a, b),
        n_systems=tallies.n_systems,
    )


def matching_pairs(
    judge: Tallies | ClusteredTallies, reference: Tallies | ClusteredTallies
) -> tuple[np.ndarray, np.ndarray]:
    """Positions, in the judge's and in the reference's pairs, of the pairs that both decided."""
    sides = (plain_tallies(judge), plain_tallies(reference))
    judge_code, reference_code = (c.a.astype(np.int64) * c.n_systems + c.b for c in sides)
    _, at_judge, at_reference = np.intersect1d(
        judge_code, reference_code, assume_unique=True, return_indices=True
    )
    decided = (sides[0].n_per_pair[at_judge] > 0) & (sides[1].n_per_pair[at_reference] > 0)
    return at_judge[decided], at_reference[decided]


def shared_errors(
    judge: Tallies | ClusteredTallies,
    reference: Tallies | ClusteredTallies,
    posterior: ReferencePosterior,
    pairs: JudgedPairs,
    rate: np.ndarray,
) -> np.ndarray:
    """(p,) products of the judge's and people's residuals, summed over the battles that both judged.

    Where both looked at the same two answers, both leave the systems' average gap together: this answer
    was unusually good. That part of the reference's error is shared with the judge, not independent of
    it. 0 where the tallies are not split by prompt: then nobody can tell.
    """
    if not (isinstance(judge, ClusteredTallies) and isinstance(reference, ClusteredTallies)):
        return np.zeros(len(pairs.pair))
    at_judge, at_reference = matching_pairs(judge, reference)
    judge_pair_of = np.full(len(reference.tallies.a), -1)
    judge_pair_of[at_reference] = at_judge
    people = np.nan_to_num(OUTCOME_VALUES[None, :] - posterior.rate[:, None])
    n_prompts = max(judge.n_clusters, 1)

    pair, deviation, battle = battle_sums(judge, pairs.residual(judge, rate))
    their_pair, their_deviation, their_battle = battle_sums(reference, people)
    known = judge_pair_of[their_pair] >= 0
    prompt = their_battle[known] % n_prompts
    their_key = judge_pair_of[their_pair[known]].astype(np.int64) * n_prompts + prompt
    _, mine, theirs = np.intersect1d(battle, their_key, assume_unique=True, return_indices=True)
    product = deviation[mine] * their_deviation[known][theirs]
    summed = np.bincount(pair[mine], weights=product, minlength=len(plain_tallies(judge).a))
    return summed[pairs.pair]
