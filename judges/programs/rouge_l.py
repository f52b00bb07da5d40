"""ROUGE-L: the longest common subsequence of words (Lin 2004, "ROUGE: A Package for Automatic Evaluation
of Summaries")."""

from arena.demo.words import words
from judges.programs.interface import Program, required_reference


def rouge_l(output: str, *, prompt: str, reference: str | None) -> float:
    """F1 in [0, 1] of LCS / words of the output and LCS / words of the reference.

    Lin's sentence-level definition with β = 1, over the whole output and the whole reference; lower case,
    no stemming. An output without words scores 0. Raises MissingReference.
    """
    expected = words(required_reference(reference, program="ROUGE-L"))
    given = words(output)
    if not expected or not given:
        return 0.0
    # 2PR / (P + R) with P = LCS / given and R = LCS / expected.
    return 2 * lcs_length(given, expected) / (len(given) + len(expected))


def lcs_length(one: list[str], other: list[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel (Hyyrö 2004): a row of the usual table is one integer, so that long outputs stay quick.
    """
    full = (1 << len(other)) - 1
    positions: dict[str, int] = {}
    for index, word in enumerate(other):
        positions[word] = positions.get(word, 0) | 1 << index
    row = full
    for word in one:
        matches = row & positions.get(word, 0)
        row = (row + matches | row - matches) & full
    return len(other) - row.bit_count()


PROGRAM = Program(
    name="rouge_l",
    version=1,
    description="ROUGE-L: how much of the output and of the reference is in the same order of words.",
    score=rouge_l,
    margin=0.02,
    needs_reference=True,
)
