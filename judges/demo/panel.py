"""The simulated panel: forty voters who never were, so that the demo has votes to count.

What they compare is real: how near two real outputs come to a reference summary, and whether they keep to
the length that was asked for. How they decide is a model: each has a taste, a tendency to ties, a steadiness
and a pull towards the summary shown first, drawn once from a seed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import combinations
from typing import NamedTuple

import numpy as np

from judges.demo.quality import Qualities, measure_outputs
from judges.programs.verdicts import Decision

PANEL_NAME = "Simulated panel"
VOTERS = 40
BATTLES = 640
VOTES_PER_BATTLE = (4, 6)
# What voters care about, in the order of MEASURES: on average half, three and two tenths, but no two alike.
TASTE = (5.0, 3.0, 2.0)
# Both bad is only said of outputs this far below the average, and then every other time.
BAD, SAYS_BAD = -1.0, 0.5
PERIOD = 14 * 24 * 3600
VOTES_PER_SITTING = 25


class Side(IntEnum):
    """A side of a battle. The numbers are those of the database."""

    A = 0
    B = 1


class Vote(NamedTuple):
    """One vote in the orientation system_a, system_b (by name); `seconds` since the panel began."""

    voter: str
    text: str
    system_a: str
    system_b: str
    shown_first: Side
    outcome: Decision
    seconds: int


class _Battle(NamedTuple):
    text: str
    systems: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Voters:
    """One row or number per voter."""

    taste: np.ndarray  # (voters, measures), rows sum to 1: how much each measure counts
    strictness: np.ndarray  # what a doubling of the length beyond the budget costs
    steadiness: np.ndarray  # how surely a difference decides; near 0 is a coin
    tie_tendency: np.ndarray  # Davidson's ν
    pull: np.ndarray  # towards the output shown first

    def __len__(self) -> int:
        return len(self.pull)


def simulate_votes(
    *,
    outputs: Mapping[tuple[str, str], str],
    references: Mapping[str, str],
    seed: int,
    voters: int = VOTERS,
    battles: int = BATTLES,
) -> list[Vote]:
    """Votes on a sample of battles, in the order of time; equal arguments give equal votes.

    `outputs` are keyed by (text slug, system name), `references` by text slug. All pairs of systems get
    the same number of battles, to within one, unless they have fewer texts in common; each battle gets
    four to six votes, of different voters. Raises ValueError for a text without a reference, for fewer
    voters than a battle needs, and when no two systems have a text in common.
    """
    if voters < VOTES_PER_BATTLE[1]:
        raise ValueError(
            f"A battle takes up to {VOTES_PER_BATTLE[1]} voters: {voters} are too few."
        )
    rng = np.random.default_rng(seed)
    # Sorted, so that the order in which outputs were read from a database doesn't matter.
    qualities = measure_outputs(dict(sorted(outputs.items())), references)
    panel = _draw_voters(voters, rng)
    ballots = [
        (battle, voter)
        for battle in _sample_battles(qualities, battles, rng)
        for voter in _draw_turnout(voters, rng)
    ]
    voter_of = np.array([voter for _, voter in ballots])
    rows = np.array(
        [[qualities.index[text, system] for system in pair] for (text, pair), _ in ballots]
    )
    shown_first, outcomes = _decide(rows, voter_of, panel, qualities, rng)
    seconds = _draw_times(voter_of.tolist(), voters, rng)
    votes = [
        Vote(
            voter=f"simulated-{voter + 1:02}",
            text=text,
            system_a=pair[Side.A],
            system_b=pair[Side.B],
            shown_first=Side(shown_first[index]),
            outcome=Decision(outcomes[index]),
            seconds=seconds[index],
        )
        for index, ((text, pair), voter) in enumerate(ballots)
    ]
    return sorted(votes, key=lambda vote: (vote.seconds, vote))


def _draw_voters(n: int, rng: np.random.Generator) -> _Voters:
    return _Voters(
        taste=rng.dirichlet(TASTE, n),
        strictness=rng.lognormal(np.log(1.5), 0.4, n),
        steadiness=rng.lognormal(np.log(1.5), 0.5, n),
        tie_tendency=rng.lognormal(np.log(0.5), 0.5, n),
        pull=rng.normal(0.1, 0.1, n),
    )


def _sample_battles(qualities: Qualities, n: int, rng: np.random.Generator) -> Iterator[_Battle]:
    """At most n battles, in rounds: every pair of systems gets one in each round, on texts by lot."""
    texts: dict[str, set[str]] = {}
    for text, system in qualities.index:
        texts.setdefault(system, set()).add(text)
    queues = {
        pair: rng.permutation(sorted(texts[pair[0]] & texts[pair[1]])).tolist()
        for pair in combinations(sorted(texts), 2)
    }
    if not any(queues.values()):
        raise ValueError("No two systems have an output for the same text: there is no battle.")
    pairs = list(queues)
    while n > 0 and any(queues.values()):
        for index in rng.permutation(len(pairs)):
            pair = pairs[index]
            if n > 0 and queues[pair]:
                yield _Battle(queues[pair].pop(), pair)
                n -= 1


def _draw_turnout(voters: int, rng: np.random.Generator) -> list[int]:
    """Who votes on a battle: four to six different voters."""
    low, high = VOTES_PER_BATTLE
    return rng.choice(voters, rng.integers(low, high + 1), replace=False).tolist()


def _decide(
    rows: np.ndarray,
    voter_of: np.ndarray,
    panel: _Voters,
    qualities: Qualities,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) side shown first and (n,) outcome, from the two outputs `rows` (n, 2) and the voter (n,)."""
    votes = np.arange(len(rows))
    worth = np.einsum("vsm,vm->vs", qualities.measures[rows], panel.taste[voter_of])
    worth -= panel.strictness[voter_of, None] * qualities.excess[rows]
    log_strengths = panel.steadiness[voter_of, None] * worth
    shown_first = rng.integers(2, size=len(rows))
    log_strengths[votes, shown_first] += panel.pull[voter_of]
    chances = davidson(log_strengths[:, 0] - log_strengths[:, 1], panel.tie_tendency[voter_of])
    # The columns of the chances are A, B and tie, as Decision numbers them.
    outcomes = (rng.random(len(rows))[:, None] >= chances.cumsum(axis=1)[:, :2]).sum(axis=1)
    says_bad = rng.random(len(rows)) < SAYS_BAD
    both_bad = (outcomes == Decision.TIE) & (worth < BAD).all(axis=1) & says_bad
    return shown_first, np.where(both_bad, int(Decision.BOTH_BAD), outcomes)


