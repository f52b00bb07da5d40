"""A submitted system on its way to a place: which battles next, and when they are enough.

A step looks at what the ranking judge has said so far, keeps the provisional place, and either ends the
submission or plans another round of battles. Programs answer within the step; models answer in runs that wait
for the next one (``judges.runs.rounds``). The submission's row is the record of all: a step that was killed is
done again, and finds the battles that it made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from arena.models import Submission
from judges import placing
from judges.derivations import DerivationError
from judges.models import Judge
from judges.runs.errors import RunError
from ratings.slices import Slice

State = Submission.State
WORKED_ON = (State.QUEUED, State.JUDGING)
MAX_ATTEMPTS = 3
LEAST_VERDICTS = 20  # on fewer no place is called narrow enough
SECONDS_BETWEEN = 2  # where a jury is being derived by another worker


@dataclass(frozen=True, slots=True)
class Place:
    """Where a system stands by one judge; ratings on the Elo scale, with 95 % intervals."""

    rating: float
    lower: float
    upper: float
    rank_lower: int
    rank_upper: int
    n_ranked: int
    n_verdicts: int

    @property
    def width(self) -> float:
        return self.upper - self.lower


def place_soon(key: int) -> None:
    """Once the transaction in which it was accepted is committed."""
    transaction.on_commit(partial(_queue, key))


def sweep() -> int:
    """Ask for the steps whose message or worker was lost, and for those that people's votes may have moved."""
    waiting = Submission.objects.filter(state=State.WAITING).exclude(judges=[])
    keys = list(
        Submission.objects.unclaimed().filter(state__in=WORKED_ON).values_list("pk", flat=True)
    ) + list(waiting.values_list("pk", flat=True))
    for key in keys:
        _queue(key)
    return len(keys)


def _queue(key: int, *, countdown: float = 0) -> None:
    from ratings.tasks import place_submission

    place_submission.apply_async(args=[key], countdown=countdown)


def step(key: int) -> bool:
    """Take a submission as far as it goes now; whether there was anything to do and nobody else was at it."""
    rows = Submission.objects.filter(pk=key, state__in=(*WORKED_ON, State.WAITING)).exclude(
        judges=[]
    )
    submission = rows.select_related("arena", "system").first()
    if submission is None or not _is_due(submission) or not rows.claim(key):
        return False
    submission.refresh_from_db(fields=["claimed_until", "attempts", "state"])
    lease = _Lease(submission)
    try:
        if submission.attempts > MAX_ATTEMPTS:
            lease.end(
                State.FAILED,
                f"Judging was begun {MAX_ATTEMPTS} times and never came to an end. "
                + (submission.error or "The workers died at it; their log says why."),
            )
        else:
            _go_on(submission, lease)
    except (placing.PlacingError, RunError) as error:
        lease.end(State.FAILED, str(error))
    except DerivationError:
        # A worker derives the jury's verdicts just now.
        lease.release()
        _queue(key, countdown=SECONDS_BETWEEN)
    except Exception as error:
        lease.keep_error(f"{type(error).__name__}: {error}")
        raise
    return True


def _is_due(submission: Submission) -> bool:
    """One that waits for people is looked at again when its judge has decided more."""
    if submission.state != State.WAITING:
        return True
    judge = Judge.objects.filter(arena=submission.arena, slug=submission.judges[0]).first()
    return judge is not None and placing.n_judged(submission, judge) > submission.n_judged


