"""Two judges side by side, such as two versions of one."""

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena.access import visible_arena
from arena.downloads import FORMATS, as_csv, as_json
from arena.markdown import printable
from arena.models import Arena, Battle
from judges.comparisons import (
    Comparison,
    Decided,
    compared,
    decided_by_both,
    differences,
    mean_costs,
)
from judges.models import Judge, Outcome

A_PAGE = 25
MOST_JUDGES = 500
WHICH = {
    "": "All on which they differ",
    "one": "People side with the first",
    "other": "People side with the second",
}
WORDS = {Outcome.A: "A", Outcome.B: "B", Outcome.TIE: "tie"}


@require_safe
def compare(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    judges = list(
        Judge.objects.filter(arena=place)
        .exclude(kind=Judge.Kind.CROWD)
        .order_by("name", "-version")[:MOST_JUDGES]
    )
    one, other = _chosen(request, judges)
    which = request.GET.get("which", "")
    if which not in WHICH:
        raise Http404(f"which is one of {', '.join(WHICH)}.")
    context: dict[str, Any] = {
        "arena": place,
        "judges": judges,
        "one": one,
        "other": other,
        "which": which,
        "whiches": WHICH.items(),
    }
    if one is None or other is None:
        return render(request, "judges/compare.html", context)
    rows, is_capped = decided_by_both(one, other)
    found = compared(rows, is_capped=is_capped)
    if "format" in request.GET:
        return _download(request, place, (one, other), rows, found)
    differ = [row for row in rows if row.one != row.other and _is_wanted(row, which)]
    page = Paginator(differ, A_PAGE).get_page(request.GET.get("page"))
    costs = mean_costs((one, other))
    kept = {"one": one.slug, "other": other.slug}
    context |= {
        "found": found,
        "sentence": _sentence(found, one, other),
        "table": zip(WORDS.values(), found.table, strict=True),
        "columns": WORDS.values(),
        "costs": [(judge, costs[judge.pk]) for judge in (one, other)],
        "differences": differences(one, other),
        "page": page,
        "battles": _battles(page.object_list),
        "query": urlencode(kept),
        "words": WORDS,
    }
    return render(request, "judges/compare.html", context)


def _chosen(request: HttpRequest, judges: list[Judge]) -> tuple[Judge | None, Judge | None]:
    """Those that were named; where only one is, the other is its newest other version, if it has any."""
    by_slug = {judge.slug: judge for judge in judges}
    found = []
    for key in ("one", "other"):
        slug = printable(request.GET.get(key, ""))
        if slug and slug not in by_slug:
            raise Http404(f"There is no judge {slug} that could be compared here.")
        found.append(by_slug.get(slug))
    one, other = found
    if one is not None and other is None:
        versions = [judge for judge in judges if judge.name == one.name and judge != one]
        other = versions[0] if versions else None
    return one, other


def _is_wanted(row: Decided, which: str) -> bool:
    return not which or (row.people is not None and row.people == getattr(row, which))


def _sentence(found: Comparison, one: Judge, other: Judge) -> str:
    if not found.n:
        return "There is no battle that both have decided."
    if not found.one.n or found.difference is None:
        return "People have no majority on any battle that both decided: who is nearer to people is open."
    if found.says == "open":
        return "Which of them agrees more with people can’t be told from these battles."
    better, worse = (one, other) if found.says == "one" else (other, one)
    return f"{better} agrees with people more often than {worse}."


def _battles(rows: Any) -> list[tuple[Decided, Battle]]:
    rows = list(rows)
    found = Battle.objects.select_related("prompt", "system_a", "system_b").in_bulk(
        [row.battle for row in rows]
    )
    return [(row, found[row.battle]) for row in rows]


def _download(
    request: HttpRequest,
    place: Arena,
    judges: tuple[Judge, Judge],
    rows: list[Decided],
    found: Comparison,
) -> HttpResponse:
    one, other = judges
    name = f"{place.slug}-{one.slug}-{other.slug}"
    if request.GET["format"] == "csv":
        table = (
            (
                row.battle,
                row.prompt,
                WORDS[row.one],
                WORDS[row.other],
                "" if row.people is None else WORDS[row.people],
            )
            for row in rows
        )
        return as_csv(name, ("battle", "prompt", one.slug, other.slug, "people"), table)
    if request.GET["format"] != "json":
        raise Http404(f"format is one of {', '.join(FORMATS)}.")
    content = {
        "arena": place.slug,
        "one": {"judge": one.slug, "digest": one.digest},
        "other": {"judge": other.slug, "digest": other.digest},
        "n": found.n,
        "is_capped": found.is_capped,
        "agreement": _share_of(found.agreement),
        "kappa": found.kappa,
        "table": {"of": list(WORDS.values()), "counts": found.table},
        "with_people": {
            "one": _share_of(found.one),
            "other": _share_of(found.other),
            "only_one": found.only_one,
            "only_other": found.only_other,
            "difference": found.difference,
            "lower": found.lower,
            "upper": found.upper,
            "level": 0.95,
            "n_prompts": found.n_prompts,
        },
    }
    return as_json(name, content)


def _share_of(share: Any) -> dict[str, Any]:
    return {"k": share.k, "n": share.n, "lower": share.lower, "upper": share.upper}
