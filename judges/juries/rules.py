"""From the votes of a panel to one outcome.

A member that sits on the panel and says nothing abstains: it stays in the denominator, so a panel of three
of which one failed is still a panel of three. Where no outcome has a majority the panel is tied; it never
falls to whatever label comes first. Exchanging A and B in all votes exchanges them in the ruling.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from judges.programs.verdicts import Decision

# Sums of weights are compared up to this share of them.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Vote:
    """What one member said of a battle; ``decision`` is None where it abstained.

    ``value`` is by how much it prefers A, below zero for B, in the units of its scores: for `mean` alone.
    """

    member: str
    decision: Decision | None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """``outcome`` is None where nobody with a say said anything.

    ``margin`` is above zero for A and below for B; what it measures is the rule's. ``support`` is the share
    of the panel (of its weight, where it has weights) that said what the outcome says, abstentions in the
    denominator. ``dissenters`` said something else. ``seated`` is how many sat on the panel.
    """

    outcome: Decision | None
    margin: float
    support: float
    dissenters: tuple[str, ...]
    abstentions: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    seated: int = 0


def majority(votes: Sequence[Vote]) -> Ruling:
    """What more than half of the panel said, else a tie; the margin is (votes for A − votes for B) / panel.

    Both bad is an outcome of its own: two ties and two both-bad of four are no majority, hence a tie.
    """
    return _weigh(votes, dict.fromkeys((vote.member for vote in votes), 1.0))


def own_vote(decisions: Sequence[Decision]) -> Decision:
    """What a judge says that was asked once or more often: its own majority, else a tie."""
    outcome = majority([Vote(str(n), decision) for n, decision in enumerate(decisions)]).outcome
    if outcome is None:
        raise ValueError("A judge that said nothing has no vote.")
    return outcome


def weighted(votes: Sequence[Vote], weights: Mapping[str, float]) -> Ruling:
    """The same by weight: what more than half of the panel's weight said, else a tie.

    A member whose weight is 0 sits without a say. Raises ValueError for a weight that is missing, below 0 or
    not finite.
    """
    for vote in votes:
        weight = weights.get(vote.member)
        if weight is None or not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"The weight of {vote.member!r} must be a number from 0 up: {weight}.")
    return _weigh(votes, weights)


def mean(votes: Sequence[Vote], *, tie_margin: float = 0.0) -> Ruling:
    """The sign of the mean value of those who voted; a tie where it is at most ``tie_margin`` from 0.

    The margin is that mean. A vote without a value counts as +1 for A, −1 for B and 0 for tie and both bad.
    Both bad is the outcome of a tie in which more than half of the panel said so. An abstention has no value:
    it is left out of the mean, but not of the support.
    """
    if not (math.isfinite(tie_margin) and tie_margin >= 0):
        raise ValueError(f"The margin of a tie must be a number from 0 up, not {tie_margin}.")
    values = []
    for vote in votes:
        value = _value(vote)
        if value is not None and not math.isfinite(value):
            raise ValueError(f"{vote.member!r} gave the value {value}: it must be finite.")
        if value is not None:
            values.append(value)
    if not values:
        return _ruling(votes, None, 0.0, dict.fromkeys((v.member for v in votes), 1.0))
    centre = math.fsum(values) / len(values)
    both_bad = sum(vote.decision is Decision.BOTH_BAD for vote in votes)
    if abs(centre) > tie_margin:
        outcome = Decision.A if centre > 0 else Decision.B
    else:
        outcome = Decision.BOTH_BAD if 2 * both_bad > len(votes) else Decision.TIE
    return _ruling(votes, outcome, centre, dict.fromkeys((v.member for v in votes), 1.0))


def without_families(
    votes: Sequence[Vote], *, family_of: Mapping[str, str], families: Collection[str]
) -> tuple[list[Vote], tuple[str, ...]]:
    """(who sits, who is left out): a member doesn't judge systems of its own family.

    Families are compared without regard to case and outer blanks; one that isn't known is nobody's.
    """
    theirs = {_folded(family) for family in families} - {""}
    seated = [vote for vote in votes if _folded(family_of.get(vote.member, "")) not in theirs]
    there = {vote.member for vote in seated}
    return seated, tuple(sorted(vote.member for vote in votes if vote.member not in there))


def council(
    votes: Sequence[Vote], *, family_of: Mapping[str, str], families: Collection[str]
) -> Ruling:
    """The majority of the members whose family isn't one of ``families``, those of the battle's systems.

    The denominator is who sits. Where nobody may, there is no outcome.
    """
    seated, left_out = without_families(votes, family_of=family_of, families=families)
    return replace(majority(seated), left_out=left_out)


def committee(first: Sequence[Vote], second: Sequence[Vote]) -> Ruling:
    """The majority of what the members say after they have read each other's reasons.

    Everybody of the first round sits in the second; who didn't speak again abstains. ``changed`` are those
    who say something else than before. Raises ValueError for a member who wasn't in the first round.
    """
    before = {vote.member: vote.decision for vote in first}
    after = {vote.member: vote for vote in second}
    if strangers := sorted(set(after) - set(before)):
        raise ValueError(f"{strangers[0]!r} wasn't in the first round.")
    panel = [after.get(member, Vote(member, None)) for member in before]
    changed = tuple(
        sorted(
            vote.member
            for vote in panel
            if None not in (vote.decision, before[vote.member])
            and vote.decision != before[vote.member]
        )
    )
    return replace(majority(panel), changed=changed)


def _weigh(votes: Sequence[Vote], weights: Mapping[str, float]) -> Ruling:
    total = math.fsum(weights[vote.member] for vote in votes)
    behind = {
        decision: math.fsum(weights[v.member] for v in votes if v.decision is decision)
        for decision in Decision
    }
    if total <= 0 or not any(behind.values()):
        return _ruling(votes, None, 0.0, weights)
    outcome = Decision.TIE
    for decision, weight in behind.items():  # at most one has more than half
        if weight > total * (0.5 + ROUNDING):
            outcome = decision
    margin = (behind[Decision.A] - behind[Decision.B]) / total
    return _ruling(votes, outcome, margin, weights)


def _ruling(
    votes: Sequence[Vote], outcome: Decision | None, margin: float, weights: Mapping[str, float]
) -> Ruling:
    members = [vote.member for vote in votes]
    if len(set(members)) < len(members):
        twice = next(member for member in members if members.count(member) > 1)
        raise ValueError(f"{twice!r} votes twice: a member has one vote on a battle.")
    total = math.fsum(weights[member] for member in members)
    agreeing = [v.member for v in votes if outcome is not None and v.decision is outcome]
    return Ruling(
        outcome=outcome,
        margin=margin,
        support=math.fsum(weights[member] for member in agreeing) / total if total > 0 else 0.0,
        dissenters=tuple(
            sorted(
                vote.member
                for vote in votes
                if None not in (outcome, vote.decision) and vote.decision is not outcome
            )
        ),
        abstentions=tuple(sorted(vote.member for vote in votes if vote.decision is None)),
        seated=len(votes),
    )


def _value(vote: Vote) -> float | None:
    if vote.decision is None or vote.value is not None:
        return vote.value
    return {Decision.A: 1.0, Decision.B: -1.0}.get(vote.decision, 0.0)


def _folded(family: str) -> str:
    return family.strip().casefold()
