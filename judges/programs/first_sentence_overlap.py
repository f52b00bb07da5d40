"""How much of an output comes from the first sentence of the text: what a lead bias would reward."""

from arena.demo.sentences import paragraphs, split_sentences
from arena.demo.words import overlap, words
from judges.programs.interface import Program


def first_sentence_overlap(output: str, *, prompt: str, reference: str | None) -> float:
    """Share in [0, 1] of the output's words that the first sentence of the prompt's text also has.

    A word counts at most as often as that sentence has it. An output without words scores 0. Where the
    prompt's first paragraph ends with a colon ("Summarise this text:") it is the instruction, and the
    text follows it.
    """
    given = words(output)
    return overlap(given, words(_first_sentence(prompt))) / len(given) if given else 0.0


def _first_sentence(prompt: str) -> str:
    parts = paragraphs(prompt)
    if len(parts) > 1 and parts[0].endswith(":"):
        parts = parts[1:]
    return split_sentences(parts[0])[0] if parts else ""


PROGRAM = Program(
    name="first_sentence_overlap",
    version=1,
    description="First sentence: how much of the output comes from the first sentence of the text.",
    score=first_sentence_overlap,
    margin=0.05,
)
