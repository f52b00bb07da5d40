"""Whether an output is JSON, and has the keys that were asked for."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from judges.programs.interface import ParameterError, Program, known_parameters

MOST_KEYS = 50
LONGEST_KEY = 200
_FENCED = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*)\n```", re.DOTALL)


def valid_json(
    output: str, *, prompt: str, reference: str | None, keys: Sequence[str] = ()
) -> float:
    """1 for one JSON value and nothing else, bare or in one block of code; else 0.

    With ``keys`` it must be an object: 1 when it has them all, a half when one is missing. Strict: no NaN, no
    key twice.
    """
    text = output.strip()
    if fenced := _FENCED.fullmatch(text):
        text = fenced[1]
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return 0.0
    if not keys:
        return 1.0
    if not isinstance(value, dict):
        return 0.0
    return 1.0 if all(key in value for key in keys) else 0.5


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("A key is there twice.")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON.")


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    keys = known_parameters(given, {"keys": []})["keys"]
    if (
        not isinstance(keys, list | tuple)
        or len(keys) > MOST_KEYS
        or not all(isinstance(key, str) and 0 < len(key) <= LONGEST_KEY for key in keys)
    ):
        raise ParameterError(
            f"keys: a list of at most {MOST_KEYS} names of at most {LONGEST_KEY} characters."
        )
    return {"keys": list(keys)}


PROGRAM = Program(
    name="valid_json",
    version=1,
    description="Valid JSON: the output is one JSON value, with the keys that were asked for.",
    score=valid_json,
    margin=0.0,
    checked=_checked,
)
