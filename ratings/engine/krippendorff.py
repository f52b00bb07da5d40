"""Krippendorff's alpha: how far several people, who need not all vote on everything, agree."""

from __future__ import annotations

import numpy as np

from ratings.engine.figure import Figure, estimate, missing

MIN_UNITS = 10


def _coincidences(counts: np.ndarray) -> np.ndarray:
    """(u, v, v) coincidences of each unit: ordered pairs of its values, weighted 1/(m - 1)."""
    values = counts.shape[1]
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, range(values), range(values)] -= counts
    return pairs / (counts.sum(axis=1) - 1)[:, None, None]


def _alpha(coincidences: np.ndarray) -> np.ndarray:
    """Nominal alpha of (..., v, v) coincidences; nan where only one value ever occurs."""
    marginal = coincidences.sum(axis=-1)
    total = marginal.sum(axis=-1)
    observed = total - np.trace(coincidences, axis1=-2, axis2=-1)
    expected = total * total - (marginal * marginal).sum(axis=-1)
    defined = expected > 1e-12 * np.maximum(total * total, 1e-300)
    ratio = np.divide(
        (total - 1) * observed, expected, out=np.full(np.shape(total), np.nan), where=defined
    )
    return 1 - ratio


def _pairable(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts, dtype=float)
    if counts.ndim != 2:
        raise ValueError(f"Give counts of shape (units, values); got {counts.shape}.")
    if (counts < 0).any():
        raise ValueError("A value cannot occur a negative number of times; check the counts.")
    return counts[counts.sum(axis=1) >= 2]


def nominal_alpha(counts: np.ndarray) -> float:
    """Krippendorff's alpha with the nominal metric, from (n_units, n_values) counts.

    counts[u, v] is how many raters gave unit u the value v. Units with fewer than two ratings say
    nothing about agreement and are left out. 1 = full agreement, 0 = chance, < 0 = worse; nan where no
    unit has two ratings or only one value ever occurs. Krippendorff (2011), "Computing
    Krippendorff's alpha-reliability".
    """
    return float(_alpha(_coincidences(_pairable(counts)).sum(axis=0)))


def krippendorff_alpha(
    counts: np.ndarray, *, rounds: int = 1000, seed: int, level: float = 0.95
) -> Figure:
    """`nominal_alpha` with a percentile interval over a Bayesian bootstrap of the units; n = units."""
    pairable = _pairable(counts)
    n = len(pairable)
    if n < MIN_UNITS:
        reason = (
            f"Only {n} battles have votes of two people or more; at least {MIN_UNITS} are needed."
        )
        return missing(n=n, unit="battles", reason=reason)
    # Equal units share one coincidence matrix, and the sum of their unit weights is one Gamma draw.
    distinct, multiplicity = np.unique(pairable, axis=0, return_counts=True)
    each = _coincidences(distinct)
    value = float(_alpha((each * multiplicity[:, None, None]).sum(axis=0)))
    if not np.isfinite(value):
        return missing(n=n, unit="battles", reason="Everybody always gave the same one answer.")
    rng = np.random.default_rng(seed)
    weights = rng.standard_gamma(multiplicity.astype(float), size=(rounds, len(distinct)))
    # Dirichlet weights scaled back to n units, so that the small-sample term (n - 1) stays itself.
    weights *= n / weights.sum(axis=1, keepdims=True)
    n_values = distinct.shape[1]
    drawn = (weights @ each.reshape(len(each), -1)).reshape(rounds, n_values, n_values)
    return estimate(value, _alpha(drawn), n=n, unit="battles", level=level)
