"""Verdicts in words."""

from collections.abc import Iterable, Mapping

from judges.models import Outcome

# In the order in which they are read out.
_COUNTED = {
    Outcome.A: "for A",
    Outcome.B: "for B",
    Outcome.TIE: ("tie", "ties"),
    Outcome.BOTH_BAD: "both bad",
}
_ALONE = {Outcome.A: "A", Outcome.B: "B", Outcome.TIE: "tie", Outcome.BOTH_BAD: "both bad"}


def counts_in_words(counts: Mapping[int, int]) -> str:
    """``{Outcome.A: 3, Outcome.TIE: 1}`` reads "3 for A, 1 tie"; a single verdict reads "A"."""
    given = [(outcome, counts[outcome]) for outcome in _COUNTED if counts.get(outcome)]
    if not given:
        return "no verdict"
    if len(given) == 1 and given[0][1] == 1:
        return _ALONE[given[0][0]]
    parts = []
    for outcome, n in given:
        words = _COUNTED[outcome]
        parts.append(f"{n:,} {words if isinstance(words, str) else words[n != 1]}")
    return ", ".join(parts)


def summary(groups: Iterable[tuple[str, Mapping[int, int]]]) -> str:
    """ "People: 3 for A, 1 tie. GPT-4: B." from (who, outcome → count), in the order given."""
    sentences = [f"{who}: {counts_in_words(counts)}." for who, counts in groups]
    return " ".join(sentences) or "Nobody has decided this battle yet."


def outcome_in_words(outcome: int, *, name_a: str, name_b: str) -> str:
    """ "Ada is better", with the name of the system that won; else "Tie" or "Both bad"."""
    names = {Outcome.A: name_a, Outcome.B: name_b}
    if outcome in names:
        return f"{names[Outcome(outcome)]} is better"
    return Outcome(outcome).label