def _go_on(submission: Submission, lease: "_Lease") -> None:
    panel = placing.panel_of(submission)
    lease.write(state=State.JUDGING, reason="")
    # The same battles asked again ask what is open: after a worker died, or a run began to wait.
    placing.ask(submission=submission, panel=panel)
    while not placing.is_busy(submission):
        placing.follow(submission=submission, panel=panel)
        tallied = _tallied(submission, panel.ranking)
        place = tallied.place()
        n, judged = placing.n_battles(submission), placing.n_judged(submission, panel.ranking)
        is_stuck = _gave_nothing(submission, place, panel, n)
        lease.note(place, panel.ranking, n_battles=n, n_judged=judged)
        if said := _enough(submission, place, n):
            lease.end(State.RANKED, said)
            placing.end(submission=submission, said=said)
            return
        if stopped := placing.what_stopped(submission):
            lease.end(State.FAILED, stopped)
            return
        if is_stuck:
            failures = " ".join(placing.has_failures(submission))
            lease.end(
                State.FAILED,
                f"A whole round of battles came to no verdict of {panel.ranking}. {failures}".strip(),
            )
            return
        room = placing.open_battles(submission)
        size = min(tallied.round_size(submission.width_wanted), submission.battles_wanted - n)
        if size <= 0 or not room:
            _end_for_lack(submission, lease, place, panel, judged=judged, n=n, room=room)
            return
        wanted = tallied.wanted(room, size)
        if not placing.plan_battles(submission=submission, wanted=wanted):
            raise placing.PlacingError("No battle could be planned: see the worker's log.")
        lease.write(n_battles=placing.n_battles(submission))
        placing.ask(submission=submission, panel=panel)
    lease.note_progress(
        n_judged=placing.n_judged(submission, panel.ranking),
        reason=f"{panel.ranking} is deciding." if panel.derived else "",
    )
    lease.release()


def _gave_nothing(
    submission: Submission, place: Place | None, panel: placing.Panel, n: int
) -> bool:
    """Whether battles were planned since the last round, and none was decided: more wouldn't be either.

    A cascade may leave a round to people.
    """
    last = submission.rounds[-1] if submission.rounds else {"n_battles": 0, "n_verdicts": 0}
    n_verdicts = place.n_verdicts if place else 0
    is_patient = panel.ranking.kind == Judge.Kind.CASCADE
    return n > last["n_battles"] and n_verdicts == last["n_verdicts"] and not is_patient


def _enough(submission: Submission, place: Place | None, n: int) -> str:
    """Why it is enough; empty where it isn't."""
    if place is None or not n or place.n_verdicts < LEAST_VERDICTS:
        return ""
    wanted = submission.width_wanted
    if place.width < wanted:
        return f"Its 95 % interval is {place.width:.0f} rating points, under {wanted:g}."
    return ""


def _end_for_lack(
    submission: Submission,
    lease: "_Lease",
    place: Place | None,
    panel: placing.Panel,
    *,
    judged: int,
    n: int,
    room: Mapping[int, int],
) -> None:
    """No more battles are planned; what is undecided is left to people, or to nobody."""
    why = (
        f"The {submission.battles_wanted:,} battles that this arena spends on a system are planned"
        if room
        else "Every battle that there can be is planned"
        if n
        else "No published system answers the same prompts, so there is nobody to compare it with"
    )
    failures = " ".join(placing.has_failures(submission))
    if judged < n and panel.ranking.kind == Judge.Kind.CASCADE:
        lease.write(
            state=State.WAITING,
            reason=f"{n - judged:,} of its {n:,} battles are left to people. "
            + (
                "People are asked about published systems only: publish it, and they are."
                if submission.system and submission.system.is_hidden
                else "They are handed out to voters before others."
            ),
        )
        lease.release()
        placing.end(submission=submission, said=why)
    elif place is None or not judged:
        lease.end(
            State.FAILED, f"{why}, and {panel.ranking} decided none of them. {failures}".strip()
        )
        placing.end(submission=submission, said=why)
    else:
        said = (
            f"{why}; its 95 % interval is {place.width:.0f} rating points, not under "
            f"{submission.width_wanted:g}. {failures}"
        ).strip()
        lease.end(State.RANKED, said)
        placing.end(submission=submission, said=said)


