"""Setting a voter's verdicts aside, and taking them in again: a filter of what is counted, never a deletion."""

from typing import Any

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from arena.audit import account_of, note
from judges.models import Exclusion, Voter
from judges.voting import announce


class ExclusionError(ValueError):
    """An exclusion that can't be recorded; str() says what would do."""


@transaction.atomic
def exclude_voter(*, voter: Voter, reason: str, by: Any = None) -> Exclusion:
    """Set all verdicts of the voter aside, those to come as well. Excluding again changes nothing.

    ``by`` is an account, None where a command did it. Raises ExclusionError without a reason: whoever reads
    a leaderboard is told it.
    """
    return _decide(voter, is_excluded=True, reason=reason, by=by)


@transaction.atomic
def readmit_voter(*, voter: Voter, reason: str, by: Any = None) -> Exclusion | None:
    """Count the voter's verdicts again. None, and nothing changes, where they are counted already."""
    return _decide(voter, is_excluded=False, reason=reason, by=by)


def _decide(voter: Voter, *, is_excluded: bool, reason: str, by: Any) -> Exclusion | None:
    reason = reason.strip()
    longest = Exclusion._meta.get_field("reason").max_length
    if not reason or len(reason) > longest:
        raise ExclusionError(
            f"Give a reason, of at most {longest} characters. Nothing was changed."
        )
    # Locked, so that of two maintainers who decide at once the second finds it decided.
    voter = (
        Voter.objects.select_for_update(of=("self",))
        .select_related("judge__arena")
        .get(pk=voter.pk)
    )
    last = Exclusion.objects.filter(voter=voter).order_by("-pk").first()
    if (last is not None and last.is_excluded) == is_excluded:
        return last if is_excluded else None
    known = account_of(by)
    decided = Exclusion.objects.create(
        voter=voter, is_excluded=is_excluded, reason=reason, by=known
    )
    arena = voter.judge.arena
    act = "exclude voter" if is_excluded else "readmit voter"
    note(arena=arena, actor=by, act=act, subject=voter.handle, reason=reason)
    announce(arena_id=arena.pk, judge_ids=[voter.judge_id])
    return decided


def standing_exclusions(*, up_to: int | None = None) -> QuerySet[Exclusion]:
    """The rows by which voters are excluded now, or were once the row ``up_to`` was the last; one a voter."""
    known = Q() if up_to is None else Q(pk__lte=up_to)
    later = Exclusion.objects.filter(known, voter=OuterRef("voter"), pk__gt=OuterRef("pk"))
    return Exclusion.objects.filter(known, ~Exists(later), is_excluded=True).order_by()


def by_excluded_voter(path: str = "", *, up_to: int | None = None) -> Q:
    """The condition that a verdict is an excluded voter's; ``path`` leads from the model to the verdict."""
    return Q(**{f"{path}voter_id__in": standing_exclusions(up_to=up_to).values("voter_id")})


def last_exclusion_id() -> int:
    return Exclusion.objects.aggregate(last=Max("pk"))["last"] or 0
