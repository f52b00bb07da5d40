"""Code in a text, coloured: blocks whose language is named and known, within bounds of size and time.

Only a few kinds of words are told apart, each by a class that static/css/code.css gives a colour. Colours
never carry meaning alone: without them the block reads the same.
"""

import re
import time
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby
from typing import Any

from markdown_it.common.utils import escapeHtml

# Longer blocks stay plain; so does what comes after the first so many characters of code in a text.
LONGEST_BLOCK = 8_000
LONGEST_LINE = 1_000  # beyond it nobody wrote the code, and many lexers are quadratic in the line
# A lexer that needs longer than this met what it wasn't made for, and the block stays plain.
SECONDS = 1.0

# Pygments' own lexers of these take minutes on a few thousand spaces: they look for whole declarations.
_LIKE_C = "like C"
# What people write after ``` -> the name that Pygments has for it. Only languages whose lexers come to an end
# on hostile blocks too: test_code_is_coloured.py tries each.
LANGUAGES = {
    **{name: name for name in (
        "bash", "css", "diff", "docker", "go", "haskell", "html", "javascript", "json", "julia", "kotlin",
        "lua", "perl", "php", "python", "r", "ruby", "rust", "scala", "sql", "swift", "toml", "typescript",
        "xml", "yaml",
    )},
    **dict.fromkeys(("c", "c#", "c++", "cpp", "cs", "csharp", "h", "hpp", "java"), _LIKE_C),
    "dockerfile": "docker", "golang": "go", "hs": "haskell", "js": "javascript", "jsx": "javascript",
    "kt": "kotlin", "patch": "diff", "py": "python", "python3": "python", "rb": "ruby", "rs": "rust",
    "sh": "bash", "shell": "bash", "svg": "xml", "ts": "typescript", "tsx": "typescript", "yml": "yaml",
    "zsh": "bash",
}  # fmt: skip
CLASSES = frozenset({"tok-comment", "tok-keyword", "tok-name", "tok-number", "tok-string",
                     "tok-added", "tok-removed"})  # fmt: skip


@lru_cache(maxsize=64)
def coloured(code: str, language: str) -> str | None:
    """Escaped HTML with <span class="tok-…"> around words; None when the block is to stay plain."""
    name = LANGUAGES.get(language.lower())
    if name is None or len(code) > LONGEST_BLOCK:
        return None
    if max(map(len, code.splitlines()), default=0) > LONGEST_LINE:
        return None
    until = time.monotonic() + SECONDS
    parts = []
    tokens = _tokens_like_c(code) if name == _LIKE_C else _tokens(code, name)
    for kind, run in groupby(tokens, key=lambda token: token[0]):
        words = escapeHtml("".join(word for _, word in run))
        parts.append(f'<span class="{kind}">{words}</span>' if kind != _PLAIN else words)
        if time.monotonic() > until:
            return None
    return "".join(parts)


_PLAIN = "plain"
_C = re.compile(
    r"""
    (?P<comment> //[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<string> "(?:[^"\\\n]|\\.)*(?:"|$) | '(?:[^'\\\n]|\\.)*(?:'|$) )
    | (?P<number> \b\d[\w.]*
      | \b(?:true|false|null|nullptr|NULL)\b )
    | (?P<keyword> ^[ \t]*\#[ \t]*\w+
      | \b(?:abstract|as|async|auto|await|base|bool|boolean|break|byte|case|catch|char|class|const|constexpr
        |continue|default|delegate|delete|do|double|else|enum|event|explicit|extends|extern|final|finally
        |float|for|foreach|goto|if|implements|import|in|inline|instanceof|int|interface|internal|is|long
        |namespace|native|new|noexcept|operator|out|override|package|private|protected|public|readonly|record|ref
        |register|return|sealed|short|signed|sizeof|static|string|struct|super|switch|synchronized|template
        |this|throw|throws|try|typedef|typename|union|unsigned|using|var|virtual|void|volatile|while|yield)\b )
    | (?P<name> @\w+ | \b[A-Za-z_]\w*(?=\() )
    | \w+
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def _tokens_like_c(code: str) -> Iterator[tuple[str, str]]:
    """(class, words) of C and its relatives: every alternative takes linear time."""
    end = 0
    for found in _C.finditer(code):
        if found.start() > end:
            yield _PLAIN, code[end : found.start()]
        yield f"tok-{found.lastgroup}" if found.lastgroup else _PLAIN, found[0]
        end = found.end()
    if code[end:]:
        yield _PLAIN, code[end:]


def _tokens(code: str, name: str) -> Iterator[tuple[str, str]]:
    classes = _classes()
    for kind, words in _lexer(name).get_tokens(code):
        yield classes.get(kind) or _class_of(kind, classes), words


@cache
def _lexer(name: str) -> Any:
    # Loaded with the first block of its language: a web process starts without Pygments.
    from pygments.lexers import get_lexer_by_name

    return get_lexer_by_name(name, stripnl=False, ensurenl=False)


@cache
def _classes() -> dict[Any, str]:
    """Kind of token -> class. Kinds below one that is named here are added as they are met."""
    from pygments.token import Token

    return {
        Token: _PLAIN,
        Token.Comment: "tok-comment",
        Token.Keyword: "tok-keyword",
        Token.Operator.Word: "tok-keyword",
        Token.Name.Tag: "tok-keyword",
        Token.Name.Function: "tok-name",
        Token.Name.Class: "tok-name",
        Token.Name.Decorator: "tok-name",
        Token.Name.Attribute: "tok-name",
        Token.Name.Builtin: "tok-name",
        Token.Literal.Number: "tok-number",
        Token.Keyword.Constant: "tok-number",
        Token.Literal: "tok-string",
        Token.Generic.Inserted: "tok-added",
        Token.Generic.Deleted: "tok-removed",
    }


def _class_of(kind: Any, classes: dict[Any, str]) -> str:
    above = kind
    while above not in classes:
        above = above.parent
    # Pygments has some hundred kinds: the table stays small.
    classes[kind] = classes[above]
    return classes[kind]
