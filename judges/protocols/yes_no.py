"""Token probabilities of one output: is it good, yes or no? The score is the probability of yes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from judges.protocols.asking import Asking
from judges.protocols.interface import Case, Reading, Reply, Request
from judges.protocols.probabilities import TOP, shares


class YesNo(Asking):
    name = "yes_no"
    judges_battles = False
    needs_probabilities = True
    known = frozenset({"reference"})
    defaults: ClassVar[Mapping[str, Any]] = {"reply": "line"}
    templates = ("yes_no",)

    def render(self, case: Case, *, fence: str) -> Request:
        return replace(super().render(case, fence=fence), top_logprobs=TOP)

    def length(self, case: Case) -> int:
        return 4

    def form(self, case: Case) -> str:
        return "Is the answer good? Reply with Yes or No and nothing else."

    def read(self, reply: Reply, *, questions: Sequence[str] = ()) -> Reading:
        """The score is p(yes) / (p(yes) + p(no)), in [0, 1]."""
        yes = shares(reply, {"yes": True, "no": False})[True]
        return Reading(score=yes, confidence=max(yes, 1 - yes))
