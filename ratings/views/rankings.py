"""What an arena's rankings of several outputs come to: strengths by Plackett-Luce, as a worker left them."""

from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from arena import downloads
from arena.access import visible_arena
from arena.models import Arena, System
from judges.models import Ranking
from ratings.models import RankingReport, Rating
from ratings.rankings import MAX_ATTEMPTS, MIN_PROMPTS_TO_CLUSTER, report_of
from ratings.scales import Bar, Scale

ROWS_SHOWN = 300
COLUMNS = (
    "rank_lower", "rank_upper", "system", "version", "organisation", "points", "lower", "upper", "sd",
    "n_rankings", "mean_place", "places", "status",
)  # fmt: skip
INTERVALS = {"prompts": "by prompt", "rankings": "by ranking"}


class Row(NamedTuple):
    """A stored row beside its system, and drawn where it is ranked."""

    figures: dict[str, Any]
    system: System
    bar: Bar | None = None

    @property
    def why_not(self) -> str:
        return Rating.Status(self.figures["status"]).label


@require_safe
def rankings(request: HttpRequest, arena: str) -> HttpResponse:
    place = visible_arena(request.user, arena)
    has_any = bool(place.rank_size) or Ranking.objects.filter(arena=place).exists()
    report = report_of(arena=place) if has_any else None
    wanted = request.GET.get("format", "")
    if wanted:
        return _download(wanted, place, report)
    context: dict[str, Any] = {"arena": place, "report": report, "has_any": has_any}
    if report:
        context["has_given_up"] = bool(report.error) and report.attempts >= MAX_ATTEMPTS
        context |= _table(place, report)
    return render(request, "ratings/rankings.html", context)


def _rows(place: Arena, report: RankingReport) -> list[Row]:
    """In one query. A system that was deleted since is left out."""
    systems = System.objects.filter(arena=place).in_bulk()
    stored = report.figures.get("rows", [])
    return [Row(row, systems[row["system"]]) for row in stored if row["system"] in systems]


def _table(place: Arena, report: RankingReport) -> dict[str, Any]:
    rows = _rows(place, report)
    ranked = [row for row in rows if row.figures["rank"]]
    scale = _scale([row.figures for row in ranked])
    return {
        "figures": report.figures,
        "interval": INTERVALS.get(report.figures.get("interval", "")),
        "least_prompts": MIN_PROMPTS_TO_CLUSTER,
        "scale": scale,
        "rows": [
            row._replace(bar=scale.bar(*(row.figures[key] for key in ("rating", "lower", "upper"))))
            for row in ranked[:ROWS_SHOWN]
        ]
        if scale
        else [],
        "n_more": max(0, len(ranked) - ROWS_SHOWN),
        "unranked": [row for row in rows if not row.figures["rank"]][:ROWS_SHOWN],
    }


def _scale(rows: list[dict[str, Any]]) -> Scale | None:
    """That all rows share. A system with few rankings has an interval that would squeeze all others: it is cut
    beyond half the range of the points, as on the leaderboard."""
    if not rows:
        return None
    points = [row["rating"] for row in rows]
    low, high = min(points), max(points)
    air = max((high - low) / 2, 50.0)
    lower = min((row["lower"] for row in rows if row["lower"] is not None), default=low)
    upper = max((row["upper"] for row in rows if row["upper"] is not None), default=high)
    return Scale.around(max(lower, low - air), min(upper, high + air))


def _download(wanted: str, place: Arena, report: RankingReport | None) -> HttpResponse:
    if wanted not in downloads.FORMATS:
        raise Http404(f"format is one of {', '.join(downloads.FORMATS)}.")
    if report is None:
        raise Http404("Nobody was asked to put outputs of this arena in order.")
    if report.computed_at is None:
        response = HttpResponse(
            "The rankings are being counted. Ask again in a moment.\n",
            content_type="text/plain; charset=utf-8",
            status=503,
        )
        response.headers["Retry-After"] = "5"
        return response
    name = f"{place.slug}-rankings"
    rows = [_as_dict(row) for row in _rows(place, report)]
    if wanted == "json":
        about = {key: value for key, value in report.figures.items() if key != "rows"}
        return downloads.as_json(
            name,
            {
                "arena": place.slug,
                "method": "Plackett-Luce",
                "scale": "Elo: 1000 + 400/ln(10) times the log-strength, mean 1000 over the ranked systems",
                "computed_at": report.computed_at.isoformat(),
                "basis": report.basis,
                **about,
                "systems": rows,
            },
        )
    for row in rows:
        row["places"] = " ".join(map(str, row["places"]))
    cells = (["" if value is None else value for value in row.values()] for row in rows)
    return downloads.as_csv(name, COLUMNS, cells)


def _as_dict(row: Row) -> dict[str, Any]:
    """Under COLUMNS."""
    named = {"points": "rating", "mean_place": "mean_rank"}
    of_system = {
        "system": row.system.name,
        "version": row.system.version,
        "organisation": row.system.organisation,
    }
    return {
        column: of_system[column] if column in of_system else row.figures[named.get(column, column)]
        for column in COLUMNS
    }
