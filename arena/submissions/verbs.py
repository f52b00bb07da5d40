"""Submitting a system, and what its owner does with it afterwards.

Every verb is one transaction, may be repeated, and leaves an audit entry when it changed something.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from arena.access import role_of
from arena.audit import note
from arena.making import create_system, follow_outputs, newest_output
from arena.matchmaking import plan_pairs
from arena.models import HIDDEN, Arena, Output, Standing, Submission, System
from arena.signals import standings_changed, submission_changed
from arena.submissions.checking import Checked, check, name_taken
from arena.submissions.formats import SubmissionFile, read_submission
from arena.submissions.policy import SubmissionPolicy, may_submit
from arena.upload_problems import MOST_PROBLEMS, Problem, UploadError

BATCH = 500
State = Submission.State
UNRANKED = (State.QUEUED, State.JUDGING, State.FAILED, State.CANCELLED, State.WAITING)
NO_JUDGES = "This arena has no automatic judge that ranks submissions: people vote on it."
NO_JUDGES_PRIVATE = (
    "This arena has no automatic judge that ranks submissions, and people are asked about published systems "
    "only: publish it, and they are."
)


class SubmissionError(ValueError):
    """What can't be done, and why, in a sentence; nothing was changed.

    ``wait``: seconds, where waiting helps.
    """

    def __init__(self, sentence: str, *, wait: int = 0, forbidden: bool = False) -> None:
        super().__init__(sentence)
        self.wait, self.forbidden = wait, forbidden


@dataclass(frozen=True)
class Received:
    """A submission; ``is_new`` is False when the same was there already. ``warnings`` refuse nothing."""

    submission: Submission
    is_new: bool
    warnings: list[Problem]


@dataclass(frozen=True)
class DryRun:
    """What submitting would store."""

    about: dict[str, Any]
    file: SubmissionFile
    checked: Checked


def try_submission(
    *,
    arena: Arena,
    owner: Any,
    about: Mapping[str, Any],
    content: bytes,
    file_name: str = "",
    kind: str = "",
    private: bool = True,
    follows: System | None = None,
) -> DryRun:
    """Everything that ``submit`` looks at, and nothing stored.

    Raises SubmissionError, and UploadError with all problems.
    """
    policy = _allowed(arena, owner)
    _look_at_version(owner, arena, follows)
    file, complete = _read(about, content, file_name=file_name, kind=kind)
    checked = check(arena=arena, about=complete, rows=file.rows, policy=policy)
    _within_quotas(arena, owner, policy, private=private)
    return DryRun(complete, file, checked)


def submit(
    *,
    arena: Arena,
    owner: Any,
    about: Mapping[str, Any],
    content: bytes,
    file_name: str = "",
    kind: str = "",
    private: bool = True,
    follows: System | None = None,
    wants_mail: bool = False,
    origin: str = "",
) -> Received:
    """Store a system with its outputs, and have it ranked; all of it or nothing.

    ``about`` holds the names of ``checking.ABOUT``; ``content`` is a file in any of the formats of
    ``arena.submissions.formats``, ``origin`` the site's scheme and host, for links in a mail. The same sent
    again, by the same owner, gives the submission that is there. What is wrong is kept as a refused
    submission with all problems, and raised as UploadError, which then has ``submission``. Raises
    SubmissionError where the account may not, now or at all.
    """
    policy = _allowed(arena, owner)
    key = _key(about, content, kind=kind, private=private, follows=follows)
    if there := _there(arena, owner, key):
        return Received(there, is_new=False, warnings=[])
    _look_at_version(owner, arena, follows)
    _not_refused_too_often(arena, owner, policy)
    try:
        file, complete = _read(about, content, file_name=file_name, kind=kind)
        checked = check(arena=arena, about=complete, rows=file.rows, policy=policy)
    except UploadError as error:
        # Its twin, sent at the same moment, may have taken the name meanwhile.
        if there := _there(arena, owner, key):
            return Received(there, is_new=False, warnings=[])
        _refuse(arena, owner, key, about, file_name, error)
        raise
    try:
        received = _store(
            arena=arena,
            owner=owner,
            key=key,
            about=complete,
            checked=checked,
            policy=policy,
            file_name=file_name,
            private=private,
            follows=follows,
            wants_mail=wants_mail,
            origin=origin,
        )
    except IntegrityError:
        # The same was sent twice at once, or another has taken the name meanwhile.
        if there := _there(arena, owner, key):
            return Received(there, is_new=False, warnings=[])
        error = UploadError([name_taken(complete)])
        _refuse(arena, owner, key, about, file_name, error)
        raise error from None
    except UploadError as error:
        _refuse(arena, owner, key, about, file_name, error)
        raise
    return received


@transaction.atomic
def publish(*, submission: Submission, actor: Any) -> Submission:
    """Show the system to everybody who sees the arena, and ask people about it. It can't be hidden again.

    A published one is left as it is. Raises SubmissionError for one that was refused or withdrawn.
    """
    kept, system = _locked(submission)
    if system.standing == Standing.PRIVATE:
        system.published_at = timezone.now()
        _stand(system, Standing.PUBLISHED)
        if not kept.judges and kept.state == State.WAITING:
            kept.reason = NO_JUDGES
            kept.save(update_fields=["reason"])
        plan_pairs(arena=kept.arena, of=system)
        standings_changed.send(System, arena_id=kept.arena_id)
        note(arena=kept.arena, actor=actor, act="publish system", subject=str(system))
    elif system.standing == Standing.WITHDRAWN:
        raise SubmissionError(f"{system} was withdrawn: submit it again under another version.")
    return kept


@transaction.atomic
def withdraw(*, submission: Submission, actor: Any) -> Submission:
    """Take the system out: a private one is hidden for good, a published one gets no new battles.

    What was published stays in every table, as deprecated: a result can't be taken away because it doesn't
    suit. A hidden one goes on being counted among its owner's variants. May be repeated.
    """
    kept, system = _locked(submission)
    if system.standing == Standing.PRIVATE:
        _stand(system, Standing.WITHDRAWN)
        _end(kept, State.WITHDRAWN, "Its owner withdrew it before it was published.")
        note(arena=kept.arena, actor=actor, act="withdraw system", subject=str(system))
    elif system.standing == Standing.PUBLISHED:
        _stand(system, Standing.DEPRECATED)
        if kept.state in UNRANKED:
            _end(kept, State.CANCELLED, "Its owner deprecated the system.")
        plan_pairs(arena=kept.arena, of=system)
        standings_changed.send(System, arena_id=kept.arena_id)
        note(arena=kept.arena, actor=actor, act="deprecate system", subject=str(system))
    return kept


@transaction.atomic
def cancel(*, submission: Submission, actor: Any) -> Submission:
    """Plan no more battles for it; verdicts stay. A cancelled one is left as it is.

    Raises SubmissionError where there is nothing to cancel.
    """
    kept, system = _locked(submission)
    if kept.state == State.CANCELLED:
        return kept
    if kept.state not in (State.QUEUED, State.JUDGING, State.FAILED):
        raise SubmissionError(
            f"{kept} is {kept.get_state_display().lower()}: there is nothing to cancel."
        )
    _end(kept, State.CANCELLED, "It was cancelled; “Try again” goes on where it stopped.")
    note(arena=kept.arena, actor=actor, act="cancel submission", subject=str(system))
    return kept


@transaction.atomic
def retry(*, submission: Submission, actor: Any) -> Submission:
    """Go on with one that failed or was cancelled. One that is under way is left as it is."""
    kept, system = _locked(submission)
    if kept.is_under_way:
        return kept
    if kept.state not in (State.FAILED, State.CANCELLED, State.WAITING):
        raise SubmissionError(
            f"{kept} is {kept.get_state_display().lower()}: only one that failed or was cancelled is tried "
            "again."
        )
    policy = SubmissionPolicy.of(kept.arena)
    _begin(kept, policy, is_private=system.standing == Standing.PRIVATE)
    kept.attempts, kept.claimed_until, kept.error = 0, None, ""
    kept.ended_at = kept.mailed_at = None
    kept.save()
    note(arena=kept.arena, actor=actor, act="retry submission", subject=str(system))
    submission_changed.send(Submission, arena_id=kept.arena_id, submission_id=kept.pk)
    return kept


def variants_behind(system: System) -> int | None:
    """How many hidden systems its owner has in the arena, withdrawn ones too; None where nobody owns it."""
    if system.owner_id is None:
        return None
    hidden = System.objects.filter(
        arena=system.arena_id, owner=system.owner_id, standing__in=HIDDEN
    )
    return hidden.count()


def queued_before(submission: Submission) -> int:
    """How many submissions of the site are worked on before this one."""
    under_way = Submission.objects.filter(state__in=[State.QUEUED, State.JUDGING])
    return under_way.filter(pk__lt=submission.pk).count()


# --- what the verbs share ---------------------------------------------------------------------------------


def _allowed(arena: Arena, owner: Any) -> SubmissionPolicy:
    if refusal := may_submit(owner, arena, role=role_of(owner, arena)):
        raise SubmissionError(refusal, forbidden=True)
    return SubmissionPolicy.of(arena)


def _key(
    about: Mapping[str, Any], content: bytes, *, kind: str, private: bool, follows: System | None
) -> str:
    said = {name: str(value) for name, value in about.items() if value not in ("", None)}
    whole = json.dumps([said, kind, private, follows.pk if follows else None], sort_keys=True)
    hasher = hashlib.sha256(whole.encode("utf-8", "surrogatepass"))
    hasher.update(b"\0")
    hasher.update(content)
    return hasher.hexdigest()


def _there(arena: Arena, owner: Any, key: str) -> Submission | None:
    found = Submission.objects.filter(arena=arena, owner=owner, key=key)
    return found.exclude(state=State.REFUSED).select_related("system").first()


def _read(
    about: Mapping[str, Any], content: bytes, *, file_name: str, kind: str
) -> tuple[SubmissionFile, dict[str, Any]]:
    """The file, and what is said of the system: a name that isn't given is the file's."""
    file = read_submission(content, name=file_name, kind=kind)
    complete = dict(about)
    if not complete.get("name"):
        complete["name"] = file.system[: System._meta.get_field("name").max_length]
    if not complete["name"]:
        raise UploadError([Problem(0, "The system has no name: say how it is called.")])
    return file, complete


def _look_at_version(owner: Any, arena: Arena, follows: System | None) -> None:
    if follows is not None and (follows.arena_id, follows.owner_id) != (arena.pk, owner.pk):
        raise SubmissionError(
            "Only a system of your own in this arena can have a new version submitted by you.",
            forbidden=True,
        )


def _not_refused_too_often(arena: Arena, owner: Any, policy: SubmissionPolicy) -> None:
    since = timezone.now() - timedelta(days=1)
    refused = Submission.objects.filter(
        arena=arena, owner=owner, state=State.REFUSED, created_at__gte=since
    )
    if refused.count() >= policy.most_refused_a_day:
        oldest = refused.order_by("pk").values_list("created_at", flat=True)[0]
        wait = max(1, int((oldest - since).total_seconds()))
        raise SubmissionError(
            f"{policy.most_refused_a_day} submissions of yours were refused within a day. Check the next "
            "one without sending it (a dry run), and send it later.",
            wait=wait,
        )


def _within_quotas(arena: Arena, owner: Any, policy: SubmissionPolicy, *, private: bool) -> None:
    """Refused submissions don't count."""
    since = timezone.now() - timedelta(days=7)
    lately = Submission.objects.filter(arena=arena, owner=owner, created_at__gte=since).exclude(
        state=State.REFUSED
    )
    if lately.count() >= policy.most_a_week:
        oldest = lately.order_by("pk").values_list("created_at", flat=True).first()
        wait = max(1, int((oldest - since).total_seconds())) if oldest else 7 * 86_400
        raise SubmissionError(
            f"This arena takes at most {policy.most_a_week} submissions of one account in a week: the next "
            "one later.",
            wait=wait,
        )
    if private:
        hidden = System.objects.filter(arena=arena, owner=owner, standing__in=HIDDEN).count()
        if hidden >= policy.most_private:
            raise SubmissionError(
                f"This arena lets one account have {policy.most_private} systems that aren’t published, "
                f"and you have {hidden}, those that you withdrew counted too: publish one of them, or submit "
                "this one to be published at once."
            )


