"""Celery's edge of this room: every task calls one verb."""

from celery import shared_task

from ratings import publications, rankings


@shared_task
def refresh_publication(key: int) -> bool:
    return publications.refresh(key)


@shared_task
def sweep() -> int:
    return publications.sweep()


@shared_task
def sweep_voters() -> int:
    """Compute the records of voters anew where people's leaderboard was refreshed since."""
    from ratings import voters

    return voters.sweep()


@shared_task
def refresh_rankings(key: int) -> bool:
    return rankings.refresh(key)


@shared_task
def sweep_rankings() -> int:
    return rankings.sweep()


@shared_task
def refresh_fragility(key: int) -> bool:
    from ratings import fragility

    return fragility.refresh(key)


@shared_task
def sweep_fragility() -> int:
    """Compute the fragilities whose message or worker was lost."""
    from ratings import fragility

    return fragility.sweep()


@shared_task
def answer_run(key: int) -> bool:
    from ratings import rounds

    return rounds.answer(key)


@shared_task
def sweep_rounds() -> int:
    """Answer the runs whose message or worker was lost."""
    from ratings import rounds

    return rounds.sweep()


@shared_task
def place_submission(key: int) -> bool:
    from ratings import placing

    return placing.step(key)


@shared_task
def sweep_submissions() -> int:
    """Go on with the submissions whose message or worker was lost."""
    from ratings import placing

    return placing.sweep()
