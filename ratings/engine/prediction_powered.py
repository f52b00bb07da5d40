"""Ratings by people's votes, made sharper by a judge's verdicts, and valid whatever the judge is worth.

Prediction-powered inference (Angelopoulos et al. 2023; PPI++, 2311.01453) for Bradley-Terry, after Boyeau et
al. (AutoEval, 2403.07008): what the judge says on all battles is added, and what it says on the battles
that people decided is taken off again. A judge's bias is in both and cancels; its knowledge of the battles
that people haven't seen stays.

Ours is stratified by pair: a pair's rate is people's, plus lambda times (the judge's rate on all of the pair's
battles minus that on those that people decided). So which *pairs* people were asked about may follow
any rule (arenas choose pairs where little is known); only which *prompts* of a pair must be left to chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from ratings.engine.bradley_terry import LONGEST_STEP, STEP_TOLERANCE, fit_bradley_terry
from ratings.engine.comparability import Comparability
from ratings.engine.figure import Figure, estimate, missing
from ratings.engine.replicate_models import Bradley
from ratings.engine.sandwich import centred, independent_groups
from ratings.engine.tallies import Outcome, Tallies, tally

# With fewer prompts than this they can't be resampled, and every battle stands for itself.
MIN_CLUSTERS = 30
_MAX_STEPS = 200
# A rectified rate may lie outside [0, 1]; then there may be no fit. Lambda is halved so often at most.
_MAX_HALVINGS = 6
_FARTHEST = 30.0


@dataclass(frozen=True, slots=True)
class BattleRows:
    """One row per battle (m,): systems `a`, `b`; `votes` (m, 4) of people by outcome; `judge` (m,) the judge's
    mean verdict for A (1, 0, a tie one half), nan where it has none; `cluster` (m,) the prompt."""

    n_systems: int
    a: np.ndarray
    b: np.ndarray
    votes: np.ndarray
    judge: np.ndarray
    cluster: np.ndarray


@dataclass(frozen=True, slots=True)
class PredictionPowered:
    """`theta` (K,) with mean 0 over the ranked systems, nan for the others, `covariance` (K, K); the same of
    people alone on the same votes. `power` is lambda: 0 uses people alone. `worth`: how many more votes of
    people would make their intervals as narrow (total variance, taken as falling with the number of votes: on
    prompts as yet unseen), `n_votes` what they have on battles of the judge. `p_random`: a small p says that
    people saw other prompts of the pairs than chance gives them.
    """

    theta: np.ndarray
    covariance: np.ndarray
    people_theta: np.ndarray
    people_covariance: np.ndarray
    comparability: Comparability
    power: float
    worth: Figure
    n_votes: int
    n_votes_left_out: int
    n_judged: int
    p_random: float | None
    by_prompt: bool
    tallies: Tallies


def fit_prediction_powered(
    rows: BattleRows,
    *,
    power: float | None = None,
    rounds: int = 1000,
    seed: int,
    level: float = 0.95,
) -> PredictionPowered:
    """Fit people's votes with the judge's verdicts as a control.

    `power` fixes lambda in [0, 1]; by default it is what makes the sum of variances least. Covariances are
    sandwiches by prompt where at least 30 prompts have a vote, else by battle. Votes on battles that the judge
    hasn't decided are left out (and counted). ValueError for rows that don't fit together.
    """
    _check(rows, power)
    usable = np.isfinite(rows.judge)
    total = rows.votes.sum(axis=1)
    left_out = int(total[~usable].sum())
    a, b, votes, judge, cluster, total = (
        values[usable] for values in (rows.a, rows.b, rows.votes, rows.judge, rows.cluster, total)
    )
    outcome = np.broadcast_to(np.arange(4), votes.shape)
    tallies = tally(
        np.repeat(a, 4),
        np.repeat(b, 4),
        outcome.ravel(),
        n_systems=rows.n_systems,
        count=votes.ravel(),
    )
    people = fit_bradley_terry(tallies)
    ranked = people.comparability.ranked
    k = rows.n_systems
    empty = np.full((k, k), np.nan)
    n_votes = int(total.sum())
    if not ranked.any():
        absent = missing(
            n=n_votes, unit="votes of people", reason="People's votes rank no systems."
        )
        return PredictionPowered(
            theta=people.theta,
            covariance=empty,
            people_theta=people.theta,
            people_covariance=empty,
            comparability=people.comparability,
            power=0.0,
            worth=absent,
            n_votes=n_votes,
            n_votes_left_out=left_out,
            n_judged=len(judge),
            p_random=None,
            by_prompt=False,
            tallies=tallies,
        )
    model = Bradley(tallies, people)
    strata = _Strata(
        model, (tallies.a * k + tallies.b)[model.kept], _battles(k, a, b, votes, judge)
    )
    seen = np.unique(cluster[strata.used & (total > 0)])
    by_prompt = len(seen) >= MIN_CLUSTERS
    group, n_groups = independent_groups(
        cluster if by_prompt else np.arange(len(cluster)), seed=seed
    )

    inverse = model.inverse()
    own = strata.by_group(strata.residual_of_people(model.start), group, n_groups)
    control = strata.by_group(strata.residual_of_judge(), group, n_groups)
    moved, turned = inverse @ own, inverse @ control
    chosen = _best_power(moved, turned) if power is None else power
    theta, chosen = _rectified_fit(model, strata, chosen)

    bread = cho_solve(cho_factor(model.information(theta, strata.n)), np.eye(model.k))
    there = strata.by_group(strata.residual_of_people(theta), group, n_groups)
    influence = bread @ (there + chosen * control)
    # Only groups with a vote tell of people: of so many the sum of squares is a little too small.
    voted = int(np.count_nonzero(np.bincount(group, total * strata.used, n_groups)))
    correction = voted / max(voted - 1, 1)
    covariance, people_covariance = empty.copy(), empty.copy()
    at = np.ix_(ranked, ranked)
    covariance[at] = centred(correction * influence @ influence.T)
    people_covariance[at] = centred(correction * moved @ moved.T)
    full = np.full(k, np.nan)
    full[ranked] = theta - theta.mean()
    return PredictionPowered(
        theta=full,
        covariance=covariance,
        people_theta=people.theta,
        people_covariance=people_covariance,
        comparability=people.comparability,
        power=chosen,
        worth=_worth(moved, influence, n_votes, rounds=rounds, seed=seed, level=level),
        n_votes=n_votes,
        n_votes_left_out=left_out,
        n_judged=len(judge),
        # Battles on one prompt aren't independent: with few prompts there is no such test.
        p_random=_p_random(control) if by_prompt else None,
        by_prompt=by_prompt,
        tallies=tallies,
    )


@dataclass(frozen=True, slots=True)
class _Battles:
    """The lower system as A: `key` (m,) of the pair, people's `total` and `wins`, the judge's mean verdict."""

    key: np.ndarray
    total: np.ndarray
    wins: np.ndarray
    judge: np.ndarray


def _battles(
    k: int, a: np.ndarray, b: np.ndarray, votes: np.ndarray, judge: np.ndarray
) -> _Battles:
    swapped = a > b
    total = votes.sum(axis=1)
    wins = votes[:, Outcome.A] + (votes[:, Outcome.TIE] + votes[:, Outcome.BOTH_BAD]) / 2
    return _Battles(
        key=np.minimum(a, b) * k + np.maximum(a, b),
        total=total,
        wins=np.where(swapped, total - wins, wins),
        judge=np.where(swapped, 1 - judge, judge),
    )


class _Strata:
    """Battles by the pairs that people's fit keeps; what the judge says of other pairs tells nothing here."""

    def __init__(self, model: Bradley, keys: np.ndarray, battles: _Battles) -> None:
        self.model = model
        place = np.minimum(np.searchsorted(keys, battles.key), len(keys) - 1)
        self.used = keys[place] == battles.key
        self.pair = place[self.used]
        self.total, self.wins = battles.total[self.used], battles.wins[self.used]
        judged = battles.judge[self.used]
        m = len(keys)
        self.n = np.bincount(self.pair, self.total, m)
        self.won = np.bincount(self.pair, self.wins, m)
        self.n_judged = np.bincount(self.pair, minlength=m)
        mean = np.bincount(self.pair, judged, m) / self.n_judged
        # A mean lies too close to a battle that it is itself made of.
        others = self.n_judged[self.pair] - 1
        widened = np.sqrt((others + 1) / np.maximum(others, 1))
        self.deviation = (judged - mean[self.pair]) * widened
        # The pair's wins of A are moved by lambda times this.
        self.shift = self.n * mean - np.bincount(self.pair, self.total * judged, m)

    def rates(self, theta: np.ndarray) -> np.ndarray:
        return (1 + np.tanh((theta[self.model.a] - theta[self.model.b]) / 2)) / 2

    def residual_of_people(self, theta: np.ndarray) -> np.ndarray:
        return self.wins - self.total * self.rates(theta)[self.pair]

    def residual_of_judge(self) -> np.ndarray:
        return self.deviation * ((self.n / self.n_judged)[self.pair] - self.total)

    def by_group(self, residual: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
        """(k, G) sums by system and group of battles."""
        of = group[self.used]
        scores = csr_array((residual, (self.pair, of)), shape=(len(self.n), n_groups))
        return (self.model.to_systems @ scores).toarray()


def _best_power(moved: np.ndarray, turned: np.ndarray) -> float:
    """Lambda that makes the sum of squares of moved + lambda turned least, within [0, 1]."""
    against = float((turned**2).sum())
    if against <= 0:
        return 0.0
    return float(np.clip(-(moved * turned).sum() / against, 0.0, 1.0))


def _rectified_fit(model: Bradley, strata: _Strata, power: float) -> tuple[np.ndarray, float]:
    """(k,) strengths and the lambda that they were fitted with: smaller where there was no fit."""
    for _ in range(_MAX_HALVINGS):
        found = _newton(model, strata, strata.won + power * strata.shift)
        if found is not None:
            return found, power
        power /= 2
    return model.start, 0.0


def _newton(model: Bradley, strata: _Strata, wins: np.ndarray) -> np.ndarray | None:
    theta = model.start.copy()
    for _ in range(_MAX_STEPS):
        gradient = model.to_systems @ (wins - strata.n * strata.rates(theta))
        step = cho_solve(cho_factor(model.information(theta, strata.n)), gradient)
        longest = np.abs(step).max()
        theta += step * min(1.0, LONGEST_STEP / max(longest, STEP_TOLERANCE))
        if longest < STEP_TOLERANCE:
            return theta
        if np.abs(theta).max() > _FARTHEST:
            return None
    return None


def _worth(
    moved: np.ndarray, influence: np.ndarray, n_votes: int, *, rounds: int, seed: int, level: float
) -> Figure:
    """How many more votes give people the same total variance; the interval weights groups of battles."""
    alone, powered = (moved**2).sum(axis=0), (influence**2).sum(axis=0)
    unit = "votes of people"
    if not powered.sum():
        return missing(n=n_votes, unit=unit, reason="The votes leave no variance to compare.")
    drawn = np.random.default_rng(seed).standard_exponential((rounds, len(alone)))
    return estimate(
        n_votes * (alone.sum() / powered.sum() - 1),
        n_votes * ((drawn @ alone) / (drawn @ powered) - 1),
        n=n_votes,
        unit=unit,
        level=level,
    )


def _p_random(control: np.ndarray) -> float | None:
    """Hotelling's test that the judge's verdicts on what people saw are like those on the rest of each pair.

    None with too few groups of battles for as many systems, or where people saw everything.
    """
    from scipy.stats import f

    n_groups = control.shape[1]
    # Each column sums to zero: one system less carries all that there is.
    free = control[:-1]
    if n_groups <= 2 * (len(free) + 1):
        return None
    values, vectors = np.linalg.eigh(np.cov(free))
    kept = values > 1e-9 * max(values.max(), 0)
    d = int(kept.sum())
    if not d or values.max() <= 0:
        return None
    along = vectors[:, kept].T @ free.mean(axis=1)
    squared = n_groups * (along**2 / values[kept]).sum()
    return float(f.sf(squared * (n_groups - d) / (d * (n_groups - 1)), d, n_groups - d))


def _check(rows: BattleRows, power: float | None) -> None:
    lengths = {len(values) for values in (rows.a, rows.b, rows.votes, rows.judge, rows.cluster)}
    if len(lengths) > 1:
        raise ValueError(f"Rows of battles must have one length; they have {sorted(lengths)}.")
    if rows.votes.ndim != 2 or rows.votes.shape[1] != 4:
        raise ValueError(f"votes must be (battles, 4) counts by outcome, not {rows.votes.shape}.")
    known = rows.judge[np.isfinite(rows.judge)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise ValueError("The judge's mean verdicts lie between 0 (B) and 1 (A), nan for none.")
    if power is not None and not 0 <= power <= 1:
        raise ValueError(f"power must lie between 0 (people alone) and 1, not {power}.")
