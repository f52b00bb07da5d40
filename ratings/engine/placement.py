"""Where one new system stands among the others, and which battles tell it soonest.

Everything is about the gaps f_b = t - x_b of the new system to its anchors, the others that have a rating.
What the anchors' own verdicts say of them is normal with covariance C (rows sum to 0: strengths are relative to
the anchors' mean), the new system's strength t has a weak normal prior of standard deviation s, so before its
first verdict the gaps have the covariance s^2 + C, and t is their mean.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, log_expit

from ratings.engine.bradley_terry import LONGEST_STEP, fit_bradley_terry, information
from ratings.engine.sampling import PRIOR_RIDGE
from ratings.engine.scale import PER_LOG_STRENGTH, elo_scale
from ratings.engine.tallies import ClusteredTallies, Tallies

# The prior is so many times as wide as the anchors' spread: a newcomer may be better than all of them.
WIDER = 2.0
# The anchors' spread is told by few of them: as if so many more had shown one of a logit.
SPREAD_OF = 3
# Before verdicts say how variable they are, as if this much information had said "as coins".
COINS = 5.0
# Of a round, the share that goes evenly over all anchors: so that a misfit shows.
EVEN = 0.05
# A round is planned in so many steps, each for another quantile of where the system may stand, of the likely
# middle: rounds that cared for the tails as well needed up to 5 % more battles in simulations.
STEPS, MIDDLE = 64, 0.6
LEAST_IN_A_ROUND = 12  # battles
SHARE_OF_A_ROUND = 0.35  # of the battles so far
# The posterior of t: points and how far they reach, in standard deviations at its mode.
POINTS, REACH = 241, 6.0
DRAWS = 1000
_TOLERANCE = 1e-9
_MAX_STEPS = 200
# Beyond this many sums by system and cluster, sorting those that there are costs less than holding all.
_MOST_SUMS = 1 << 22


@dataclass(frozen=True, slots=True)
class Anchors:
    """The others that have a rating, from verdicts that the new system has no part in.

    `ids` (k,) indexes systems; `theta` (k,) logits with mean 0; `covariance` (k, k) of them, rows summing
    to 0; `prior_sd` of the new system's strength, logits. A verdict's variance is `dispersion` times
    p (1 - p) (ties make it less than 1), and two verdicts on one system in one cluster correlate by `within`.
    """

    n_systems: int
    ids: np.ndarray
    theta: np.ndarray
    covariance: np.ndarray
    prior_sd: float
    dispersion: float
    within: float


@dataclass(frozen=True, slots=True)
class Place:
    """What verdicts say of one new system; k anchors, logits.

    `gap` (k,) and `covariance` (k, k) of its gaps to the anchors, at the posterior's mode; `mode`, `sd` of its
    strength t there; `t`, `cdf` (POINTS,) the posterior of t. `factor` is what its verdicts' variance is
    of p (1 - p). `n`, `wins` (k,) verdicts against each anchor and how many it won, ties as one half.
    """

    anchors: Anchors
    n: np.ndarray
    wins: np.ndarray
    factor: float
    gap: np.ndarray
    covariance: np.ndarray
    mode: float
    sd: float
    t: np.ndarray
    cdf: np.ndarray

    def quantile(self, level: np.ndarray | float) -> np.ndarray:
        """Of the strength t, in logits."""
        return np.interp(level, self.cdf, self.t)

    def given(self, t: np.ndarray) -> np.ndarray:
        """(len(t), k) gaps expected if the strength is t."""
        slope = self.covariance.mean(axis=1) / self.sd**2
        return self.gap + np.multiply.outer(t - self.mode, slope)


@dataclass(frozen=True, slots=True)
class Provisional:
    """A new system's standing. `rating` (the posterior's median), `lower`, `upper` and `sd` on the Elo scale.

    Ranks are among `n_ranked`, itself and the others with a rating; 1 is best. `one_sided`: it has lost
    nothing or won nothing so far, so that no finite rating is the most likely one and the width is mostly
    the prior's. `factor` as in Place.
    """

    rating: float
    lower: float
    upper: float
    sd: float
    rank: int
    rank_lower: int
    rank_upper: int
    n_ranked: int
    n_verdicts: int
    one_sided: bool
    factor: float

    @property
    def width(self) -> float:
        return self.upper - self.lower


def find_anchors(data: Tallies | ClusteredTallies, *, new: int) -> Anchors:
    """The others' ratings without the new system's verdicts; index `new` is not among them.

    Anchors are the ranked systems of the Bradley-Terry fit; where nobody is ranked yet, all others, with
    the prior of `sampling`. The covariance is the inverse information times the dispersion, pooled over all
    systems (McCullagh & Nelder 1989, 9.2): with few verdicts steadier than the sandwich. ValueError if
    `new` is out of range or there is no other system.
    """
    data = _without(data, new)
    tallies = data.tallies if isinstance(data, ClusteredTallies) else data
    others = np.arange(tallies.n_systems) != new
    if not others.any():
        raise ValueError("There is no other system to compare with.")
    fit = fit_bradley_terry(tallies)
    ranked = bool(fit.comparability.ranked.any())
    ridge = 0.0 if ranked else PRIOR_RIDGE
    ids = np.flatnonzero(fit.comparability.ranked if ranked else others)
    theta = fit.theta
    if not ranked:
        theta = np.nan_to_num(fit_bradley_terry(tallies, ridge=ridge).theta)
    wins = tallies.win_matrix()[np.ix_(ids, ids)]
    p = expit(theta[ids, None] - theta[ids])
    inverse = np.linalg.inv(information((wins + wins.T) * p * (1 - p), ridge))
    dispersion, within, factor = _dispersion(data, theta, ids)
    inverse -= inverse.mean(axis=0)
    covariance = factor * (inverse - inverse.mean(axis=1, keepdims=True))
    theta = theta[ids] - theta[ids].mean()
    k = len(ids)
    spread = max(float(theta @ theta - np.trace(covariance)) / max(k - 1, 1), 0.0)
    spread = (k * spread + SPREAD_OF) / (k + SPREAD_OF) if ranked else 1.0
    return Anchors(
        n_systems=tallies.n_systems,
        ids=ids,
        theta=theta,
        covariance=(covariance + covariance.T) / 2,
        prior_sd=WIDER * spread**0.5,
        dispersion=dispersion,
        within=within,
    )


def locate(
    anchors: Anchors, *, n: np.ndarray, wins: np.ndarray, per_cluster: np.ndarray | None = None
) -> Place:
    """The posterior of the new system's strength, from verdicts against the anchors.

    `n`, `wins` (k,), ties as one half; `per_cluster` how many verdicts each cluster holds (any length; None:
    verdicts are independent). The mode is found by Newton's method on the gaps (Rasmussen & Williams 2006,
    3.4), the likelihood raised to 1 / variance factor. Around it the posterior of t is computed on a grid by
    the nested Laplace approximation (Tierney & Kadane 1986; Rue, Martino & Chopin 2009): anchors move with
    t along a straight line, whose error counts squared only, and the determinant is a parabola through
    three points. So it stays honest where nothing was lost and the likelihood has no maximum. ValueError
    for arrays of another shape and wins that aren't within 0 and n.
    """
    if n.shape != anchors.theta.shape or wins.shape != n.shape:
        raise ValueError(f"n and wins must have one entry for each of {len(anchors.ids)} anchors.")
    if (wins < 0).any() or (wins > n).any():
        raise ValueError("wins must lie between 0 and n.")
    factor = anchors.dispersion
    if per_cluster is not None and per_cluster.sum():
        factor += anchors.within * float((per_cluster**2).sum() / per_cluster.sum() - 1)
    met = np.flatnonzero(n)
    of_t = anchors.prior_sd**2
    kernel = of_t + anchors.covariance
    n_met, won = n[met] / factor, wins[met] / factor
    alpha, weight = _mode(kernel[np.ix_(met, met)], -anchors.theta[met], n_met, won)
    gap = kernel[:, met] @ alpha - anchors.theta
    root = np.sqrt(weight)
    inner = cho_factor(np.eye(len(met)) + root[:, None] * kernel[np.ix_(met, met)] * root)
    scaled = root[:, None] * kernel[met]
    covariance = kernel - scaled.T @ cho_solve(inner, scaled)
    mode, sd = float(gap.mean()), float(np.sqrt(covariance.mean()))
    # Along the line, gaps are -theta + kernel (alpha + (t - mode) turn): no inverse of the kernel is needed.
    away = np.linspace(-REACH, REACH, POINTS) * sd
    slope = covariance.mean(axis=1) / sd**2
    turn = np.full(len(n), 1 / len(n))
    turn[met] -= root * cho_solve(inner, root * of_t)
    turn /= sd**2
    start = np.zeros(len(n))
    start[met] = alpha
    line = gap[met] + away[:, None] * slope[met]
    log_density = log_expit(line) @ won + log_expit(-line) @ (n_met - won)
    along = start + away[:, None] * turn
    drift = (along @ kernel * along).sum(axis=1)
    log_density -= drift / 2 + _half_log_det(
        anchors.covariance[np.ix_(met, met)], gap[met], slope[met] * sd, n_met, away / sd
    )
    density = np.exp(log_density - log_density.max())
    cdf = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return Place(anchors, n, wins, factor, gap, covariance, mode, sd, mode + away, cdf / cdf[-1])


def place_of(data: Tallies | ClusteredTallies, *, new: int) -> Place:
    """`find_anchors` and `locate` in one; verdicts against systems that are no anchors aren't used."""
    anchors = find_anchors(data, new=new)
    tallies = data.tallies if isinstance(data, ClusteredTallies) else data
    wins = tallies.win_matrix()
    won, lost = wins[new, anchors.ids], wins[anchors.ids, new]
    per_cluster = None
    if isinstance(data, ClusteredTallies):
        own = (tallies.a == new) | (tallies.b == new)
        own &= np.isin(np.where(tallies.a == new, tallies.b, tallies.a), anchors.ids)
        mine = own[data.pair]
        per_cluster = np.bincount(data.cluster[mine], weights=data.count[mine])
    return locate(anchors, n=won + lost, wins=won, per_cluster=per_cluster)


