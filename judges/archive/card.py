"""What an export says of itself: arena.json for programs, README.md (a dataset card) for readers."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arena.markdown import printable
from judges.archive.scope import Scope
from judges.archive.tables import Column, Table, column_names
from judges.formats.jurybox import SETTINGS, VERSION

# How whoever runs the arena goes about it; the public gets the rest.
OWN_SETTINGS = ("policy", "sharing")
_LICENCES = {
    "cc0": "cc0-1.0", "cc0 1.0": "cc0-1.0", "cc by 4.0": "cc-by-4.0", "cc by-sa 4.0": "cc-by-sa-4.0",
    "cc by-nc 4.0": "cc-by-nc-4.0", "cc by-nc-sa 4.0": "cc-by-nc-sa-4.0", "cc by 3.0": "cc-by-3.0",
    "mit": "mit", "apache 2.0": "apache-2.0", "apache-2.0": "apache-2.0", "odc-by": "odc-by",
    "odbl": "odbl", "cdla permissive 2.0": "cdla-permissive-2.0",
}  # fmt: skip
_DTYPES = {
    "string": "string", "json": "string", "time": "string", "integer": "int64", "double": "float64",
    "bool": "bool",
}  # fmt: skip
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z]{2,4})?\Z")
MOST_LANGUAGES = 20


@dataclass(frozen=True, slots=True)
class Written:
    """One table as it was written. ``sha256`` is that of its JSON lines, whatever form the file has."""

    table: Table
    rows: int
    sha256: str


def dataset_digest(tables: Mapping[str, str]) -> str:
    """SHA-256 over all tables: of a line "name sha256" for each, by name, each with its line end."""
    lines = "".join(f"{name} {tables[name]}\n" for name in sorted(tables))
    return hashlib.sha256(lines.encode()).hexdigest()


def arena_json(scope: Scope, written: list[Written], *, suffix: str, at: str) -> dict[str, Any]:
    arena = scope.arena
    told = [name for name in SETTINGS if scope.is_whole or name not in OWN_SETTINGS]
    return {
        "format": "jurybox",
        "format_version": VERSION,
        "exported_at": at,
        "arena": {"slug": arena.slug} | {name: getattr(arena, name) for name in told},
        "is_whole": scope.is_whole,
        "held_back": {
            "newest_verdicts": scope.sharing.newest_verdicts,
            "newest_prompts": scope.sharing.newest_prompts,
        },
        "left_out": scope.left_out,
        "tables": {
            done.table.name: {
                "file": f"{done.table.name}{suffix}",
                "rows": done.rows,
                "sha256": done.sha256,
            }
            for done in written
        },
        "dataset_digest": dataset_digest({done.table.name: done.sha256 for done in written}),
    }


def card(scope: Scope, written: list[Written], about: dict[str, Any], languages: list[str]) -> str:
    """Markdown with the YAML that hubs of datasets read. JSON strings are YAML, so nothing can break out."""
    arena = scope.arena
    rows = {done.table.name: done.rows for done in written}
    lines = ["---", f"pretty_name: {_quoted(arena.name)}", *_licence(arena.licence)]
    codes = [language for language in languages if _LANGUAGE_CODE.match(language)]
    if codes:
        lines += ["language:", *(f"- {_quoted(code)}" for code in codes)]
    lines += ["tags:", "- jurybox", "- preferences", "- llm-as-a-judge"]
    lines += ["size_categories:", f"- {_size(max(rows.values(), default=0))}"]
    # Readers of datasets stumble over a table without rows.
    shown = [done for done in written if done.rows]
    if shown:
        lines.append("configs:")
    for done in shown:
        lines += [
            f"- config_name: {done.table.name}",
            "  data_files:",
            "  - split: train",
            f"    path: {about['tables'][done.table.name]['file']}",
        ]
        if done is shown[0]:
            lines.append("  default: true")
    if shown:
        lines.append("dataset_info:")
    for done in shown:
        names = set(column_names(done.table, scope))
        lines += [f"- config_name: {done.table.name}", "  features:"]
        for column in done.table.columns:
            if column.name in names:
                lines += _feature(column)
    lines += ["---", "", *_text(scope, written, about, languages)]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(printable(text))


def _licence(licence: str) -> list[str]:
    if not licence:
        return ["license: unknown"]
    known = _LICENCES.get(licence.lower().replace("-4.0", " 4.0").replace("cc-", "cc "))
    if known:
        return [f"license: {known}"]
    return ["license: other", f"license_name: {_quoted(licence)}"]


def _size(rows: int) -> str:
    below = "n<1K"
    for least, name in (
        (10**3, "1K<n<10K"), (10**4, "10K<n<100K"), (10**5, "100K<n<1M"), (10**6, "1M<n<10M"),
        (10**7, "10M<n<100M"),
    ):  # fmt: skip
        if rows >= least:
            below = name
    return below


def _feature(column: Column) -> list[str]:
    first = f"  - name: {column.name}"
    if column.kind == "messages":
        parts = ("content", "role")
        fields = [line for part in parts for line in (f"    - name: {part}", "      dtype: string")]
        return [first, "    list:", *fields]
    if column.kind == "strings":
        return [first, "    sequence: string"]
    return [first, f"    dtype: {_DTYPES[column.kind]}"]


def _text(
    scope: Scope, written: list[Written], about: dict[str, Any], languages: list[str]
) -> list[str]:
    arena = scope.arena
    lines = [f"# {_line(arena.name)}", ""]
    if arena.description:
        lines += [_line(arena.description), ""]
    lines += [
        f"An arena of Jurybox as it was on {about['exported_at'][:10]}: systems answered prompts, and judges "
        "(people, LLMs, juries, programs) decided which of two answers is better.",
        "",
        f"- Licence: {_line(arena.licence) or 'not stated'}",
        f"- Source: {_line(arena.source) or 'not stated'}",
    ]
    if languages:
        lines.append(f"- Languages of prompts: {', '.join(map(_line, languages))}")
    lines += [f"- Dataset digest: `{about['dataset_digest']}`", f"- {_whole(scope)}", ""]
    simulated = [judge.slug for judge in scope.judges.values() if judge.is_simulated]
    if simulated:
        lines += [f"**Simulated**, so decided by nobody: {', '.join(simulated)}.", ""]
    lines += ["## Tables", ""]
    for done in written:
        file = about["tables"][done.table.name]["file"]
        names = set(column_names(done.table, scope))
        lines += [f"### {file}: {done.rows:,} rows", "", f"{done.table.meaning}.", ""]
        lines += ["| column | type | meaning |", "| --- | --- | --- |"]
        lines += [
            f"| {column.name} | {column.kind} | {column.meaning} |"
            for column in done.table.columns
            if column.name in names
        ]
        lines += ["", f"SHA-256 of its JSON lines: `{done.sha256}`", ""]
    key = re.sub(r"[^a-z0-9]", "", arena.slug) or "arena"
    title = re.sub(r"[^\w \-.,:()]", "", _line(arena.name))
    lines += [
        "## To count as the leaderboard does",
        "",
        "Take the rows of verdicts with `is_counted` and an empty `criterion`, of the judges of interest.",
        "Columns of type json hold JSON as text; times are in UTC.",
        "",
        "## Citation",
        "",
        "```bibtex",
        f"@misc{{jurybox-{key},",
        f"  title = {{{title}}},",
        f"  year = {{{about['exported_at'][:4]}}},",
        f"  note = {{Jurybox dataset {about['dataset_digest'][:16]}}}",
        "}",
        "```",
    ]
    return lines


def _whole(scope: Scope) -> str:
    if scope.is_whole:
        return "Everything is in it, for whoever runs the arena: it isn't meant to be published as it is."
    left = [f"{n:,} {table}" for table, n in sorted(scope.left_out.items()) if n]
    shared, said = scope.sharing, []
    if left:
        said.append(f"Held back for now, the newest: {', '.join(left)}.")
    closed = [
        what
        for what, is_open in (
            ("outputs", shared.outputs),
            ("verdicts", shared.verdicts),
            ("the words behind verdicts", shared.rationales or not shared.verdicts),
        )
        if not is_open
    ]
    if closed:
        said.append(f"Not shared: {', '.join(closed)}.")
    return " ".join(said) or "Nothing that the public sees is held back."


def _line(text: str) -> str:
    return " ".join(printable(text).split())
