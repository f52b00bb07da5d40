"""A leaderboard as it would be if it were counted otherwise, beside the published one."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import visible_arena
from arena.models import Arena
from judges.models import Judge
from ratings.leaderboards import state_of
from ratings.models import Snapshot
from ratings.scales import Scale
from ratings.slices import SliceError
from ratings.views.leaderboards import chosen_or_404
from ratings.what_if import (
    MOST_LENGTH,
    MOST_WEIGHT,
    TIES,
    Answer,
    Busy,
    Question,
    Weight,
    answer,
    question_of,
)


@require_safe
def what_if(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    chosen = chosen_or_404(request, place)
    state = state_of(arena=place, slice=chosen.slice)
    context: dict[str, Any] = {
        "arena": place,
        "chosen": chosen,
        "state": state,
        "snapshot": state.snapshot,
        "ties": TIES.items(),
        "most_length": MOST_LENGTH,
        "most_weight": int(MOST_WEIGHT),
    }
    question = Question(judges=chosen.judge.slugs)
    try:
        question = question_of(request.GET, arena=place, chosen=chosen)
        if state.snapshot:
            found = answer(
                arena=place, slice=chosen.slice, snapshot=state.snapshot, question=question
            )
            if request.GET.get("format"):
                return _download(request.GET["format"], place, state.snapshot, question, found)
            context |= {"answer": found, **_drawn(found)}
    except SliceError as error:
        context["problem"] = str(error)
    except Busy:
        context["is_busy"] = True
    if request.GET.get("format"):
        raise Http404(context.get("problem") or "It isn't computed yet. Ask again in a moment.")
    weights = dict(question.weights)
    context |= {
        "question": question,
        "judges": Judge.objects.filter(arena=place)
        .order_by("kind", "pk")
        .only("slug", "name", "version", "kind"),
        "weights": [
            Weight(one, f"weight-{one.slug}", weights.get(one.slug, 1.0))
            for one in chosen.categories
        ],
    }
    return render(request, "ratings/what_if.html", context)


def _drawn(found: Answer) -> dict[str, Any]:
    """The scale and a bar per row."""
    ranked = [row.now for row in found.rows if row.now]
    if not ranked:
        return {"scale": None, "rows": [(row, None) for row in found.rows]}
    ratings = [now["rating"] for now in ranked]
    # As on the leaderboard: what reaches beyond half the range of the ratings is cut.
    air = max((max(ratings) - min(ratings)) / 2, 50.0)
    scale = Scale.around(
        max(min(now["lower"] for now in ranked), min(ratings) - air),
        min(max(now["upper"] for now in ranked), max(ratings) + air),
    )
    return {
        "scale": scale,
        "rows": [
            (
                row,
                scale.bar(row.now["rating"], row.now["lower"], row.now["upper"])
                if row.now
                else None,
            )
            for row in found.rows
        ],
    }


def _download(
    wanted: str, place: Arena, snapshot: Snapshot, question: Question, found: Answer
) -> HttpResponse:
    if wanted != "json":
        raise Http404("format is json.")
    names = ("rank", "rank_lower", "rank_upper", "rating", "lower", "upper")
    content = {
        "arena": place.slug,
        "snapshot": snapshot.pk,
        "slice": snapshot.slice,
        "what_if": {
            "judges": question.judges,
            "ties": question.ties,
            "weights": dict(question.weights),
            "longer": question.longer,
            "since": question.since,
            "until": question.until,
        },
        "n_verdicts": found.n_verdicts,
        "n_prompts": found.n_prompts,
        "systems": [
            {
                "system": row.system.slug,
                "published": {name: getattr(row.published, name) for name in names},
                "what_if": {name: row.now[name] for name in names} if row.now else None,
                "why_not": row.reason,
            }
            for row in found.rows
        ],
    }
    return downloads.as_json(f"{place.slug}-what-if", content)
