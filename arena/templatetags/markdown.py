"""``{% load markdown %}``: untrusted text on a page."""

from collections.abc import Mapping
from typing import Any

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from arena import images
from arena import markdown as untrusted
from arena.models import Arena

register = template.Library()


class Text(str):
    """A text of an arena, whose images it may show."""

    arena: Arena
    is_blind = False


@register.filter
def of(text: Any, arena: Arena) -> Text:
    """``{{ output.text|of:arena|markdown }}`` shows the images that the arena has."""
    found = Text(_as_text(text))
    found.arena = arena
    return found


@register.filter
def blind(text: Any, arena: Arena) -> Text:
    """As ``of``, and what an image is called doesn't show: names of files tell whose answer it is."""
    found = of(text, arena)
    found.is_blind = True
    return found


@register.filter
def markdown(text: Any, raw_url: str = "") -> SafeString:
    """``{{ output.text|markdown }}``, or ``|markdown:url`` with where the whole text can be read."""
    text = _as_text(text)
    body = mark_safe(  # noqa: S308 (it comes out of the sanitiser)
        untrusted.render(text, _pictures_of(text))
    )
    return format_html(
        '{}<div class="md" dir="auto">{}</div>', shown_in_part(text, raw_url=raw_url), body
    )


@register.filter
def rawtext(text: Any, raw_url: str = "") -> SafeString:
    """The text as it is written, cut like Markdown is, with where the whole can be read."""
    text = _as_text(text)
    if getattr(text, "is_blind", False) and (pictures := _pictures_of(text)):
        text = untrusted.without_names(text, pictures)
    return format_html(
        '{}<pre class="raw" dir="auto">{}</pre>',
        shown_in_part(text, raw_url=raw_url),
        untrusted.printable(text[: untrusted.SHOWN_CHARACTERS]),
    )


def _as_text(value: Any) -> str:
    """What a source put where a text belongs may be something else."""
    if isinstance(value, Text):
        return value
    return "" if value is None else str(value)


def _pictures_of(text: str) -> Mapping[str, untrusted.Picture] | None:
    """None for most texts: pages without images ask nothing of the database."""
    if isinstance(text, Text) and "![" in text:
        return images.pictures_of(text.arena)
    return None


def shown_in_part(text: str, *, raw_url: str = "") -> SafeString:
    """A paragraph that says so when the page shows only the beginning of a text; else nothing."""
    if len(text) <= untrusted.SHOWN_CHARACTERS:
        return SafeString("")
    link = format_html(' <a href="{}">All of it, as plain text</a>.', raw_url) if raw_url else ""
    return format_html(
        '<p class="note shown-in-part">Shown in part: the first {} of {} characters.{}</p>',
        intcomma(untrusted.SHOWN_CHARACTERS, use_l10n=False),
        intcomma(len(text), use_l10n=False),
        link,
    )


@register.filter
def printable(text: Any) -> str:
    """For one-line uses: a prompt's beginning, a name. Put it into <bdi>."""
    return untrusted.printable(text)
