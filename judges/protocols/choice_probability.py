"""Token probabilities of a battle: the model is asked for one letter, and how likely it found each is read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from judges.protocols.asking import Asking
from judges.protocols.battle import MEANING
from judges.protocols.interface import Case, Choice, Reading, Reply, Request
from judges.protocols.probabilities import TOP, shares

# One letter each, since a label of two words has no probability of its own.
LETTERS = {"a": Choice.FIRST, "b": Choice.SECOND, "c": Choice.TIE, "d": Choice.BOTH_BAD}
SAID = dict(zip("abcd", MEANING.values(), strict=True))


class ChoiceProbability(Asking):
    name = "choice_probability"
    judges_battles = True
    needs_probabilities = True
    known = frozenset({"reference", "examples", "ties", "both_bad"})
    defaults: ClassVar[Mapping[str, Any]] = {"reply": "line", "ties": False, "both_bad": False}
    templates = ("battle",)

    def letters(self) -> dict[str, Choice]:
        without = {Choice.TIE} - ({Choice.TIE} if self.options.ties else set())
        without |= set() if self.options.both_bad else {Choice.BOTH_BAD}
        return {letter: choice for letter, choice in LETTERS.items() if choice not in without}

    def render(self, case: Case, *, fence: str) -> Request:
        return replace(super().render(case, fence=fence), top_logprobs=TOP)

    def length(self, case: Case) -> int:
        return 4

    def form(self, case: Case) -> str:
        said = ", ".join(f"{letter.upper()} if {SAID[letter]}" for letter in self.letters())
        return f"Reply with one letter and nothing else: {said}."

    def read(self, reply: Reply, *, questions: Sequence[str] = ()) -> Reading:
        found = shares(reply, self.letters())
        best = max(found.values())
        likeliest = [choice for choice, share in found.items() if share == best]
        choice = likeliest[0] if len(likeliest) == 1 else Choice.TIE
        return Reading(
            choice=choice,
            confidence=best,
            details={"shares": {value.name: round(share, 6) for value, share in found.items()}},
        )
