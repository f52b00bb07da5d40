"""The data of an arena, to be taken away: what there is, and its files."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from arena.access import managed_arena, role_of, unseen_systems, visible_arena
from arena.counts import MOST_COUNTED
from arena.models import Arena, Battle, Category, Membership, Output, Prompt, System
from arena.sharing import Sharing, SharingError
from judges.archive.scope import Scope, public, whole
from judges.archive.serving import download, said, too_soon
from judges.archive.tables import TABLES, Table, tables_of
from judges.archive.writing import (
    FORMS,
    JSONL,
    MIMETYPES,
    PARQUET,
    NoParquet,
    check_form,
    stream_archive,
    stream_table,
)
from judges.models import Judge, Ranking, Score, Verdict, Voter

ZIP = "application/zip"


@dataclass(frozen=True, slots=True)
class Told:
    """A table as the page tells of it."""

    table: Table
    rows: int
    are_many: bool  # more than anybody counts for a page


@require_safe
def data(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    problem, sharing = "", Sharing(outputs=False, verdicts=False)
    try:
        sharing = Sharing.of(place)
    except SharingError as error:
        problem = str(error)
    address = request.build_absolute_uri(reverse("judges:data", args=[place.slug]))
    context = {
        "arena": place,
        "sharing": sharing,
        "problem": problem,
        "tables": [] if problem else _told(place, sharing),
        "address": address,
        "embed": request.build_absolute_uri(reverse("ratings:embed", args=[place.slug])),
        "is_maintainer": role_of(request.user, place) == Membership.Role.MAINTAINER,
        "anybody": place.is_public,
    }
    return render(request, "judges/data.html", context)


def _told(arena: Arena, sharing: Sharing) -> list[Told]:
    unseen = set(unseen_systems(AnonymousUser(), arena).values_list("pk", flat=True))
    judges = list(Judge.objects.filter(arena=arena).values_list("pk", flat=True))
    hidden = Q(system_a_id__in=unseen) | Q(system_b_id__in=unseen)
    verdicts = Verdict.objects.filter(judge_id__in=judges)
    rows: dict[str, QuerySet[Any]] = {
        "verdicts": verdicts.exclude(
            Q(battle__system_a_id__in=unseen) | Q(battle__system_b_id__in=unseen)
        )
        if unseen
        else verdicts,
        "scores": Score.objects.filter(arena=arena).exclude(output__system_id__in=unseen),
        "rankings": Ranking.objects.filter(arena=arena, is_ordered=True).exclude(
            outputs__system_id__in=unseen
        ),
        "voters": Voter.objects.filter(judge_id__in=judges),
        "judges": Judge.objects.filter(arena=arena),
        "battles": Battle.objects.filter(arena=arena).exclude(hidden),
        "outputs": Output.objects.filter(arena=arena).exclude(system_id__in=unseen),
        "prompts": Prompt.objects.filter(arena=arena),
        "categories": Category.objects.filter(arena=arena),
        "systems": System.objects.filter(arena=arena).exclude(pk__in=unseen),
    }
    found = []
    for table in TABLES:
        if table.is_shared(sharing):
            n = rows[table.name].order_by().values("pk")[: MOST_COUNTED + 1].count()
            found.append(Told(table, min(n, MOST_COUNTED), n > MOST_COUNTED))
    return found


@require_safe
def table(request: HttpRequest, arena: str, table: str, form: str) -> HttpResponseBase:
    """One table, as the public may have it."""
    place = visible_arena(request.user, arena)
    suffix = f".{form}"
    if suffix not in FORMS:
        raise Http404("The form is one of jsonl, parquet.")

    def made(scope: Scope) -> HttpResponseBase:
        found = next((known for known in tables_of(scope) if known.name == table), None)
        if found is None:
            raise Http404("This arena shares no such table.")
        pieces = stream_table(scope, found, form=suffix)
        name = f"{place.slug}-{found.name}{suffix}"
        return download(
            request, pieces, name=name, kind=MIMETYPES[suffix], is_public=place.is_public
        )

    return _answered(request, place, made, form=suffix)


@require_safe
def archive(request: HttpRequest, arena: str, form: str = JSONL) -> HttpResponseBase:
    """All tables that the public may have."""
    place = visible_arena(request.user, arena)

    def made(scope: Scope) -> HttpResponseBase:
        name = f"{place.slug}.zip" if form == JSONL else f"{place.slug}{form}.zip"
        pieces = stream_archive(scope, form=form)
        return download(request, pieces, name=name, kind=ZIP, is_public=place.is_public)

    return _answered(request, place, made, form=form)


@require_safe
@login_required
def everything(request: HttpRequest, arena: str) -> HttpResponseBase:
    """For maintainers: what import_dataset reads back without a loss."""
    place = managed_arena(request.user, arena)
    if refused := _refused(request):
        return refused
    pieces = stream_archive(whole(place))
    return download(request, pieces, name=f"{place.slug}-everything.zip", kind=ZIP, is_public=False)


def _refused(request: HttpRequest) -> HttpResponse | None:
    return None if request.method == "HEAD" else too_soon(request)


def _answered(request: HttpRequest, place: Arena, made: Any, *, form: str) -> HttpResponseBase:
    if form == PARQUET:
        try:
            check_form(form)
        except NoParquet as error:
            return said(str(error), status=501)
    if refused := _refused(request):
        return refused
    try:
        scope = public(place)
    except SharingError as error:
        return said(f"What this arena shares isn't settled: {error}", status=503)
    return made(scope)
