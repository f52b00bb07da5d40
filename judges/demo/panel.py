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
    votes = [
        (voter, _vote(battle, voter, panel, qualities, rng))
        for battle in _sample_battles(qualities, battles, rng)
        for voter in _draw_turnout(voters, rng)
    ]
    times = _draw_times([voter for voter, _ in votes], voters, rng)
    dated = [vote._replace(seconds=time) for (_, vote), time in zip(votes, times, strict=True)]
    return sorted(dated, key=lambda vote: (vote.seconds, vote))


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


def _vote(
    battle: _Battle, voter: int, panel: _Voters, qualities: Qualities, rng: np.random.Generator
) -> Vote:
    rows = [qualities.index[battle.text, system] for system in battle.systems]
    worth = (
        qualities.measures[rows] @ panel.taste[voter]
        - panel.strictness[voter] * qualities.excess[rows]
    )
    shown_first = Side(rng.integers(2))
    log_strength = panel.steadiness[voter] * worth
    log_strength[shown_first] += panel.pull[voter]
    chances = davidson(log_strength[0] - log_strength[1], panel.tie_tendency[voter])
    outcome = Decision(rng.choice(3, p=chances))
    says_bad = rng.random() < SAYS_BAD
    if outcome == Decision.TIE and (worth < BAD).all() and says_bad:
        outcome = Decision.BOTH_BAD
    return Vote(
        voter=f"simulated-{voter + 1:02}",
        text=battle.text,
        system_a=battle.systems[Side.A],
        system_b=battle.systems[Side.B],
        shown_first=shown_first,
        outcome=outcome,
        seconds=0,
    )


def davidson(difference: float, tie_tendency: float) -> np.ndarray:
    """(3,) chances of A, B and a tie (Davidson 1970), from the difference of log-strengths A − B and ν."""
    log_weights = np.array([difference / 2, -difference / 2, np.log(tie_tendency)])
    weights = np.exp(log_weights - log_weights.max())
    return weights / weights.sum()


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
