"""A scale that the rows of a table share: where a value and its interval stand on it, in per cent."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import NamedTuple, Self

MOST_TICKS = 6


class Tick(NamedTuple):
    value: float
    label: str
    at: float

    @property
    def anchor(self) -> str:
        """SVG's text-anchor that keeps the label within the column."""
        return "start" if self.at < 4 else "end" if self.at > 96 else "middle"


class Bar(NamedTuple):
    """A value at ``at`` and its interval from ``left`` to ``right``; cut where it leaves the scale."""

    at: float | None
    left: float | None
    right: float | None
    cut_left: bool
    cut_right: bool

    @property
    def has_interval(self) -> bool:
        return self.left is not None and self.right is not None


def _whole(value: float) -> str:
    return f"{value:,.0f}".replace("-", "−")


@dataclass(frozen=True, slots=True)
class Scale:
    """From ``low`` to ``high``, low < high. ``label`` writes the number of a tick."""

    low: float
    high: float
    label: Callable[[float], str] = field(default=_whole, compare=False)

    @classmethod
    def around(cls, low: float, high: float, *, label: Callable[[float], str] = _whole) -> Self:
        """A scale on which ``low`` to ``high`` fits with a little air, whatever they are."""
        air = (high - low) * 0.02 or 1.0
        return cls(low - air, high + air, label)

    @property
    def step(self) -> float:
        """Between ticks: 1, 2 or 5 times a power of ten."""
        rough = (self.high - self.low) / MOST_TICKS
        power = 10.0 ** floor(log10(rough))
        return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)

    @property
    def ticks(self) -> list[Tick]:
        return [Tick(value, self.label(value), self.position(value)) for value in self._values()]

    def _values(self) -> Iterator[float]:
        step = self.step
        for number in range(ceil(self.low / step), floor(self.high / step) + 1):
            yield number * step

    def position(self, value: float) -> float:
        """Per cent of the scale's length, 0 to 100, rounded as a page needs it."""
        share = (value - self.low) / (self.high - self.low)
        return round(min(max(share, 0.0), 1.0) * 100, 2)

    def bar(self, value: float | None, lower: float | None, upper: float | None) -> Bar:
        """Where a value and its interval stand; None stands for what isn't known."""
        return Bar(
            at=None if value is None else self.position(value),
            left=None if lower is None else self.position(lower),
            right=None if upper is None else self.position(upper),
            cut_left=lower is not None and lower < self.low,
            cut_right=upper is not None and upper > self.high,
        )