def _refuse(
    arena: Arena,
    owner: Any,
    key: str,
    about: Mapping[str, Any],
    file_name: str,
    error: UploadError,
) -> None:
    """Keep what was wrong, so that it can be looked at later and counts towards the cap."""
    error.submission = Submission.objects.create(  # type: ignore[attr-defined]
        arena=arena,
        owner=owner,
        key=key,
        state=State.REFUSED,
        reason="There are problems in what was sent; nothing was stored.",
        about=_plain(about),
        file_name=file_name[:200],
        problems=[problem.by_line() for problem in error.problems[:MOST_PROBLEMS]],
        n_problems=error.count,
        ended_at=timezone.now(),
    )


def _plain(about: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value)[:2_000] for name, value in about.items() if value not in ("", None)}


@transaction.atomic
def _store(
    *,
    arena: Arena,
    owner: Any,
    key: str,
    about: Mapping[str, Any],
    checked: Checked,
    policy: SubmissionPolicy,
    file_name: str,
    private: bool,
    follows: System | None,
    wants_mail: bool,
    origin: str,
) -> Received:
    # Of two at once one waits here, and then sees what the other has done.
    arena = Arena.objects.select_for_update().get(pk=arena.pk)
    if there := _there(arena, owner, key):
        return Received(there, is_new=False, warnings=[])
    _within_quotas(arena, owner, policy, private=private)
    if System.objects.filter(arena=arena, name=about["name"], version=about["version"]).exists():
        raise UploadError([name_taken(about)])
    system = create_system(
        arena=arena,
        actor=owner,
        standing=Standing.PRIVATE if private else Standing.PUBLISHED,
        standing_since=timezone.now(),
        follows=follows,
        **about,
    )
    newest = newest_output()
    Output.objects.bulk_create(
        (
            Output(
                arena=arena,
                system=system,
                prompt_id=prompt,
                text=row.text,
                tokens=row.tokens,
                latency_ms=row.latency_ms,
                cost=row.cost,
                leak=checked.leaks.get(row.line, "")[:200],
            )
            for row, prompt in checked.plan.new
        ),
        batch_size=BATCH,
    )
    submission = Submission(
        arena=arena,
        system=system,
        owner=owner,
        key=key,
        about=_plain(about),
        file_name=file_name[:200],
        n_outputs=len(checked.plan.new),
        n_prompts=checked.n_prompts,
        problems=[problem.by_line() for problem in checked.warnings],
        wants_mail=wants_mail,
        origin=origin[:200],
    )
    _begin(submission, policy, is_private=private)
    submission.save()
    note(
        arena=arena,
        actor=owner,
        act="submit system",
        subject=str(system),
        outputs=submission.n_outputs,
        private=private,
    )
    follow_outputs(arena=arena, after=newest, of=system)
    if not private:
        standings_changed.send(System, arena_id=arena.pk)
    submission_changed.send(Submission, arena_id=arena.pk, submission_id=submission.pk)
    return Received(submission, is_new=True, warnings=list(checked.warnings))


