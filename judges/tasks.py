"""Celery's edge of this room: every task calls one verb."""

from celery import shared_task
from django.conf import settings

from judges import runs
from judges.models import JudgeRun


@shared_task
def work_on_run(key: int) -> None:
    """A turn at the run, and another message while there is work: what else waits comes between."""
    run = JudgeRun.objects.select_related("judge", "system", "arena").filter(pk=key).first()
    # One that was deleted with its arena is no work.
    if run is not None and runs.do_some(run):
        work_on_run.delay(key)


@shared_task
def sweep_runs() -> int:
    """Ask again for the runs that a lost message or a dead worker left; how many were asked for."""
    keys = runs.unfinished_runs()
    for key in keys:
        work_on_run.delay(key)
    return len(keys)


@shared_task
def sweep_ballots() -> int:
    """Forget what nobody came back to, and from where votes came."""
    from judges import ballots

    return ballots.sweep_ballots()


@shared_task
def sweep_rankings() -> int:
    """The same of rankings."""
    from judges import rankings

    return rankings.sweep_rankings()


@shared_task
def derive(key: int) -> bool:
    """Bring the verdicts of a jury or a cascade up to date."""
    from judges import derivations

    return derivations.refresh(key)


@shared_task
def sweep_derivations() -> int:
    from judges import derivations

    return derivations.sweep()


@shared_task
def try_judge(key: int) -> None:
    """Ask a judge about one battle, to be looked at."""
    from judges import trials

    trials.work_on_trial(key)


@shared_task
def make_requested_cascade(key: int) -> None:
    """Calibrate and make a cascade that somebody asked for by a form or the API."""
    from judges.cascades import requests

    requests.work_on_request(key)


@shared_task
def sweep_requests() -> int:
    """Ask again for trials and cascades whose message or worker was lost, and forget old trials."""
    from judges import trials
    from judges.cascades import requests

    return trials.sweep_trials() + requests.sweep_requests()


@shared_task
def sweep_replies() -> int:
    """Forget replies of models that are older than the operator keeps them."""
    from judges.endpoints import cache

    return cache.forget_old(settings.REPLY_DAYS)
