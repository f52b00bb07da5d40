"""Likert: one output scored in whole steps, from 1 to 5 unless the judge says otherwise."""

from judges.protocols import texts
from judges.protocols.asking import COMMON
from judges.protocols.numeric import Numeric


class Likert(Numeric):
    name = "likert"
    known = COMMON | {"points"}
    templates = ("score", "likert")
    low, whole = 1, True

    def task(self) -> str:
        points = str(self.options.points)
        return f"{texts.template('score')} {texts.filled('likert', points=points)}"

    def highest(self) -> int:
        return self.options.points
