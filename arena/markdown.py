"""Untrusted text on a page: Markdown rendered and sanitised, and characters that would mislead made visible.

Two locks, because one of them will fail some day: the renderer knows no HTML (tags in a text are shown as
text), and the sanitiser lets only the tags through that the renderer can have written.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from arena import code, maths

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
        "span",
        "strong",
        "ul",
    ),
    *("table", "tbody", "td", "th", "thead", "tr"),
}


class Picture(NamedTuple):
    """An image that the arena of a text has: where it is served, and how much room it needs."""

    address: str
    width: int
    height: int


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
        children = tokens[i].children or []
        alt = escapeHtml(self.renderInlineAsText(children, options, env)) or "no description"
        source = str(tokens[i].attrGet("src") or "")
        name = name_of_image(source)
        if picture := env.get("pictures", {}).get(name):
            env["shown"].setdefault(name)
            return (
                f'<img src="{escapeHtml(picture.address)}" alt="{alt}" width="{picture.width}" '
                f'height="{picture.height}" loading="lazy">'
            )
        # A page loads nothing from where a stranger says, but a reader may choose to follow.
        return f'<a href="{escapeHtml(source)}">image: {alt}</a>'

    def fence(self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType) -> str:
        content, language = tokens[i].content, (tokens[i].info.split() or [""])[0]
        body = None
        if language and len(content) <= env["code_left"]:
            body = code.coloured(content, language)
            env["code_left"] -= len(content) if body is not None else 0
        return f"<pre><code>{escapeHtml(content) if body is None else body}</code></pre>\n"

    def maths_inline(
        self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
    ) -> str:
        return maths.shown(tokens[i].content, is_block=False)

    def maths_block(
        self, tokens: Sequence[Token], i: int, options: OptionsDict, env: EnvType
    ) -> str:
        return maths.shown(tokens[i].content, is_block=True)

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
    return parser.enable(["table", "strikethrough"]).use(maths.maths)


_MARKDOWN = _parser()
_OURS: dict[str, Any] = {
    "tags": _TAGS,
    "attributes": {
        "a": {"href", "title"},
        "ol": {"start"},
        "td": {"style"},
        "th": {"style"},
    },
    "filter_style_properties": {"text-align"},
    "allowed_classes": {
        "p": {"heading", "maths", *(f"heading-{level}" for level in HEADING_LEVELS)},
        "div": {"md-table"},
        "code": {"maths"},
        "span": code.CLASSES,
    },
    # What scrolls sideways must be reachable by keyboard.
    "set_tag_attribute_values": {"div": {"tabindex": "0"}},
    "url_schemes": {"http", "https", "mailto"},
    "link_rel": "nofollow ugc noopener noreferrer",
}
_CLEANER = nh3.Cleaner(**_OURS, url_relative="deny")
# Addresses of our own images are relative: they, and no other relative address, pass the second cleaner.
_OWN_IMAGE = re.compile(r"(?:/[\w.~-]+)*/a/[a-z0-9.-]+/images/[0-9a-f]{64}\.webp")
_ABSOLUTE = re.compile(r"(?:https?|mailto):", re.IGNORECASE)


def _only_own_images(tag: str, name: str, value: str) -> str | None:
    if name == "src":
        return value if _OWN_IMAGE.fullmatch(value) else None
    if name == "href":
        return value if _ABSOLUTE.match(value) else None
    return value


_CLEANER_WITH_IMAGES = nh3.Cleaner(
    **_OURS
    | {
        "tags": _TAGS | {"img"},
        "attributes": _OURS["attributes"] | {"img": {"src", "alt", "width", "height", "loading"}},
    },
    url_relative="pass_through",
    attribute_filter=_only_own_images,
)


def printable(text: Any) -> str:
    """Text that can be encoded and that reads in the order in which it is stored.

    Control characters and lone surrogates become U+FFFD; controls that reorder what follows are named.
    """
    text = _NOT_TEXT.sub("\ufffd", str(text).replace("\r\n", "\n").replace("\r", "\n"))
    return _BIDI_CONTROLS.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def name_of_image(source: str) -> str:
    """The name that an address in a text refers to, if it is one: "./a%20b.png" -> "a b.png"."""
    return unicodedata.normalize("NFC", unquote(source)).removeprefix("./")


def render(text: str, pictures: Mapping[str, Picture] | None = None) -> str:
    """Safe HTML of the first SHOWN_CHARACTERS of a Markdown text.

    HTML in it is shown as text. Paragraphs longer than LONGEST_PARAGRAPH are shown as they are written.
    ``pictures`` are the images of its arena by their names; an image by any other name is a link.
    """
    if pictures:
        return _render(text, pictures)[0]
    return _render_without_pictures(text)


def without_names(text: str, pictures: Mapping[str, Picture]) -> str:
    """The text as it is written, with "image 1", "image 2" … for the names of the images that it shows.

    A name can be written in so many ways that some can't be found; then only that is said.
    """
    text = text[:SHOWN_CHARACTERS]
    for number, name in enumerate(_render(text, pictures)[1], start=1):
        written = {name, quote(name), quote(name, safe="/,()+@="), name.replace(" ", "%20")}
        found = re.compile("|".join(map(re.escape, sorted(written, key=len, reverse=True))))
        text, n = found.subn(f"image {number}", text)
        if not n:
            return "(It isn’t shown as it was written: it names its images.)"
    return text


@lru_cache(maxsize=256)
def _render_without_pictures(text: str) -> str:
    return _render(text, {})[0]


def _render(text: str, pictures: Mapping[str, Picture]) -> tuple[str, list[str]]:
    text = printable(text[:SHOWN_CHARACTERS])
    if any(len(found[0]) > LONGEST_PARAGRAPH for found in _PARAGRAPH.finditer(text)):
        # Not worth a parser that would need seconds: nobody formats a paragraph of that length.
        return _CLEANER.clean(f"<pre>{escapeHtml(text)}</pre>"), []
    env: dict[str, Any] = {"pictures": pictures, "shown": {}, "code_left": code.LONGEST_BLOCK}
    html = _MARKDOWN.render(text, env)
    cleaner = _CLEANER_WITH_IMAGES if env["shown"] else _CLEANER
    return cleaner.clean(html), list(env["shown"])