def davidson(difference: np.ndarray, tie_tendency: np.ndarray) -> np.ndarray:
    """(n, 3) chances of A, B and a tie (Davidson 1970), from log-strengths A − B (n,) and ν > 0 (n,)."""
    halves = np.asarray(difference, dtype=float) / 2
    log_weights = np.stack([halves, -halves, np.log(tie_tendency)], axis=-1)
    weights = np.exp(log_weights - log_weights.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _draw_times(voter_of_vote: list[int], voters: int, rng: np.random.Generator) -> list[int]:
    """Seconds since the beginning: each voter comes for a few sittings in daytime and votes in a row."""
    clock = np.zeros(voters)
    cast = np.zeros(voters, dtype=int)
    # A voter's sittings, in order: a whole day each, some time after eight in the morning.
    n_sittings = np.bincount(voter_of_vote, minlength=voters).max() // VOTES_PER_SITTING + 1
    days = np.sort(rng.integers(0, PERIOD // 86400, (voters, n_sittings)), axis=1)
    starts = np.sort(days * 86400.0 + rng.uniform(8, 21, days.shape) * 3600, axis=1)
    times = []
    for voter in voter_of_vote:
        if cast[voter] % VOTES_PER_SITTING == 0:
            clock[voter] = max(clock[voter], starts[voter, cast[voter] // VOTES_PER_SITTING])
        clock[voter] += rng.lognormal(np.log(35), 0.5)
        cast[voter] += 1
        times.append(int(clock[voter]))
    return times
