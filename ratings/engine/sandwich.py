"""Standard errors in closed form: the sandwich H^-1 V H^-1."""

import numpy as np
from scipy.sparse import csr_array

from ratings.engine.bradley_terry import BradleyTerryFit
from ratings.engine.replicate_models import Bradley
from ratings.engine.tallies import ClusteredTallies, Tallies


def sandwich_covariance(data: Tallies | ClusteredTallies, fit: BradleyTerryFit) -> np.ndarray:
    """(K, K) covariance of theta, nan for unranked systems; by cluster if the data have clusters.

    H is the information, V the sum of outer products of scores: of single verdicts, or of whole clusters,
    whose verdicts may depend on each other. Valid when the model doesn't hold exactly, too (ties as half
    wins are less variable than coin flips). Huber (1967), White (1982).
    """
    tallies = data.tallies if isinstance(data, ClusteredTallies) else data
    k = tallies.n_systems
    covariance = np.full((k, k), np.nan)
    ranked = fit.comparability.ranked
    if not ranked.any():
        return covariance
    model = Bradley(tallies, fit)
    theta = model.start
    p = (1 + np.tanh((theta[model.a] - theta[model.b]) / 2)) / 2
    # (pairs, 4) residual of the score for each outcome
    residual = np.array([1.0, 0.0, 0.5, 0.5]) - p[:, None]
    if isinstance(data, ClusteredTallies):
        position = np.full(len(tallies.a), -1)
        position[model.kept] = np.arange(len(model.kept))
        pair = position[data.pair]
        used = pair >= 0
        scores = csr_array(
            (
                (data.count * residual[pair, data.outcome])[used],
                (pair[used], data.cluster[used]),
            ),
            shape=(len(model.kept), data.n_clusters),
        )
        by_system = model.to_systems @ scores
        meat = (by_system @ by_system.T).toarray()
    else:
        variance = (tallies.counts[model.kept] * residual**2).sum(axis=1)
        meat = -model.square(variance)
        np.fill_diagonal(meat, -meat.sum(axis=1))
    bread = model.inverse()
    covariance[np.ix_(ranked, ranked)] = centred(bread @ meat @ bread)
    return covariance


def sandwich_sd(data: Tallies | ClusteredTallies, fit: BradleyTerryFit) -> np.ndarray:
    """(K,) standard errors of theta, in logits; nan for unranked systems."""
    return np.sqrt(np.diag(sandwich_covariance(data, fit)))


# Groups whose scores are squared: more of them cost memory and tell no more.
MAX_GROUPS = 4000


def independent_groups(clusters: np.ndarray, *, seed: int) -> tuple[np.ndarray, int]:
    """(m,) group of each row, and how many groups: the clusters, put together by chance where there are
    thousands. Unions of independent clusters are independent too."""
    _, at = np.unique(clusters, return_inverse=True)
    n = int(at.max(initial=-1)) + 1
    if n > MAX_GROUPS:
        at = (np.random.default_rng(seed).permutation(n) % MAX_GROUPS)[at]
    return at, min(n, MAX_GROUPS)


def centred(covariance: np.ndarray) -> np.ndarray:
    """That of theta minus its mean, as fits report it."""
    rows = covariance - covariance.mean(axis=0)
    return rows - rows.mean(axis=1, keepdims=True)
