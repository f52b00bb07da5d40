"""Plackett-Luce: strengths from rankings of three and more, ties allowed.

Luce (1959), Plackett (1975): the best is chosen from all with probability proportional to its exp(theta), the
second best from the rest, and so on. Outputs that share a rank count as if every order among them had been
given an equal part of the ranking; for two that is the half win of `bradley_terry`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby
from math import comb
from time import perf_counter

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import logsumexp
from scipy.stats import t as student_t

from ratings.engine.bradley_terry import (
    LONGEST_STEP,
    STEP_TOLERANCE,
    checked_comparability,
    information,
)
from ratings.engine.comparability import Comparability
from ratings.engine.ranks import rank_intervals
from ratings.engine.scale import PER_LOG_STRENGTH, elo_scale
from ratings.engine.tallies import Outcome, Tallies, tally

# The orders among tied outputs are summed over subsets: 2^m of them.
LONGEST_RANKING = 8
_NOBODY = -1
_MAX_STEPS = 200
_MAX_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Rankings:
    """`system` (n, m) indexes and `rank` (n, m), 1 is best, equal ranks are ties; both -1 where a ranking
    is shorter than m."""

    n_systems: int
    system: np.ndarray
    rank: np.ndarray

    def __post_init__(self) -> None:
        if self.system.shape != self.rank.shape or self.system.ndim != 2:
            raise ValueError("system and rank must be two tables of one shape.")
        if self.system.shape[1] > LONGEST_RANKING:
            raise ValueError(f"A ranking has {LONGEST_RANKING} systems at most.")
        there = self.system != _NOBODY
        if ((self.system < _NOBODY) | (self.system >= self.n_systems)).any():
            row = int(((self.system < _NOBODY) | (self.system >= self.n_systems)).any(1).argmax())
            raise ValueError(f"Ranking {row} names a system outside 0..{self.n_systems - 1}.")
        ordered = np.sort(self.system, axis=1)
        repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != _NOBODY)).any(axis=1)
        wrong = repeated | (there.sum(axis=1) < 2)
        if wrong.any():
            raise ValueError(
                f"Ranking {int(wrong.argmax())} must name two or more different systems."
            )
        if (there != (self.rank > 0)).any():
            raise ValueError("Every system of a ranking has a rank of 1 or more, and nobody else.")

    @classmethod
    def of(cls, rankings: Sequence[Sequence[int]], *, n_systems: int) -> "Rankings":
        """From orders without ties, each of system indexes, best first."""
        longest = max((len(order) for order in rankings), default=0)
        system = np.full((len(rankings), longest), _NOBODY, dtype=np.int64)
        for row, order in enumerate(rankings):
            system[row, : len(order)] = order
        rank = np.where(system == _NOBODY, _NOBODY, np.arange(1, longest + 1))
        return cls(n_systems, system, rank)

    def tallies(self) -> Tallies:
        """Who was ranked above whom how often. For counting only: the pairs of a ranking aren't independent."""
        a, b, outcome = [], [], []
        for first, second in combinations(range(self.system.shape[1]), 2):
            both = self.system[:, second] != _NOBODY
            both &= self.system[:, first] != _NOBODY
            a.append(self.system[both, first])
            b.append(self.system[both, second])
            gap = np.sign(self.rank[both, first] - self.rank[both, second])
            outcome.append(np.select([gap < 0, gap > 0], [Outcome.A, Outcome.B], Outcome.TIE))
        none = [np.empty(0, dtype=np.int64)]
        columns = (np.concatenate(column or none) for column in (a, b, outcome))
        return tally(*columns, n_systems=self.n_systems)


@dataclass(frozen=True, slots=True)
class PlackettLuceFit:
    """`theta` (K,) log-strengths with mean 0 over the ranked systems, nan for the others; `covariance`
    (K, K) the sandwich, nan likewise; `n_clusters` how many rankings or clusters it rests on."""

    theta: np.ndarray
    covariance: np.ndarray
    comparability: Comparability
    n_clusters: int
    iterations: int
    log_likelihood: float


