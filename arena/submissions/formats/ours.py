"""Our own records, in JSON lines, a JSON list or CSV; CSV with prompt and response is AutoArena's, too."""

import csv

from arena.records import Values
from arena.uploads import OUTPUT_FIELDS, output_row

KNOWN = OUTPUT_FIELDS
LOOKS_LIKE = (
    'records with "prompt_id" or "prompt" and "output" or "response", as JSON lines, list or CSV'
)
PROMPTS, TEXTS = {"prompt_id", "prompt"}, {"output", "response"}


def recognises(values: Values) -> bool:
    return bool(PROMPTS & values.keys()) or bool(TEXTS & values.keys())


row = output_row


def is_header(line: str) -> bool:
    """Whether a line of CSV names any of our columns."""
    cells = next(csv.reader([line]), [])
    return bool(KNOWN & {cell.strip() for cell in cells})


def other_separator(header: str) -> str:
    """What separates our columns, where it isn't a comma; empty where it is, or they aren't ours."""
    for separator, called in ((";", "semicolons"), ("\t", "tabs")):
        cells = {cell.strip(' "') for cell in header.split(separator)}
        if PROMPTS & cells and TEXTS & cells:
            return called
    return ""


def missing_columns(values: Values) -> str:
    """A sentence, where the header lacks what every record needs."""
    there = ", ".join(name[:40] for name in list(values)[:8])
    for wanted, what in ((PROMPTS, "which prompt is answered"), (TEXTS, "what the answer is")):
        if not wanted & values.keys():
            return (
                f"No column says {what}: the header needs {' or '.join(sorted(wanted))}. "
                f"It has {there}."
            )
    return ""
