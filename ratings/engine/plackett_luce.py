"""Plackett-Luce: strengths from rankings of three and more."""

from collections.abc import Sequence

import numpy as np


def fit_plackett_luce(
    rankings: Sequence[Sequence[int]], *, n_systems: int, ridge: float = 0.0
) -> np.ndarray:
    """(K,) log-strengths, mean 0, from rankings (best first) of system indexes.

    Iterative Luce spectral ranking as in choix (Maystre & Grossglauser 2015); `ridge` regularises it.
    ValueError for a ranking of fewer than two, with a repeated system or an unknown one, and when the
    rankings don't connect all systems and no ridge is given.
    """
    import choix  # pulls in scipy.optimize and networkx, which nothing else here needs

    for number, ranking in enumerate(rankings):
        if len(ranking) < 2 or len(set(ranking)) != len(ranking):
            raise ValueError(f"Ranking {number} must name two or more different systems.")
        if min(ranking) < 0 or max(ranking) >= n_systems:
            raise ValueError(f"Ranking {number} names a system outside 0..{n_systems - 1}.")
    try:
        theta = choix.ilsr_rankings(
            n_systems, [tuple(ranking) for ranking in rankings], alpha=ridge
        )
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise ValueError(
            "The rankings don't connect all systems in both directions: give a ridge above 0."
        ) from error
    return theta - theta.mean()
