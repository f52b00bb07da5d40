"""Whether the reference answer is somewhere in an output."""

from judges.programs.interface import Program, required_reference
from judges.programs.normalised import normalised


def contains(output: str, *, prompt: str, reference: str | None) -> float:
    """1 when the output has the reference in it, as whole words, whatever the case; else 0.

    "14 cats" contains "cats" but neither "4" nor "cat". Raises MissingReference.
    """
    wanted = normalised(required_reference(reference, program="Contains"))
    text = normalised(output)
    start = text.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if not (_joined(text, start) or _joined(text, end)):
            return 1.0
        start = text.find(wanted, start + 1)
    return 0.0


def _joined(text: str, position: int) -> bool:
    """Whether the position is inside a word or a number."""
    return 0 < position < len(text) and text[position - 1].isalnum() and text[position].isalnum()


PROGRAM = Program(
    name="contains",
    version=1,
    description="Contains: the reference is in the output as whole words.",
    score=contains,
    margin=0.0,
    needs_reference=True,
)
