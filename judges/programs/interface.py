"""What a program judge is: a pure function that scores one output."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class ScoreFunction(Protocol):
    """Scores one output; higher is better.

    `prompt` is what the system was asked, `reference` the prompt's reference answer, if there is one.
    Further keyword arguments with defaults are the program's parameters: a judge's configuration has them.
    """

    def __call__(self, output: str, *, prompt: str, reference: str | None) -> float: ...


@dataclass(frozen=True, slots=True)
class Program:
    """A program judge. Change what it computes, and its version goes up: its old verdicts stay its own.

    `margin` is the difference of scores up to which its verdict is a tie, unless an arena says otherwise.
    `checked` gives all its parameters from those that are given, or raises ParameterError; None: it has none.
    """

    name: str
    version: int
    description: str
    score: ScoreFunction
    margin: float
    needs_reference: bool = False
    checked: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None

    def parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Complete, for the configuration of a judge. Raises ParameterError."""
        return self.checked(given) if self.checked else known_parameters(given, {})


class ParameterError(ValueError):
    """A parameter that the program doesn't have, or a value that it can't have; str() says which."""


def known_parameters(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults with what is given, of the same types. Raises ParameterError."""
    if unknown := sorted(set(given) - set(defaults)):
        has = f"it has {', '.join(defaults)}" if defaults else "it has none"
        raise ParameterError(f"{unknown[0]!r} is no parameter of this program: {has}.")
    for name, value in given.items():
        if isinstance(defaults[name], bool) and not isinstance(value, bool):
            raise ParameterError(f"{name} is true or false, not {value!r}.")
    return {**defaults, **given}


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
