"""Words of a text, the way every summarizer and every program judge counts them."""

import re
from collections import Counter

# A number with its separators is one word (6.40; 52,000), and so is a word with its apostrophe.
_WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:['’][^\W_]+)*")

_STOP_WORDS = """
a about after again all also although an and any are as at be because been before began being both
but by can can't could couldn't did didn't do does doesn't don't down each else even ever every few
first for from get gets go goes had has hasn't have he her here hers him his how i if in into is
isn't it it's its itself just last later less like little long made make makes many may me more most
much must my never next no nobody nor not nothing now of off on once one only or other our out over
own put rather same say said says she should shouldn't since so some something still such take taken
than that the their them then there these they thing things this those though three through to too
took two under until up upon us very was wasn't we well went were what whatever when where whether
which while who whoever whole whom whose why will with without won't would wouldn't yet you you'll
your
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def words(text: str) -> list[str]:
    """The words in order, in lower case, with straight apostrophes; hyphens separate, numbers stay whole."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def content_words(text: str) -> list[str]:
    """The words that carry meaning: all but the stop words. A possessive counts as its noun."""
    return [
        word.removesuffix("'s") for word in words(text) if word.removesuffix("'s") not in STOP_WORDS
    ]


def overlap(one: list[str], other: list[str]) -> int:
    """How many words the two lists share, each as often as it is in both."""
    return sum((Counter(one) & Counter(other)).values())
