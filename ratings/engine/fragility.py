"""How little would have to be otherwise for another system to be first. After Huang et al. (2508.11847).

The fewest verdicts, prompts or voters whose removal changes who is first are found by influence (what
removing one would do, from one Newton step) and then proved by fitting without them. Finding the very fewest
would need every subset: what is reported is an upper bound that holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf, sqrt
from statistics import NormalDist

import numpy as np

from ratings.engine.bootstrap import bootstrap_clusters
from ratings.engine.bradley_terry import BradleyTerryFit, fit_bradley_terry
from ratings.engine.ranks import rank_intervals
from ratings.engine.replicate_models import Bradley
from ratings.engine.tallies import Tallies, tally, tally_by_cluster

# Rivals whose overtaking is tried: those for which influence says that the fewest are needed.
RIVALS = 4
# Where the removal of so large a part isn't enough, more wouldn't be called a few.
MOST_REMOVED = 0.5
# What one step foretells holds for a small part of the verdicts; then it is computed anew.
AT_ONCE = 0.03
# So many units are left out one at a time, those with most influence first.
MOST_LEFT_OUT = 1000
CURVE = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_MAX_ROUNDS = 40
_POINT = np.array([1.0, 0.0, 0.5, 0.5])


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One row per verdict (n,): systems `a`, `b` (indexes below `n_systems`) and `outcome`, as in tallies."""

    n_systems: int
    a: np.ndarray
    b: np.ndarray
    outcome: np.ndarray

    def tallies(self, kept: np.ndarray | None = None) -> Tallies:
        columns = (self.a, self.b, self.outcome)
        if kept is not None:
            columns = tuple(column[kept] for column in columns)
        return tally(*columns, n_systems=self.n_systems)


