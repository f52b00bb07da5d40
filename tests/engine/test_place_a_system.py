"""Where a new system stands after few verdicts, and which battles tell it soonest."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_expit, softmax

from ratings.engine import placement
from ratings.engine.placement import (
    DRAWS,
    Anchors,
    drawn,
    find_anchors,
    locate,
    placement_shares,
    plan_opponents,
    provisional,
    round_size,
    shares_at,
    standing,
)
from ratings.engine.rate import rate
from ratings.engine.scale import PER_LOG_STRENGTH, elo_scale
from ratings.engine.tallies import Outcome, tally, tally_by_cluster
from tests.engine import simulate


def ladder(
    theta: list[float], sd: float = 0.3, prior_sd: float = 1.5, factor: float = 1.0
) -> Anchors:
    """Anchors whose errors are independent but for their common mean."""
    k = len(theta)
    covariance = sd**2 * (np.eye(k) - 1 / k)
    return Anchors(
        k + 1, np.arange(k), np.array(theta) - np.mean(theta), covariance, prior_sd, factor, 0.0
    )


def with_new(theta: np.ndarray, n: int, *, seed: int = 3, nu: float = 0.0) -> tuple:
    """Rows of battles between `theta`; a new system is the next index."""
    return simulate.battles(theta, n, seed=seed, nu=nu)


def brute_force(anchors: Anchors, n: np.ndarray, wins: np.ndarray) -> tuple[np.ndarray, ...]:
    """Posterior over t and the anchors on a lattice: (t, density of t, probability of each rank)."""
    values, vectors = np.linalg.eigh(anchors.covariance)
    kept = values > 1e-12
    root = vectors[:, kept] * np.sqrt(values[kept])
    points, weights = np.polynomial.hermite_e.hermegauss(19)
    t = np.linspace(-8, 8, 641)
    density = np.zeros(len(t))
    ranks = np.zeros(len(n) + 1)
    for at in product(range(19), repeat=int(kept.sum())):
        x = anchors.theta + root @ points[list(at)]
        gap = t[:, None] - x
        log = (log_expit(gap) @ wins + log_expit(-gap) @ (n - wins)) / anchors.dispersion
        mass = weights[list(at)].prod() * np.exp(log - t**2 / (2 * anchors.prior_sd**2))
        density += mass
        ranks += np.bincount((gap < 0).sum(axis=1), weights=mass, minlength=len(n) + 1)
    return t, density / density.sum(), ranks / ranks.sum()


@pytest.mark.parametrize(
    ("n", "wins"),
    [
        ([0, 0, 0], [0, 0, 0]),
        ([1, 0, 0], [1, 0, 0]),
        ([4, 4, 4], [4, 4, 4]),
        ([0, 6, 0], [0, 0, 0]),
        ([10, 20, 5], [2.5, 11, 4]),
        ([300, 0, 0], [40, 0, 0]),
    ],
)
@pytest.mark.parametrize(("sd", "factor"), [(0.05, 1.0), (0.5, 0.7)])
def test_the_interval_is_that_of_the_posterior(n, wins, sd, factor):
    anchors = ladder([1.2, 0.1, -0.9], sd=sd, factor=factor)
    n, wins = np.array(n, dtype=float), np.array(wins, dtype=float)
    t, density, ranks = brute_force(anchors, n, wins)
    found = standing(locate(anchors, n=n, wins=wins))
    cdf = np.cumsum(density)
    lower, median, upper = elo_scale(np.interp([0.025, 0.5, 0.975], cdf, t))
    off = 0.03 * (upper - lower)
    assert (found.lower, found.rating, found.upper) == pytest.approx(
        (lower, median, upper), abs=off
    )
    between = np.cumsum(ranks)
    # Percentiles of draws may miss by one where a rank's probability is on the edge.
    few = 3 * np.sqrt(0.025 / DRAWS)
    assert between[found.rank_lower - 1] >= 0.025 - few
    assert between[found.rank_upper - 1] >= 0.975 - few
    assert found.rank_lower == 1 or between[found.rank_lower - 2] <= 0.025 + few
    assert found.rank_upper == 1 or between[found.rank_upper - 2] <= 0.975 + few
    assert found.n_verdicts == n.sum()


def test_anchors_are_the_fit_without_the_new_system():
    theta = simulate.strengths(5, seed=1)
    a, b, outcome = with_new(theta, 4_000)
    rows = (np.append(a, [5] * 9), np.append(b, [0] * 9), np.append(outcome, [0] * 9))
    anchors = find_anchors(tally(*rows, n_systems=6), new=5)
    assert anchors.ids.tolist() == [0, 1, 2, 3, 4]
    p = expit(anchors.theta[:, None] - anchors.theta)
    wins = tally(a, b, outcome, n_systems=5).win_matrix()
    laplacian = -(wins + wins.T) * p * (1 - p)
    np.fill_diagonal(laplacian, 0)
    np.fill_diagonal(laplacian, -laplacian.sum(axis=1))
    inverse = np.linalg.pinv(laplacian, rcond=1e-9, hermitian=True)
    assert anchors.dispersion == pytest.approx(1, abs=0.05)
    assert anchors.covariance == pytest.approx(anchors.dispersion * inverse, abs=1e-9)
    assert anchors.theta == pytest.approx(theta, abs=0.2)


def test_ties_narrow_the_interval_as_much_as_they_are_less_variable():
    theta = simulate.strengths(6, seed=1, spread=0.5)
    anchors = find_anchors(tally(*with_new(theta, 20_000, nu=2.0), n_systems=7), new=6)
    # Half of the verdicts tie between equals, and a tie has no variance.
    assert anchors.dispersion == pytest.approx(0.5, abs=0.04)


def test_verdicts_that_hang_together_widen_the_interval(monkeypatch):
    rows = [np.repeat(x, 10) for x in with_new(simulate.strengths(5, seed=1), 300)]
    cluster = np.repeat(np.arange(300), 10)
    new = (np.full(40, 5), np.tile(np.arange(5), 8), np.repeat([0, 1], 20), np.repeat([0, 1], 20))
    a, b, outcome, cluster = (np.append(x, y) for x, y in zip((*rows, cluster), new, strict=True))
    apart = provisional(tally(a, b, outcome, n_systems=6), new=5)
    by_prompt = tally_by_cluster(a, b, outcome, cluster, n_systems=6, n_clusters=300)
    together = provisional(by_prompt, new=5)
    assert together.factor == pytest.approx(1 + 19, rel=0.15)
    assert together.width > 2 * apart.width
    monkeypatch.setattr(placement, "_MOST_SUMS", 0)
    assert provisional(by_prompt, new=5).factor == pytest.approx(together.factor)


def test_without_clusters_that_repeat_the_same_figures_come_out():
    a, b, outcome = with_new(simulate.strengths(6, seed=2), 600)
    alone = tally_by_cluster(a, b, outcome, np.arange(600), n_systems=6, n_clusters=600)
    straight = provisional(tally(a, b, outcome, n_systems=6), new=2)
    by_prompt = provisional(alone, new=2)
    assert (by_prompt.lower, by_prompt.upper) == pytest.approx((straight.lower, straight.upper))


def test_mirrored_verdicts_give_the_mirrored_place():
    a, b, outcome = with_new(simulate.strengths(6, seed=4), 500, nu=0.4)
    mirrored = np.array([1, 0, 2, 3])[outcome]
    one = provisional(tally(a, b, outcome, n_systems=6), new=3)
    other = provisional(tally(a, b, mirrored, n_systems=6), new=3)
    assert one.rating - 1000 == pytest.approx(1000 - other.rating)
    assert one.lower - 1000 == pytest.approx(1000 - other.upper)
    assert one.rank == 7 - other.rank


def test_with_many_verdicts_it_is_what_the_leaderboard_says():
    a, b, outcome = with_new(simulate.strengths(6, seed=5), 20_000)
    tallies = tally(a, b, outcome, n_systems=6)
    table = rate(tallies, interval="sandwich", seed=1)
    for new in range(6):
        found = provisional(tallies, new=new, centre="all")
        assert found.rating == pytest.approx(table.rating[new], abs=1)
        assert found.width == pytest.approx(table.upper[new] - table.lower[new], rel=0.1)
        assert (found.rank, found.n_ranked) == (table.rank[new], 6)
        assert not found.one_sided


def test_before_the_first_verdict_it_may_stand_anywhere():
    tallies = tally(*with_new(simulate.strengths(8, seed=1), 3_000), n_systems=9)
    found = provisional(tallies, new=8)
    assert found.rating == pytest.approx(1000)
    assert (found.rank_lower, found.rank_upper) == (1, 9)
    assert found.width > 600
    assert found.one_sided


@pytest.mark.parametrize(("outcome", "sign"), [(Outcome.A, 1), (Outcome.B, -1)])
def test_a_system_that_won_or_lost_all_has_a_finite_place_and_a_wide_interval(outcome, sign):
    a, b, rows = with_new(simulate.strengths(8, seed=1), 3_000)
    new = (np.full(40, 8), np.repeat(np.arange(8), 5), np.full(40, outcome))
    data = (np.append(x, y) for x, y in zip((a, b, rows), new, strict=True))
    found = provisional(tally(*data, n_systems=9), new=8)
    assert found.one_sided
    assert found.rank == (1 if sign > 0 else 9)
    assert sign * (found.rating - 1000) > 250
    assert found.width > 300


def test_where_nobody_has_a_verdict_everybody_is_an_anchor():
    tallies = tally([], [], [], n_systems=4)
    found = provisional(tallies, new=1)
    assert (found.n_ranked, found.rank_lower, found.rank_upper) == (4, 1, 4)
    shares = placement_shares(tallies, new=1, possible=np.full(4, 9))
    assert shares == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=0.05)
    assert provisional(tally([1], [0], [Outcome.A], n_systems=2), new=1).rating > 1000


def variance_after(place, battles: np.ndarray) -> float:
    """Of t, by the inverse of the whole information of the new system and all anchors."""
    anchors = place.anchors
    k = len(battles)
    precision = np.zeros((k + 1, k + 1))
    precision[1:, 1:] = np.linalg.pinv(anchors.covariance, rcond=1e-9, hermitian=True) + 1e-3
    precision[0, 0] = 1 / anchors.prior_sd**2
    p = expit(place.gap)
    for b, weight in enumerate((place.n + battles) * p * (1 - p) / place.factor):
        d = np.zeros(k + 1)
        d[0], d[b + 1] = 1, -1
        precision += weight * np.outer(d, d)
    # The covariance of t less the anchors' mean.
    mean = np.append(1.0, np.full(k, -1 / k))
    return float(mean @ np.linalg.inv(precision) @ mean)


@pytest.mark.parametrize("sd", [[0.02] * 6, [0.5] * 6, [0.8, 0.05, 0.4, 0.05, 0.4, 0.05]])
def test_no_other_round_that_an_optimiser_finds_tells_more(sd):
    theta = np.array([2.0, 1.2, 0.4, -0.4, -1.2, -2.0])
    centre = np.eye(6) - 1 / 6
    anchors = Anchors(7, np.arange(6), theta, centre @ np.diag(sd) ** 2 @ centre, 3.0, 0.8, 0.0)
    n = np.full(6, 60.0)
    place = locate(anchors, n=n, wins=n * expit(0.6 - theta))
    size = 300
    found = minimize(
        lambda x: 1e3 * variance_after(place, size * softmax(x)), np.zeros(6), method="L-BFGS-B"
    )
    shares = shares_at(place, new=6, possible=np.full(7, 10_000), size=size, even=0)
    assert 1e3 * variance_after(place, size * shares[:6]) <= found.fun * 1.02
    assert 1e3 * variance_after(place, np.full(6, size / 6)) > found.fun * 1.02
    assert place.sd**2 == pytest.approx(variance_after(place, np.zeros(6)), rel=0.01)


def test_the_first_round_is_spread_and_the_later_ones_come_near():
    theta = list(np.linspace(2, -2, 17))
    anchors = ladder(theta, sd=0.05)
    nothing = np.zeros(17)
    possible = np.full(18, 1_000)
    first = shares_at(locate(anchors, n=nothing, wins=nothing), new=17, possible=possible, size=10)
    assert first[:17] == pytest.approx(first[:17][::-1], abs=0.06)
    assert (first[:17] > 2 * 0.05 / 17).sum() >= 8
    n = np.full(17, 30.0)
    place = locate(anchors, n=n, wins=n * expit(1.5 - np.array(theta)))
    near = np.abs(np.array(theta) - 1.5) <= 0.75
    later = shares_at(place, new=17, possible=possible, size=50)[:17]
    assert later[near].sum() > 0.85
    assert later.min() == pytest.approx(0.05 / 17)


def test_a_wrong_first_guess_corrects_itself():
    """Ten lucky wins against the best; the truth is far below. The next rounds find it."""
    rng = np.random.default_rng(8)
    anchors = ladder(list(np.linspace(1.5, -1.5, 13)), sd=0.05)
    n, wins = np.zeros(13), np.zeros(13)
    n[0] = wins[0] = 10
    for _ in range(12):
        place = locate(anchors, n=n, wins=wins)
        possible = np.full(14, 1_000)
        shares = shares_at(place, new=13, possible=possible, size=40)
        asked = drawn(shares, size=40, possible=possible, rng=rng)[:13]
        n = n + asked
        wins = wins + rng.binomial(asked, expit(-1.2 - anchors.theta))
    found = standing(locate(anchors, n=n, wins=wins))
    assert found.lower < elo_scale(-1.2) + 40
    assert found.rank_lower > 8


def test_only_open_battles_have_a_share():
    tallies = tally(*with_new(simulate.strengths(5, seed=1), 2_000), n_systems=6)
    possible = np.array([0, 3, 0, 40, 40, 40])
    shares = placement_shares(tallies, new=5, possible=possible, size=40)
    assert shares.sum() == pytest.approx(1)
    assert shares[[0, 2, 5]].tolist() == [0, 0, 0]
    # Three of forty battles, and its part of what is even.
    assert shares[1] > 0.05 / 3
    assert shares[1] <= 0.95 * 3 / 40 + 0.05 / 3 + 1e-9
    planned = [
        plan_opponents(tallies, new=5, possible=possible, size=size) for size in (40, 40, 500)
    ]
    assert (planned[0] == planned[1]).all()
    assert planned[0].sum() == 40
    assert planned[2].tolist() == [0, 3, 0, 40, 40, 0]
    # One that has no rating yet is asked where nobody else is open.
    rest = tally(*with_new(simulate.strengths(4, seed=1), 500), n_systems=6)
    alone = placement_shares(rest, new=5, possible=np.array([0, 0, 0, 0, 7, 0]))
    assert alone.tolist() == [0, 0, 0, 0, 1, 0]


def test_whole_battles_are_drawn_as_the_shares_say():
    shares = np.array([0.5, 0.004, 0.3, 0.196, 0.0])
    rng = np.random.default_rng(1)
    many = np.array([drawn(shares, size=10, possible=np.full(5, 99), rng=rng) for _ in range(4000)])
    assert (many.sum(axis=1) == 10).all()
    assert many.mean(axis=0) == pytest.approx(10 * shares, abs=0.03)
    assert (np.abs(many - 10 * shares) < 1).all()
    few = drawn(shares, size=10, possible=np.array([2, 9, 9, 1, 0]), rng=rng)
    assert few.sum() == 10
    assert (few <= [2, 9, 9, 1, 0]).all()
    # Fewer open than wanted, some of them without a share.
    assert drawn(shares, size=10, possible=np.array([1, 0, 2, 0, 3]), rng=rng).tolist() == [
        1, 0, 2, 0, 3,
    ]  # fmt: skip


def test_rounds_grow_and_end_when_the_interval_is_narrow():
    anchors = ladder([1.0, 0.0, -1.0], sd=0.02)
    sizes = []
    for n in (0.0, 20.0, 120.0, 480.0):
        battles = np.full(3, n / 3)
        found = standing(locate(anchors, n=battles, wins=battles / 2))
        sizes.append(round_size(found, width=60))
    assert sizes[:3] == [12, 12, 42]
    # A third of 480 would overshoot: the best battles, of which each tells a quarter, would do with fewer.
    sd = 60 / 3.92 / PER_LOG_STRENGTH, found.width / 3.92 / PER_LOG_STRENGTH
    assert sizes[3] == pytest.approx(4 * (1 / sd[0] ** 2 - 1 / sd[1] ** 2), abs=1.1)
    assert sizes[3] < 0.35 * 480
    assert round_size(found, width=found.width + 1) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"new": 9}, "new must lie"),
        ({"possible": np.ones(2)}, "possible must hold"),
        ({"possible": -np.ones(4)}, "possible must hold"),
        ({"possible": np.array([0, 0, 0, 1])}, "No battle"),
        ({"size": 0}, "at least one battle"),
        ({"even": 1.5}, "at least one battle"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments, says):
    tallies = tally([0, 1, 2], [1, 2, 0], [0, 0, 0], n_systems=4)
    with pytest.raises(ValueError, match=says):
        placement_shares(tallies, **({"new": 3, "possible": np.ones(4)} | arguments))


def test_what_cannot_be_placed_is_refused():
    with pytest.raises(ValueError, match="no other system"):
        provisional(tally([], [], [], n_systems=1), new=0)
    with pytest.raises(ValueError, match="level"):
        provisional(tally([0], [1], [0], n_systems=3), new=2, level=1.0)
    with pytest.raises(ValueError, match="between 0 and n"):
        locate(ladder([1.0, 0.0]), n=np.ones(2), wins=np.array([2.0, 0.0]))
    with pytest.raises(ValueError, match="one entry"):
        locate(ladder([1.0, 0.0]), n=np.ones(3), wins=np.ones(3))
