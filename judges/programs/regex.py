"""Whether a regular expression matches somewhere in an output."""

from collections.abc import Mapping
from typing import Any

from judges.programs.interface import ParameterError, Program, known_parameters
from judges.programs.patterns import PatternError, machine_of


def regex(
    output: str,
    *,
    prompt: str,
    reference: str | None,
    pattern: str = "",
    ignore_case: bool = False,
) -> float:
    """1 when the pattern matches somewhere, else 0: ``^`` and ``$`` tie it to the ends. Raises PatternError."""
    return float(machine_of(pattern, ignore_case=ignore_case).is_in(output))


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    parameters = known_parameters(given, {"pattern": "", "ignore_case": False})
    if parameters["pattern"] == "":
        raise ParameterError("pattern: name the regular expression that is looked for.")
    try:
        machine_of(parameters["pattern"], ignore_case=parameters["ignore_case"])
    except PatternError as error:
        raise ParameterError(f"pattern: {error}") from error
    return parameters


PROGRAM = Program(
    name="regex",
    version=1,
    description="Regular expression: it matches somewhere in the output.",
    score=regex,
    margin=0.0,
    checked=_checked,
)
