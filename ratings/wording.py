"""A judge report in words. Pure functions of its figures; each sentence names the figure it rests on.

The thresholds are conventions of ours, and the page states them: no source says where "about as people do"
ends.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

# Share of the noise ceiling (or τ itself, where there is no ceiling) that a judge's τ reaches, at least.
TAU_BANDS = (
    (0.8, "ranks systems about as people do"),
    (0.5, "ranks systems somewhat as people do"),
    (0.2, "ranks systems only loosely as people do"),
    (float("-inf"), "ranks systems in hardly the order of people"),
)
# An interval of α within these bounds says that gaps are about those of people.
ALPHA_LIKE_PEOPLE = (0.8, 1.25)
# Cohen's κ after Landis and Koch (1977).
KAPPA_BANDS = (
    (0.8, "almost perfectly"),
    (0.6, "substantially"),
    (0.4, "moderately"),
    (0.2, "fairly"),
    (0.0, "slightly"),
    (float("-inf"), "less than chance would"),
)
# 400 rating points are odds of ten to one.
POINTS_PER_LOGIT = 400 / math.log(10)
NAMED_SYSTEMS = 3
# What a judge may fall short of people from a crowd, after Calderon, Reichart & Dror (arXiv 2501.10970).
ALT_TEST_EPSILON = 0.1
PEOPLE_BY_EPSILON = {0.2: "experts", 0.15: "skilled", 0.1: "a crowd"}
SURFACE = {
    "characters": "the longer output (by more than 30 characters)",
    "lists": "the output with a list, where only one has any",
    "headers": "the output with headers, where only one has any",
    "bold": "the output with bold passages, where only one has any",
}
SEPARATION = {
    "separability": "Separability, this judge",
    "separability_of_people": "Separability, people",
    "agreement_with_confidence": "Agreement with confidence",
    "brier": "Brier score",
}
LEVEL = 0.95


class Clause(NamedTuple):
    text: str
    anchor: str  # the id of the figure on the judge's page


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval; the bounds are None where the data support none."""

    value: float
    lower: float | None = None
    upper: float | None = None
    n: int | None = None

    @classmethod
    def of(cls, figure: Mapping[str, Any] | None) -> Self | None:
        """From an entry of a report's figures; None when it has no value."""
        if not figure or figure.get("value") is None:
            return None
        return cls(*(figure.get(key) for key in ("value", "lower", "upper", "n")))

    @property
    def has_interval(self) -> bool:
        return self.lower is not None and self.upper is not None


def decimal(value: float | None, digits: int = 2) -> str:
    """ ".54", "−.07", "1.84": no leading zero, a true minus sign, an en dash for nothing."""
    if value is None:
        return "–"
    digits_of = f"{abs(value):.{digits}f}"
    if float(digits_of) == 0:
        return digits_of[1:] if digits else digits_of
    return ("−" if value < 0 else "") + digits_of.removeprefix("0")


def interval(lower: float | None, upper: float | None, digits: int = 2) -> str:
    """ ".41 to .63"; empty when there is none."""
    if lower is None or upper is None:
        return ""
    return f"{decimal(lower, digits)} to {decimal(upper, digits)}"


def points(share: float) -> str:
    """Percentage points of win rate, without a sign: .09 reads "9 points"."""
    rounded = round(abs(share) * 100)
    if rounded == 0:
        return "less than a point"
    return f"{rounded} point{'' if rounded == 1 else 's'}"


