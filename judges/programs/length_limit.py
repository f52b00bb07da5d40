"""Whether an output keeps to a limit of words."""

from arena.demo.words import words
from judges.programs.interface import Program

DEFAULT_LIMIT = 60


def length_limit(
    output: str, *, prompt: str, reference: str | None, limit: int = DEFAULT_LIMIT
) -> float:
    """1 within the limit, else limit / words; 0 for an output without words.

    Raises ValueError for a limit below one word.
    """
    if limit < 1:
        raise ValueError(f"The limit must be at least one word, not {limit}.")
    length = len(words(output))
    return min(1.0, limit / length) if length else 0.0


PROGRAM = Program(
    name="length_limit",
    version=1,
    description="Length limit: full marks up to sixty words, fewer the further an output exceeds them.",
    score=length_limit,
    margin=0.05,
)
