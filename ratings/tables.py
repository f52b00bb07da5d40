"""A snapshot as rows and as JSON: what the download, the API and the command give."""

from typing import Any

from ratings.models import JudgeReport, Rating, Snapshot

COLUMNS = (
    "rank_lower",
    "rank_upper",
    "rank_upper_bound",
    "tier",
    "system",
    "version",
    "organisation",
    "family",
    "rating",
    "lower",
    "upper",
    "sd",
    "n_verdicts",
    "wins",
    "losses",
    "ties",
    "win_rate",
    "change",
    "status",
)
_NAMES = {"system": "system__name", "version": "system__version"}
_NAMES |= {"organisation": "system__organisation", "family": "system__family"}


def rating_rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    """One dict per system under COLUMNS, the ranked ones first, in one query."""
    ratings = Rating.objects.filter(snapshot=snapshot).order_by("rank", "system__name", "pk")
    rows = [
        dict(zip(COLUMNS, values, strict=True))
        for values in ratings.values_list(*(_NAMES.get(column, column) for column in COLUMNS))
    ]
    # Databases differ in where they sort an empty rank.
    return sorted(rows, key=lambda row: row["rank_lower"] is None)


def snapshot_as_json(snapshot: Snapshot) -> dict[str, Any]:
    """Everything that a snapshot says, with what is needed to compute it again."""
    return {
        "snapshot": snapshot.pk,
        "arena": snapshot.arena.slug,
        "slice": snapshot.slice,
        "created_at": snapshot.created_at.isoformat(),
        "scale": "Elo: 1000 + 400/ln(10) times the log-strength, mean 1000 over the ranked systems",
        "interval": {
            "level": 0.95,
            "method": snapshot.get_interval_display(),
            "rounds": snapshot.rounds,
        },
        "n": {
            "verdicts": snapshot.n_verdicts,
            "battles": snapshot.n_battles,
            "prompts": snapshot.n_prompts,
            "voters": snapshot.n_voters,
            "ranked_systems": snapshot.n_ranked,
            "retracted_verdicts": snapshot.n_retracted,
            "verdicts_set_aside": snapshot.n_set_aside,
        },
        "set_aside": snapshot.set_aside,
        "tie_parameter": snapshot.tie_parameter,
        "helped": snapshot.helped,
        "style": snapshot.style,
        "data_digest": snapshot.data_digest,
        "code_version": snapshot.code_version,
        "seed": snapshot.seed,
        "timings": snapshot.timings,
        "systems": rating_rows(snapshot),
    }


def report_as_json(report: JudgeReport) -> dict[str, Any]:
    """A judge's report with what is needed to compute it again."""
    return {
        "report": report.pk,
        "arena": report.arena.slug,
        "judge": report.judge.slug,
        "reference": report.reference,
        "slice": report.slice,
        "created_at": report.created_at.isoformat(),
        "n": {
            "systems": report.n_systems,
            "shared_battles": report.n_battles,
            "prompts": report.n_prompts,
            "judge_verdicts": report.n_judge_verdicts,
            "reference_verdicts": report.n_reference_verdicts,
        },
        "data_digest": report.data_digest,
        "code_version": report.code_version,
        "seed": report.seed,
        "timings": report.timings,
        **report.figures,
    }
