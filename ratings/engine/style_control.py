"""Ratings with style held equal, as LMArena's style control (Li, Angelopoulos & Chiang 2024).

Longer and more marked-up outputs win more often, with people as with LLMs. The model adds to the gap of two
strengths what the difference of their outputs' style is worth, and so asks how systems would compare if
they wrote alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from ratings.engine.bradley_terry import LONGEST_STEP, STEP_TOLERANCE, fit_bradley_terry
from ratings.engine.comparability import Comparability
from ratings.engine.figure import Figure, missing
from ratings.engine.replicate_models import Bradley
from ratings.engine.sandwich import centred, independent_groups
from ratings.engine.tallies import Outcome, Tallies, tally

FEATURES = ("characters", "headers", "lists", "bold")
PENALTY = 0.25
MIN_CLUSTERS = 30
_MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class StyledBattles:
    """One row per battle (m,): systems `a`, `b`; `votes` (m, 4) by outcome; `style_a`, `style_b` (m, F)
    counts of each output, nan where there is none; `cluster` (m,) the prompt."""

    n_systems: int
    a: np.ndarray
    b: np.ndarray
    votes: np.ndarray
    style_a: np.ndarray
    style_b: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True, slots=True)
class StyleControl:
    """`theta` (K,) with mean 0 over the ranked systems, nan for the others, and its `covariance` (K, K);
    `plain_theta` of the same verdicts without style. `beta`: per feature, in logits per root mean square of
    its difference; one that never differs has none. `n_left_out` verdicts are on battles without outputs."""

    theta: np.ndarray
    covariance: np.ndarray
    plain_theta: np.ndarray
    comparability: Comparability
    beta: list[Figure]
    scale: np.ndarray
    n_verdicts: int
    n_left_out: int
    by_prompt: bool
    tallies: Tallies


def style_difference(style_a: np.ndarray, style_b: np.ndarray) -> np.ndarray:
    """(m, F) (x_a - x_b) / (x_a + x_b + 1): between -1 and 1, and its own negative when sides are swapped."""
    return (style_a - style_b) / (style_a + style_b + 1.0)


def fit_style_control(
    battles: StyledBattles, *, penalty: float = PENALTY, seed: int, level: float = 0.95
) -> StyleControl:
    """Fit logit P(a wins) = theta_a - theta_b + f.beta, ties as one half, less penalty/2 |beta|^2.

    f is the difference of styles over its root mean square: not centred, so that which output is called A
    changes nothing. Covariances are sandwiches by prompt where at least 30 prompts have a verdict, else by
    battle. ValueError for battles that don't fit together; ArithmeticError if it doesn't converge.
    """
    lengths = {
        len(values)
        for values in (
            battles.a, battles.b, battles.votes, battles.style_a, battles.style_b, battles.cluster,
        )
    }  # fmt: skip
    if len(lengths) > 1:
        raise ValueError(f"Battles must have one length; they have {sorted(lengths)}.")
    total = battles.votes.sum(axis=1)
    known = np.isfinite(battles.style_a).all(axis=1) & np.isfinite(battles.style_b).all(axis=1)
    used = known & (total > 0)
    a, b, votes, cluster = (
        values[used] for values in (battles.a, battles.b, battles.votes, battles.cluster)
    )
    difference = style_difference(battles.style_a[used], battles.style_b[used])
    outcome = np.broadcast_to(np.arange(4), votes.shape)
    tallies = tally(
        np.repeat(a, 4),
        np.repeat(b, 4),
        outcome.ravel(),
        n_systems=battles.n_systems,
        count=votes.ravel(),
    )
    plain = fit_bradley_terry(tallies)
    ranked = plain.comparability.ranked
    n_left_out = int(total[~known].sum())
    n_verdicts = int(total[used].sum())
    k = battles.n_systems
    full = np.full((k, k), np.nan)
    if not ranked.any():
        absent = missing(n=n_verdicts, unit="verdicts", reason="No systems can be ranked.")
        return StyleControl(
            theta=plain.theta,
            covariance=full,
            plain_theta=plain.theta,
            comparability=plain.comparability,
            beta=[absent] * difference.shape[1],
            scale=np.zeros(difference.shape[1]),
            n_verdicts=n_verdicts,
            n_left_out=n_left_out,
            by_prompt=False,
            tallies=tallies,
        )
    kept = ranked[a] & ranked[b]
    model = _Model(
        Bradley(tallies, plain), a[kept], b[kept], votes[kept], difference[kept], ranked, penalty
    )
    found = model.fit()
    prompts = np.unique(cluster[kept])
    by_prompt = len(prompts) >= MIN_CLUSTERS
    group, n_groups = independent_groups(
        cluster[kept] if by_prompt else np.arange(int(kept.sum())), seed=seed
    )
    covariance = model.covariance(found, group, n_groups)
    size = model.k
    full[np.ix_(ranked, ranked)] = centred(covariance[:size, :size])
    theta = np.full(k, np.nan)
    theta[ranked] = found[:size] - found[:size].mean()
    return StyleControl(
        theta=theta,
        covariance=full,
        plain_theta=plain.theta,
        comparability=plain.comparability,
        beta=model.figures(found[size:], covariance[size:, size:], n_verdicts, level=level),
        scale=model.scale,
        n_verdicts=n_verdicts,
        n_left_out=n_left_out,
        by_prompt=by_prompt,
        tallies=tallies,
    )


class _Model:
    """Parameters: strengths (k), then beta (F)."""

    def __init__(
        self,
        bradley: Bradley,
        a: np.ndarray,
        b: np.ndarray,
        votes: np.ndarray,
        difference: np.ndarray,
        ranked: np.ndarray,
        penalty: float,
    ) -> None:
        position = np.cumsum(ranked) - 1
        self.k, self.penalty = bradley.k, penalty
        self.start = bradley.start
        self.a, self.b = position[a], position[b]
        self.total = votes.sum(axis=1).astype(float)
        self.wins = votes[:, Outcome.A] + (votes[:, Outcome.TIE] + votes[:, Outcome.BOTH_BAD]) / 2
        self.scale = np.sqrt((self.total @ difference**2) / self.total.sum())
        self.varies = self.scale > 1e-9
        self.features = difference / np.where(self.varies, self.scale, 1.0)
        rows = np.concatenate([self.a, self.b])
        columns = np.tile(np.arange(len(a)), 2)
        signs = np.repeat([1.0, -1.0], len(a))
        self.to_systems = csr_array((signs, (rows, columns)), shape=(self.k, len(a)))

    def rates(self, found: np.ndarray) -> np.ndarray:
        gap = found[self.a] - found[self.b] + self.features @ found[self.k :]
        return (1 + np.tanh(gap / 2)) / 2

    def information(self, rates: np.ndarray) -> np.ndarray:
        weight = self.total * rates * (1 - rates)
        size = self.k + self.features.shape[1]
        matrix = np.zeros((size, size))
        square = np.bincount(self.a * self.k + self.b, weight, self.k**2).reshape(self.k, self.k)
        square = square + square.T
        matrix[: self.k, : self.k] = np.diag(square.sum(axis=1)) - square
        # Strengths have no origin: a constant there moves no step that sums to zero.
        matrix[: self.k, : self.k] += square.sum() / self.k**2
        weighted = self.features * weight[:, None]
        cross = self.to_systems @ weighted
        matrix[: self.k, self.k :], matrix[self.k :, : self.k] = cross, cross.T
        matrix[self.k :, self.k :] = self.features.T @ weighted
        penalties = np.where(self.varies, self.penalty, 1.0)
        matrix[self.k :, self.k :] += np.diag(penalties)
        return matrix

    def fit(self) -> np.ndarray:
        found = np.concatenate([self.start, np.zeros(self.features.shape[1])])
        for _ in range(_MAX_STEPS):
            rates = self.rates(found)
            residual = self.wins - self.total * rates
            of_beta = self.features.T @ residual - self.penalty * found[self.k :]
            gradient = np.concatenate([self.to_systems @ residual, of_beta * self.varies])
            step = cho_solve(cho_factor(self.information(rates)), gradient)
            longest = np.abs(step).max()
            found += step * min(1.0, LONGEST_STEP / max(longest, STEP_TOLERANCE))
            if longest < STEP_TOLERANCE:
                return found
        raise ArithmeticError(f"Style control didn't converge in {_MAX_STEPS} steps.")

    def covariance(self, found: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
        """The sandwich over all parameters, by group of battles."""
        rates = self.rates(found)
        residual = self.wins - self.total * rates
        to_groups = csr_array(
            (residual, (np.arange(len(group)), group)), shape=(len(group), n_groups)
        )
        scores = np.vstack(
            [(self.to_systems @ to_groups).toarray(), (to_groups.T @ self.features).T]
        )
        bread = cho_solve(cho_factor(self.information(rates)), np.eye(len(found)))
        influence = bread @ scores
        return influence @ influence.T * n_groups / max(n_groups - 1, 1)

    def figures(
        self, beta: np.ndarray, covariance: np.ndarray, n_verdicts: int, *, level: float
    ) -> list[Figure]:
        z = NormalDist().inv_cdf((1 + level) / 2)
        half = z * np.sqrt(np.diag(covariance))
        reason = "The outputs that were compared never differ in it."
        return [
            Figure(float(value), float(value - width), float(value + width), n_verdicts, "verdicts")
            if varies
            else missing(n=n_verdicts, unit="verdicts", reason=reason)
            for value, width, varies in zip(beta, half, self.varies, strict=True)
        ]
