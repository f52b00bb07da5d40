"""Ready ways of asking, to begin a judge with. What each protocol is: docs/methods.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    slug: str
    title: str
    sentence: str
    protocol: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def configuration(self) -> dict[str, Any]:
        return {"protocol": {"name": self.protocol, "options": dict(self.options)}}


PRESETS = (
    Preset(
        "pairwise",
        "Pairwise, with reasons",
        "Which answer is better, in both orders, reasons first: the usual choice.",
        "battle",
        {"reasoned": True},
    ),
    Preset(
        "terse",
        "Pairwise, terse",
        "The same without reasons: the cheapest way to compare two answers.",
        "battle",
    ),
    Preset(
        "five-step",
        "Five steps",
        "A>>B to B>>A, as Arena-Hard asks: tells how clearly one answer is better.",
        "five_step",
        {"reasoned": True},
    ),
    Preset(
        "rubric",
        "By criteria",
        "A verdict by each criterion of yours and one overall.",
        "rubric",
        {"reasoned": True, "criteria": ["accuracy", "style"]},
    ),
    Preset(
        "examples",
        "With examples from people",
        "Pairwise, shown four comparisons that this arena’s voters agree on first.",
        "battle",
        {"reasoned": True, "examples": 4},
    ),
    Preset(
        "adapted-reference",
        "With a reference that it writes first",
        "The judge first writes a reference answer with both answers before it, then compares (RevisEval).",
        "battle",
        {"reasoned": True, "reference": "adapted"},
    ),
    Preset(
        "probabilities",
        "By probabilities",
        "Compares how probable the tokens A and B are: needs a server that tells probabilities.",
        "choice_probability",
    ),
    Preset(
        "score",
        "Scores from 0 to 100",
        "Each output is scored once on its own, and the higher score wins: cheap where outputs are many.",
        "numeric",
        {"reasoned": True},
    ),
    Preset(
        "likert",
        "Scores from 1 to 5",
        "The same on a scale of five points.",
        "likert",
        {"reasoned": True, "points": 5},
    ),
    Preset(
        "checklist",
        "By a checklist",
        "Questions are written once for each prompt, and can be edited; the score is the share of yes (TICK).",
        "checklist",
        {"reasoned": True},
    ),
)


def preset_named(slug: str) -> Preset:
    """The first where there is none of that name."""
    return next((preset for preset in PRESETS if preset.slug == slug), PRESETS[0])
