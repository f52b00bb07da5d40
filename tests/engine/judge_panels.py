"""Simulated people and judges for the tests of judge statistics."""

import numpy as np
from scipy.special import betainc, expit

from ratings.engine.tallies import ClusteredTallies, Outcome, tally_by_cluster


def strengths(n_systems, *, seed=1):
    theta = np.random.default_rng(seed).normal(0.0, 1.0, n_systems)
    return theta - theta.mean()


def every_pair(n_systems):
    return np.triu_indices(n_systems, 1)


def panel_rates(theta, *, alpha=1.0):
    """True win rate of A in every pair, for a judge of decisiveness alpha."""
    a, b = every_pair(len(theta))
    return betainc(alpha, alpha, expit(theta[a] - theta[b]))


def panel(rates, *, n, seed, n_systems, n_prompts=50) -> ClusteredTallies:
    """n verdicts for every pair, each on a prompt of its own choice."""
    a, b = every_pair(n_systems)
    rng = np.random.default_rng(seed)
    outcome = np.where(rng.random((len(a), n)) < rates[:, None], int(Outcome.A), int(Outcome.B))
    return tally_by_cluster(
        np.repeat(a, n),
        np.repeat(b, n),
        outcome.ravel(),
        rng.integers(0, n_prompts, outcome.size),
        n_systems=n_systems,
        n_clusters=n_prompts,
    )


def reoutcome(clustered: ClusteredTallies, outcome) -> ClusteredTallies:
    """The same battles, decided otherwise: `outcome` is a constant or a function of the old outcomes."""
    new = (
        outcome(clustered.outcome)
        if callable(outcome)
        else np.full_like(clustered.outcome, outcome)
    )
    cells = clustered.tallies
    return tally_by_cluster(
        cells.a[clustered.pair],
        cells.b[clustered.pair],
        new,
        clustered.cluster,
        n_systems=cells.n_systems,
        n_clusters=clustered.n_clusters,
        count=clustered.count,
    )


def reversed_outcomes(outcome):
    return np.choose(outcome, [Outcome.B, Outcome.A, Outcome.TIE, Outcome.BOTH_BAD])
