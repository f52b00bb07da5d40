"""Hears what this room says itself."""

from typing import Any

from django.dispatch import receiver

from judges import derivations
from judges.signals import verdicts_changed


@receiver(verdicts_changed)
def new_verdicts_are_passed_on_to_those_that_follow_from_them(
    sender: Any, *, arena_id: int, judge_ids: frozenset[int], **kwargs: Any
) -> None:
    derivations.mark_stale(arena_id=arena_id, judge_ids=judge_ids)
