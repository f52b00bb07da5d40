"""What the simulated panel looks at: measures of every output against its reference."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from arena.demo.budget import MAX_WORDS
from arena.demo.words import content_words, words
from judges.programs import program_named

MEASURES = ("rouge_l", "chrf", "coverage")


@dataclass(frozen=True, slots=True)
class Qualities:
    """`measures` (n, 3), z-scored over all outputs; `excess` (n,) doublings of the budget of words."""

    index: dict[tuple[str, str], int]
    measures: np.ndarray
    excess: np.ndarray


def measure_outputs(
    outputs: Mapping[tuple[str, str], str], references: Mapping[str, str]
) -> Qualities:
    """The qualities of the outputs, which are keyed by (text slug, system name).

    Nothing depends on who wrote an output, only on its words. Raises ValueError for a text without a
    reference.
    """
    missing = sorted({text for text, _ in outputs} - references.keys())
    if missing:
        raise ValueError(f"No reference summary for {', '.join(missing)}.")
    raw = np.zeros((len(outputs), len(MEASURES)))
    lengths = np.zeros(len(outputs))
    for row, ((text, _), output) in enumerate(outputs.items()):
        reference = references[text]
        raw[row] = [
            *(
                program_named(name).score(output, prompt="", reference=reference)
                for name in MEASURES[:2]
            ),
            coverage(output, reference),
        ]
        lengths[row] = len(words(output))
    spread = raw.std(axis=0)
    return Qualities(
        index={key: row for row, key in enumerate(outputs)},
        measures=np.divide(
            raw - raw.mean(axis=0), spread, out=np.zeros_like(raw), where=spread > 0
        ),
        excess=np.log2(np.maximum(lengths / MAX_WORDS, 1.0)),
    )


def coverage(output: str, reference: str) -> float:
    """Share in [0, 1] of the reference's distinct content words that the output has; 0 if it has none."""
    wanted = set(content_words(reference))
    return len(wanted & set(content_words(output))) / len(wanted) if wanted else 0.0