def _begin(submission: Submission, policy: SubmissionPolicy, *, is_private: bool) -> None:
    """How it is to be ranked, as the arena has it now. The caller saves."""
    submission.judges = list(policy.judges)
    submission.battles_wanted, submission.width_wanted = policy.battles, policy.width
    if policy.judges:
        submission.state, submission.reason = State.QUEUED, ""
    else:
        submission.state = State.WAITING
        submission.reason = NO_JUDGES_PRIVATE if is_private else NO_JUDGES


def _locked(submission: Submission) -> tuple[Submission, System]:
    """Both rows as they are now, kept from others until the transaction ends."""
    # The arena first, as everywhere: nobody waits for somebody who waits for them.
    Arena.objects.select_for_update().get(pk=submission.arena_id)
    kept = (
        Submission.objects.select_for_update(of=("self",))
        .select_related("arena")
        .get(pk=submission.pk)
    )
    if kept.system_id is None:
        raise SubmissionError(f"{kept} was refused: mend what was wrong and submit it again.")
    return kept, System.objects.select_for_update(of=("self",)).get(pk=kept.system_id)


def _stand(system: System, standing: Standing) -> None:
    system.standing, system.standing_since = standing, timezone.now()
    system.save(update_fields=["standing", "standing_since", "published_at"])


def _end(submission: Submission, state: str, reason: str) -> None:
    submission.state, submission.reason, submission.ended_at = state, reason, timezone.now()
    submission.save(update_fields=["state", "reason", "ended_at"])
    submission_changed.send(Submission, arena_id=submission.arena_id, submission_id=submission.pk)
