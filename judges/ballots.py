"""A battle to a voter, and the voter's decision back: issue, cast, skip, undo.

Every ballot has a key that names it on the page, and is decided once: so a double click, a request that was
sent again or two open tabs change nothing twice.
"""

import random  # noqa: TID251 (who gets which battle must not be foreseeable)
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.core.cache import cache
from django.db import transaction
from django.db.models import Count, Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from arena.matchmaking import draw_battle
from arena.models import Arena, Battle, Standing, WantedBattle
from arena.policies import Policy
from arena.wanted import draw_wanted
from judges.models import Ballot, GoldItem, Judge, Outcome, Verdict, Voter
from judges.voters import voters_of
from judges.voting import cast_verdict, retract_verdict

# A repeat comes after this many other votes at least: by then the answers are forgotten.
REPEAT_AFTER = 12
# Overlap is sought among this many of the arena's latest votes.
LATEST = 300
# While battles are wanted, this share of fresh ballots is drawn by priority all the same.
TRICKLE = 0.1
KEPT_OPEN = timedelta(days=1)
KEPT_NETWORK = timedelta(days=1)
SWEPT_AT_ONCE = 2_000
PROGRESS_SECONDS = 20
LONGEST_COMMENT = 4_000


class BallotError(ValueError):
    """A vote that can't be taken as it is; str() says what is wrong."""


class BallotDecided(Exception):
    """The ballot was decided already, and otherwise; ``ballot`` is how it stands."""

    def __init__(self, ballot: Ballot) -> None:
        self.ballot = ballot
        super().__init__("You have decided this battle already: your first decision counts.")


class Progress(NamedTuple):
    today: int  # votes of this voter since midnight, UTC
    mine: int  # all votes of this voter
    votes: int  # votes cast in the browser in this arena, up to PROGRESS_SECONDS old
    wanted: int  # how many the arena needs; 0: no goal


def next_ballot(*, arena: Arena, voter: Voter, rng: random.Random | None = None) -> Ballot | None:
    """The ballot that lies open before the voter, else a new one; None when nothing is left for this voter."""
    waiting = _open_ballots(voter).order_by("-repetition", "pk").first()
    if waiting:
        return _known(waiting, arena, voter)
    return _issue(arena, voter, rng or random.Random())  # noqa: S311 (no secret)


def prepare_next(*, ballot: Ballot, rng: random.Random | None = None) -> Ballot | None:
    """The ballot after this one, so that it can be fetched while this one is being read."""
    waiting = (
        _open_ballots(ballot.voter).exclude(pk=ballot.pk).order_by("-repetition", "pk").first()
    )
    return waiting or _issue(ballot.arena, ballot.voter, rng or random.Random())  # noqa: S311


def mark_shown(ballot: Ballot) -> None:
    """The dwell time counts from the first time that the ballot is on a screen."""
    if ballot.shown_at is None:
        ballot.shown_at = timezone.now()
        Ballot.objects.filter(pk=ballot.pk, shown_at=None).update(shown_at=ballot.shown_at)


@transaction.atomic
def cast_ballot(
    *,
    ballot: Ballot,
    outcome: Outcome,
    criteria: Mapping[str, Outcome] | None = None,
    reasons: Mapping[str, Sequence[str]] | None = None,
    comment: str = "",
    certainty: float | None = None,
    network: str = "",
) -> Ballot:
    """Decide a ballot; the same decision again changes nothing.

    ``outcome`` and ``criteria`` (by name) are in the battle's orientation, ``reasons`` are those ticked for
    the sides "a" and "b", ``certainty`` is between 0 and 1. A gold item and a repeat measure the voter: their
    outcome stays with the ballot and is no verdict. Raises BallotDecided, or BallotError for what the arena
    doesn't ask.
    """
    ballot = _locked(ballot)
    if ballot.state != Ballot.State.OPEN:
        if ballot.state == Ballot.State.VOTED and ballot.outcome == outcome:
            return ballot
        raise BallotDecided(ballot)
    criteria, reasons = dict(criteria or {}), {k: list(v) for k, v in (reasons or {}).items() if v}
    _check(ballot.arena, criteria, reasons, comment)
    now = timezone.now()
    if ballot.purpose in (Ballot.Purpose.FRESH, Ballot.Purpose.OVERLAP):
        for criterion, decision in [("", outcome), *criteria.items()]:
            cast_verdict(
                battle=ballot.battle,
                judge=ballot.voter.judge,
                voter=ballot.voter,
                outcome=decision,
                criterion=criterion,
                shown_first=ballot.shown_first,
                confidence=None if criterion else certainty,
                repetition=ballot.repetition,
                rationale="" if criterion else comment,
                cast_at=now,
            )
        _take_off_if_served(ballot.battle_id)
    ballot.outcome, ballot.reasons, ballot.network = outcome, reasons, network
    _decide(ballot, Ballot.State.VOTED, now)
    return ballot