def provisional(
    data: Tallies | ClusteredTallies,
    *,
    new: int,
    level: float = 0.95,
    centre: Literal["others", "all"] = "others",
    seed: int = 0,
) -> Provisional:
    """Where the system stands by now, however few verdicts it has.

    The interval holds `level` of the posterior of `locate`, between equal tails: the anchors' uncertainty is
    in it, and a weak prior, which is all that there is before the first verdict. Ratings are such that the
    anchors' mean is 1000, as on a leaderboard that doesn't count the new system; with `centre` "all" the
    mean that is 1000 includes it. The rank interval holds `level` of 1,000 draws of everybody's strengths.
    ValueError as `find_anchors`, and for a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}.")
    return standing(place_of(data, new=new), level=level, centre=centre, seed=seed)


def standing(
    place: Place,
    *,
    level: float = 0.95,
    centre: Literal["others", "all"] = "others",
    seed: int = 0,
) -> Provisional:
    """`provisional`, of a place that is known already."""
    tails = np.array([0.5, (1 - level) / 2, (1 + level) / 2])
    k = len(place.n)
    # t less the mean of all k + 1 is k / (k + 1) of t less the mean of the k others.
    scale = k / (k + 1) if centre == "all" else 1.0
    rating, lower, upper = (float(x) for x in elo_scale(scale * place.quantile(tails)))
    ranks = 1 + (_draws(place, seed) < 0).sum(axis=1)
    middle = place.given(place.quantile(np.array([0.5])))[0]
    first, last = np.quantile(ranks, tails[1:], method="inverted_cdf")
    steps = np.diff(place.cdf)
    between = (place.t[1:] + place.t[:-1]) / 2
    mean = float(steps @ between)
    n, wins = float(place.n.sum()), float(place.wins.sum())
    return Provisional(
        rating=rating,
        lower=lower,
        upper=upper,
        sd=float(scale * PER_LOG_STRENGTH * np.sqrt(steps @ (between - mean) ** 2)),
        rank=1 + int((middle < 0).sum()),
        rank_lower=int(first),
        rank_upper=int(last),
        n_ranked=k + 1,
        n_verdicts=round(n),
        one_sided=wins in (0.0, n),
        factor=place.factor,
    )


def placement_shares(
    data: Tallies | ClusteredTallies,
    *,
    new: int,
    possible: np.ndarray,
    size: int = LEAST_IN_A_ROUND,
    even: float = EVEN,
) -> np.ndarray:
    """(K,) shares of the next `size` battles of system `new` over its opponents; they sum to 1.

    `possible` (K,) says how many battles against each are open. See `shares_at`. Where no anchor has an
    open battle, all opponents with one share evenly. ValueError as `find_anchors`, for a `possible` of
    another shape or below 0, for nothing that is open, a `size` below 1 or an `even` outside 0 to 1.
    """
    return shares_at(place_of(data, new=new), new=new, possible=possible, size=size, even=even)


def shares_at(
    place: Place, *, new: int, possible: np.ndarray, size: int, even: float = EVEN
) -> np.ndarray:
    """`placement_shares`, at a place that is known already.

    The round is planned in STEPS parts. Each takes another quantile of where the system may stand, and goes
    to the opponent that would tell most there: m battles with information w each, p (1 - p) over the
    variance factor in expectation over the opponent's strength, lower the variance of t by
    c^2 m w / (1 + m w v), c the covariance of t and the gap, v the variance of the gap. So an opponent who is
    little known itself tells less with every battle; but it is part of the mean that ratings are relative
    to, and what it tells of that is counted too. The covariance of all gaps is brought up to date
    before the next part. A first round is thus spread over the ladder and the later ones come near. `even`
    is the share that goes evenly to all open anchors.
    """
    anchors = place.anchors
    possible = np.asarray(possible, dtype=float)
    if possible.shape != (anchors.n_systems,) or not (possible >= 0).all():
        raise ValueError(f"possible must hold {anchors.n_systems} numbers of at least 0.")
    if size < 1 or not 0 <= even <= 1:
        raise ValueError("A round has at least one battle, and its even share lies in 0 to 1.")
    possible = np.where(np.arange(len(possible)) == new, 0.0, possible)
    if not possible.any():
        raise ValueError("No battle of the new system is open.")
    shares = np.zeros(len(possible))
    open_now = possible[anchors.ids]
    if not open_now.any():
        shares[possible > 0] = 1 / (possible > 0).sum()
        return shares
    levels = 0.5 + MIDDLE * ((_scattered(STEPS) + 0.5) / STEPS - 0.5)
    gaps = place.given(place.quantile(levels))
    # What is uncertain of the gaps even where t is known: the anchors' own part.
    own = place.covariance.diagonal() - place.covariance.mean(axis=1) ** 2 / place.sd**2
    shrink = 1 / np.sqrt(1 + np.pi * np.maximum(own, 0) / 8)
    p = expit(shrink * gaps)
    telling = shrink * p * (1 - p) / place.factor
    chosen = spread_round(place.covariance, telling, open_now, size / STEPS)
    is_open = open_now > 0
    chosen = chosen / chosen.sum()
    shares[anchors.ids] = (1 - even) * chosen + even * is_open / is_open.sum()
    return shares


def plan_opponents(
    data: Tallies | ClusteredTallies,
    *,
    new: int,
    possible: np.ndarray,
    size: int,
    even: float = EVEN,
    seed: int = 0,
) -> np.ndarray:
    """(K,) whole battles of the next round with each opponent, `size` of them unless fewer are possible.

    `placement_shares`, `drawn` by lot. The same arguments give the same plan, verdicts that came in between
    another one. ValueError as `placement_shares`.
    """
    place = place_of(data, new=new)
    shares = shares_at(place, new=new, possible=possible, size=size, even=even)
    rng = np.random.default_rng([seed, round(2 * float(place.n.sum() + place.wins.sum()))])
    possible = np.where(np.arange(len(shares)) == new, 0, possible)
    return drawn(shares, size=size, possible=possible, rng=rng)


def spread_round(
    covariance: np.ndarray, telling: np.ndarray, left: np.ndarray, m: float
) -> np.ndarray:
    """(k,) battles given to each anchor: m at a time to the one who lowers the variance of t most.

    `covariance` (k, k) of the gaps; `telling` (steps, k) the information of one battle, for each step;
    `left` (k,) how many there can be.
    """
    left = left.astype(float)
    k = len(left)
    given, wanted = np.zeros(k), m * len(telling)
    of_gap, with_t = covariance.diagonal().copy(), covariance.mean(axis=1)
    # Each battle takes one column off the covariance; each opponent runs out once at most.
    past = np.zeros((len(telling) + k, k))
    for step in range(len(past)):
        worth = telling[step % len(telling)]
        gain = np.where(left > 0, with_t**2 * worth / (1 + m * worth * of_gap), -1.0)
        best = int(np.argmax(gain))
        take = min(m, left[best], wanted)
        if take <= _TOLERANCE:
            break
        given[best] += take
        left[best] -= take
        wanted -= take
        column = covariance[:, best] - past[:step].T @ past[:step, best]
        column *= np.sqrt(take * worth[best] / (1 + take * worth[best] * of_gap[best]))
        past[step] = column
        of_gap -= column**2
        with_t -= column * column.mean()
    return given


def drawn(
    shares: np.ndarray, *, size: int, possible: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(K,) whole battles for each opponent, `size` in all unless fewer are open.

    Systematic sampling (Madow & Madow 1944): each count is its expected value rounded up or down, and on
    average exactly it, so that small shares get their turn. What is beyond `possible` goes to the others.
    """
    counts = np.zeros(len(shares), dtype=np.int64)
    left = np.floor(np.asarray(possible)).astype(np.int64)
    while (wanted := min(size - int(counts.sum()), int(left.sum()))) > 0:
        weight = np.where(left > 0, shares, 0.0)
        if not weight.any():
            weight = (left > 0).astype(float)
        order = rng.permutation(len(shares))
        edges = np.concatenate([[0.0], np.cumsum(weight[order])])
        ticks = np.floor(edges / edges[-1] * wanted + rng.random()).astype(np.int64)
        found = np.zeros_like(counts)
        found[order] = np.diff(ticks)
        found = np.minimum(found, left)
        counts += found
        left -= found
    return counts


