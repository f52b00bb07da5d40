"""The program judges. A new one is a module here with its `PROGRAM`, and a line in the tuple below.

A program scores one output at a time: ``score(output, *, prompt, reference) -> float``. It is pure: the
same arguments always give the same score. Verdicts follow from two scores by ``verdict``. A program that has
parameters says by ``checked`` what they may be; outputs come from strangers, so no text may keep it busy.
"""

from judges.programs import (
    chrf,
    contains,
    cosine,
    exact_match,
    first_sentence_overlap,
    length_limit,
    longer_is_better,
    regex,
    rouge_l,
    valid_json,
)
from judges.programs.interface import MissingReference, ParameterError, Program, ScoreFunction
from judges.programs.verdicts import Decision, verdict

__all__ = [
    "PROGRAMS",
    "Decision",
    "MissingReference",
    "ParameterError",
    "Program",
    "ScoreFunction",
    "program_named",
    "verdict",
]

PROGRAMS: dict[str, Program] = {
    module.PROGRAM.name: module.PROGRAM
    for module in (
        rouge_l,
        chrf,
        cosine,
        first_sentence_overlap,
        longer_is_better,
        length_limit,
        exact_match,
        contains,
        regex,
        valid_json,
    )
}


def program_named(name: str) -> Program:
    """The program of this name. Raises ValueError that lists the names there are."""
    try:
        return PROGRAMS[name]
    except KeyError:
        raise ValueError(
            f"{name!r} is not a program judge: there are {', '.join(PROGRAMS)}."
        ) from None