@transaction.atomic
def skip_ballot(*, ballot: Ballot, network: str = "") -> Ballot:
    """Leave the battle undecided; it doesn't come back to this voter. Raises BallotDecided after a vote."""
    ballot = _locked(ballot)
    if ballot.state == Ballot.State.OPEN:
        ballot.network = network
        _decide(ballot, Ballot.State.SKIPPED, timezone.now())
    elif ballot.state != Ballot.State.SKIPPED:
        raise BallotDecided(ballot)
    return ballot


@transaction.atomic
def undo_ballot(*, ballot: Ballot) -> Ballot | None:
    """Take back a vote or a skip; again, it changes nothing. An open ballot is returned as it is.

    After a skip the voter gets a fresh ballot on the same. A vote on a battle was answered with who wrote
    what, and a second one would not be blind: its verdicts get retractions, and the battle doesn't come
    back. The first answer to a gold item stays: that nothing was revealed gave it away. Then None is returned.
    """
    ballot = _locked(ballot)
    if ballot.state == Ballot.State.OPEN:
        return ballot
    if ballot.gold_item_id and ballot.state == Ballot.State.VOTED:
        return None
    # A repeat is a ballot of its own, and nothing that came of undoing this one.
    same = Ballot.objects.filter(
        voter=ballot.voter, battle=ballot.battle, gold_item=ballot.gold_item
    ).exclude(purpose=Ballot.Purpose.REPEAT)
    if later := same.filter(repetition__gt=ballot.repetition).order_by("-repetition").first():
        return later
    if ballot.state == Ballot.State.VOTED:
        Ballot.objects.filter(pk=ballot.pk).update(state=Ballot.State.UNDONE)
    if ballot.state != Ballot.State.SKIPPED:
        verdicts = Verdict.objects.filter(
            voter=ballot.voter, battle=ballot.battle, repetition=ballot.repetition
        )
        for verdict in verdicts:
            retract_verdict(verdict=verdict, reason="undone by the voter")
        return None
    return Ballot.objects.create(
        arena=ballot.arena,
        voter=ballot.voter,
        battle=ballot.battle,
        gold_item=ballot.gold_item,
        purpose=ballot.purpose,
        shown_first=ballot.shown_first,
        repetition=ballot.repetition + 1,
    )


def last_decided(*, voter: Voter) -> Ballot | None:
    """The ballot that undo takes back. Also after it did, so that undo twice doesn't reach the one before."""
    decided = Ballot.objects.filter(voter=voter).exclude(state=Ballot.State.OPEN)
    return decided.select_related(*_RELATED).order_by("-decided_at", "-pk").first()


def progress(*, arena: Arena, voter: Voter) -> Progress:
    mine = Ballot.objects.filter(voter__in=voters_of(voter), state=Ballot.State.VOTED)
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    votes = 0
    if arena.votes_wanted:
        # Counting a million ballots for every vote would cost more than the vote.
        votes = cache.get_or_set(
            f"votes-of-{arena.pk}",
            lambda: Ballot.objects.filter(arena=arena, state=Ballot.State.VOTED).count(),
            PROGRESS_SECONDS,
        )
    counts = mine.aggregate(today=Count("pk", filter=Q(decided_at__gte=midnight)), mine=Count("pk"))
    return Progress(**counts, votes=votes, wanted=arena.votes_wanted)


def sweep_ballots() -> int:
    """Forget ballots that nobody came back to, and from which network older ones came; how many rows."""
    now = timezone.now()
    forgotten = Ballot.objects.filter(state=Ballot.State.OPEN, created_at__lt=now - KEPT_OPEN)
    keys = list(forgotten.order_by("pk").values_list("pk", flat=True)[:SWEPT_AT_ONCE])
    deleted, _ = Ballot.objects.filter(pk__in=keys, state=Ballot.State.OPEN).delete()
    old = Ballot.objects.filter(decided_at__lt=now - KEPT_NETWORK).exclude(network="")
    keys = list(old.order_by("pk").values_list("pk", flat=True)[:SWEPT_AT_ONCE])
    return deleted + Ballot.objects.filter(pk__in=keys).update(network="")


