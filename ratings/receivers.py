"""Hears what the rooms below say."""

from typing import Any

from django.dispatch import receiver

from judges.signals import verdicts_changed
from ratings.publications import mark_stale


@receiver(verdicts_changed)
def a_new_verdict_makes_figures_stale(
    sender: Any, *, arena_id: int, judge_ids: frozenset[int], **kwargs: Any
) -> None:
    mark_stale(arena_id=arena_id, judge_ids=judge_ids)
