"""The voters of an arena, for its maintainers: how each votes, and whether the votes count."""

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from arena.access import managed_arena
from arena.downloads import as_csv
from judges.exclusions import exclude_voter, readmit_voter, standing_exclusions
from judges.models import Exclusion, Verdict, Voter
from ratings import voter_tables
from ratings.models import VoterRecord, VoterReport

DECISIONS_SHOWN = 20


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=Exclusion._meta.get_field("reason").max_length,
        help_text="One short sentence. It is shown below every leaderboard that leaves the votes out.",
    )


@require_safe
def voters(request: HttpRequest, arena: str) -> HttpResponse:
    place = managed_arena(request.user, arena)
    words = request.GET.get("q", "").strip().replace("\x00", "")[:100]
    state = request.GET.get("state", "")
    state = state if state in voter_tables.STATES else ""
    sort = voter_tables.sort_key(request.GET.get("sort", ""))
    found = voter_tables.voters(place, words=words, state=state, sort=sort)
    wanted = request.GET.get("format", "")
    if wanted == "csv":
        return as_csv(f"{place.slug}-voters", voter_tables.COLUMNS, voter_tables.rows(found))
    if wanted:
        raise Http404("format is csv.")
    tested = VoterRecord.objects.filter(arena=place, p__isnull=False)
    context = {
        "arena": place,
        "report": VoterReport.objects.filter(arena=place).select_related("first").first(),
        "page": Paginator(found, voter_tables.A_PAGE).get_page(request.GET.get("page")),
        "n_tested": (n_tested := tested.count()),
        "n_odd": tested.filter(p__lt=voter_tables.ODD).count(),
        "n_by_chance": n_tested * voter_tables.ODD,
        "states": voter_tables.STATES,
        "state": state,
        "q": words,
        "sort": sort,
    }
    return render(request, "ratings/voters.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def voter(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    """What excluding the voter, or taking the voter in again, would change; a POST does it."""
    place = managed_arena(request.user, arena)
    who = get_object_or_404(Voter.objects.select_related("judge"), pk=pk, judge__arena=place)
    is_excluded = standing_exclusions().filter(voter=who).exists()
    # The button says what it does: two maintainers at once, or a second click, don't undo each other.
    readmits = request.POST.get("act", "readmit" if is_excluded else "exclude") == "readmit"
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        decide = readmit_voter if readmits else exclude_voter
        decide(voter=who, reason=form.cleaned_data["reason"], by=request.user)
        messages.success(
            request,
            f"The votes of {who.handle} "
            f"{'count again' if readmits else 'are set aside'}; the figures follow in a moment.",
        )
        return redirect("ratings:voter", place.slug, who.pk)
    records = VoterRecord.objects.select_related("favoured", "first_without")
    report = VoterReport.objects.filter(arena=place).select_related("first").first()
    context = {
        "arena": place,
        "voter": who,
        "is_excluded": is_excluded,
        "form": form,
        "record": records.filter(voter=who).first(),
        "report": report,
        "n_verdicts": Verdict.objects.filter(voter=who, retraction=None).count(),
        "decisions": who.exclusions.select_related("by").order_by("-pk")[:DECISIONS_SHOWN],
    }
    return render(request, "ratings/voter.html", context)
