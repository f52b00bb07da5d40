"""The page on which people vote: a ballot, the decision, and what it was about.

A page knows a ballot by its key alone. Neither systems nor the order in which the battle is stored can be
read from it before the vote.
"""

from typing import NamedTuple
from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from arena.access import may_vote, visible_arena
from arena.fragments import answers_in_parts, wants_part
from arena.models import Arena, System
from arena.policies import Policy
from judges.ballots import (
    BallotDecided,
    BallotError,
    ballot_by_key,
    cast_ballot,
    last_decided,
    mark_shown,
    next_ballot,
    prepare_next,
    progress,
    skip_ballot,
    undo_ballot,
)
from judges.exclusions import by_excluded_voter
from judges.limits import TooManyVotes, check_limits, network_of
from judges.models import Ballot, Judge, Outcome, Verdict, Voter
from judges.vote_forms import PLACES, BallotForm, side_at
from judges.voters import remember_voter, voter_of, voters_of

# One ordinary ballot in this many isn't revealed where there are gold items, which never are: so a ballot
# without a reveal isn't known to be a gold item.
ONE_IN_UNREVEALED = 8
ORDER = (Outcome.A, Outcome.B, Outcome.TIE, Outcome.BOTH_BAD)


class Side(NamedTuple):
    place: str
    letter: str
    text: str
    system: System | None  # None until it is revealed


class Face(NamedTuple):
    """A ballot as it is seen."""

    key: UUID
    messages: list[dict]
    sides: list[Side]


