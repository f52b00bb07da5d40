"""Hears what this room says itself, and the one below."""

from typing import Any

from django.dispatch import receiver

from arena.models import Submission
from arena.signals import submission_changed
from judges import derivations
from judges.signals import verdicts_changed


@receiver(verdicts_changed)
def new_verdicts_are_passed_on_to_those_that_follow_from_them(
    sender: Any, *, arena_id: int, judge_ids: frozenset[int], **kwargs: Any
) -> None:
    derivations.mark_stale(arena_id=arena_id, judge_ids=judge_ids)


@receiver(submission_changed)
def models_are_asked_no_more_for_what_was_given_up(
    sender: Any, *, submission_id: int, **kwargs: Any
) -> None:
    from judges import placing

    submission = Submission.objects.get(pk=submission_id)
    if submission.state in (Submission.State.CANCELLED, Submission.State.WITHDRAWN):
        placing.stop(submission=submission)
    elif submission.state == Submission.State.QUEUED:
        placing.go_on(submission=submission)
