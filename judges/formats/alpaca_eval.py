"""AlpacaEval: a system's outputs (model_outputs.json) and a judge's preferences (annotations.json)."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from judges.formats.battles import judge_named
from judges.formats.errors import DatasetError, UnreadableDataset, Where
from judges.formats.interface import Options
from judges.formats.reading import Row, Source
from judges.formats.records import (
    JudgeRecord,
    OutputRecord,
    PromptRecord,
    Record,
    TraceRecord,
    Unanswered,
    VerdictRecord,
)
from judges.formats.text import clean, label
from judges.models import Judge, Outcome

SUMMARY = "AlpacaEval's annotations.json or model_outputs.json, or a folder that holds such files."
PATTERNS = ("*_outputs.json", "*annotations*.json", "*_outputs.json.gz", "*annotations*.json.gz")
EVEN = 1.5


def read(source: Source, options: Options) -> Iterator[Record]:
    for path in _files(source):
        for row in source.rows(path):
            try:
                record = _record(row)
            except DatasetError as error:
                source.rejects.add(error, row.where)
                continue
            yield record


def _files(source: Source) -> list[Path]:
    if not source.path.is_dir():
        return [source.file()]
    # Outputs first, so that their records tell a system's answers before verdicts refer to them.
    paths = [path for pattern in PATTERNS for path in sorted(source.path.rglob(pattern))]
    if not paths:
        raise UnreadableDataset(
            f"the folder holds none of {', '.join(PATTERNS[:2])}.", where=Where(str(source.path))
        )
    return [source.found(path) for path in sorted(paths, key=lambda p: "annotations" in p.name)]


def _record(row: Row) -> Record:
    if "preference" in row.values:
        return _verdict(row)
    if "output" in row.values:
        return OutputRecord(
            (_system(row, "generator"), ""), _prompt(row), _text(row, "output"), row.where
        )
    raise DatasetError(
        "neither a preference nor an output: an item of annotations.json or model_outputs.json was "
        "expected."
    )


def _verdict(row: Row) -> Record:
    preference = row.values["preference"]
    names = tuple((_system(row, f"generator_{n}"), "") for n in (1, 2))
    if names[0] == names[1]:
        raise DatasetError(f"{names[0][0]!r} battles itself.", column="generator_2")
    outputs = _text(row, "output_1"), _text(row, "output_2")
    if preference is None or preference != preference:
        return Unanswered(row.where)
    outcome = _outcome(preference, outputs)
    stated = max(preference - 1, 2 - preference) if preference not in (0, 1, 2) else None
    return VerdictRecord(
        where=row.where,
        systems=names,
        outcome=outcome,
        prompt=_prompt(row),
        outputs=outputs,
        judge=_judge(row),
        # A judge that only ever says 1 or 2 has stated no probability.
        confidence=stated if outcome != Outcome.TIE else None,
        trace=TraceRecord(
            completion=_completion(row.values.get("raw_completion")),
            parse={"preference": preference},
            cost=_amount(row.values.get("price_per_example")),
            latency_ms=_milliseconds(row.values.get("time_per_example")),
        ),
    )


def _outcome(preference: Any, outputs: tuple[str, str]) -> Outcome:
    if isinstance(preference, bool) or not isinstance(preference, int | float):
        raise DatasetError(f"{preference!r} is not a number.", column="preference")
    if preference == EVEN or (preference == 0 and outputs[0] == outputs[1]):
        return Outcome.TIE  # early versions wrote 0 where both outputs are the same
    if not 1 <= preference <= 2:
        raise DatasetError(f"{preference!r} is not between 1 and 2.", column="preference")
    return Outcome.B if preference > EVEN else Outcome.A


def _judge(row: Row) -> JudgeRecord:
    annotator = row.values.get("annotator")
    if not annotator:
        raise DatasetError("the name of the judge was expected, not nothing.", column="annotator")
    judge = judge_named(str(annotator))
    if judge.kind == Judge.Kind.CROWD:
        raise DatasetError(
            "people's preferences have no voters here: import them as a table.", column="annotator"
        )
    return JudgeRecord(name=judge.name, kind=Judge.Kind.LLM)


def _prompt(row: Row) -> PromptRecord:
    instruction = _text(row, "instruction")
    if extra := row.values.get("input"):
        instruction = f"{instruction}\n\n{clean(str(extra))}"
    dataset = row.values.get("dataset")
    return PromptRecord(
        messages=[{"role": "user", "content": instruction}],
        categories=(label(dataset, column="dataset", longest=60),) if dataset else (),
    )


def _system(row: Row, column: str) -> str:
    value = row.values.get(column)
    if not value:
        raise DatasetError("the name of a system was expected, not nothing.", column=column)
    return label(value, column=column, longest=200)


def _text(row: Row, column: str) -> str:
    value = row.values.get(column)
    if not isinstance(value, str):
        raise DatasetError(f"text was expected, not {type(value).__name__}.", column=column)
    return clean(value)


def _completion(raw: Any) -> str:
    if raw is None:
        return ""
    if isinstance(raw, dict):
        message = raw.get("message")
        text = message.get("content") if isinstance(message, dict) else raw.get("text")
        if isinstance(text, str):
            return clean(text)
    return clean(raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False))


def _amount(value: Any) -> float | None:
    """USD that the table has room for; what is no number isn't a reason to lose the verdict."""
    return value if _is_number(value) and 0 <= value < 1e6 else None


def _milliseconds(seconds: Any) -> int | None:
    return round(seconds * 1000) if _is_number(seconds) and 0 <= seconds < 2e6 else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
