"""Five steps, as Arena-Hard asks (arXiv 2406.11939): A>>B, A>B, A=B, B>A, B>>A. How much better stays with the
trace: a verdict is one verdict."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from judges.protocols import reading
from judges.protocols.asking import COMMON, Asking
from judges.protocols.interface import Case, Choice, Reading

STEPS = {
    "a>>b": (Choice.FIRST, 2),
    "a>b": (Choice.FIRST, 1),
    "a=b": (Choice.TIE, 0),
    "b>a": (Choice.SECOND, 1),
    "b>>a": (Choice.SECOND, 2),
}
# The same said from the other end, and with more or fewer signs.
ALSO = {
    "b<<a": "a>>b", "b<a": "a>b", "b=a": "a=b", "a<b": "b>a", "a<<b": "b>>a", "a==b": "a=b", "b==a": "a=b",
    "a≫b": "a>>b", "b≫a": "b>>a", "a≈b": "a=b", "b≈a": "a=b", "tie": "a=b",
}  # fmt: skip
LABELS = {**STEPS, **{word: STEPS[step] for word, step in ALSO.items()}}
_SPACED = re.compile(r"(?<![A-Za-z])([AB])\s*(>>|<<|==|[>=<≫≈])\s*([AB])(?![A-Za-z])")


class FiveStep(Asking):
    name = "five_step"
    judges_battles = True
    known = COMMON | {"examples"}
    templates = ("five_step",)

    def decided(self, case: Case) -> dict[str, str]:
        return {
            "verdict": "A>>B if A is much better, A>B if A is slightly better, A=B if they are equally good, "
            "B>A if B is slightly better, B>>A if B is much better"
        }

    def kinds(self, case: Case) -> dict[str, Mapping[str, Any]]:
        return {"verdict": {"type": "string", "enum": [step.upper() for step in STEPS]}}

    def of_json(self, value: Mapping[str, Any], questions: Sequence[str]) -> Reading:
        return _reading(
            reading.the(
                value, "verdict", lambda said: reading.label_of(said, STEPS, what="verdict")
            )
        )

    def of_words(self, text: str, questions: Sequence[str]) -> Reading:
        together = _SPACED.sub(r"\1\2\3", text.replace("\\gg", ">>").replace("&gt;", ">"))
        # A line that begins with > is a quotation; the signs of a verdict stand behind a letter.
        return _reading(reading.label_in(together, LABELS, sentences=False))


def _reading(step: tuple[Choice, int]) -> Reading:
    choice, strength = step
    return Reading(choice=choice, details={"strength": strength})