@dataclass(frozen=True, slots=True)
class RankingTable:
    """One entry per system (K,). `rating`, `lower`, `upper`, `sd` on the Elo scale, nan where a system isn't
    ranked (`status` says why) and, but for the rating, where the data support no interval; ranks count from 1,
    0 where it isn't. `n_rankings`, `mean_rank` (nan without rankings) and `places` (K, m), how often it got
    each rank, are raw."""

    rating: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    sd: np.ndarray
    rank: np.ndarray
    rank_lower: np.ndarray
    rank_upper: np.ndarray
    status: np.ndarray
    n_rankings: np.ndarray
    mean_rank: np.ndarray
    places: np.ndarray
    iterations: int
    timings: dict[str, float] = field(compare=False)


def fit_plackett_luce(
    rankings: Rankings, *, cluster: np.ndarray | None = None, ridge: float = 0.0
) -> PlackettLuceFit:
    """Maximise the log-likelihood - ridge/2 |theta|^2 over the comparable systems (see `comparability`).

    Systems that aren't comparable are left out of the rankings that they are in: what the others' order says
    stays (Luce's axiom). Newton's method, done when the longest step is below 1e-10. `cluster` (n,) joins
    rankings that may depend on each other, such as those of one prompt; None: each stands alone. The
    covariance is the sandwich H^-1 V H^-1 C / (C - 1) for C clusters. ValueError for a negative ridge;
    ArithmeticError if it doesn't converge.
    """
    k = rankings.n_systems
    found = checked_comparability(rankings.tallies(), ridge)
    theta, covariance = np.full(k, np.nan), np.full((k, k), np.nan)
    if not found.ranked.any():
        return PlackettLuceFit(theta, covariance, found, 0, 0, 0.0)
    choices = _choices(rankings, found.ranked)
    merged, weight = choices.merged()
    credit = np.bincount(choices.credited, weights=choices.credit, minlength=choices.n_systems)
    current = np.zeros(choices.n_systems)
    likelihood, share = _likelihood(current, merged, weight, credit, ridge)
    for iteration in range(1, _MAX_STEPS + 1):  # noqa: B007 (reported below)
        gradient = credit - _sum_by_system(merged, share * weight[:, None], len(current))
        gradient -= ridge * current
        matrix = information(_joint(merged, share, weight, len(current)), ridge)
        step = cho_solve(cho_factor(matrix), gradient)
        longest = np.abs(step).max()
        step *= min(1.0, LONGEST_STEP / max(longest, STEP_TOLERANCE))
        for _ in range(_MAX_HALVINGS):
            after, new_share = _likelihood(current + step, merged, weight, credit, ridge)
            if after >= likelihood - 1e-9 * (1 + abs(likelihood)):
                break
            step /= 2
        current, likelihood, share = current + step, after, new_share
        if longest < STEP_TOLERANCE:
            break
    else:
        raise ArithmeticError(f"Plackett-Luce didn't converge in {_MAX_STEPS} steps.")
    current -= current.mean()
    theta[found.ranked] = current
    bread = np.linalg.inv(matrix)
    scores, n_clusters = choices.scores(current, cluster)
    if n_clusters > 1:
        # Scores sum to zero, so this is the covariance of theta with mean 0, as it is reported.
        spread = bread @ (scores @ scores.T).toarray() @ bread
        covariance[np.ix_(found.ranked, found.ranked)] = spread * n_clusters / (n_clusters - 1)
    return PlackettLuceFit(theta, covariance, found, n_clusters, iteration, likelihood)


