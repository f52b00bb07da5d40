r"""Formulas in a text: $…$, $$…$$, \(…\) and \[…\] stay as they were written.

Markdown would take their underscores and stars for emphasis and their backslashes for escapes. They are shown
in the type of code, with their marks, rather than typeset: what a voter compares is what each system wrote,
a converter shows some of its mistakes and hides others, and long formulas in MathML can't wrap on a phone.
"""

import re

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

LONGEST_INLINE = 500
MOST_LINES = 40  # of a block: every line that opens one makes the parser look so far ahead

# As in Pandoc: no space inside the dollars, and no digit after the second, so that "$5 or $10" is money;
# and no backtick, so that code stays code.
_INLINE = re.compile(
    rf"""
    \$\$ (?!\s) [^$]{{1,{LONGEST_INLINE}}}? (?<![\s\\]) \$\$
    | \$ (?![\s$]) (?: [^$\\\n`] | \\[^\n`] ){{1,{LONGEST_INLINE}}}? (?<!\s) \$ (?![\d$])
    | \\\( .{{1,{LONGEST_INLINE}}}? \\\)
    | \\\[ .{{1,{LONGEST_INLINE}}}? \\\]
    """,
    re.VERBOSE | re.DOTALL,
)
_ENDS = {"$$": "$$", "\\[": "\\]"}


def maths(parser: MarkdownIt) -> None:
    """Teach a parser both rules. Its renderer shows ``maths_inline`` and ``maths_block`` by ``shown``."""
    parser.inline.ruler.before("escape", "maths_inline", _inline)
    parser.block.ruler.before(
        "fence", "maths_block", _block, {"alt": ["paragraph", "blockquote", "list"]}
    )


def shown(formula: str, *, is_block: bool) -> str:
    if is_block:
        return f'<p class="maths">{escapeHtml(formula)}</p>\n'
    return f'<code class="maths">{escapeHtml(formula)}</code>'


def _inline(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 (markdown-it calls it so)
    if state.src[state.pos] not in "$\\":
        return False
    found = _INLINE.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("maths_inline", "", 0).content = found[0]
    state.pos = found.end()
    return True


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:  # noqa: FBT001 (likewise)
    """Lines from one that begins with $$ or \\[ to the one that ends it, blank lines within refused."""
    if state.is_code_block(first):
        return False
    line = state.src[state.bMarks[first] + state.tShift[first] : state.eMarks[first]].rstrip()
    end = _ENDS.get(line[:2])
    if end is None:
        return False
    lines, number = [], first
    while True:
        if number > first:
            if number >= last or state.sCount[number] < state.blkIndent:
                return False
            line = state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
            line = line.rstrip()
        if not line:
            return False
        lines.append(line)
        after = line[2:] if number == first else line
        if after.endswith(end):
            break
        if end in after or len(lines) == MOST_LINES:
            return False
        number += 1
    if silent:
        return True
    state.line = number + 1
    token = state.push("maths_block", "", 0)
    token.content = "\n".join(lines)
    token.map = [first, state.line]
    return True