def round_size(found: Provisional, *, width: float) -> int:
    """How many battles the next round should have, if the interval is to be under `width` points; 0 if it is.

    A third of those so far, but no more than the best battles, even ones, would need; twelve at least.
    ValueError for a `width` that isn't above 0.
    """
    if width <= 0:
        raise ValueError(f"width must be above 0, not {width}.")
    if found.width < width:
        return 0
    missing = (1 / width**2 - 1 / found.width**2) * (2 * 1.959964 * PER_LOG_STRENGTH) ** 2
    need = int(np.ceil(4 * found.factor * missing))
    return max(LEAST_IN_A_ROUND, min(need, round(SHARE_OF_A_ROUND * found.n_verdicts)))


def _without(data: Tallies | ClusteredTallies, new: int) -> Tallies | ClusteredTallies:
    tallies = data.tallies if isinstance(data, ClusteredTallies) else data
    if not 0 <= new < tallies.n_systems:
        raise ValueError(f"new must lie between 0 and {tallies.n_systems - 1}, not {new}.")
    kept = (tallies.a != new) & (tallies.b != new)
    rest = Tallies(tallies.n_systems, tallies.a[kept], tallies.b[kept], tallies.counts[kept])
    if not isinstance(data, ClusteredTallies):
        return rest
    rows = kept[data.pair]
    position = np.cumsum(kept) - 1
    return ClusteredTallies(
        tallies=rest,
        n_clusters=data.n_clusters,
        pair=position[data.pair[rows]],
        outcome=data.outcome[rows],
        cluster=data.cluster[rows],
        count=data.count[rows],
    )


