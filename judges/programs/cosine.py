"""Cosine of the word counts of output and reference (the vector space model, Salton et al. 1975)."""

import math
from collections import Counter

from arena.demo.words import words
from judges.programs.interface import Program, required_reference


def cosine(output: str, *, prompt: str, reference: str | None) -> float:
    """Cosine in [0, 1] of raw term frequencies, all words counted, in lower case; 0 without words.

    Raises MissingReference.
    """
    expected = Counter(words(required_reference(reference, program="The cosine")))
    given = Counter(words(output))
    if not given or not expected:
        return 0.0
    product = sum(count * expected[word] for word, count in given.items())
    lengths = (sum(n * n for n in counts.values()) for counts in (given, expected))
    return product / math.sqrt(math.prod(lengths))


PROGRAM = Program(
    name="cosine",
    version=1,
    description="Cosine: how alike the word counts of the output and the reference are.",
    score=cosine,
    margin=0.02,
    needs_reference=True,
)