def rate_rankings(
    rankings: Rankings,
    *,
    cluster: np.ndarray | None = None,
    seed: int,
    rounds: int = 1000,
    level: float = 0.95,
) -> RankingTable:
    """Fit, and say how sure: intervals by the sandwich with Student's t, ranks by draws from it.

    Time grows with rankings and with the cube of the systems, and needs no resampling. The same arguments
    give the same numbers.
    """
    started = perf_counter()
    fit = fit_plackett_luce(rankings, cluster=cluster)
    fitted = perf_counter()
    k = rankings.n_systems
    ranked = fit.comparability.ranked
    rating = elo_scale(fit.theta)
    lower, upper, sd = (np.full(k, np.nan) for _ in range(3))
    rank, rank_lower, rank_upper = (np.zeros(k, dtype=np.int64) for _ in range(3))
    if ranked.any():
        rank[ranked] = 1 + np.argsort(np.argsort(-rating[ranked], kind="stable"))
        rank_lower[ranked], rank_upper[ranked] = 1, int(ranked.sum())
    if fit.n_clusters > 1:
        freedom = fit.n_clusters - 1
        covariance = fit.covariance[np.ix_(ranked, ranked)]
        own = np.sqrt(np.clip(np.diag(covariance), 0, None))
        reach = own * student_t.ppf((1 + level) / 2, freedom)
        sd[ranked] = PER_LOG_STRENGTH * own
        lower[ranked] = elo_scale(fit.theta[ranked] - reach)
        upper[ranked] = elo_scale(fit.theta[ranked] + reach)
        rng = np.random.default_rng(seed)
        drawn = rng.multivariate_normal(
            np.zeros(int(ranked.sum())), covariance, rounds, method="eigh", check_valid="ignore"
        )
        drawn *= np.sqrt(freedom / rng.chisquare(freedom, (rounds, 1)))
        low, high = rank_intervals(fit.theta[ranked] + drawn, level=level)
        rank_lower[ranked] = np.minimum(low, rank[ranked])
        rank_upper[ranked] = np.maximum(high, rank[ranked])
    there = rankings.system != _NOBODY
    width = rankings.system.shape[1]
    places = np.zeros((k, width), dtype=np.int64)
    np.add.at(places, (rankings.system[there], rankings.rank[there] - 1), 1)
    n_rankings = places.sum(axis=1)
    with np.errstate(invalid="ignore"):
        mean_rank = places @ np.arange(1, width + 1) / n_rankings
    return RankingTable(
        rating=rating,
        lower=lower,
        upper=upper,
        sd=sd,
        rank=rank,
        rank_lower=rank_lower,
        rank_upper=rank_upper,
        status=fit.comparability.status,
        n_rankings=n_rankings,
        mean_rank=mean_rank,
        places=places,
        iterations=fit.iterations,
        timings={"fit": fitted - started, "intervals": perf_counter() - fitted},
    )


# --- rankings as choices ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Choices:
    """Every ranking as choices of the best from what is left: the log-likelihood is the sum of
    `credit` theta[`credited`] over entries minus the sum of `weight` logsumexp(theta[`members`]) over choices.

    `members` (s, m), -1 where a choice has fewer; `ranking` (s,) whose choice it is, `of` (e,) whose credit.
    """

    n_systems: int
    n_rankings: int
    members: np.ndarray
    weight: np.ndarray
    ranking: np.ndarray
    credited: np.ndarray
    credit: np.ndarray
    of: np.ndarray

    def merged(self) -> tuple[np.ndarray, np.ndarray]:
        """The different choices and their weights: where there are few systems, most are made often."""
        members, index = np.unique(np.sort(self.members, axis=1), axis=0, return_inverse=True)
        return members, np.bincount(index.ravel(), weights=self.weight)

    def scores(self, theta: np.ndarray, cluster: np.ndarray | None) -> tuple[csr_array, int]:
        """(K, C) gradients of the clusters' log-likelihoods, and how many clusters have a say."""
        group = np.arange(self.n_rankings) if cluster is None else np.asarray(cluster)
        used = np.unique(group[np.unique(self.ranking)])
        index = np.searchsorted(used, group)
        there = self.members != _NOBODY
        share = _shares(theta, self.members)[0] * self.weight[:, None]
        rows = np.concatenate([self.credited, self.members[there]])
        values = np.concatenate([self.credit, -share[there]])
        owner = np.broadcast_to(self.ranking[:, None], there.shape)[there]
        columns = index[np.concatenate([self.of, owner])]
        scores = csr_array((values, (rows, columns)), shape=(self.n_systems, len(used)))
        return scores, len(used)


