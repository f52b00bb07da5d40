"""What of an arena's data the public may take away as files, and what is held back for a while."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from arena.models import Arena

MOST_HELD_BACK = 100.0


class SharingError(ValueError):
    """Terms that can't be followed; str() says which part and what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """``outputs``, ``verdicts`` and ``rationales``: whether their tables, or the words, are in public files.

    ``newest_verdicts`` and ``newest_prompts`` are percentages of the newest ones, by id, which the public gets
    later; what belongs to a prompt that is held back is held back with it. Maintainers always get all.
    """

    outputs: bool = True
    verdicts: bool = True
    rationales: bool = True
    newest_verdicts: float = 0.0
    newest_prompts: float = 0.0

    def __post_init__(self) -> None:
        for name in ("outputs", "verdicts", "rationales"):
            if not isinstance(getattr(self, name), bool):
                raise SharingError(f"{name}: {getattr(self, name)!r} is not true or false.")
        for name in ("newest_verdicts", "newest_prompts"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not 0 <= value <= MOST_HELD_BACK:
                raise SharingError(f"{name}: {value!r} is not a percentage from 0 to 100.")

    @classmethod
    def of(cls, arena: Arena) -> Self:
        return cls.from_json(arena.sharing)

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """What isn't there takes its usual value. Raises SharingError."""
        if not isinstance(stored, dict):
            raise SharingError("What is shared is an object of names and values.")
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(stored) - set(known)):
            raise SharingError(
                f"{unknown[0]}: not a part of what is shared, which are {', '.join(known)}."
            )
        return cls(**stored)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
