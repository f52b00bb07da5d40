"""The page on which people put a few outputs in order. Plain forms: a script only makes ordering quicker.

A page knows a ranking by its key alone and the outputs by their position; whose they are can't be read from it
before the order is given.
"""

from typing import NamedTuple
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena.access import may_vote, visible_arena
from arena.models import Arena, System
from judges.limits import TooManyVotes, check_limits, network_of
from judges.models import Ranking
from judges.rankings import (
    LONGEST_COMMENT,
    Others,
    RankingDecided,
    RankingError,
    cast_ranking,
    last_decided,
    mark_shown,
    next_ranking,
    others_on,
    ranked_today,
    ranking_by_key,
    skip_ranking,
    undo_ranking,
)
from judges.voters import remember_voter, voter_of

LETTERS = "ABCDE"
SKIP = "skip"
NOT_ASKED = (
    "Here nobody is asked to put outputs in order. Votes on battles are taken on their own page."
)


class Card(NamedTuple):
    position: int
    letter: str
    text: str
    place: str  # as it was chosen so far
    is_missing: bool


class Unmasked(NamedTuple):
    rank: int
    letter: str
    system: System
    others: Others | None


@require_safe
@never_cache
def rank(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    if why_not := _may_rank(request, place):
        return _closed(request, place, why_not)
    voter = voter_of(request, place, create=True)
    ranking = next_ranking(arena=place, voter=voter)
    if ranking is None:
        context = {"arena": place, "has_begun": last_decided(voter=voter) is not None}
        return remember_voter(request, render(request, "judges/rank_end.html", context))
    mark_shown(ranking)
    return remember_voter(request, _page(request, place, ranking))


@require_POST
@never_cache
def cast(request: HttpRequest, arena: str) -> HttpResponse:
    """Decide a ranking, or skip it."""
    place = visible_arena(request.user, arena)
    if why_not := _may_rank(request, place):
        return _closed(request, place, why_not)
    ranking = _ranking(request, place, request.POST.get("ranking", ""))
    if ranking is None:
        return _unknown(request, place)
    given, network = request.POST, network_of(request)
    try:
        if ranking.state == Ranking.State.OPEN:
            check_limits(voter=ranking.voter, network=network, of=Ranking)
        if given.get("act") == SKIP:
            skip_ranking(ranking=ranking, network=network)
            messages.info(request, "Skipped. These answers won’t come back to you.")
            return redirect("judges:rank", place.slug)
        ranking = cast_ranking(
            ranking=ranking,
            places=_places(given, ranking),
            comment=given.get("comment", "").replace("\x00", "").strip()
            if place.asks_comment
            else "",
            network=network,
        )
    except TooManyVotes as error:
        response = _page(request, place, ranking, given, problem=str(error), status=429)
        response.headers["Retry-After"] = str(error.seconds)
        return response
    except RankingError as error:
        if ranking.state == Ranking.State.OPEN:
            return _page(request, place, ranking, given, problem=str(error), status=422)
        messages.warning(request, str(RankingDecided(ranking)))
    except RankingDecided as error:
        messages.warning(request, str(error))
        ranking = error.ranking
    return redirect("judges:rank-reveal", place.slug, ranking.key)


@require_POST
@never_cache
def undo(request: HttpRequest, arena: str) -> HttpResponse:
    """Take back the order that the form names, else the last one."""
    place = visible_arena(request.user, arena)
    if why_not := _may_rank(request, place):
        return _closed(request, place, why_not)
    voter = voter_of(request, place)
    if voter is None:
        return _unknown(request, place)
    if "ranking" in request.POST:
        ranking = _ranking(request, place, request.POST["ranking"])
    else:
        ranking = last_decided(voter=voter)
    if ranking is None:
        messages.info(request, "There is no order of yours to take back.")
    elif undo_ranking(ranking=ranking) is not None:
        messages.info(request, "Here are the answers again that you skipped.")
    else:
        messages.info(
            request,
            "Your order was taken back and isn’t counted. Those answers won’t come again: you have "
            "seen who wrote them.",
        )
    return redirect("judges:rank", place.slug)


@require_safe
@never_cache
def reveal(request: HttpRequest, arena: str, key: UUID) -> HttpResponse:
    """Whose outputs they were, and where other people put them on average."""
    place = visible_arena(request.user, arena)
    ranking = _ranking(request, place, str(key))
    if ranking is None:
        raise Http404("This ranking isn’t yours, or it lay open too long and was given up.")
    if ranking.state != Ranking.State.DECIDED:
        return redirect("judges:rank", place.slug)
    others = others_on(ranking)
    shown = sorted(ranking.outputs.all(), key=lambda output: (output.rank, output.position))
    context = {
        "arena": place,
        "ranking": ranking,
        "n_today": ranked_today(voter=ranking.voter),
        "has_others": bool(others),
        "outputs": [
            Unmasked(
                output.rank, LETTERS[output.position], output.system, others.get(output.output_id)
            )
            for output in shown
        ],
    }
    return render(request, "judges/rank_reveal.html", context)


# --- who asks, and for which ranking ----------------------------------------------------------------------


def _may_rank(request: HttpRequest, place: Arena) -> str:
    """Empty when the user may; otherwise a sentence that says why not."""
    return may_vote(request.user, place) if place.rank_size else NOT_ASKED


def _ranking(request: HttpRequest, place: Arena, text: str) -> Ranking | None:
    try:
        key = UUID(text)
    except ValueError:
        return None
    voter = voter_of(request, place)
    return ranking_by_key(key=key, voter=voter) if voter else None


# --- answers ----------------------------------------------------------------------------------------------


def _page(
    request: HttpRequest,
    place: Arena,
    ranking: Ranking,
    given: QueryDict | None = None,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    """The outputs with what was chosen so far, and why it wasn't taken."""
    given = QueryDict() if given is None else given
    shown = list(ranking.outputs.all())
    chosen = [given.get(f"place-{output.position}", "") for output in shown]
    allowed = {str(number) for number in range(1, len(shown) + 1)}
    context = {
        "arena": place,
        "ranking": ranking,
        "prompt_messages": ranking.prompt.messages,
        "cards": [
            Card(
                output.position,
                LETTERS[output.position],
                output.output.text,
                typed if typed in allowed else "",
                bool(problem) and typed not in allowed,
            )
            for output, typed in zip(shown, chosen, strict=True)
        ],
        "places": range(1, len(shown) + 1),
        "comment": given.get("comment", ""),
        "longest_comment": LONGEST_COMMENT,
        "problem": problem,
        "n_today": ranked_today(voter=ranking.voter),
    }
    return render(request, "judges/rank.html", context, status=status)


def _places(given: QueryDict, ranking: Ranking) -> dict[int, int]:
    """Position -> place. Raises RankingError that names the answers without one."""
    n = len(ranking.outputs.all())
    numbers = {str(place): place for place in range(1, n + 1)}
    found = {
        position: numbers[typed]
        for position in range(n)
        if (typed := given.get(f"place-{position}", "")) in numbers
    }
    missing = [LETTERS[position] for position in range(n) if position not in found]
    if missing:
        named = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
        raise RankingError(
            f"Give every answer a place from 1 to {n}: {named} "
            f"{'has' if len(missing) == 1 else 'have'} none. What you chose so far is kept."
        )
    return found


def _closed(request: HttpRequest, place: Arena, reason: str) -> HttpResponse:
    status = 403 if request.method == "POST" else 200
    context = {"arena": place, "reason": reason}
    return render(request, "judges/vote_closed.html", context, status=status)


def _unknown(request: HttpRequest, place: Arena) -> HttpResponse:
    messages.warning(
        request,
        "That ranking isn’t yours, or it lay open too long. Nothing was kept; here is the next one. "
        "If this comes up again, let your browser keep this site’s cookies.",
    )
    return redirect("judges:rank", place.slug)
