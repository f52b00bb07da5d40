"""Battle: which of two answers is better, or a tie, or both bad. Against an anchor it is the same question:
which battles are asked, those of one system with all others, is the run's choice."""

from collections.abc import Mapping, Sequence
from typing import Any

from judges.protocols import reading
from judges.protocols.asking import BATTLES, Asking
from judges.protocols.interface import Case, Choice, Reading
from judges.protocols.options import Options

LABELS = {"a": Choice.FIRST, "b": Choice.SECOND, "tie": Choice.TIE, "both bad": Choice.BOTH_BAD}
# What models say instead.
ALSO = {
    "draw": "tie",
    "a tie": "tie",
    "both are bad": "both bad",
    "both answers are bad": "both bad",
    "both_bad": "both bad",
    "both-bad": "both bad",
    **dict.fromkeys(("unentschieden", "empate", "égalité", "pareggio", "平局", "ничья"), "tie"),
    "a is better": "a",
    "b is better": "b",
    "a wins": "a",
    "b wins": "b",
}
MEANING = {
    "A": "A is better",
    "B": "B is better",
    "tie": "equally good",
    "both bad": "both are bad",
}


def allowed(options: Options) -> dict[str, Choice]:
    """Label -> choice, without those that the options rule out."""
    return {
        label: choice
        for label, choice in LABELS.items()
        if (options.ties or choice != Choice.TIE)
        and (options.both_bad or choice != Choice.BOTH_BAD)
    }


def with_synonyms(labels: Mapping[str, Choice]) -> dict[str, Choice]:
    return {**labels, **{word: labels[label] for word, label in ALSO.items() if label in labels}}


def listed(labels: Mapping[str, Choice]) -> list[str]:
    return [label.upper() if len(label) == 1 else label for label in labels]


def meanings(labels: Mapping[str, Choice]) -> str:
    return ", ".join(f"{label} if {MEANING[label]}" for label in listed(labels))


class Battle(Asking):
    name = "battle"
    judges_battles = True
    known = BATTLES
    templates = ("battle",)

    def decided(self, case: Case) -> dict[str, str]:
        return {"verdict": meanings(allowed(self.options))}

    def kinds(self, case: Case) -> dict[str, Mapping[str, Any]]:
        return {"verdict": {"type": "string", "enum": listed(allowed(self.options))}}

    def of_json(self, value: Mapping[str, Any], questions: Sequence[str]) -> Reading:
        labels = allowed(self.options)
        return Reading(
            choice=reading.the(
                value, "verdict", lambda said: reading.label_of(said, labels, what="verdict")
            )
        )

    def of_words(self, text: str, questions: Sequence[str]) -> Reading:
        return Reading(choice=reading.label_in(text, with_synonyms(allowed(self.options))))
