"""Hears what the rooms below say."""

from typing import Any

from django.dispatch import receiver

from arena.models import Submission
from arena.signals import (
    categories_changed,
    policy_changed,
    standings_changed,
    submission_changed,
)
from judges.signals import rankings_changed, run_waits, verdicts_changed
from ratings import placing, rankings, rounds
from ratings.publications import (
    mark_categories_stale,
    mark_priorities_stale,
    mark_stale,
    mark_systems_stale,
)


@receiver(verdicts_changed)
def a_new_verdict_makes_figures_stale(
    sender: Any, *, arena_id: int, judge_ids: frozenset[int], **kwargs: Any
) -> None:
    mark_stale(arena_id=arena_id, judge_ids=judge_ids)


@receiver(categories_changed)
def other_labels_make_figures_of_a_category_stale(
    sender: Any, *, arena_id: int, slugs: frozenset[str], **kwargs: Any
) -> None:
    mark_categories_stale(arena_id=arena_id, slugs=slugs)


@receiver(policy_changed)
def another_policy_writes_other_priorities(sender: Any, *, arena_id: int, **kwargs: Any) -> None:
    mark_priorities_stale(arena_id=arena_id)


@receiver(standings_changed)
def another_standing_makes_all_figures_stale(sender: Any, *, arena_id: int, **kwargs: Any) -> None:
    mark_systems_stale(arena_id=arena_id)
    rankings.mark_stale(arena_id=arena_id)


@receiver(rankings_changed)
def a_new_ranking_makes_their_table_stale(sender: Any, *, arena_id: int, **kwargs: Any) -> None:
    rankings.mark_stale(arena_id=arena_id)


@receiver(run_waits)
def a_run_is_told_whether_it_is_enough(
    sender: Any, *, run_id: int, now: bool, **kwargs: Any
) -> None:
    if now:
        rounds.answer(run_id)
    else:
        rounds.answer_soon(run_id)


@receiver(submission_changed)
def a_submission_is_placed(sender: Any, *, submission_id: int, **kwargs: Any) -> None:
    if Submission.objects.filter(pk=submission_id, state=Submission.State.QUEUED).exists():
        placing.place_soon(submission_id)