def _dispersion(
    data: Tallies | ClusteredTallies, theta: np.ndarray, ids: np.ndarray
) -> tuple[float, float, float]:
    """Of anchors' verdicts: variance over p (1 - p), correlation within a cluster, scores' variance over
    information."""
    tallies = data.tallies if isinstance(data, ClusteredTallies) else data
    is_anchor = np.isin(np.arange(tallies.n_systems), ids)
    used = is_anchor[tallies.a] & is_anchor[tallies.b]
    gap = np.where(used, theta[tallies.a] - theta[tallies.b], 0.0)
    p = expit(gap)
    counts = tallies.counts * used[:, None]
    residual = np.array([1.0, 0.0, 0.5, 0.5]) - p[:, None]
    squares = float((counts * residual**2).sum())
    expected = float(counts.sum(axis=1) @ (p * (1 - p)))
    total = float(counts.sum())
    # Fitted strengths come nearer to the verdicts than the true ones: k - 1 degrees of freedom.
    squares *= total / max(total - len(ids) + 1, total / 2, 1)
    dispersion = (squares + COINS) / (expected + COINS)
    if not isinstance(data, ClusteredTallies) or not len(data.pair):
        return dispersion, 0.0, dispersion
    rows = used[data.pair]
    pair, count = data.pair[rows], data.count[rows]
    key = np.concatenate([tallies.a[pair], tallies.b[pair]]) * data.n_clusters
    key += np.tile(data.cluster[rows], 2)
    if tallies.n_systems * data.n_clusters > _MOST_SUMS:
        key = np.unique(key, return_inverse=True)[1]
    r = count * residual[pair, data.outcome[rows]]
    root = count * np.sqrt(p * (1 - p))[pair]
    scores = np.bincount(key, np.concatenate([r, -r]))
    sizes = np.bincount(key, np.tile(root, 2))
    together = float(sizes @ sizes) - 2 * expected
    crossed = float(scores @ scores) - 2 * float((counts * residual**2).sum())
    within = max(crossed / together, 0.0) if together > 0 else 0.0
    layout = together / (2 * expected) if expected else 0.0
    return dispersion, within, dispersion + within * layout


