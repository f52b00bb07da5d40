"""chrF: character n-grams in common (Popović 2015, "chrF: character n-gram F-score for automatic MT
evaluation")."""

from collections import Counter

from judges.programs.interface import Program, required_reference

MAX_ORDER = 6
BETA = 2.0


def chrf(output: str, *, prompt: str, reference: str | None) -> float:
    """F-score in [0, 1] of character n-grams, n = 1 … 6, recall weighing β = 2 times as much as precision.

    Precision and recall are averaged over the orders, then combined. White space doesn't count, case does.
    An order for which either side is too short is left out of the averages, as sacreBLEU does. Raises
    MissingReference.
    """
    expected = "".join(required_reference(reference, program="chrF").split())
    given = "".join(output.split())
    precisions, recalls = [], []
    for order in range(1, min(MAX_ORDER, len(given), len(expected)) + 1):
        ours, theirs = _n_grams(given, order), _n_grams(expected, order)
        shared = (ours & theirs).total()
        precisions.append(shared / ours.total())
        recalls.append(shared / theirs.total())
    if not any(precisions):
        return 0.0
    precision, recall = (sum(values) / len(values) for values in (precisions, recalls))
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def _n_grams(text: str, order: int) -> Counter[str]:
    return Counter(text[start : start + order] for start in range(len(text) - order + 1))


PROGRAM = Program(
    name="chrf",
    version=1,
    description="chrF: how many runs of one to six characters the output shares with the reference.",
    score=chrf,
    margin=0.02,
    needs_reference=True,
)
