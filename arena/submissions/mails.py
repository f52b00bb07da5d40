"""One mail at the end of a submission, where the site sends mail and its owner asked for it."""

import logging
from functools import partial

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError

from arena.markdown import printable
from arena.models import Submission

log = logging.getLogger(__name__)


def tell_owner(key: int) -> None:
    """Ask a worker to send the mail, if one is wanted."""
    if settings.EMAIL_URL and Submission.objects.filter(pk=key, wants_mail=True).exists():
        transaction.on_commit(partial(_queue, key))


def send(key: int) -> bool:
    """Send the mail unless it was sent; whether it was sent now. What the mail server refuses is raised."""
    mine = Submission.objects.filter(pk=key, wants_mail=True, mailed_at=None)
    if not mine.update(mailed_at=timezone.now()):
        return False
    submission = Submission.objects.select_related("arena", "system", "owner").get(pk=key)
    if submission.owner is None or not submission.owner.email:
        return False
    try:
        send_mail(
            subject=_subject(submission),
            message=_text(submission),
            from_email=None,
            recipient_list=[submission.owner.email],
        )
    except Exception:
        Submission.objects.filter(pk=key).update(mailed_at=None)
        raise
    return True


def _subject(submission: Submission) -> str:
    said = submission.get_state_display().lower()
    return " ".join(f"{printable(str(submission.system))}: {said}".split())[:200]


def _text(submission: Submission) -> str:
    place = submission.place
    lines = [
        f"Your system {printable(str(submission.system))} in {printable(submission.arena.name)}: "
        f"{submission.get_state_display().lower()}.",
        printable(submission.reason),
    ]
    if submission.state == Submission.State.RANKED and place:
        lines.append(
            f"Provisional place: {place['rank_lower']} to {place['rank_upper']} of {place['n_ranked']} "
            f"(95 % interval), by {submission.n_judged:,} battles."
        )
    path = reverse("arena:submission", args=[submission.arena.slug, submission.pk])
    lines.append(f"{submission.origin}{path}")
    return "\n\n".join(line for line in lines if line) + "\n"


def _queue(key: int) -> None:
    """A submission mustn't fail because the broker is away: then there is no mail."""
    from arena.tasks import mail_owner

    try:
        mail_owner.apply_async(args=[key], retry=False)
    except OperationalError as error:
        log.warning("The broker didn't take the mail about submission %s: %s", key, error)