def _mode(
    kernel: np.ndarray, start: np.ndarray, n: np.ndarray, wins: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """alpha (m,), with gaps start + kernel alpha at the mode, and the weights n p (1 - p) there."""
    alpha = np.zeros(len(n))
    for _ in range(_MAX_STEPS):
        moved = kernel @ alpha
        p = expit(start + moved)
        weight = n * p * (1 - p)
        root = np.sqrt(weight)
        right = weight * moved + wins - n * p
        inner = cho_factor(np.eye(len(n)) + root[:, None] * kernel * root)
        step = right - root * cho_solve(inner, root * (kernel @ right)) - alpha
        longest = np.abs(kernel @ step).max(initial=0.0)
        alpha = alpha + step * min(1.0, LONGEST_STEP / max(longest, _TOLERANCE))
        if longest < _TOLERANCE:
            return alpha, weight
    raise ArithmeticError(f"The new system's place wasn't found in {_MAX_STEPS} steps.")


def _half_log_det(
    covariance: np.ndarray, gap: np.ndarray, slope: np.ndarray, n: np.ndarray, at: np.ndarray
) -> np.ndarray:
    """Half of log |1 + W C| where gaps are gap + slope * at: a parabola through three points."""
    points = np.array([-2.0, 0.0, 2.0])
    p = expit(gap + points[:, None] * slope)
    root = np.sqrt(n * p * (1 - p))
    value = np.linalg.slogdet(np.eye(len(n)) + root[:, :, None] * covariance * root[:, None, :])[1]
    return np.polyval(np.polyfit(points, value / 2, 2), at)


def _draws(place: Place, seed: int) -> np.ndarray:
    """(DRAWS, k) gaps from the posterior: t by its quantiles, the anchors normal given t."""
    with_t = place.covariance.mean(axis=1)
    rest = place.covariance - np.outer(with_t, with_t) / place.sd**2
    # Singular: what is left of the gaps' mean, t, is nothing.
    rest[np.diag_indices_from(rest)] += 1e-9 * rest.trace() / len(rest) + 1e-15
    root = np.linalg.cholesky(rest)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((DRAWS, len(rest))) @ root.T
    return place.given(place.quantile((np.arange(DRAWS) + 0.5) / DRAWS)) + noise


def _scattered(n: int) -> np.ndarray:
    """0 .. n - 1 so that every beginning of it is spread evenly (van der Corput; n a power of two)."""
    bits = n.bit_length() - 1
    return np.array([int(format(i, f"0{bits}b")[::-1], 2) for i in range(n)])