# What a page shows. Who votes where is known already, see _known.
_RELATED = (
    "gold_item",
    *(f"battle__{name}" for name in ("prompt", "system_a", "system_b", "output_a", "output_b")),
)


def _known(ballot: Ballot, arena: Arena, voter: Voter) -> Ballot:
    """The same with the rows that are at hand, so that they aren't read again."""
    if ballot.arena_id == arena.pk:
        ballot.arena = arena
    if ballot.voter_id == voter.pk:
        ballot.voter = voter
    return ballot


def ballot_by_key(*, key: object, voter: Voter) -> Ballot | None:
    """The voter's ballot of that key, with all that a page shows."""
    mine = Ballot.objects.filter(key=key, voter__in=voters_of(voter))
    ballot = mine.select_related(*_RELATED).first()
    return ballot and _known(ballot, voter.judge.arena, voter)


def _open_ballots(voter: Voter) -> QuerySet[Ballot]:
    ballots = Ballot.objects.filter(voter=voter, state=Ballot.State.OPEN)
    return ballots.select_related(*_RELATED)


def _locked(ballot: Ballot) -> Ballot:
    """The row as it stands now, and nobody else changes it. What it points at never changes."""
    locked = Ballot.objects.select_for_update().get(pk=ballot.pk)
    for name in ("arena", "voter", "battle", "gold_item"):
        if name in ballot._state.fields_cache:
            setattr(locked, name, getattr(ballot, name))
    return locked


def _decide(ballot: Ballot, state: Ballot.State, now: datetime) -> None:
    ballot.state, ballot.decided_at = state, now
    if ballot.shown_at:
        elapsed = (now - ballot.shown_at).total_seconds() * 1000
        ballot.dwell_ms = min(max(0, round(elapsed)), 2**31 - 1)
    ballot.save(update_fields=["state", "decided_at", "dwell_ms", "outcome", "reasons", "network"])


def _check(
    arena: Arena, criteria: dict[str, Outcome], reasons: dict[str, list[str]], comment: str
) -> None:
    if unknown := sorted(set(criteria) - set(arena.criteria)):
        raise BallotError(f"The arena has no criterion {unknown[0]!r}.")
    if set(reasons) - {"a", "b"}:
        raise BallotError("Reasons belong to the sides a and b.")
    ticked = {reason for side in reasons.values() for reason in side}
    if unknown := sorted(ticked - set(arena.reasons)):
        raise BallotError(f"{unknown[0]!r} is not one of the arena's reasons.")
    if len(comment) > LONGEST_COMMENT:
        raise BallotError(
            f"The comment has {len(comment):,} characters, more than {LONGEST_COMMENT:,}."
        )


# --- which battle -----------------------------------------------------------------------------------------


def _issue(arena: Arena, voter: Voter, rng: random.Random) -> Ballot | None:
    """A new ballot by the arena's policy. What the dice ask for and isn't there gives way to a fresh battle."""
    policy = Policy.of(arena)
    dice = rng.random()
    for share, issue in (
        (policy.gold_share, _gold),
        (policy.repeat_share, _repeat),
        (policy.overlap_share, lambda *given: _overlap(*given, most=policy.overlap_voters)),
    ):
        if dice < share:
            if ballot := issue(arena, voter, rng):
                return ballot
            break
        dice -= share
    seen = Ballot.objects.filter(voter__in=voters_of(voter)).exclude(battle=None).values("battle")
    # What judges couldn't decide comes first; a few are drawn as ever, and tell how far judges can be trusted.
    battle = draw_wanted(arena_id=arena.pk, seen=seen.order_by(), rng=rng)
    if battle is None or rng.random() < TRICKLE:
        battle = draw_battle(arena=arena, seen=seen.order_by(), rng=rng) or battle
    if battle is None:
        return None
    return _ballot(arena, voter, Ballot.Purpose.FRESH, rng, battle=battle)


