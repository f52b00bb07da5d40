"""Small datasets in files, and what an arena holds, free of database ids."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

from arena.models import Arena
from judges.importing import ImportReport, import_dataset
from judges.models import Outcome, Verdict

BATTLES = [
    {"model_a": "Ada", "model_b": "Basil", "winner": "model_a", "judge": "arena_user_1"},
    {"model_a": "Basil", "model_b": "Ada", "winner": "tie", "judge": "arena_user_2"},
    {"model_a": "Cleo", "model_b": "Ada", "winner": "tie (bothbad)", "judge": "arena_user_1"},
]


def write_csv(path: Path, rows: list[dict[str, Any]], *, newline: str = "\n") -> Path:
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, list(rows[0]), lineterminator=newline)
        writer.writeheader()
        writer.writerows(
            {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()}
            for row in rows
        )
    return path


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def load(path: Path, format: str = "lmarena", arena: str = "battles", **given: Any) -> ImportReport:
    return import_dataset(format=format, path=path, arena=arena, **given)


def added(report: ImportReport) -> dict[str, int]:
    return {noun: counts.added for noun, counts in report.nouns.items() if counts.added}


def already_there(report: ImportReport) -> dict[str, int]:
    return {
        noun: counts.already_there for noun, counts in report.nouns.items() if counts.already_there
    }


def verdicts(arena: Arena | str) -> Counter:
    """Every verdict as (first system by name, second, prompt digest, judge, voter, outcome …), counted."""
    slug = arena if isinstance(arena, str) else arena.slug
    result: Counter = Counter()
    rows = Verdict.objects.filter(arena__slug=slug, retraction=None).select_related(
        "battle__system_a", "battle__system_b", "prompt", "judge", "voter"
    )
    for verdict in rows:
        battle, outcome = verdict.battle, Outcome(verdict.outcome)
        names = [str(battle.system_a), str(battle.system_b)]
        first = verdict.shown_first
        if names[0] > names[1]:
            names.reverse()
            outcome = outcome.mirrored
            first = None if first is None else 1 - first
        key = (
            *names,
            verdict.prompt.digest,
            str(verdict.judge),
            verdict.voter.handle if verdict.voter else "",
            outcome.name,
            verdict.criterion,
            verdict.repetition,
            first,
        )
        result[key] += 1
    return result


def outcomes(arena: str) -> list[tuple[str, str, str]]:
    """(system, system, outcome) of every verdict, systems by name, sorted."""
    return sorted((key[0], key[1], key[5]) for key in verdicts(arena).elements())
