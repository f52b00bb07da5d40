"""The longer output wins: what a judge with nothing but a length bias would say."""

from arena.demo.words import words
from judges.programs.interface import Program


def longer_is_better(output: str, *, prompt: str, reference: str | None) -> float:
    """The number of words of the output."""
    return float(len(words(output)))


PROGRAM = Program(
    name="longer_is_better",
    version=1,
    description="Longer is better: counts words, and nothing else.",
    score=longer_is_better,
    margin=0.0,
)