def _take_off_if_served(battle: int | None) -> None:
    """A wanted battle that has its votes now is wanted no longer. One statement, whether it was or not."""
    votes = (
        Verdict.objects.filter(
            battle=OuterRef("battle"), judge__kind=Judge.Kind.CROWD, criterion="", retraction=None
        )
        .order_by()
        .values("battle")
        .annotate(n=Count("pk"))
        .values("n")
    )
    WantedBattle.objects.filter(battle=battle, votes__lte=Subquery(votes)).delete()


def _ballot(
    arena: Arena, voter: Voter, purpose: Ballot.Purpose, rng: random.Random, **given: object
) -> Ballot:
    given.setdefault("shown_first", rng.choice(Verdict.Side.values))
    same = {name: given[name] for name in ("battle", "gold_item") if name in given}
    ballot, _ = Ballot.objects.get_or_create(
        voter=voter,
        repetition=given.pop("repetition", 0),
        **same,
        defaults={"arena": arena, "purpose": purpose, "shown_first": given["shown_first"]},
    )
    ballot = Ballot.objects.select_related(*_RELATED).get(pk=ballot.pk)
    return _known(ballot, arena, voter)


def _gold(arena: Arena, voter: Voter, rng: random.Random) -> Ballot | None:
    answered = Ballot.objects.filter(voter__in=voters_of(voter)).exclude(gold_item=None)
    items = GoldItem.objects.filter(arena=arena).exclude(pk__in=answered.values("gold_item"))
    found = list(items.order_by("pk")[:100])
    if not found:
        return None
    return _ballot(arena, voter, Ballot.Purpose.GOLD, rng, gold_item=rng.choice(found))


def _repeat(arena: Arena, voter: Voter, rng: random.Random) -> Ballot | None:
    """One of the voter's own earlier battles, with the sides exchanged; each at most once."""
    mine = Ballot.objects.filter(voter=voter)
    voted = mine.filter(
        state=Ballot.State.VOTED, purpose__in=(Ballot.Purpose.FRESH, Ballot.Purpose.OVERLAP)
    ).order_by("-decided_at")
    earlier = list(voted.values_list("battle", "shown_first")[REPEAT_AFTER : REPEAT_AFTER + 100])
    repeated = set(mine.filter(purpose=Ballot.Purpose.REPEAT).values_list("battle", flat=True))
    candidates = [row for row in earlier if row[0] not in repeated]
    if not candidates:
        return None
    pk, shown_first = rng.choice(candidates)
    battle = Battle.objects.filter(_SHOWABLE, pk=pk).first()
    if battle is None:
        return None
    before = mine.filter(battle=battle).aggregate(last=Max("repetition"))["last"]
    return _ballot(
        arena,
        voter,
        Ballot.Purpose.REPEAT,
        rng,
        battle=battle,
        shown_first=1 - shown_first,
        repetition=before + 1,
    )


def _overlap(arena: Arena, voter: Voter, rng: random.Random, *, most: int) -> Ballot | None:
    """A battle that other people decided lately and that fewer than ``most`` have decided."""
    latest = Ballot.objects.filter(arena=arena, state=Ballot.State.VOTED).exclude(battle=None)
    battles = list(latest.order_by("-decided_at").values_list("battle", flat=True)[:LATEST])
    mine = Ballot.objects.filter(voter__in=voters_of(voter), battle__in=set(battles))
    seen = set(mine.values_list("battle", flat=True))
    unseen = {battle for battle in battles if battle not in seen}
    votes = Counter(
        Ballot.objects.filter(battle__in=unseen, state=Ballot.State.VOTED)
        .exclude(purpose=Ballot.Purpose.REPEAT)
        .values_list("battle", flat=True)
    )
    candidates = sorted(battle for battle in unseen if 0 < votes[battle] < most)
    rng.shuffle(candidates)
    battle = Battle.objects.filter(_SHOWABLE, pk__in=candidates[:5]).first() if candidates else None
    if battle is None:
        return None
    return _ballot(arena, voter, Ballot.Purpose.OVERLAP, rng, battle=battle)


_SHOWABLE = Q(
    output_a__isnull=False,
    system_a__standing=Standing.PUBLISHED,
    system_b__standing=Standing.PUBLISHED,
) & ~(
    (Q(output_a__leak__isnull=False) & ~Q(output_a__leak=""))
    | (Q(output_b__leak__isnull=False) & ~Q(output_b__leak=""))
)