def _choices(rankings: Rankings, ranked: np.ndarray) -> _Choices:
    """The choices among the ranked systems, who are counted through from 0."""
    number = np.append(np.cumsum(ranked) - 1, _NOBODY)
    number[:-1][~ranked] = _NOBODY
    system = number[rankings.system]
    last = rankings.system.shape[1] + 1
    rank = np.where(system == _NOBODY, last, rankings.rank)
    order = np.argsort(rank, axis=1, kind="stable")
    system = np.take_along_axis(system, order, axis=1)
    rank = np.take_along_axis(rank, order, axis=1)
    patterns, which = np.unique(rank, axis=0, return_inverse=True)
    choices: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    credits: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for index, pattern in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == index)
        sets, credit = _stages([int(r) for r in pattern if r != last])
        for positions, weight in sets:
            members = np.full((len(rows), system.shape[1]), _NOBODY)
            members[:, : len(positions)] = system[rows][:, positions]
            choices.append((members, np.full(len(rows), weight), rows))
        for position, value in enumerate(credit):
            credits.append((system[rows, position], np.full(len(rows), value), rows))
    return _Choices(
        int(ranked.sum()),
        len(system),
        *(np.concatenate(column) for column in zip(*choices, strict=True)),
        *(np.concatenate(column) for column in zip(*credits, strict=True)),
    )


def _stages(ranks: list[int]) -> tuple[list[tuple[list[int], float]], list[float]]:
    """Of sorted ranks: the choices (positions, weight), and the credit of each position.

    Of g tied outputs the average over all orders passes through each subset of s that are still to be
    placed with probability 1 / C(g, s), and through s = 1 .. g once: the credits of each add up to 1.
    """
    sets: list[tuple[list[int], float]] = []
    credit = [1.0] * len(ranks)
    start = 0
    for _, tied in groupby(ranks):
        g = len(list(tied))
        rest = list(range(start + g, len(ranks)))
        for size in range(1, g + 1):
            if size + len(rest) < 2:
                # The last one left is no choice.
                for position in range(start, start + g):
                    credit[position] -= 1 / g
                continue
            for subset in combinations(range(start, start + g), size):
                sets.append(([*subset, *rest], 1 / comb(g, size)))
        start += g
    return (sets, credit) if len(ranks) > 1 else ([], [])


def _shares(theta: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(s, m) probabilities of being chosen, 0 for nobody, and (s,) the logarithms of their sums."""
    strength = np.append(theta, -np.inf)[members]
    total = logsumexp(strength, axis=1)
    return np.exp(strength - total[:, None]), total


def _likelihood(
    theta: np.ndarray, members: np.ndarray, weight: np.ndarray, credit: np.ndarray, ridge: float
) -> tuple[float, np.ndarray]:
    share, total = _shares(theta, members)
    return float(credit @ theta - weight @ total - ridge / 2 * (theta @ theta)), share


def _sum_by_system(members: np.ndarray, values: np.ndarray, k: int) -> np.ndarray:
    there = members != _NOBODY
    return np.bincount(members[there], weights=values[there], minlength=k)


def _joint(members: np.ndarray, share: np.ndarray, weight: np.ndarray, k: int) -> np.ndarray:
    """(K, K) sums of weight p_i p_j over choices, the diagonal zero."""
    sums = np.zeros(k * k)
    for first, second in combinations(range(members.shape[1]), 2):
        both = (members[:, first] != _NOBODY) & (members[:, second] != _NOBODY)
        a, b = members[both, first], members[both, second]
        value = (share[both, first] * share[both, second]) * weight[both]
        sums += np.bincount(a * k + b, weights=value, minlength=k * k)
    matrix = sums.reshape(k, k)
    return matrix + matrix.T
