"""The page on which people vote: a ballot, the decision, and what it was about.

A page knows a ballot by its key alone, and the answers by their place on the screen. Neither systems nor
the order in which the battle is stored can be read from it before the vote.
"""

from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena.access import may_vote, visible_arena
from arena.fragments import answers_in_parts, wants_part
from arena.models import Arena, System
from judges.ballots import (
    LONGEST_COMMENT,
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
from judges.voters import remember_voter, voter_of, voters_of
from judges.wording import counts_in_words

PLACES = ("first", "second")
LETTERS = "AB"
SKIP = "skip"
# The leftmost place of the slider, below the 50 % of a guess.
NOT_STATED = 45


class Choice(NamedTuple):
    value: str
    label: str
    key: str


CHOICES = (
    Choice("first", "A is better", "a"),
    Choice("second", "B is better", "b"),
    Choice("tie", "Tie", "t"),
    Choice("both_bad", "Both bad", "x"),
)
AS_SEEN = dict(zip((choice.value for choice in CHOICES), Outcome, strict=True))


class Answer(NamedTuple):
    place: str
    letter: str
    text: str
    chosen_reasons: list[str]


class Criterion(NamedTuple):
    number: int
    name: str
    chosen: str


class Unmasked(NamedTuple):
    letter: str
    system: System
    is_chosen: bool


@require_safe
@never_cache
@answers_in_parts
def vote(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    if why_not := may_vote(request.user, place):
        return _closed(request, place, why_not)
    voter = voter_of(request, place, create=True)
    return remember_voter(request, _stage(request, place, voter))


@require_safe
@never_cache
def following(request: HttpRequest, arena: str, key: UUID) -> HttpResponse:
    """The ballot after the one that is on the screen now, as a part; 204 when nothing is left."""
    place = visible_arena(request.user, arena)
    ballot = _ballot_or_404(request, place, key)
    if may_vote(request.user, place):
        return HttpResponse(status=204)
    if ballot.state == Ballot.State.OPEN:
        mark_shown(ballot)
    after = prepare_next(ballot=ballot)
    if after is None:
        return HttpResponse(status=204)
    return render(request, "judges/_ballot.html", _of_ballot(place, after))


@require_POST
@never_cache
@answers_in_parts
def cast(request: HttpRequest, arena: str) -> HttpResponse:
    """Decide a ballot, or skip it."""
    place = visible_arena(request.user, arena)
    if why_not := may_vote(request.user, place):
        return _closed(request, place, why_not)
    ballot = _ballot(request, place, request.POST.get("ballot", ""))
    if ballot is None:
        return _unknown(request, place)
    given, network = request.POST, network_of(request)
    outcome = given.get("outcome", "")
    try:
        if outcome != SKIP and outcome not in AS_SEEN:
            raise BallotError("Choose one of the four: A, B, a tie, or both bad.")
        if ballot.state == Ballot.State.OPEN:
            check_limits(voter=ballot.voter, network=network)
        if outcome == SKIP:
            skip_ballot(ballot=ballot, network=network)
            return _onward(request, place, ballot.voter, "Skipped. It won’t come back to you.")
        ballot = cast_ballot(
            ballot=ballot,
            outcome=_stored(outcome, ballot),
            criteria=_criteria(given, place, ballot),
            reasons={_side(where, ballot): given.getlist(f"reasons-{where}") for where in PLACES},
            comment=given.get("comment", "").replace("\x00", "").strip()
            if place.asks_comment
            else "",
            certainty=_certainty(given, place),
            network=network,
        )
    except TooManyVotes as error:
        return _again(request, place, ballot, str(error), status=429, wait=error.seconds)
    except BallotError as error:
        return _again(request, place, ballot, str(error), status=422)
    except BallotDecided as error:
        messages.warning(request, str(error))
        ballot = error.ballot
    if wants_part(request) and ballot.state == Ballot.State.VOTED:
        return render(request, "judges/_reveal.html", _of_reveal(place, ballot) | {"is_part": True})
    return _go(request, reverse("judges:vote-reveal", args=[place.slug, ballot.key]))


@require_POST
@never_cache
@answers_in_parts
def undo(request: HttpRequest, arena: str) -> HttpResponse:
    """Take back the decision that the form names, else the last one."""
    place = visible_arena(request.user, arena)
    if why_not := may_vote(request.user, place):
        return _closed(request, place, why_not)
    voter = voter_of(request, place)
    if voter is None:
        return _unknown(request, place)
    if "ballot" in request.POST:
        ballot = ballot_by_key(key=_key(request.POST["ballot"]), voter=voter)
    else:
        ballot = last_decided(voter=voter)
    was = ballot and ballot.state
    if ballot is None:
        said = "There is no vote of yours to take back."
    elif was == Ballot.State.OPEN:
        said = "That battle is still open: nothing was cast on it."
    elif undo_ballot(ballot=ballot) is not None:
        said = "Here is the battle again that you skipped."
    elif ballot.gold_item_id:
        said = "Your last answer counts in no ranking, so there is nothing to take back."
    else:
        said = (
            "Your vote was taken back and isn’t counted. That battle won’t come again: you have seen "
            "who wrote its answers."
        )
    return _onward(request, place, voter, said)


@require_safe
@never_cache
def reveal(request: HttpRequest, arena: str, key: UUID) -> HttpResponse:
    place = visible_arena(request.user, arena)
    ballot = _ballot_or_404(request, place, key)
    if ballot.state != Ballot.State.VOTED:
        return redirect("judges:vote", place.slug)
    return render(request, "judges/vote.html", _of_reveal(place, ballot))


# --- who asks, and for which ballot ---------------------------------------------------------------------


def _key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _ballot(request: HttpRequest, place: Arena, text: str) -> Ballot | None:
    voter, key = voter_of(request, place), _key(text)
    return ballot_by_key(key=key, voter=voter) if voter and key else None


def _ballot_or_404(request: HttpRequest, place: Arena, key: UUID) -> Ballot:
    ballot = _ballot(request, place, str(key))
    if ballot is None:
        raise Http404("This ballot isn’t yours, or it lay open too long and was given up.")
    return ballot


# --- answers --------------------------------------------------------------------------------------------


def _stage(request: HttpRequest, place: Arena, voter: Voter, said: str = "") -> HttpResponse:
    """The ballot that lies open before the voter, or that nothing is left."""
    ballot = next_ballot(arena=place, voter=voter)
    context = {
        "arena": place,
        "progress": progress(arena=place, voter=voter),
        "said": said,
        "is_part": wants_part(request),
    }
    part = "judges/_vote_end.html"
    if ballot is None:
        context["has_begun"] = last_decided(voter=voter) is not None
    else:
        mark_shown(ballot)
        context |= _of_ballot(place, ballot)
        part = "judges/_ballot.html"
    return render(request, part if context["is_part"] else "judges/vote.html", context)


def _onward(request: HttpRequest, place: Arena, voter: Voter, said: str) -> HttpResponse:
    if wants_part(request):
        return _stage(request, place, voter, said)
    messages.info(request, said)
    return redirect("judges:vote", place.slug)


def _again(
    request: HttpRequest, place: Arena, ballot: Ballot, problem: str, *, status: int, wait: int = 0
) -> HttpResponse:
    """The same ballot with what was typed, and why it wasn't taken. htmx shows only what went well."""
    if ballot.state != Ballot.State.OPEN:
        return _onward(request, place, ballot.voter, "You have decided this battle already.")
    context = _of_ballot(place, ballot, request.POST) | {"problem": problem}
    context["progress"] = progress(arena=place, voter=ballot.voter)
    if wants_part(request):
        response = render(request, "judges/_ballot.html", context | {"is_part": True})
    else:
        response = render(request, "judges/vote.html", context, status=status)
    if wait:
        response.headers["Retry-After"] = str(wait)
    return response


def _closed(request: HttpRequest, place: Arena, reason: str) -> HttpResponse:
    if wants_part(request):
        return _go(request, reverse("judges:vote", args=[place.slug]))
    context = {"arena": place, "reason": reason}
    status = 403 if request.method == "POST" else 200
    return render(request, "judges/vote_closed.html", context, status=status)


def _unknown(request: HttpRequest, place: Arena) -> HttpResponse:
    messages.warning(
        request,
        "That ballot isn’t yours, or it lay open too long. Nothing was cast; here is the next one. "
        "If this comes up again, let your browser keep this site’s cookies.",
    )
    return _go(request, reverse("judges:vote", args=[place.slug]))


def _go(request: HttpRequest, address: str) -> HttpResponse:
    if wants_part(request):
        return HttpResponse(status=200, headers={"HX-Redirect": address})
    return redirect(address)


# --- what is seen ---------------------------------------------------------------------------------------


def _of_ballot(place: Arena, ballot: Ballot, given: QueryDict | None = None) -> dict[str, Any]:
    """What the page of a ballot shows, with what was filled in so far."""
    given = QueryDict() if given is None else given
    source = ballot.battle or ballot.gold_item
    answers = []
    for where, letter in zip(PLACES, LETTERS, strict=True):
        output = getattr(source, f"output_{_side(where, ballot)}")
        text = output if ballot.gold_item else output.text
        answers.append(Answer(where, letter, text, given.getlist(f"reasons-{where}")))
    prompt = source.prompt if ballot.gold_item else source.prompt.messages
    if ballot.gold_item:
        prompt = [{"role": "user", "content": prompt}]
    return {
        "arena": place,
        "ballot": ballot,
        "prompt_messages": prompt,
        "answers": answers,
        "choices": CHOICES,
        "criteria": [
            Criterion(number, str(name), given.get(f"criterion-{number}", ""))
            for number, name in enumerate(place.criteria)
        ],
        "not_stated": NOT_STATED,
        "certainty": given.get("certainty", NOT_STATED),
        "comment": given.get("comment", ""),
        "longest_comment": LONGEST_COMMENT,
    }


def _of_reveal(place: Arena, ballot: Ballot) -> dict[str, Any]:
    """What is told after the vote: of a gold item nothing, so that its answer can't be passed on."""
    context = {
        "arena": place,
        "ballot": ballot,
        "is_revealed": True,
        "progress": progress(arena=place, voter=ballot.voter),
    }
    if ballot.gold_item_id:
        return context
    seen = _seen(ballot.outcome, ballot)
    counts = {_seen(outcome, ballot): n for outcome, n in _others(ballot).items()}
    n = sum(counts.values())
    return context | {
        "battle": ballot.battle,
        "decision": seen.label,
        "sides": [
            Unmasked(
                letter,
                getattr(ballot.battle, f"system_{_side(where, ballot)}"),
                seen == AS_SEEN[where],
            )
            for where, letter in zip(PLACES, LETTERS, strict=True)
        ],
        "others": [f"Other people: {counts_in_words(counts)} (n = {n:,})."] if n else [],
    }


def _others(ballot: Ballot) -> dict[int, int]:
    """What other people decided on the battle, in its orientation: outcome → verdicts that count."""
    verdicts = (
        Verdict.objects.filter(
            battle_id=ballot.battle_id, judge__kind=Judge.Kind.CROWD, criterion="", retraction=None
        )
        .exclude(voter__in=voters_of(ballot.voter).values("pk"))
        .exclude(by_excluded_voter())
    )
    counted = verdicts.order_by().values("outcome").annotate(n=Count("pk"))
    return dict(counted.values_list("outcome", "n"))


# --- from places to the battle's orientation, and back --------------------------------------------------


def _side(where: str, ballot: Ballot) -> str:
    """The side, "a" or "b", that is shown at a place."""
    return "ab"[PLACES.index(where) ^ ballot.shown_first]


def _seen(outcome: int, ballot: Ballot) -> Outcome:
    """A stored outcome by the letters on the screen. The same exchange leads back."""
    return Outcome(outcome).mirrored if ballot.shown_first else Outcome(outcome)


def _stored(choice: str, ballot: Ballot) -> Outcome:
    return _seen(AS_SEEN[choice], ballot)


def _criteria(given: QueryDict, place: Arena, ballot: Ballot) -> dict[str, Outcome]:
    chosen = {
        str(name): given.get(f"criterion-{number}", "")
        for number, name in enumerate(place.criteria)
    }
    return {name: _stored(choice, ballot) for name, choice in chosen.items() if choice in AS_SEEN}


def _certainty(given: QueryDict, place: Arena) -> float | None:
    """Between .5, a guess, and 1; None where it isn't asked or stated."""
    typed = given.get("certainty", "")
    if not place.asks_certainty or not (typed.isascii() and typed.isdigit()):
        return None
    share = int(typed[:4]) / 100
    return share if 0.5 <= share <= 1 else None
