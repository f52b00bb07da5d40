"""Pages of the public record: the battles of an arena, and each battle with all that was decided."""

import json
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from arena.access import role_of, seen_systems, unseen_pairs, visible_arena
from arena.fragments import answers_in_parts, wants_part
from arena.models import Arena, Battle, Category, Membership, Output, System
from judges.models import Judge, Verdict
from judges.records import (
    AGREEMENT,
    battles_page,
    calls_behind,
    neighbours,
    summaries,
    verdicts_of,
)
from judges.selections import LARGEST_ID, id_from, selection_from
from judges.wording import outcome_in_words

# Beyond this many a list of suggestions helps nobody, and weighs more than the page.
SUGGESTED_SYSTEMS = 300


class Side(NamedTuple):
    letter: str
    system: System
    output: Output | None
    raw_url: str

    @property
    def is_blank(self) -> bool:
        return self.output is None or not self.output.text.strip()


class Row(NamedTuple):
    """A verdict, in words."""

    verdict: Verdict
    decision: str
    letter: str  # of the winner, empty without one
    shown_first: str


@require_safe
@answers_in_parts
def battles(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    asked = selection_from(request.GET, arena=place, viewer=request.user)
    page = None
    rows: list[tuple[Battle, str]] = []
    if not asked.problems:
        page = battles_page(
            asked.selection,
            before=_cursor(request, "before"),
            after=None if "before" in request.GET else _cursor(request, "after"),
        )
        words = summaries(page.battles)
        rows = [(battle, words[battle.pk]) for battle in page.battles]
    context = {
        "arena": place,
        "asked": asked,
        "page": page,
        "rows": rows,
        "categories": Category.objects.filter(arena=place),
        "judges": Judge.objects.filter(arena=place).defer("configuration", "description"),
        "suggested_systems": _suggested(place, request.user),
        "agreements": AGREEMENT.items(),
    }
    template = "judges/battles.html"
    if wants_part(request):
        template = "judges/_battles_table.html"
    return render(request, template, context)


@require_safe
def battle(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    place = visible_arena(request.user, arena)
    fight = _battle(request, place, pk)
    asked = selection_from(request.GET, arena=place, viewer=request.user)
    if asked.problems:
        asked = selection_from({}, arena=place, viewer=request.user)
    older, newer = neighbours(asked.selection, fight)
    verdicts, more_after = verdicts_of(fight, beyond=id_from(request.GET.get("beyond")) or 0)
    names = {"name_a": str(fight.system_a), "name_b": str(fight.system_b)}
    context = {
        "arena": place,
        "battle": fight,
        "prompt": fight.prompt,
        "sides": _sides(place, fight),
        "prompt_url": _plain_text_url(place, fight, "prompt"),
        "summary": summaries([fight])[fight.pk],
        "rows": [_row(verdict, **names) for verdict in verdicts],
        "more_after": more_after,
        "is_raw": request.GET.get("raw") == "1",
        "asked": asked,
        "older": older,
        "newer": newer,
    }
    return render(request, "judges/battle.html", context)


@require_safe
def verdict(request: HttpRequest, arena: str, pk: int) -> HttpResponse:
    """The trace of one verdict: the words behind it, the raw reply, and what they took."""
    place = visible_arena(request.user, arena)
    found = get_object_or_404(
        Verdict.objects.select_related(
            "judge", "voter", "trace", "retraction", "battle__system_a", "battle__system_b"
        ).exclude(pair__in=unseen_pairs(request.user, place)),
        arena=place,
        pk=pk,
    )
    fight = found.battle
    # Which calls it came of is for those who see its run.
    may_see_calls = (
        found.run_id is not None and role_of(request.user, place) == Membership.Role.MAINTAINER
    )
    trace = getattr(found, "trace", None)
    context = {
        "arena": place,
        "battle": fight,
        "row": _row(found, name_a=str(fight.system_a), name_b=str(fight.system_b)),
        "trace": trace,
        "parse": "",
        "calls": calls_behind(found) if may_see_calls else [],
    }
    if trace and trace.parse:
        context["parse"] = json.dumps(trace.parse, ensure_ascii=False, indent=1)
    response = render(request, "judges/verdict.html", context)
    response.headers["X-Robots-Tag"] = "noindex"
    return response


@require_safe
def plain_text(request: HttpRequest, arena: str, pk: str, part: str) -> HttpResponse:
    """A text of a battle to the letter: what a page shows in part, and what a copy is made from."""
    place = visible_arena(request.user, arena)
    fight = _battle(request, place, int(pk) if len(pk) < 19 else LARGEST_ID)
    if part == "prompt":
        text = "\n\n".join(
            f"[{message.get('role', '')}]\n{message.get('content', '')}"
            for message in fight.prompt.messages
        )
        is_published = fight.prompt.is_published
    else:
        output = getattr(fight, f"output_{part}")
        is_published = output is not None
        text = output.text if output else ""
    if not is_published:
        raise Http404("The source of this battle doesn't publish this text.")
    # A lone surrogate can stand in JSON but not in UTF-8.
    response = HttpResponse(
        text.encode("utf-8", "replace"), content_type="text/plain; charset=utf-8"
    )
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _battle(request: HttpRequest, arena: Arena, pk: int) -> Battle:
    battles = Battle.objects.select_related(
        "prompt", "system_a", "system_b", "output_a", "output_b"
    ).exclude(pair__in=unseen_pairs(request.user, arena))
    return get_object_or_404(battles, arena=arena, pk=pk)


def _cursor(request: HttpRequest, key: str) -> int | None:
    if key not in request.GET:
        return None
    cursor = id_from(request.GET[key])
    if cursor is None:
        raise Http404(f"{key} is the number of a battle.")
    return cursor


def _suggested(arena: Arena, user: Any) -> list[tuple[str, str]]:
    """Address and name of the systems, if they are few enough to suggest."""
    systems = seen_systems(user, arena).only("slug", "name", "version")
    found = list(systems[: SUGGESTED_SYSTEMS + 1])
    return [] if len(found) > SUGGESTED_SYSTEMS else [(s.slug, str(s)) for s in found]


def _sides(arena: Arena, fight: Battle) -> list[Side]:
    return [
        Side(
            letter,
            getattr(fight, f"system_{letter.lower()}"),
            getattr(fight, f"output_{letter.lower()}"),
            _plain_text_url(arena, fight, letter.lower()),
        )
        for letter in Verdict.Side.labels
    ]


def _plain_text_url(arena: Arena, fight: Battle, part: str) -> str:
    return reverse("judges:plain-text", args=[arena.slug, fight.pk, part])


def _row(verdict: Verdict, **names: str) -> Row:
    sides = dict(Verdict.Side.choices)
    return Row(
        verdict,
        outcome_in_words(verdict.outcome, **names),
        sides.get(verdict.outcome, ""),
        "not known" if verdict.shown_first is None else sides[verdict.shown_first],
    )
