"""Where a sentence ends, in English prose.

A sentence ends at a full stop, question mark or exclamation mark (with the quotation marks and brackets
that close after it) when white space and then a capital or a digit follow, or at the end of a paragraph.
It doesn't end after a title or an initial (Dr. Voss; J. S. Bach), nor within a quotation: what somebody
says stays together, so that a summary never shows half of a pair of quotation marks.

Known to fail: a name right after a quoted question (“Ready?” Anna asked) looks like a new sentence, and
a single letter at the end (vitamin C. Then) looks like an initial.
"""

import re

_PARAGRAPH = re.compile(r"\n\s*\n")
# Each run of marks is tried from its first one only, so that a million full stops take linear time.
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’)\]]*+(?=\s+[\"'“‘(\[]*[A-Z0-9À-ÖØ-Þ])")
_LAST_WORD = re.compile(r"[^\s(\[\"“‘]+$")
_TITLES = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "st", "rev", "gen", "col", "capt", "lt", "sgt", "mt")
)
_LATIN = frozenset(("e.g", "i.e", "cf", "vs", "ca", "approx", "fig"))


def paragraphs(text: str) -> list[str]:
    """The paragraphs, which blank lines separate, each on one line."""
    lines = (" ".join(part.split()) for part in _PARAGRAPH.split(text))
    return [line for line in lines if line]


def split_sentences(text: str) -> list[str]:
    """The sentences in order; joined by spaces they give the text back, but for its white space."""
    return [sentence for paragraph in paragraphs(text) for sentence in _sentences_of(paragraph)]


def _sentences_of(paragraph: str) -> list[str]:
    sentences, start = [], 0
    for end in _ends(paragraph):
        sentences.append(paragraph[start:end].strip())
        start = end
    return [*sentences, paragraph[start:].strip()]


def _ends(paragraph: str) -> list[int]:
    """Positions just after each sentence but the last."""
    quoted = _quotation_depths(paragraph)
    return [
        match.end()
        for match in _END.finditer(paragraph)
        if not quoted[match.end()] and not _is_abbreviation(paragraph, match)
    ]


def _quotation_depths(paragraph: str) -> list[bool]:
    """For every position, whether it lies within double quotation marks.

    A paragraph that opens more of them than it closes (a speech that goes on in the next one) counts as
    having none, or all of it would be one sentence.
    """
    inside, open_ = [False], False
    for character in paragraph:
        if character == "“":
            open_ = True
        elif character == "”":
            open_ = False
        elif character == '"':
            open_ = not open_
        inside.append(open_)
    return [False] * len(inside) if open_ else inside


def _is_abbreviation(paragraph: str, end: re.Match[str]) -> bool:
    if end.group() != ".":
        return False
    found = _LAST_WORD.search(paragraph, max(0, end.start() - 40), end.start())
    if found is None:
        return False
    word = found.group()
    if word.lower() == "no":
        return paragraph[end.end() :].lstrip()[:1].isdigit()
    return word.lower() in _TITLES | _LATIN or (len(word) == 1 and word.isupper() and word != "I")
