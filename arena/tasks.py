"""Celery's edge of this room: every task calls one verb."""

from celery import shared_task

from arena import leaks
from arena.models import Arena


@shared_task
def find_leaks(arena_id: int) -> int:
    """How many outputs of the arena give their system away, of those that nobody had looked at."""
    return leaks.scan_outputs(arena=Arena.objects.get(pk=arena_id))[1]


@shared_task
def sweep_leaks() -> int:
    return leaks.sweep()


@shared_task
def sweep_answers() -> int:
    """Forget answers that nobody asks for again."""
    from arena import kept_answers

    return kept_answers.sweep()


@shared_task(autoretry_for=(OSError,), retry_backoff=30, max_retries=5)
def mail_owner(key: int) -> bool:
    """Tell the owner of a submission that it came to an end."""
    from arena.submissions import mails

    return mails.send(key)
