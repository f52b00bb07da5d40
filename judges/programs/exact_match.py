"""Whether an output is the reference answer."""

from judges.programs.interface import Program, required_reference
from judges.programs.normalised import normalised


def exact_match(output: str, *, prompt: str, reference: str | None) -> float:
    """1 when output and reference are the same but for case and white space, else 0.

    Raises MissingReference.
    """
    return float(
        normalised(output) == normalised(required_reference(reference, program="Exact match"))
    )


PROGRAM = Program(
    name="exact_match",
    version=1,
    description="Exact match: the output is the reference, but for case and white space.",
    score=exact_match,
    margin=0.0,
    needs_reference=True,
)
