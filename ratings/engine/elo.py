"""Elo by online updates. It depends on the order of the verdicts, so the median over orders is given."""

from dataclasses import dataclass

import numpy as np

from ratings.engine.scale import CENTRE
from ratings.engine.tallies import Tallies

DEFAULT_K = 4.0
# With K = 4 a rating forgets what is a few thousand verdicts old; longer histories are sampled from.
MAX_VERDICTS = 50_000
_BLOCK = 1000
_SCORE = np.array([1.0, 0.0, 0.5, 0.5])


@dataclass(frozen=True, slots=True)
class EloRatings:
    """`rating` (K,) the median over `orders` (S, K), the final ratings of each order; nan for systems
    without a verdict. `n_used` verdicts were replayed in each order."""

    rating: np.ndarray
    orders: np.ndarray
    n_used: int


def elo(
    tallies: Tallies,
    *,
    k_factor: float = DEFAULT_K,
    shuffles: int = 100,
    seed: int,
    resample: bool = False,
) -> EloRatings:
    """Replay the verdicts in `shuffles` random orders, all at once; every system starts at 1000.

    After a verdict A gains k_factor (score - expected), B loses as much; ties and both-bad score one
    half; expected = 1 / (1 + 10^((B - A)/400)). With `resample` every order is of verdicts drawn with
    replacement, so that the spread of `orders` is that of a bootstrap and of the order together. Beyond
    50,000 verdicts each order replays a sample of that size. Elo (1978).
    """
    if shuffles < 1:
        raise ValueError(f"shuffles must be at least 1, not {shuffles}.")
    n = int(tallies.n)
    ratings = np.full((shuffles, tallies.n_systems), CENTRE)
    played = np.zeros(tallies.n_systems, dtype=bool)
    played[tallies.a] = played[tallies.b] = True
    n_used = min(n, MAX_VERDICTS)
    rng = np.random.default_rng(seed)
    # A verdict's number is its place in the cells laid end to end.
    ends = np.cumsum(tallies.counts.ravel())
    if not n:
        return EloRatings(np.full(tallies.n_systems, np.nan), np.full_like(ratings, np.nan), 0)
    if not resample:
        permuted = np.stack(
            [rng.permutation(n)[:n_used].astype(np.int32) for _ in range(shuffles)], axis=1
        )
    rows = np.arange(shuffles)
    for start in range(0, n_used, _BLOCK):
        size = min(_BLOCK, n_used - start)
        verdicts = (
            rng.integers(0, n, (size, shuffles)) if resample else permuted[start : start + size]
        )
        pairs, outcomes = np.divmod(np.searchsorted(ends, verdicts, side="right"), len(_SCORE))
        of_a, of_b, scores = tallies.a[pairs], tallies.b[pairs], _SCORE[outcomes]
        for a, b, score in zip(of_a, of_b, scores, strict=True):
            expected = 1 / (1 + 10 ** ((ratings[rows, b] - ratings[rows, a]) / 400))
            gain = k_factor * (score - expected)
            ratings[rows, a] += gain
            ratings[rows, b] -= gain
    ratings[:, ~played] = np.nan
    rating = np.full(tallies.n_systems, np.nan)
    rating[played] = np.median(ratings[:, played], axis=0)
    return EloRatings(rating, ratings, n_used)
