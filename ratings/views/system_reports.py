"""Where one system wins and loses, its clearest battles, judges against people, and two versions of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import seen_system, seen_systems, visible_arena
from arena.models import Arena, Prompt, System
from ratings import kept_figures, system_reports
from ratings.clustered_rates import FEWEST_PROMPTS
from ratings.kept_figures import Kept
from ratings.slice_choices import Chosen, JudgeChoice
from ratings.slices import PEOPLE, Slice
from ratings.views.leaderboards import chosen_or_404

A_PAGE = 50
LAST_PAGE = system_reports.MOST_LISTED // A_PAGE
CHANGED_MOST = 10
REPORT_COLUMNS = ("by", "part", "n_verdicts", "n_prompts", "win_rate", "lower", "upper")
BATTLE_COLUMNS = ("battle", "system_a", "system_b", "n_verdicts", "share_for", "share_against")
JUDGE_COLUMNS = (
    "battle", "system_a", "system_b", "n_people", "share_people", "n_judge", "share_judge",
)  # fmt: skip
VERSION_COLUMNS = ("prompt", "n_opponents", "difference")


def _found(request: HttpRequest, arena: str, slug: str) -> tuple[Arena, System, Chosen]:
    place = visible_arena(request.user, arena)
    return place, seen_system(request.user, place, slug), chosen_or_404(request, place)


def _wanted(request: HttpRequest) -> str:
    """The format of a download; empty for the page."""
    wanted = request.GET.get("format", "")
    if wanted and wanted not in downloads.FORMATS:
        raise Http404(f"format is one of {', '.join(downloads.FORMATS)}.")
    return wanted


def _download(
    wanted: str, name: str, about: Mapping[str, Any], columns: Sequence[str], rows: Sequence[tuple]
) -> HttpResponse:
    if wanted == "csv":
        return downloads.as_csv(name, columns, rows)
    listed = [dict(zip(columns, row, strict=True)) for row in rows]
    return downloads.as_json(name, {**about, "rows": listed})


def _about(system: System, slice: Slice) -> dict[str, Any]:
    return {"arena": system.arena.slug, "system": system.slug, "slice": slice.as_json()}


def _page_number(request: HttpRequest) -> int:
    number = request.GET.get("page", "1")
    if not (number.isascii() and number.isdigit() and len(number) < 6):
        return 1
    return min(max(int(number), 1), LAST_PAGE)


def _recent(compute: Callable[[], Any], what: str, system: System, *of: str | int) -> Kept:
    made = system.created_at.isoformat()
    return kept_figures.recent(compute, what, system.pk, made, *of)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


@require_safe
def report(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    place, system, chosen = _found(request, arena, slug)
    found, counted_at = _recent(
        lambda: system_reports.report(system=system, slice=chosen.slice),
        "report",
        system,
        chosen.slice.digest,
    )
    if wanted := _wanted(request):
        tables = [("all", [found.overall] if found.overall else []), *found.tables]
        rows = [
            (
                *(by, line.key, line.rate.n, line.rate.n_prompts),
                *map(_rounded, (line.rate.value, line.rate.lower, line.rate.upper)),
            )
            for by, lines in tables
            for line in lines
        ]
        name = f"{place.slug}-{system.slug}-wins-and-losses"
        return _download(wanted, name, _about(system, chosen.slice), REPORT_COLUMNS, rows)
    context = {
        "arena": place,
        "system": system,
        "chosen": chosen,
        "report": found,
        "counted_at": counted_at,
        "scale": system_reports.PERCENT,
        "fewest": FEWEST_PROMPTS,
    }
    return render(request, "ratings/system_report.html", context)


def _row(one: system_reports.Decided) -> tuple:
    battle = one.battle
    sides = (battle.pk, battle.system_a.slug, battle.system_b.slug)
    return (*sides, one.n, _rounded(one.share), _rounded(one.against))


@require_safe
def battles(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    """Those that it lost, or ?side=won, on which most agreed."""
    place, system, chosen = _found(request, arena, slug)
    won = request.GET.get("side") == "won"
    if wanted := _wanted(request):
        listed = system_reports.clearest(
            system=system,
            slice=chosen.slice,
            won=won,
            start=0,
            size=system_reports.MOST_LISTED,
        )
        name = f"{place.slug}-{system.slug}-{'won' if won else 'lost'}"
        about = _about(system, chosen.slice) | {"side": "won" if won else "lost"}
        return _download(wanted, name, about, BATTLE_COLUMNS, [_row(one) for one in listed])
    page = _page_number(request)
    listed, counted_at = _recent(
        lambda: system_reports.clearest(
            system=system, slice=chosen.slice, won=won, start=(page - 1) * A_PAGE, size=A_PAGE + 1
        ),
        "clearest",
        system,
        chosen.slice.digest,
        won,
        page,
    )
    context = {
        "counted_at": counted_at,
        "arena": place,
        "system": system,
        "chosen": chosen,
        "won": won,
        "battles": listed[:A_PAGE],
        "page": page,
        "has_next": len(listed) > A_PAGE and page < LAST_PAGE,
        "most": system_reports.MOST_LISTED,
    }
    return render(request, "ratings/system_battles.html", context)


@require_safe
def disagreements(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    """An automatic judge against people on its battles; ?side=worse lists those it put lower."""
    place, system, chosen = _found(request, arena, slug)
    judges = [judge for judge in chosen.judges if judge.value != PEOPLE]
    judge: JudgeChoice | None = chosen.judge if chosen.judge in judges else None
    if judge is None and judges:
        judge = judges[0]
    better = request.GET.get("side") != "worse"
    context: dict[str, Any] = {
        "arena": place,
        "system": system,
        "chosen": chosen,
        "judges": judges,
        "judge": judge,
        "better": better,
        "most": system_reports.MOST_LISTED,
        "fewest": FEWEST_PROMPTS,
    }
    if judge is None:
        return render(request, "ratings/system_disagreements.html", context)
    parts = {"category": chosen.slice.category, "criterion": chosen.slice.criterion}
    sides = {"people": Slice(**parts), "judge": Slice(judge=judge.value, **parts)}
    summary, counted_at = _recent(
        lambda: system_reports.disagreement(system=system, **sides),
        "disagreement",
        system,
        sides["judge"].digest,
    )
    if wanted := _wanted(request):
        listed = system_reports.disagreed(
            system=system, **sides, better=better, start=0, size=system_reports.MOST_LISTED
        )
        rows = [
            (*_row(one)[:3], one.n, _rounded(one.share), one.judge_n, _rounded(one.judge_share))
            for one in listed
        ]
        name = f"{place.slug}-{system.slug}-{judge.value}-{'better' if better else 'worse'}"
        about = _about(system, sides["judge"]) | (summary._asdict() if summary else {})
        return _download(wanted, name, about, JUDGE_COLUMNS, rows)
    page = _page_number(request)
    listed, _ = _recent(
        lambda: system_reports.disagreed(
            system=system, **sides, better=better, start=(page - 1) * A_PAGE, size=A_PAGE + 1
        ),
        "disagreed",
        system,
        sides["judge"].digest,
        better,
        page,
    )
    context |= {
        "counted_at": counted_at,
        "summary": summary,
        "battles": listed[:A_PAGE],
        "page": page,
        "has_next": len(listed) > A_PAGE and page < LAST_PAGE,
    }
    return render(request, "ratings/system_disagreements.html", context)


@require_safe
def versions(request: HttpRequest, arena: str, slug: str) -> HttpResponse:
    """It against another version of it (?against=), paired by prompt and opponent."""
    place, system, chosen = _found(request, arena, slug)
    others = system_reports.versions_of(system, seen_systems(request.user, place))
    against = request.GET.get("against", "")
    other = next((one for one in others if one.slug == against), None)
    if against and other is None:
        raise Http404("There is no other version of this system at this address.")
    if other is None and others:
        other = next((one for one in others if one.pk == system.follows_id), others[0])
    context: dict[str, Any] = {
        "arena": place,
        "system": system,
        "chosen": chosen,
        "others": others,
        "other": other,
        "fewest": FEWEST_PROMPTS,
    }
    if other is None:
        return render(request, "ratings/system_versions.html", context)
    against_it = other
    found, counted_at = _recent(
        lambda: system_reports.paired(system=system, other=against_it, slice=chosen.slice),
        "paired",
        system,
        other.pk,
        chosen.slice.digest,
    )
    result = system_reports.tested(found, seed=chosen.slice.seed)
    if wanted := _wanted(request):
        name = f"{place.slug}-{system.slug}-against-{other.slug}"
        about = _about(system, chosen.slice) | {"against": other.slug}
        about |= {
            key: getattr(result, key, None) for key in ("difference", "lower", "upper", "p_value")
        }
        rows = [(prompt, n, round(total / n, 6)) for prompt, n, total in found.rows]
        return _download(wanted, name, about, VERSION_COLUMNS, rows)
    changed = sorted(found.rows, key=lambda row: (-abs(row[2] / row[1]), -row[1], row[0]))
    changed = [row for row in changed if row[2]][:CHANGED_MOST]
    prompts = Prompt.objects.defer("reference").in_bulk([row[0] for row in changed])
    context |= {
        "found": found,
        "counted_at": counted_at,
        "n_prompts": len(found.rows),
        "result": result,
        "is_shown": result is not None and result.p_value <= 0.05,
        "changed": [(prompts[prompt], n, total / n) for prompt, n, total in changed],
    }
    return render(request, "ratings/system_versions.html", context)
