"""What can be chosen about a protocol, read strictly from a judge's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

REFERENCES = ("none", "given", "adapted")
REPLIES = ("json", "line")
MOST_CRITERIA = 12
LONGEST_NAME = 40


class ProtocolError(ValueError):
    """A configuration that names no protocol, or an option that it doesn't have; str() says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """``reply`` is the form of the reply: a JSON object, or a last line of words.

    ``reference``: "given" shows the prompt's reference answer, "adapted" one that the judge wrote first with
    the answers before it (RevisEval, arXiv 2410.05193). ``examples`` is how many comparisons by people are
    shown first. ``reasoned``: reasons come before the decision. ``certainty``: the judge says how certain it
    is, from 0 to 100.
    """

    reply: str = "json"
    reasoned: bool = False
    reference: str = "none"
    examples: int = 0
    certainty: bool = False
    ties: bool = True
    both_bad: bool = True
    criteria: tuple[str, ...] = ()
    points: int = 5
    max_tokens: int = 0  # 0: what the form needs


def options_from(given: Mapping[str, Any], *, protocol: str, known: frozenset[str]) -> Options:
    """Raises ProtocolError for an option that the protocol doesn't know and for a value it can't have."""
    if unknown := sorted(set(given) - known):
        raise ProtocolError(
            f"The protocol {protocol} has no option {unknown[0]!r}: it has {', '.join(sorted(known))}."
        )
    values = dict(given)
    defaults = {field.name: field.default for field in fields(Options)}
    for name, value in values.items():
        if isinstance(defaults[name], bool) and not isinstance(value, bool):
            raise ProtocolError(f"{name} must be true or false, not {value!r}.")
    _one_of(values, "reply", REPLIES)
    _one_of(values, "reference", REFERENCES)
    _number(values, "examples", 0, 8)
    _number(values, "points", 2, 10)
    _number(values, "max_tokens", 0, 32_000)
    if "criteria" in values:
        values["criteria"] = _criteria(values["criteria"])
    return Options(**values)


def _one_of(values: dict[str, Any], name: str, allowed: tuple[str, ...]) -> None:
    if name in values and values[name] not in allowed:
        raise ProtocolError(f"{name} must be one of {', '.join(allowed)}, not {values[name]!r}.")


def _number(values: dict[str, Any], name: str, low: int, high: int) -> None:
    if name not in values:
        return
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ProtocolError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")


def _criteria(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise ProtocolError("criteria must be a list of names.")
    names = tuple(name.strip() for name in value)
    for name in names:
        if not name or len(name) > LONGEST_NAME or not name.isprintable() or ":" in name:
            raise ProtocolError(
                f"A criterion has 1 to {LONGEST_NAME} characters and no colon, unlike {name!r}."
            )
    if len({name.casefold() for name in names}) < len(names):
        raise ProtocolError("criteria must differ.")
    if len(names) > MOST_CRITERIA:
        raise ProtocolError(f"At most {MOST_CRITERIA} criteria, not {len(names)}.")
    return names