@dataclass(frozen=True, slots=True)
class Removal:
    """Units (verdicts, prompts or voters) without which the top is another one.

    `units` (r,) their indexes, those with most influence first; `n_verdicts` how many verdicts that is; `top`
    the systems that are the top without them, best first. `units` is empty and `reason` says why where no
    removal of up to half of the verdicts was found.
    """

    units: np.ndarray
    n_verdicts: int
    top: np.ndarray
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Without one unit at a time: `unit` (u,), who is `first` (u,), the `lead` (u,) of the present first
    over the best of the others, in logits (negative where it is overtaken), and `shift` (u,) the most that any
    strength moves. `n_units` are all that there are: the u with most influence were tried."""

    unit: np.ndarray
    first: np.ndarray
    lead: np.ndarray
    shift: np.ndarray
    n_units: int


@dataclass(frozen=True, slots=True)
class Separation:
    """How many more verdicts tell the first from the second at 95 %, if their gap stays what it is.

    `gap`, `sd` in logits. `more` where new verdicts fall as the old ones did, `more_surely` so that it succeeds
    in four of five cases, `direct` where all of them are battles of these two. None where the gap is zero.
    """

    first: int
    second: int
    gap: float
    sd: float
    more: int | None
    more_surely: int | None
    direct: int | None


@dataclass(frozen=True, slots=True)
class Curve:
    """`factor` (f,) times as many verdicts give rank intervals of the mean `width` (f,) (1: one rank each)."""

    factor: np.ndarray
    width: np.ndarray


def fewest_removed(
    verdicts: Verdicts, fit: BradleyTerryFit, *, unit: np.ndarray | None = None, top: int = 1
) -> Removal:
    """The fewest units found whose removal changes the set of the `top` systems.

    `unit` (n,) the prompt or voter of each verdict, negative where there is none (it stays); None takes each
    verdict for itself. Greedy by influence, computed anew as verdicts are taken away, proved by a fit without
    them, and cut back to the fewest in that order that still do. ValueError where fewer than `top` + 1
    systems are ranked.
    """
    ranked = np.flatnonzero(fit.comparability.ranked)
    if len(ranked) <= top:
        raise ValueError(
            f"{len(ranked)} systems are ranked; a top of {top} can change only among {top + 1}."
        )
    order = ranked[np.argsort(-fit.theta[ranked], kind="stable")]
    units = np.arange(len(verdicts.a)) if unit is None else unit
    search = _Search(verdicts, fit, units, order[:top])
    best: Removal | None = None
    for inside, outside in search.likeliest():
        found = search.overtake(inside, outside, at_most=inf if best is None else len(best.units))
        if found is not None and (best is None or len(found.units) < len(best.units)):
            best = found
    if best is None:
        reason = "No removal of up to half of the verdicts was found that changes it."
        return Removal(np.zeros(0, dtype=np.int64), 0, order[:top], reason)
    return best


class _Search:
    def __init__(
        self, verdicts: Verdicts, fit: BradleyTerryFit, units: np.ndarray, top: np.ndarray
    ) -> None:
        self.verdicts, self.fit, self.top = verdicts, fit, top
        self.removable = units >= 0
        _, place = np.unique(units[self.removable], return_inverse=True)
        self.names = np.unique(units[self.removable])
        self.unit = np.full(len(units), -1)
        self.unit[self.removable] = place
        self.sizes = np.bincount(place, minlength=len(self.names))

    def gains(
        self, fit: BradleyTerryFit, inside: int, outside: int, kept: np.ndarray
    ) -> np.ndarray:
        """(U,) by how much removing each unit would bring `outside` closer to `inside`, in logits."""
        along = self._along(fit, kept, inside, outside)
        if along is None:
            return np.zeros(len(self.names))
        v, theta = self.verdicts, np.nan_to_num(fit.theta)
        p = 1 / (1 + np.exp(theta[v.b] - theta[v.a]))
        lean = (along[v.a] - along[v.b]) * (_POINT[v.outcome] - p)
        known = fit.comparability.ranked
        counted = kept & self.removable & known[v.a] & known[v.b]
        return np.bincount(self.unit[counted], lean[counted], len(self.names))

    def _along(
        self, fit: BradleyTerryFit, kept: np.ndarray, inside: int, outside: int
    ) -> np.ndarray | None:
        """(K,) H^-1 applied to the difference of the two; None where one of them isn't ranked any more."""
        ranked = fit.comparability.ranked
        if not (ranked[inside] and ranked[outside]):
            return None
        model = Bradley(self.verdicts.tallies(kept), fit)
        position = np.cumsum(ranked) - 1
        wanted = np.zeros(model.k)
        wanted[[position[inside], position[outside]]] = 1.0, -1.0
        along = np.zeros(len(ranked))
        along[ranked] = model.inverse() @ wanted
        return along

    def likeliest(self) -> list[tuple[int, int]]:
        """Pairs of one in the top and one outside, those first that the fewest units seem to separate."""
        ranked = np.flatnonzero(self.fit.comparability.ranked)
        order = ranked[np.argsort(-self.fit.theta[ranked], kind="stable")]
        last = order[: len(self.top)][-RIVALS:]
        next_ones = order[len(self.top) :][: 4 * RIVALS]
        everything = np.ones(len(self.verdicts.a), dtype=bool)
        guesses = []
        for inside in last.tolist():
            for outside in next_ones.tolist():
                gains = np.sort(self.gains(self.fit, inside, outside, everything))[::-1]
                reached = np.cumsum(np.maximum(gains, 0))
                gap = self.fit.theta[inside] - self.fit.theta[outside]
                needed = int(np.searchsorted(reached, gap)) + 1
                guesses.append((needed, inside, outside))
        return [(inside, outside) for _, inside, outside in sorted(guesses)[:RIVALS]]

    def overtake(self, inside: int, outside: int, *, at_most: float) -> Removal | None:
        kept = np.ones(len(self.verdicts.a), dtype=bool)
        fit, removed = self.fit, []
        gone = np.zeros(len(self.names), dtype=bool)
        for _ in range(_MAX_ROUNDS):
            gap = fit.theta[inside] - fit.theta[outside]
            gains = np.where(gone, -inf, self.gains(fit, inside, outside, kept))
            best = np.argsort(-gains, kind="stable")
            best = best[gains[best] > 1e-12]
            if not len(best):
                return None
            # As many as influence says are needed, but no more at a time than it can tell about.
            count = int(np.searchsorted(np.cumsum(gains[best]), gap)) + 1
            few = int(np.searchsorted(np.cumsum(self.sizes[best]), AT_ONCE * len(kept)))
            taken = best[: max(min(count, few), 1)]
            removed += taken.tolist()
            gone[taken] = True
            kept = ~gone[self.unit] | (self.unit < 0)
            if (~kept).sum() > MOST_REMOVED * len(kept):
                return None
            fit = fit_bradley_terry(self.verdicts.tallies(kept))
            if self._is_other(fit):
                return self._cut_back(removed)
            if len(removed) >= at_most or not fit.comparability.ranked[[inside, outside]].all():
                return None
        return None

    def _cut_back(self, removed: list[int]) -> Removal:
        """The shortest beginning of the list that still changes the top, by bisection, proved by its fit."""
        low, high = 0, len(removed)
        while high - low > 1:
            middle = (low + high) // 2
            if self._is_other(self._without(removed[:middle])):
                high = middle
            else:
                low = middle
        units = np.array(removed[:high])
        fit = self._without(removed[:high])
        return Removal(self.names[units], int(self.sizes[units].sum()), self._top_of(fit))

    def _without(self, units: list[int]) -> BradleyTerryFit:
        gone = np.zeros(len(self.names) + 1, dtype=bool)
        gone[units] = True  # the last one stands for verdicts of no unit
        return fit_bradley_terry(self.verdicts.tallies(~gone[self.unit]))

    def _top_of(self, fit: BradleyTerryFit) -> np.ndarray:
        theta = np.where(fit.comparability.ranked, fit.theta, -inf)
        return np.argsort(-theta, kind="stable")[: len(self.top)]

    def _is_other(self, fit: BradleyTerryFit) -> bool:
        """Whether somebody else is in the top, and everybody who was in it can still be compared."""
        ranked = fit.comparability.ranked
        if not ranked[self.top].all():
            return False
        theta = np.where(ranked, fit.theta, -inf)
        inside = theta[self.top].min()
        outside = np.delete(theta, self.top)
        return bool(outside.max() > inside)


