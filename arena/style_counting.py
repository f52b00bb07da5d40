"""What can be told of an output without understanding it: how long it is, and how it is marked up."""

import re
from typing import NamedTuple

# Rules of CommonMark, near enough: a line of code in a fence is no header and no list.
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADER = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_LIST = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]")
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|(?<!\w)__[^_\n]+__(?!\w)")


class Style(NamedTuple):
    """Counts in one output; headers, list items and bold passages outside fences of code."""

    characters: int
    headers: int
    lists: int
    bold: int


def style_of(text: str) -> Style:
    """In one pass over the lines, in time that grows with the text and no faster."""
    headers = lists = bold = 0
    fence = ""
    for line in text.splitlines():
        opened = _FENCE.match(line)
        if fence:
            # A fence ends with at least as many of the characters that it began with.
            closing = line.strip()
            if opened and closing == closing[0] * len(closing) and closing.startswith(fence):
                fence = ""
            continue
        if opened:
            fence = opened[1]
            continue
        headers += _HEADER.match(line) is not None
        lists += _LIST.match(line) is not None
        bold += len(_BOLD.findall(line))
    return Style(len(text), headers, lists, bold)
