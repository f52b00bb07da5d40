"""LLMFAO: a folder of systems, prompts and outputs, judged by crowd workers and by two LLMs."""

from collections.abc import Iterator
from typing import Any

from judges.formats.errors import DatasetError
from judges.formats.interface import Options
from judges.formats.reading import Row, Source
from judges.formats.records import (
    ArenaRecord,
    GoldRecord,
    JudgeRecord,
    OutputRecord,
    Outputs,
    PromptRecord,
    Record,
    SystemRecord,
    VerdictRecord,
)
from judges.formats.text import clean, label
from judges.models import Judge, Outcome

SUMMARY = "The folder of LLMFAO: models, prompts, results, crowd and LLM comparisons."
WINNERS = {"left": Outcome.A, "right": Outcome.B, "tie": Outcome.TIE}
# Who trains models from scratch: theirs are a family. One who tunes the models of others is no family, and
# whose model was tuned isn't in the data.
FAMILIES = frozenset(
    {"AI21", "Aleph Alpha", "Anthropic", "BigCode", "Cohere", "Google", "Meta", "Mosaic ML", "OpenAI",
     "Qwen", "Salesforce", "TII UAE"}
)  # fmt: skip
CROWD = JudgeRecord(description="Crowd workers, one to five for each pair.")
# The *-crowd-comparisons.csv of the two LLMs repeat rows of these files under other ids: not read.
COMPARISONS = {
    "crowd-comparisons.csv": CROWD,
    "gpt3-comparisons.csv": JudgeRecord(
        name="GPT-3.5", kind=Judge.Kind.LLM, family="OpenAI", description="gpt3 in LLMFAO."
    ),
    "gpt4-comparisons.csv": JudgeRecord(
        name="GPT-4", kind=Judge.Kind.LLM, family="OpenAI", description="gpt4 in LLMFAO."
    ),
}


def read(source: Source, options: Options) -> Iterator[Record]:
    folder = source.folder()
    names = ("crowd-instruction.md", "models.jsonl", "prompts.jsonl", "results.jsonl")
    gold = "pairs-crowd-training.jsonl"
    files = {name: source.found(folder / name) for name in (*names, *COMPARISONS, gold)}
    yield ArenaRecord(
        guidelines=source.whole_text(files["crowd-instruction.md"]).strip(),
        licence="CC BY 4.0",
        source="LLMFAO by Dmitry Ustalov; prompts, models and results by llmonitor.com",
    )
    systems: dict[str, str] = {}
    for row in source.jsonl(files["models.jsonl"]):
        with source.rejects.at(row.where):
            name = label(_text(row, "name"), column="name", longest=200)
            systems[_text(row, "id")] = name
            organisation = label(row.values.get("org") or "", column="org", longest=120)
            yield SystemRecord(
                name,
                row.where,
                organisation=organisation,
                family=organisation if organisation in FAMILIES else "",
            )
    prompts: dict[str, PromptRecord] = {}
    for row in source.jsonl(files["prompts.jsonl"]):
        with source.rejects.at(row.where):
            kind = row.values.get("type")
            prompt = prompts[_text(row, "id")] = PromptRecord(
                messages=[{"role": "user", "content": clean(_text(row, "text"))}],
                source_id=_text(row, "id"),
                title=label(row.values.get("slug") or "", column="slug", longest=120),
                reference=clean(row.values.get("note") or ""),
                language="en",
                categories=(label(kind, column="type", longest=60),) if kind else (),
            )
            yield prompt
    for row in source.jsonl(files["results.jsonl"]):
        with source.rejects.at(row.where):
            duration = row.values.get("duration")
            yield OutputRecord(
                (_of(row, "model", systems), ""),
                _of(row, "prompt", prompts),
                clean(_text(row, "result", may_be_empty=True)),
                row.where,
                latency_ms=round(duration) if isinstance(duration, int | float) else None,
            )
    for name, judge in COMPARISONS.items():
        for row in source.csv(files[name]):
            with source.rejects.at(row.where):
                yield _comparison(row, judge, systems, prompts)
    for row in source.jsonl(files[gold]):
        with source.rejects.at(row.where):
            yield GoldRecord(
                row.where,
                source_id=_text(row, "id"),
                prompt=clean(_text(row, "text")),
                outputs=tuple(
                    clean(_text(row, f"result_{side}", may_be_empty=True)) for side in "xy"
                ),
                expected=_outcome(row, "golden"),
                reason=clean(row.values.get("reason") or ""),
            )


def _comparison(
    row: Row, judge: JudgeRecord, systems: dict[str, str], prompts: dict[str, PromptRecord]
) -> VerdictRecord:
    names = tuple((_of(row, f"model_{side}", systems), "") for side in "xy")
    shown = tuple(row.values.get(side) for side in ("left", "right"))
    if shown == (names[1][0], names[0][0]):
        names = names[::-1]  # ``winner`` speaks of left and right, whichever way x and y lie
    elif shown != (names[0][0], names[1][0]):
        raise DatasetError(
            f"{shown[0]!r} and {shown[1]!r} are not the names of model_x and model_y.",
            column="left",
        )
    if names[0] == names[1]:
        raise DatasetError(f"{names[0][0]!r} battles itself.", column="model_y")
    return VerdictRecord(
        where=row.where,
        systems=names,
        outcome=_outcome(row, "winner"),
        prompt=_of(row, "prompt", prompts),
        outputs=Outputs.IMPORTED,
        judge=judge,
        voter=f"worker-{_text(row, 'worker')}" if judge is CROWD else "",
        shown_first=0,
    )


def _text(row: Row, column: str, *, may_be_empty: bool = False) -> str:
    value = row.values.get(column)
    if value is None or (value == "" and not may_be_empty):
        raise DatasetError("a value was expected, not nothing.", column=column)
    return str(value)


def _of(row: Row, column: str, known: dict[str, Any]) -> Any:
    value = _text(row, column)
    if value not in known:
        raise DatasetError(f"{value!r} is the id of nothing that came before.", column=column)
    return known[value]


def _outcome(row: Row, column: str) -> Outcome:
    value = row.values.get(column)
    if value not in WINNERS:
        raise DatasetError(f"{value!r} is not one of {', '.join(WINNERS)}.", column=column)
    return WINNERS[value]