def leave_one_out(
    verdicts: Verdicts, fit: BradleyTerryFit, unit: np.ndarray, *, threads: int = 2
) -> LeftOut:
    """Fit without each unit in turn, all fits as one batch.

    `unit` (n,) as in `fewest_removed`. Of more than 1,000 units those are left out that move the lead of the
    first most, by influence. A system that is left with only wins or losses has what the rest of its verdicts
    say at the end of the iterations: read `shift` as "far" there.
    """
    ranked = fit.comparability.ranked
    order = np.flatnonzero(ranked)[np.argsort(-fit.theta[ranked], kind="stable")]
    first = int(order[0])
    search = _Search(verdicts, fit, unit, order[:1])
    everything = np.ones(len(verdicts.a), dtype=bool)
    influence = np.abs(search.gains(fit, first, int(order[1]), everything))
    tried = np.argsort(-influence, kind="stable")[:MOST_LEFT_OUT]
    # Clusters: the tried units, and one for all others.
    column = np.full(len(search.names) + 1, len(tried))
    column[tried] = np.arange(len(tried))
    clustered = tally_by_cluster(
        verdicts.a,
        verdicts.b,
        verdicts.outcome,
        column[search.unit],
        n_systems=verdicts.n_systems,
        n_clusters=len(tried) + 1,
    )
    weights = np.ones((len(tried), len(tried) + 1))
    np.fill_diagonal(weights, _ALMOST_NOTHING)
    theta = bootstrap_clusters(clustered, fit, seed=0, weights=weights, threads=threads).theta
    others = np.delete(theta, first, axis=1)
    best = np.nanmax(others, axis=1)
    lead = theta[:, first] - best
    there = np.where(np.isfinite(theta), theta, -inf)
    return LeftOut(
        unit=search.names[tried],
        first=there.argmax(axis=1),
        lead=lead,
        shift=np.nanmax(np.abs(theta - fit.theta), axis=1),
        n_units=len(search.names),
    )


# A unit that weighs so little is left out, and no replicate falls apart into islands.
_ALMOST_NOTHING = 1e-9


def votes_to_separate(
    fit: BradleyTerryFit, covariance: np.ndarray, n_verdicts: int, *, level: float = 0.95
) -> Separation:
    """From the gap of the first two and its standard error, by the square-root law.

    `covariance` (K, K) of theta. ValueError where fewer than two systems are ranked.
    """
    ranked = np.flatnonzero(fit.comparability.ranked)
    if len(ranked) < 2:
        raise ValueError("Two ranked systems are needed to ask what separates them.")
    order = ranked[np.argsort(-fit.theta[ranked], kind="stable")]
    first, second = int(order[0]), int(order[1])
    gap = float(fit.theta[first] - fit.theta[second])
    variance = covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]
    z = NormalDist().inv_cdf((1 + level) / 2)
    surely = z + NormalDist().inv_cdf(0.8)

    def more(bound: float) -> int | None:
        if gap <= 0:
            return None
        return max(ceil(n_verdicts * (bound**2 * variance / gap**2 - 1)), 0)

    direct = None
    if gap > 0:
        p = 1 / (1 + np.exp(-gap))
        direct = max(ceil(((z / gap) ** 2 - 1 / variance) / (p * (1 - p))), 0)
    return Separation(first, second, gap, sqrt(variance), more(z), more(surely), direct)


def rank_width_curve(
    fit: BradleyTerryFit, covariance: np.ndarray, *, seed: int, rounds: int = 1000
) -> Curve:
    """How wide rank intervals would be with other numbers of verdicts, if strengths stay what they are."""
    ranked = fit.comparability.ranked
    rng = np.random.default_rng(seed)
    noise = rng.multivariate_normal(
        np.zeros(int(ranked.sum())),
        covariance[np.ix_(ranked, ranked)],
        rounds,
        method="eigh",
        check_valid="ignore",
    )
    widths = []
    for factor in CURVE:
        low, high = rank_intervals(fit.theta[ranked] + noise / sqrt(factor))
        widths.append(float((high - low + 1).mean()))
    return Curve(np.array(CURVE), np.array(widths))
