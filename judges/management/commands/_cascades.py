"""A cascade in words, for the shell."""

from collections.abc import Iterator

from judges.models import Derivation


def report_lines(derivation: Derivation) -> Iterator[str]:
    judge, figures = derivation.judge, derivation.figures
    terms = judge.configuration
    calibration = terms["calibration"]
    of_what = {"battle": "battles drawn like those voted on", "prompt": "battles on other prompts"}
    yield (
        f"{judge} ({judge.slug}): at least {terms['target']:.1%} agreement with the majority of people, "
        f"with probability {1 - terms['delta']:.1%}, on {of_what[terms['unit']]}"
        + (" on which people prefer a side." if terms["ties"] == "leave out" else ".")
    )
    if derivation.withdrawn_at:
        yield f"This claim was withdrawn on {derivation.withdrawn_at:%Y-%m-%d}: votes speak against it."
    for tier, result in zip(terms["tiers"], calibration["tiers"], strict=True):
        reached = figures["tiers"][tier["slug"]]
        if result["threshold"] is None:
            yield f"  {tier['slug']}: abstains on everything ({result['reason']})."
        else:
            yield (
                f"  {tier['slug']}: trusted from {result['threshold']:.3f} on; wrong on {result['errors']:,} "
                f"of {result['accepted']:,} of {result['n']:,} battles, risk at most {result['bound']:.3f}; "
                f"decides {reached['accepted']:,} of {reached['reached']:,}."
            )
    held, after = calibration["held_out"], figures["after"]
    yield f"  Held out: {_share(held['right'], held['accepted'], held['interval'])}, of {held['n']:,} battles."
    since = _share(after["agreed"], after["n"], after["interval"], none="no new majority yet")
    yield f"  Since then: {since}."
    coverage = figures["coverage"]
    yield (
        f"  Decides {figures['decided']:,} battles"
        + ("" if coverage is None else f", {coverage:.1%} of those that it went through")
        + f"; {figures['abstained']:,} are left to people, {figures['wanted']:,} of them wait for votes; "
        f"{figures['waiting']:,} wait for judges."
    )
    cost = figures["cost"]
    if cost["cascade"] is None:
        yield "  What it costs isn't known: a judge's verdicts came without."
    else:
        yield (
            f"  Cost ${cost['cascade']:,.4f}; {cost['dearest']} alone ${cost['dearest_alone']:,.4f}."
        )


def _share(right: int, n: int, interval: list[float], *, none: str = "nothing decided") -> str:
    if not n:
        return none
    low, high = interval
    return f"agrees on {right:,} of {n:,} ({right / n:.1%}, {low:.1%} to {high:.1%})"
