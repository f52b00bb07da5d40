"""What a page says of a jury or a cascade: where its verdicts come from, and what a cascade may claim."""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from judges.models import Derivation, Judge

RULES = {
    "majority": "what more than half of the votes say, else a tie",
    "mean": "the mean of its members",
    "weighted": "a vote weighted by how often each member agrees with people",
    "council": "a majority of the members that aren’t of a system’s own family",
    "committee": "a majority of the members after each has read what the others said and why",
}
CONFIDENCES = {
    "stored": "stated with its verdicts",
    "annotators": "agreement of its orders and repetitions",
    "none": "none: all alike",
}


@dataclass(frozen=True, slots=True)
class Derived:
    """``figures`` is empty until a worker has derived the verdicts for the first time."""

    judge: Judge
    derivation: Derivation
    figures: dict[str, Any]

    @property
    def is_cascade(self) -> bool:
        return self.judge.kind == Judge.Kind.CASCADE

    @property
    def is_pending(self) -> bool:
        return self.derivation.stale_since is not None

    # --- juries -------------------------------------------------------------------------------

    @property
    def rule(self) -> str:
        return RULES.get(self.judge.configuration.get("rule", ""), "")

    @property
    def quorum(self) -> int | None:
        return self.judge.configuration.get("options", {}).get("quorum")

    @property
    def members(self) -> list[dict[str, Any]]:
        """Of each member how often it voted and was outvoted, and its exam where one was held."""
        exam = self.judge.configuration.get("exam", {}).get("members", {})
        counted = self.figures.get("members", {})
        found = []
        members = self.judge.configuration.get("members", [])
        second = self.judge.configuration.get("second", [])
        for member, again in zip_longest(members, second):
            slug = member["slug"]
            counts = counted.get(slug, {})
            voted, dissented = counts.get("voted", 0), counts.get("dissented", 0)
            found.append(
                {
                    "slug": slug,
                    "voted": voted,
                    "dissented": dissented,
                    "share": dissented / voted if voted else None,
                    "changed": counts.get("changed"),
                    "second": again and again["slug"],
                    "exam": exam.get(slug),
                }
            )
        return found

    @property
    def discusses(self) -> bool:
        return "second" in self.judge.configuration

    @property
    def has_exam(self) -> bool:
        return "exam" in self.judge.configuration

    # --- cascades -----------------------------------------------------------------------------

    @property
    def tiers(self) -> list[dict[str, Any]]:
        """Of each tier its threshold, what it rests on, and what it decides."""
        configuration = self.judge.configuration
        reached = self.figures.get("tiers", {})
        cost = (self.figures.get("cost") or {}).get("per_battle", {})
        return [
            {
                "slug": tier["slug"],
                "confidence": CONFIDENCES.get(tier["confidence"], tier["confidence"]),
                "calibrated": calibrated,
                "agreed": calibrated["accepted"] - calibrated["errors"],
                "at_least": 1 - calibrated["bound"],
                "cost": cost.get(tier["slug"]),
                **reached.get(tier["slug"], {"reached": 0, "accepted": 0}),
            }
            for tier, calibrated in zip(
                configuration.get("tiers", []),
                configuration.get("calibration", {}).get("tiers", []),
                strict=True,
            )
        ]

    @property
    def abstains(self) -> bool:
        """Whether no tier passed its test."""
        return all(tier["calibrated"]["threshold"] is None for tier in self.tiers)

    @property
    def confidence_of_claim(self) -> float:
        return 1 - float(self.judge.configuration["delta"])

    @property
    def held_out(self) -> dict[str, Any]:
        return _share(self.judge.configuration["calibration"]["held_out"], "accepted", "right")

    @property
    def after(self) -> dict[str, Any]:
        """Of battles that people decided since."""
        return _share(self.figures.get("after"), "n", "agreed")


def derived_figures(judge: Judge) -> Derived | None:
    """None for judges whose verdicts follow from nobody's."""
    if judge.kind not in (Judge.Kind.JURY, Judge.Kind.CASCADE):
        return None
    derivation = Derivation.objects.filter(judge=judge).first()
    return None if derivation is None else Derived(judge, derivation, derivation.figures)


def _share(counts: dict[str, Any] | None, n: str, hits: str) -> dict[str, Any]:
    """{} where nothing was counted."""
    if not counts or not counts[n]:
        return {}
    lower, upper = counts["interval"]
    return {
        "n": counts[n],
        "k": counts[hits],
        "share": counts[hits] / counts[n],
        "lower": lower,
        "upper": upper,
    }
