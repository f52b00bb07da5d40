"""Untrusted text on a page: Markdown rendered and sanitised, and characters that would mislead made visible.

Two locks, because one of them will fail some day: the renderer knows no HTML (tags in a text are shown as
text), and the sanitiser lets only the tags through that the renderer can have written.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

# A page shows this much of a text as Markdown; long answers of LLMs have a tenth of it.
SHOWN_CHARACTERS = 24_000
# Runs of brackets, stars and backticks make any Markdown parser slow, quadratically in the paragraph.
LONGEST_PARAGRAPH = 6_000
HEADING_LEVELS = range(1, 7)

# Explicit embeddings, overrides and isolates turn the order of what follows around. Marks of direction
# (LRM, RLM, ALM) are of use in honest texts, and harmless.
_BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
# Lone surrogates can't be encoded; control characters other than tab and line ends aren't text.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_PARAGRAPH = re.compile(r"[^\n]+(?:\n[^\n]+)*")

_TAGS = {
    *(
        "a",
        "blockquote",
        "br",
        "code",
        "div",
        "em",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "s",
        "strong",
        "ul",
    ),
    *("table", "tbody", "td", "th", "thead", "tr"),
}


class _Renderer(RendererHTML):
    """As markdown-it's, except for what would disturb the page that the text stands on."""

    def heading_open(
        self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
    ) -> str:
        # A heading of the text isn't a heading of the page: screen readers walk the page by those.
        return f'<p class="heading heading-{tokens[i].tag[1]}">'

    def heading_close(
        self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
    ) -> str:
        return "</p>\n"

    def image(self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        # A page loads nothing from where a stranger says, but a reader may choose to follow.
        children = tokens[i].children or []
        alt = escapeHtml(self.renderInlineAsText(children, options, env)) or "no description"
        source = escapeHtml(str(tokens[i].attrGet("src") or ""))
        return f'<a href="{source}">image: {alt}</a>'

    def table_open(
        self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
    ) -> str:
        return '<div class="md-table"><table>\n'

    def table_close(
        self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
    ) -> str:
        return "</table></div>\n"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}, renderer_cls=_Renderer)
    return parser.enable(["table", "strikethrough"])


_MARKDOWN = _parser()
_CLEANER = nh3.Cleaner(
    tags=_TAGS,
    attributes={
        "a": {"href", "title"},
        "ol": {"start"},
        "td": {"style"},
        "th": {"style"},
    },
    filter_style_properties={"text-align"},
    allowed_classes={
        "p": {"heading", *(f"heading-{level}" for level in HEADING_LEVELS)},
        "div": {"md-table"},
    },
    # What scrolls sideways must be reachable by keyboard.
    set_tag_attribute_values={"div": {"tabindex": "0"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",
    link_rel="nofollow ugc noopener noreferrer",
)


def printable(text: Any) -> str:
    """Text that can be encoded and that reads in the order in which it is stored.

    Control characters and lone surrogates become U+FFFD; controls that reorder what follows are named.
    """
    text = _NOT_TEXT.sub("\ufffd", str(text).replace("\r\n", "\n").replace("\r", "\n"))
    return _BIDI_CONTROLS.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


@lru_cache(maxsize=256)
def render(text: str) -> str:
    """Safe HTML of the first SHOWN_CHARACTERS of a Markdown text.

    HTML in it is shown as text. Paragraphs longer than LONGEST_PARAGRAPH are shown as they are written.
    """
    text = printable(text[:SHOWN_CHARACTERS])
    if any(len(found[0]) > LONGEST_PARAGRAPH for found in _PARAGRAPH.finditer(text)):
        # Not worth a parser that would need seconds: nobody formats a paragraph of that length.
        return _CLEANER.clean(f"<pre>{escapeHtml(text)}</pre>")
    return _CLEANER.clean(_MARKDOWN.render(text))
