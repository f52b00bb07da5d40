"""An account and its votes: what belongs to it, and what becomes of the votes when it is deleted."""

from collections import defaultdict
from typing import Any

from django.db import transaction

from judges.models import Ranking, Retraction, Verdict, VerdictTrace, Voter
from judges.signals import rankings_changed
from judges.voting import announce

REASON = "The voter deleted the account and asked for this."
BATCH = 2_000  # rows written at once


def votes_of(user: Any) -> int:
    """How many verdicts count that the account has cast, in all arenas."""
    return Verdict.objects.filter(voter__user=user, retraction__isnull=True).count()


@transaction.atomic
def delete_account(*, user: Any, retract: bool) -> int:
    """Delete the account with its addresses, memberships and sessions' rights; how many votes were retracted.

    Its votes stay under their pseudonyms, which nothing ties to a person any more. With ``retract`` every
    vote and every order is taken back as well, and the comments are erased.
    """
    voters = list(Voter.objects.filter(user=user).values_list("pk", flat=True))
    taken_back = _retract_all(voters) if retract else 0
    if retract:
        _take_rankings_back(voters)
    user.delete()
    return taken_back


def _retract_all(voters: list[int]) -> int:
    verdicts = Verdict.objects.filter(voter__in=voters)
    VerdictTrace.objects.filter(verdict__voter__in=voters).delete()
    counted = verdicts.filter(retraction__isnull=True).order_by("pk")
    judges_of = defaultdict(set)
    retractions = []
    for pk, arena, judge in counted.values_list("pk", "arena_id", "judge_id").iterator():
        judges_of[arena].add(judge)
        retractions.append(Retraction(verdict_id=pk, reason=REASON))
    # A vote that is taken back elsewhere in the same moment has its row already.
    Retraction.objects.bulk_create(retractions, batch_size=BATCH, ignore_conflicts=True)
    for arena, judges in judges_of.items():
        announce(arena_id=arena, judge_ids=sorted(judges))
    return len(retractions)


def _take_rankings_back(voters: list[int]) -> None:
    rankings = Ranking.objects.filter(voter__in=voters).order_by()
    arenas = set(rankings.values_list("arena_id", flat=True))
    rankings.exclude(comment="").update(comment="")
    rankings.filter(state=Ranking.State.DECIDED).update(state=Ranking.State.UNDONE)
    for arena in arenas:
        rankings_changed.send(Ranking, arena_id=arena)
