"""Numeric: one output scored from 0 to 100."""

from collections.abc import Mapping, Sequence
from typing import Any

from judges.protocols import reading, texts
from judges.protocols.asking import Asking
from judges.protocols.interface import Case, Reading


class Numeric(Asking):
    name = "numeric"
    judges_battles = False
    templates = ("score", "numeric")
    low, high, whole = 0, 100, False

    def task(self) -> str:
        return f"{texts.template('score')} {texts.template('numeric')}"

    def highest(self) -> int:
        return self.high

    def decided(self, case: Case) -> dict[str, str]:
        kind = "a whole number" if self.whole else "a number"
        return {"score": f"{kind} from {self.low} to {self.highest()}"}

    def kinds(self, case: Case) -> dict[str, Mapping[str, Any]]:
        return {"score": {"type": "integer" if self.whole else "number"}}

    def of_json(self, value: Mapping[str, Any], questions: Sequence[str]) -> Reading:
        return Reading(
            score=reading.the(
                value,
                "score",
                lambda said: reading.number_of(
                    said, low=self.low, high=self.highest(), what="score", whole=self.whole
                ),
            )
        )

    def of_words(self, text: str, questions: Sequence[str]) -> Reading:
        score = reading.number_in(text, low=self.low, high=self.highest())
        return Reading(
            score=reading.number_of(
                score, low=self.low, high=self.highest(), what="score", whole=self.whole
            )
        )