@require_safe
@never_cache
@answers_in_parts
def vote(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    if why_not := may_vote(request.user, place):
        return _refused(request, place, why_not)
    voter = voter_of(request, place, create=True)
    return remember_voter(request, _open(request, place, voter))


@require_safe
@never_cache
def following(request: HttpRequest, arena: str, key: UUID) -> HttpResponse:
    """The ballot after this one, as a part, fetched while this one is read. 204 when nothing is left."""
    place, ballot = _ballot_or_404(request, arena, key)
    after = prepare_next(ballot=ballot)
    if after is None:
        return HttpResponse(status=204)
    return render(request, "judges/_ballot.html", _context(request, place, after))


@require_POST
def shown(request: HttpRequest, arena: str, key: UUID) -> HttpResponse:
    """A ballot that had been fetched before is on the screen now."""
    _, ballot = _ballot_or_404(request, arena, key)
    mark_shown(ballot)
    return HttpResponse(status=204)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@answers_in_parts
def cast(request: HttpRequest, arena: str, key: UUID) -> HttpResponse:
    """POST decides a ballot; GET shows what was decided."""
    place, ballot = _ballot_or_404(request, arena, key)
    if request.method != "POST":
        return _revealed(request, place, ballot)
    if why_not := may_vote(request.user, place):
        return _refused(request, place, why_not)
    form = BallotForm(request.POST, arena=place)
    if not form.is_valid():
        return _again(request, place, ballot, form, status=422)
    try:
        if ballot.state == Ballot.State.OPEN:
            check_limits(voter=ballot.voter, network=network_of(request))
        ballot = cast_ballot(
            ballot=ballot, **form.decision(ballot=ballot), network=network_of(request)
        )
    except TooManyVotes as error:
        return _again(request, place, ballot, form, problem=str(error), wait=error.seconds)
    except BallotError as error:
        return _again(request, place, ballot, form, problem=str(error), status=422)
    except BallotDecided as error:
        return _decided_otherwise(request, place, error)
    if wants_part(request):
        return _revealed(request, place, ballot)
    return redirect("judges:vote-cast", place.slug, ballot.key)


@require_POST
def skip(request: HttpRequest, arena: str, key: UUID) -> HttpResponse:
    place, ballot = _ballot_or_404(request, arena, key)
    if why_not := may_vote(request.user, place):
        return _refused(request, place, why_not)
    try:
        if ballot.state == Ballot.State.OPEN:
            check_limits(voter=ballot.voter, network=network_of(request))
        skip_ballot(ballot=ballot, network=network_of(request))
    except TooManyVotes as error:
        form = BallotForm(request.POST, arena=place)
        return _again(request, place, ballot, form, problem=str(error), wait=error.seconds)
    except BallotDecided as error:
        return _decided_otherwise(request, place, error)
    return _onward(request, place, ballot.voter, "Skipped. This battle doesn’t come back to you.")


@require_POST
def undo(request: HttpRequest, arena: str, key: UUID) -> HttpResponse:
    place, ballot = _ballot_or_404(request, arena, key)
    if why_not := may_vote(request.user, place):
        return _refused(request, place, why_not)
    undo_ballot(ballot=ballot)
    return _onward(request, place, ballot.voter, "Taken back. Here is the battle again.")


@require_safe
@never_cache
def text(request: HttpRequest, arena: str, key: UUID, part: str) -> HttpResponse:
    """A text of a ballot to the letter: what the page shows in part."""
    _, ballot = _ballot_or_404(request, arena, key)
    face = _face(ballot)
    if part == "prompt":
        whole = "\n\n".join(
            f"[{message.get('role', '')}]\n{message.get('content', '')}"
            for message in face.messages
        )
    else:
        whole = next((side.text for side in face.sides if side.place == part), None)
    if whole is None:
        raise Http404("A ballot has a prompt, a first and a second output.")
    response = HttpResponse(
        str(whole).encode("utf-8", "replace"), content_type="text/plain; charset=utf-8"
    )
    response.headers["X-Robots-Tag"] = "noindex"
    return response


# --- parts ------------------------------------------------------------------------------------------------


def _ballot_or_404(request: HttpRequest, arena: str, key: UUID) -> tuple[Arena, Ballot]:
    place = visible_arena(request.user, arena)
    voter = voter_of(request, place)
    ballot = ballot_by_key(key=key, voter=voter) if voter else None
    if ballot is None:
        raise Http404(
            "This ballot isn’t yours, or it lay open for more than a day and was given up. "
            "Nothing was cast: open the vote page for another."
        )
    return place, ballot


def _open(request: HttpRequest, place: Arena, voter: Voter, *, said: str = "") -> HttpResponse:
    """The ballot that lies open before the voter, or that nothing is left."""
    ballot = next_ballot(arena=place, voter=voter)
    if ballot is None:
        context = {
            "arena": place,
            "last": last_decided(voter=voter),
            "progress": progress(arena=place, voter=voter),
            "said": said,
        }
        return _render(request, "judges/_vote_done.html", context)
    mark_shown(ballot)
    return _render(
        request, "judges/_ballot.html", _context(request, place, ballot) | {"said": said}
    )


def _onward(request: HttpRequest, place: Arena, voter: Voter, said: str) -> HttpResponse:
    if wants_part(request):
        return _open(request, place, voter, said=said)
    messages.info(request, said)
    return redirect("judges:vote", place.slug)


def _decided_otherwise(request: HttpRequest, place: Arena, error: BallotDecided) -> HttpResponse:
    """The first decision counts; the page shows it."""
    if wants_part(request):
        if error.ballot.state == Ballot.State.VOTED:
            return _revealed(request, place, error.ballot, said=str(error))
        return _open(request, place, error.ballot.voter, said=str(error))
    messages.warning(request, str(error))
    return redirect("judges:vote", place.slug)


def _again(
    request: HttpRequest,
    place: Arena,
    ballot: Ballot,
    form: BallotForm,
    *,
    problem: str = "",
    status: int = 429,
    wait: int = 0,
) -> HttpResponse:
    """The same ballot with what was typed, and why it wasn't taken."""
    if ballot.state != Ballot.State.OPEN:
        return _onward(request, place, ballot.voter, "You have decided this battle already.")
    context = _context(request, place, ballot, form=form) | {
        "problem": f"{problem} What you filled in is kept." if problem else ""
    }
    response = _render(request, "judges/_ballot.html", context, status=status)
    if wait:
        response.headers["Retry-After"] = str(wait)
    return response


def _revealed(
    request: HttpRequest, place: Arena, ballot: Ballot, *, said: str = ""
) -> HttpResponse:
    if ballot.state != Ballot.State.VOTED:
        return redirect("judges:vote", place.slug)
    is_revealed = _is_revealed(place, ballot)
    face = _face(ballot, reveals=is_revealed)
    context = {
        "arena": place,
        "ballot": face,
        "said": said,
        "is_revealed": is_revealed,
        "mine": _in_names(ballot.outcome, face, ballot),
        "progress": progress(arena=place, voter=ballot.voter),
    }
    if is_revealed:
        counts = _others(ballot)
        words = [
            (_in_names(outcome, face, ballot), counts[outcome])
            for outcome in ORDER
            if counts.get(outcome)
        ]
        context |= {"battle": ballot.battle, "others": words, "n_others": sum(counts.values())}
    return _render(request, "judges/_reveal.html", context)


def _refused(request: HttpRequest, place: Arena, why_not: str) -> HttpResponse:
    context = {"arena": place, "why_not": why_not}
    return _render(request, "judges/_vote_refused.html", context)


def _render(request: HttpRequest, part: str, context: dict, *, status: int = 200) -> HttpResponse:
    """The part to htmx, else the page around it."""
    if wants_part(request):
        return render(request, part, context, status=status)
    return render(request, "judges/vote.html", context | {"part": part}, status=status)


def _context(
    request: HttpRequest, place: Arena, ballot: Ballot, *, form: BallotForm | None = None
) -> dict:
    return {
        "arena": place,
        "ballot": _face(ballot),
        "form": form or BallotForm(arena=place),
        "last": last_decided(voter=ballot.voter),
        "progress": progress(arena=place, voter=ballot.voter),
    }


def _face(ballot: Ballot, *, reveals: bool = False) -> Face:
    source = ballot.battle or ballot.gold_item
    sides = []
    for place, letter in zip(PLACES, "AB", strict=True):
        stored = side_at(place, ballot=ballot)
        output = getattr(source, f"output_{stored}")
        system = getattr(source, f"system_{stored}") if reveals else None
        sides.append(Side(place, letter, output if ballot.gold_item else output.text, system))
    if ballot.gold_item:
        prompt = [{"role": "user", "content": ballot.gold_item.prompt}]
    else:
        prompt = source.prompt.messages
    return Face(ballot.key, prompt, sides)


def _is_revealed(place: Arena, ballot: Ballot) -> bool:
    if ballot.gold_item_id:
        return False
    return not Policy.of(place).gold_share or ballot.key.int % ONE_IN_UNREVEALED != 0


def _others(ballot: Ballot) -> dict[int, int]:
    """What other people decided on the battle: outcome → count of verdicts that count."""
    verdicts = (
        Verdict.objects.filter(
            battle_id=ballot.battle_id,
            judge__kind=Judge.Kind.CROWD,
            criterion="",
            retraction=None,
        )
        .exclude(voter__in=voters_of(ballot.voter))
        .exclude(by_excluded_voter())
        .order_by()
    )
    counted = verdicts.values("outcome").annotate(n=Count("pk"))
    return dict(counted.values_list("outcome", "n"))


def _in_names(outcome: int, face: Face, ballot: Ballot) -> str:
    for side in face.sides:
        stored = side_at(side.place, ballot=ballot)
        if Outcome(outcome) == {"a": Outcome.A, "b": Outcome.B}[stored]:
            return f"{side.system or side.letter} is better"
    return Outcome(outcome).label
