"""How an arena chooses the next battle: a mixture of ways to draw a pair, and shares of other ballots."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from arena.models import Arena


class PolicyError(ValueError):
    """A policy that can't be followed; str() says which part and what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """``uniform``, ``least_judged`` and ``active`` are weights of a mixture of pairs; only ratios count.

    The shares are probabilities that a ballot is none of these but a battle that others decided
    (``overlap_share``, until ``overlap_voters`` have), one that the voter decided (``repeat_share``), or a gold
    item (``gold_share``).
    """

    uniform: float = 0.3
    least_judged: float = 0.0
    active: float = 0.7
    overlap_share: float = 0.1
    overlap_voters: int = 3
    repeat_share: float = 0.02
    gold_share: float = 0.02

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value < float("inf"):
                raise PolicyError(f"{field.name}: {value!r} is not a number of at least 0.")
        if self.uniform + self.least_judged + self.active <= 0:
            raise PolicyError("One of uniform, least_judged and active must be more than 0.")
        if self.overlap_share + self.repeat_share + self.gold_share > 1:
            raise PolicyError("The shares overlap, repeat and gold are more than 1 together.")
        if self.overlap_voters != int(self.overlap_voters) or self.overlap_voters < 2:
            raise PolicyError("overlap_voters: a whole number of at least 2 was expected.")

    @classmethod
    def of(cls, arena: Arena) -> Self:
        return cls.from_json(arena.policy)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """What isn't there takes its usual value. Raises PolicyError."""
        if not isinstance(stored, dict):
            raise PolicyError("A policy is an object of names and numbers.")
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(stored) - set(known)):
            raise PolicyError(
                f"{unknown[0]}: not a part of a policy, which are {', '.join(known)}."
            )
        return cls(**stored)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
