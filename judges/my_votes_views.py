"""The page of one's own votes: what was chosen, how it compares, and taking it back."""

import csv

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from arena.access import visible_arena
from judges import my_votes
from judges.ballots import ballot_by_key, undo_ballot
from judges.models import Ballot
from judges.selections import id_from
from judges.voters import voter_of
from judges.wording import counts_in_words, outcome_in_words

# What a spreadsheet would take for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@require_safe
@never_cache
def mine(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    before = None
    if "before" in request.GET:
        before = id_from(request.GET["before"])
        if before is None:
            raise Http404("before is the number of a vote.")
    voter = voter_of(request, place)
    context = {"arena": place, "enough": my_votes.ENOUGH, "is_first_page": before is None}
    if voter is None:
        return render(request, "judges/my_votes.html", context)
    if request.GET.get("format") == "csv":
        return _table(place, voter)
    page = my_votes.history(voter, before=before)
    others = my_votes.others_on(page.ballots, voter)
    wins, too_few = my_votes.win_rates(voter)
    context |= {
        "page": page,
        "rows": [_row(ballot, others.get(ballot.battle_id, {})) for ballot in page.ballots],
        "people": my_votes.agreement_with_people(voter),
        "judges": my_votes.agreement_with_judges(voter),
        "wins": wins,
        "too_few": too_few,
    }
    return render(request, "judges/my_votes.html", context)


@require_POST
def retract(request: HttpRequest, arena: str, key: object) -> HttpResponse:
    """Take a vote back. A second time changes nothing."""
    place = visible_arena(request.user, arena)
    voter = voter_of(request, place)
    ballot = ballot_by_key(key=key, voter=voter) if voter else None
    if ballot is None:
        raise Http404("There is no such vote of yours.")
    if ballot.state in (Ballot.State.VOTED, Ballot.State.UNDONE):
        undo_ballot(ballot=ballot)
        messages.success(
            request,
            "The vote was taken back and isn’t counted any more. You won’t be asked about that battle "
            "again: you have seen who wrote its answers.",
        )
    return redirect("judges:my-votes", place.slug)


def _row(ballot: Ballot, others: dict[int, int]) -> dict[str, object]:
    battle = ballot.battle
    names = {"name_a": str(battle.system_a), "name_b": str(battle.system_b)}
    return {
        "ballot": ballot,
        "battle": battle,
        "chosen": outcome_in_words(ballot.outcome, **names),
        "others": counts_in_words(others) if others else "",
        "n_others": sum(others.values()),
    }


def _table(place, voter) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{place.slug}-my-votes.csv"'
    writer = csv.writer(response)
    writer.writerow(my_votes.COLUMNS)
    for row in my_votes.rows_of(place, voter):
        writer.writerow(
            f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
            for cell in row
        )
    return response