@dataclass(frozen=True, slots=True)
class _Tallied:
    """What the ranking judge has said of the published systems and of the new one."""

    data: Any  # tallies, by prompt where there are prompts enough
    system_ids: Any  # (K,)
    new: int  # index
    found: Any  # placement.Provisional

    def place(self) -> Place | None:
        found = self.found
        if not found.n_verdicts:
            return None
        return Place(
            rating=round(found.rating, 2),
            lower=round(found.lower, 2),
            upper=round(found.upper, 2),
            rank_lower=found.rank_lower,
            rank_upper=found.rank_upper,
            n_ranked=found.n_ranked,
            n_verdicts=found.n_verdicts,
        )

    def round_size(self, width: float) -> int:
        from ratings.engine.placement import LEAST_IN_A_ROUND, round_size

        # One that is narrow on too few verdicts gets a small round.
        return max(LEAST_IN_A_ROUND, round_size(self.found, width=width))

    def wanted(self, room: Mapping[int, int], size: int) -> dict[int, int]:
        """How many of the next battles each opponent gets, by the system's id."""
        import numpy as np

        from ratings.engine.placement import plan_opponents

        possible = np.array([room.get(int(pk), 0) for pk in self.system_ids], dtype=np.int64)
        given = plan_opponents(self.data, new=self.new, possible=possible, size=size)
        return {int(pk): int(n) for pk, n in zip(self.system_ids, given, strict=True) if n}


def _tallied(submission: Submission, judge: Judge) -> _Tallied:
    import numpy as np

    from ratings import cells
    from ratings.engine.placement import provisional
    from ratings.snapshots import MIN_PROMPTS_TO_RESAMPLE

    counted = cells.count(
        arena=submission.arena, slice=Slice(judge=judge.slug), including=submission.system_id
    )
    by_prompt = counted.prompts_known and len(counted.prompt_ids) >= MIN_PROMPTS_TO_RESAMPLE
    at = int(np.flatnonzero(counted.system_ids == submission.system_id)[0])
    data = counted.clustered() if by_prompt else counted.tallies()
    try:
        found = provisional(data, new=at)
    except ValueError as error:
        raise placing.PlacingError(
            "No other system of this arena is published, so there is nobody to compare it with."
        ) from error
    return _Tallied(data, counted.system_ids, at, found)


class _Lease:
    """Our claim of the row, renewed while we work; what somebody cancelled meanwhile isn't written over."""

    def __init__(self, submission: Submission) -> None:
        self.submission, self.until = submission, submission.claimed_until

    def _mine(self) -> Any:
        return Submission.objects.filter(
            pk=self.submission.pk,
            claimed_until=self.until,
            state__in=(*WORKED_ON, State.WAITING),
        )

    def write(self, **fields: Any) -> None:
        until = timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)
        if not self._mine().update(claimed_until=until, **fields):
            raise placing.PlacingError("It was cancelled, or another worker has taken it over.")
        self.until = until
        for name, value in fields.items():
            setattr(self.submission, name, value)

    def note(self, place: Place | None, judge: Judge, *, n_battles: int, n_judged: int) -> None:
        """Keep the place, and those before it as rounds."""
        submission = self.submission
        now: dict[str, Any] = {}
        if place is not None:
            now = {
                "judge": judge.slug,
                "rating": place.rating,
                "lower": place.lower,
                "upper": place.upper,
                "width": round(place.width, 2),
                "rank_lower": place.rank_lower,
                "rank_upper": place.rank_upper,
                "n_ranked": place.n_ranked,
                "n_verdicts": place.n_verdicts,
                "n_battles": n_battles,
                "at": timezone.now().isoformat(timespec="seconds"),
            }
        rounds = list(submission.rounds)
        if now and (not rounds or rounds[-1]["n_verdicts"] != now["n_verdicts"]):
            rounds.append(now)
        self.write(
            place=now,
            rounds=rounds,
            n_battles=n_battles,
            n_judged=n_judged,
            cost=placing.cost_of(submission),
        )

    def note_progress(self, *, n_judged: int, reason: str) -> None:
        self.write(n_judged=n_judged, reason=reason, cost=placing.cost_of(self.submission))

    def release(self) -> None:
        self._mine().update(claimed_until=None, attempts=0, error="")

    def keep_error(self, error: str) -> None:
        self._mine().update(claimed_until=None, error=error)

    def end(self, state: str, reason: str) -> None:
        """Over, unless it was cancelled meanwhile; its owner is told."""
        from arena.submissions.mails import tell_owner

        ended = self._mine().update(
            state=state,
            reason=reason,
            claimed_until=None,
            attempts=0,
            ended_at=timezone.now(),
            cost=placing.cost_of(self.submission),
        )
        if ended:
            tell_owner(self.submission.pk)
