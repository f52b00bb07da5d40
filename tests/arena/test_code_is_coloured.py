"""Blocks of code are coloured where that is cheap, and are safe and whole either way."""

import html
import re
import time

import pytest

from arena import code, markdown

PYTHON = "def f(x):\n    return 'a' + 1  # <b>\n"


def block(text: str, language: str) -> str:
    return markdown.render(f"```{language}\n{text}\n```")


def words_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page)).strip("\n")


def test_words_of_a_known_language_have_their_class():
    page = block(PYTHON, "Python")
    for part in (
        '<span class="tok-keyword">def</span>',
        '<span class="tok-name">f</span>',
        "<span class=\"tok-string\">'a'</span>",
        '<span class="tok-number">1</span>',
        '<span class="tok-comment"># &lt;b&gt;</span>',
    ):
        assert part in page


@pytest.mark.parametrize("language", ["c++", "java", "C#", "c"])
def test_relatives_of_c_have_a_lexer_of_their_own(language):
    page = block('int main() { return f("x\\"y", 0x1f); } // end', language)
    assert '<span class="tok-keyword">int</span> <span class="tok-name">main</span>()' in page
    assert '<span class="tok-string">"x\\"y"</span>' in page
    assert '<span class="tok-comment">// end</span>' in page


@pytest.mark.parametrize("language", ["", "klingon", 'python"><script>', "text"])
def test_another_block_stays_plain(language):
    page = block(PYTHON, language)
    assert "tok-" not in page
    assert "<script>" not in page
    assert words_of(page) == PYTHON.rstrip()


def test_a_long_block_stays_plain():
    long = "x = 1\n\n" * (code.LONGEST_BLOCK // 6)
    assert "tok-" not in block(long, "python")


def test_of_many_blocks_the_first_are_coloured():
    one = "```python\n" + "x = 1\n\n" * 500 + "```\n\n"
    assert 500 <= markdown.render(one * 6).count("tok-number") < 1_500


def test_a_line_that_nobody_wrote_stays_plain():
    assert "tok-" not in block("1" * (code.LONGEST_LINE + 1), "python")


@pytest.mark.parametrize("name", sorted(code.LANGUAGES))
def test_no_word_is_lost_in_any_language(name, monkeypatch):
    # On a busy machine the first use of a language takes its time: it is read from disk.
    monkeypatch.setattr(code, "SECONDS", 60.0)
    text = "\n\n  @a <b c='d'> \"e\" // f\n# g {h: 1} --i /* j */ é\r\n\t$k `l` \\m %n\n+o\n-p"
    text = markdown.printable(text)
    assert words_of(code.coloured(text, name)) == text.strip("\n")


# What each lexer is slowest at, of some eighty kinds of repetition; and what Pygments' lexers of C and Java,
# which aren't used, need minutes for.
SLOWEST = {
    "bash": "(", "css": "(", "diff": "@", "docker": "+\n", "go": "q{", "haskell": "(", "html": "<?",
    "javascript": "a.", "json": "0x", "julia": "(", "kotlin": "fun ", "lua": "a<", "perl": "a<",
    "php": "<?", "python": "(", "r": "\\", "ruby": "(", "rust": 'r#"', "scala": "(", "sql": "(",
    "swift": "(", "toml": "=> ", "typescript": "a.", "xml": "<?", "yaml": "&", "java": "/*",
}  # fmt: skip


@pytest.mark.parametrize("name", SLOWEST)
def test_no_block_takes_seconds(name):
    for unit in (SLOWEST[name], "\n", " \n", "a b \n"):
        line = (unit * code.LONGEST_LINE)[: code.LONGEST_LINE - 1] + "\n"
        text = (line * code.LONGEST_LINE)[: code.LONGEST_BLOCK]
        started = time.process_time()
        code.coloured.__wrapped__(text, name)
        # Measured: 0.4 s for the slowest, Scala.
        assert time.process_time() - started < 3, unit


def test_every_language_is_tried():
    assert {code.LANGUAGES[name] for name in SLOWEST} == set(code.LANGUAGES.values())
