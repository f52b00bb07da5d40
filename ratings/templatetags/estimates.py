"""``{% load estimates %}``: figures and their intervals on a page."""

from typing import Any

from django import template

from ratings import wording

register = template.Library()


@register.filter
def decimal(value: float | str | None, digits: int = 2) -> str:
    """``{{ report.tau|decimal }}`` reads ".54"; a dash for what isn't there, which Django gives as ""."""
    return wording.decimal(None if isinstance(value, str) else value, digits)


@register.filter
def as_points(logits: float) -> float:
    """Logits on the scale of ratings."""
    return logits * wording.POINTS_PER_LOGIT


@register.filter
def interval(figure: Any, digits: int = 2) -> str:
    """``{{ figures.tau|interval }}`` reads ".41 to .63": of a dict or an object with lower and upper."""
    if not figure:
        return ""
    lower, upper = (
        figure.get(bound) if isinstance(figure, dict) else getattr(figure, bound)
        for bound in ("lower", "upper")
    )
    return wording.interval(lower, upper, digits)