def ranking(tau: Estimate | None, ceiling: Estimate | None = None) -> Clause:
    """How far its ranking is that of people, seen beside how far people agree with themselves."""
    anchor = "agreement"
    if tau is None:
        return Clause("Too few data to say whether it ranks systems as people do", anchor)
    of = f"τ {decimal(tau.value)}"
    if ceiling is not None and ceiling.value > 0:
        of += f" of a possible {decimal(ceiling.value)}"
    if tau.upper is not None and tau.upper < 0:
        return Clause(f"This judge ranks systems against the order of people ({of})", anchor)
    if not tau.has_interval or tau.lower <= 0:
        bounds = interval(tau.lower, tau.upper) or "no interval"
        return Clause(
            f"Too few data to say whether it ranks systems as people do ({of}, {bounds})", anchor
        )
    # A ceiling of nothing is no measure: people don't agree with themselves there.
    share = tau.value / ceiling.value if ceiling is not None and ceiling.value > 0 else tau.value
    return Clause(f"This judge {_band(share, TAU_BANDS)} ({of})", anchor)


def gaps(alpha: Estimate | None) -> Clause:
    """Whether it makes the gaps between systems larger or smaller than people do."""
    anchor = "decisiveness"
    word = gaps_in_a_word(alpha)
    of = "" if alpha is None else f" (α {decimal(alpha.value)})"
    sentence = {
        "exaggerates": "It exaggerates gaps",
        "compresses": "It compresses gaps",
        "like people": "Its gaps between systems are about those of people",
        "unclear": "Whether it exaggerates or compresses gaps can’t be told yet",
        "no answer": "Its verdicts don’t tell whether it exaggerates gaps",
    }[word]
    return Clause(sentence + of, anchor)


def gaps_in_a_word(alpha: Estimate | None) -> str:
    """For a table: exaggerates, compresses, like people, unclear, or no answer."""
    if alpha is None or not alpha.has_interval:
        return "no answer"
    if ALPHA_LIKE_PEOPLE[0] <= alpha.lower and alpha.upper <= ALPHA_LIKE_PEOPLE[1]:
        return "like people"
    if alpha.lower > 1:
        return "exaggerates"
    if alpha.upper < 1:
        return "compresses"
    return "unclear"


def favourites(systems: Sequence[Mapping[str, Any]]) -> Clause:
    """Which systems win more, or less, with this judge than its decisiveness explains.

    ``systems`` are a report's: name, bias, bias_lower, bias_upper (shares of battles).
    """
    anchor = "bias"
    known = [s for s in systems if s.get("bias_lower") is not None]
    if not known:
        return Clause("Too few data to say which systems it favours", anchor)
    up = sorted((s for s in known if s["bias_lower"] > 0), key=lambda s: -s["bias"])
    down = sorted((s for s in known if s["bias_upper"] < 0), key=lambda s: s["bias"])
    standing_out = len(up) + len(down)
    if not standing_out:
        return Clause(f"None of {len(known)} systems is visibly favoured or disfavoured", anchor)
    if standing_out <= (1 - LEVEL) * len(known):
        return Clause(
            f"{standing_out} of {len(known)} systems {'seems' if standing_out == 1 else 'seem'} "
            "favoured or disfavoured, no more than chance alone would show",
            anchor,
        )
    parts = [
        f"{verb} {_listed(found)}"
        for verb, found in (("favours", up), ("is hard on", down))
        if found
    ]
    return Clause(f"It {', and '.join(parts)}", anchor)


def own_family(family: str, bias: Estimate | None) -> Clause | None:
    """Whether it favours systems of its own family; None where that isn't measured."""
    anchor = "bias"
    if not family or bias is None:
        return None
    if not bias.has_interval or bias.lower <= 0 <= bias.upper:
        bounds = interval(bias.lower, bias.upper) or "no interval"
        return Clause(
            f"Whether it favours systems of its own family ({family}) can’t be told "
            f"(bias {decimal(bias.value)}, {bounds})",
            anchor,
        )
    verb = "favours" if bias.value > 0 else "is hard on"
    return Clause(f"It {verb} systems of its own family ({family}) by {points(bias.value)}", anchor)


