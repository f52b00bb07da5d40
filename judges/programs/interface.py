"""What a program judge is: a pure function that scores one output."""

from dataclasses import dataclass
from typing import Protocol


class ScoreFunction(Protocol):
    """Scores one output; higher is better.

    `prompt` is what the system was asked, `reference` the prompt's reference answer, if there is one.
    Further keyword arguments with defaults are the program's parameters: functools.partial binds them.
    """

    def __call__(self, output: str, *, prompt: str, reference: str | None) -> float: ...


@dataclass(frozen=True, slots=True)
class Program:
    """A program judge. Change what it computes, and its version goes up: its old verdicts stay its own.

    `margin` is the difference of scores up to which its verdict is a tie, unless an arena says otherwise.
    """

    name: str
    version: int
    description: str
    score: ScoreFunction
    margin: float
    needs_reference: bool = False


class MissingReference(ValueError):
    """The program compares with a reference answer, and the prompt has none."""


def required_reference(reference: str | None, *, program: str) -> str:
    """The reference. Raises MissingReference where there is none or it is blank."""
    if reference is None or not reference.strip():
        raise MissingReference(
            f"{program} compares with a reference answer, and this prompt has none: "
            "give it one or leave it out."
        )
    return reference
