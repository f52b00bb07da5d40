"""What a probe is, which answer of a battle it changes, and when a judge counts as fooled."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

Answers = tuple[str, str]

# Of calls: the battle as it is. Of results: the same asked once more.
UNCHANGED = "unchanged"
RETEST = "retest"


class ProbeError(ValueError):
    """A probe that doesn't exist; str() says which there are."""


class Counts(StrEnum):
    """Which change of the decision counts as fooled."""

    ANY = "any change"
    TOWARDS = "a change for the changed answer"


@dataclass(frozen=True, slots=True)
class Draw:
    """What chance decides of one probe of one battle.

    ``first`` is the side (0: A, 1: B) that the battle shows first without the probe, the same for all probes of
    the battle; ``side`` the one whose answer is changed; ``seed`` chooses the words.
    """

    first: int
    side: int
    seed: int


@dataclass(frozen=True, slots=True)
class Probe:
    """``change`` gives the answers as they are shown with the one at ``at`` (0 or 1) changed by ``seed``.

    ``adds`` is how many bytes longer both together become at the most. ``swaps``: the order is exchanged,
    and the answer that comes first counts as changed. ``relabels``: the answers go by other symbols, and
    none counts as changed. ``source`` is who published the idea; the words are ours.
    """

    name: str
    title: str
    what: str
    counts: Counts
    source: str
    change: Callable[[Answers, int, int], Answers] = lambda answers, at, seed: answers
    adds: int = 0
    swaps: bool = False
    relabels: bool = False

    def first(self, draw: Draw) -> int:
        """The side that is shown first with the probe."""
        return 1 - draw.first if self.swaps else draw.first

    def side(self, draw: Draw) -> int | None:
        """The side that counts as changed; None: neither."""
        if self.relabels:
            return None
        return 1 - draw.first if self.swaps else draw.side

    def shown(self, answers: Answers, draw: Draw) -> Answers:
        """The answers of A and B, changed, in the order in which they are shown."""
        first = self.first(draw)
        ordered = answers if first == 0 else answers[::-1]
        side = self.side(draw)
        return ordered if side is None else self.change(ordered, int(side != first), draw.seed)


def drawn(battle: int, probe: str, seed: int) -> Draw:
    """The same every time; which side is changed is a fair coin for each battle and probe."""
    order = _digest(f"{seed}:{battle}")
    own = _digest(f"{seed}:{battle}:{probe}")
    return Draw(first=order % 2, side=own % 2, seed=own // 2)


def is_fooled(counts: Counts, *, before: int, after: int, side: int | None) -> bool:
    """Outcomes in the battle's orientation: 0 A, 1 B, 2 a tie, 3 both bad."""
    if counts == Counts.ANY or side is None:
        return before != after
    return _points(after, side) > _points(before, side)


def _points(outcome: int, side: int) -> int:
    if outcome not in (0, 1):
        return 0
    return 1 if outcome == side else -1


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