def single_battles(accuracy: Estimate | None, kappa: Estimate | None) -> Clause:
    """How often it decides a battle as most people do, and how much of that is not chance."""
    anchor = "battles"
    if accuracy is None:
        return Clause("Too few shared battles to compare single verdicts", anchor)
    share = f"On single battles it decides as most people do {accuracy.value:.0%} of the time"
    share = share.replace("%", "\u202f%")
    if kappa is None:
        return Clause(share, anchor)
    return Clause(
        f"{share}, agreeing {_band(kappa.value, KAPPA_BANDS)} (κ {decimal(kappa.value)})", anchor
    )


def replacing(
    tests: Sequence[Mapping[str, Any]], *, epsilon: float = ALT_TEST_EPSILON
) -> Clause | None:
    """Whether it may stand in for one of the people, by the alternative annotator test; None: not tested."""
    anchor = "replacing"
    test = next((test for test in tests if test["epsilon"] == epsilon), None)
    if test is None:
        return None
    omega = test["omega"]
    if test["passes"] is None:
        return Clause("Too few shared votes to say whether it may replace people", anchor)
    share = f"{omega['value']:.0%}".replace("%", "\u202f%")
    of = f"of {omega['n']} people it is as good as {share}, ε {decimal(epsilon)}"
    verdict = "may replace" if test["passes"] else "may not replace"
    return Clause(f"By the alt-test it {verdict} one of the people here ({of})", anchor)


def longer(surface: Sequence[Mapping[str, Any]]) -> Clause | None:
    """Whether it prefers longer outputs more than people do; None where that isn't measured."""
    anchor = "style"
    found = next((one for one in surface if one["name"] == "characters"), None)
    difference = Estimate.of(found["difference"]) if found else None
    if found is None or difference is None or not difference.has_interval:
        return None
    own, people = found["judge"]["value"], found["people"]["value"]
    shares = f"{own:.0%} of the time, people {people:.0%}".replace("%", "\u202f%")
    if difference.lower <= 0 <= difference.upper:
        return Clause(f"It prefers the longer output about as often as people ({shares})", anchor)
    more = "more" if difference.value > 0 else "less"
    return Clause(f"It prefers the longer output {more} often than people ({shares})", anchor)


def summary_of(figures: Mapping[str, Any], *, family: str = "") -> list[Clause]:
    """The report in a few sentences, the most important first. ``family`` is the judge's own."""
    tau, ceiling, alpha, own, accuracy, kappa = (
        Estimate.of(figures.get(key))
        for key in ("tau", "ceiling", "alpha", "family_bias", "accuracy", "kappa")
    )
    clauses = [
        ranking(tau, ceiling),
        gaps(alpha),
        favourites(figures.get("systems") or []),
        own_family(family, own),
        single_battles(accuracy, kappa),
        longer(figures.get("surface") or []),
        replacing(figures.get("alt_tests") or []),
    ]
    return [clause for clause in clauses if clause is not None]


def judges_sentence(*, judges: int, with_report: int) -> str:
    """What the judges' page shows, in one sentence."""
    if judges == 0:
        return "This arena has no judge but people yet."
    who = "One judge is" if judges == 1 else f"{judges:,} judges are"
    if with_report == judges:
        told = ""
    elif with_report == 0:
        told = ", for none of which there is a report yet"
    else:
        told = f", for {with_report:,} of which there is a report"
    return (
        f"{who} compared with people{told}: the closer a judge’s τ comes to the noise ceiling, the more "
        "its ranking of systems is the one that people give."
    )


def _band(value: float, bands: Sequence[tuple[float, str]]) -> str:
    return next(words for least, words in bands if value >= least)


def _listed(systems: Sequence[Mapping[str, Any]]) -> str:
    named = [f"{s['name']} by {points(s['bias'])}" for s in systems[:NAMED_SYSTEMS]]
    rest = len(systems) - len(named)
    if rest:
        named.append(f"{rest} other{'' if rest == 1 else 's'}")
    if len(named) == 1:
        return named[0]
    return f"{', '.join(named[:-1])} and {named[-1]}"
