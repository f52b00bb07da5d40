"""What a summary may be: at most three sentences and sixty words, in the order of the text."""

from collections.abc import Iterable

from arena.demo.words import words

MAX_SENTENCES = 3
# Prompts say "about fifty words"; whole sentences need some room.
MAX_WORDS = 60


def join(sentences: list[str], chosen: Iterable[int]) -> str:
    """The chosen sentences as one paragraph, in the order of the text."""
    return " ".join(sentences[index] for index in sorted(chosen))


def take(sentences: list[str], order: Iterable[int]) -> list[int]:
    """The sentences in this order until one doesn't fit. The first is always taken."""
    chosen: list[int] = []
    for index in order:
        if chosen and not fits(sentences, [*chosen, index]):
            break
        chosen.append(index)
    return chosen


def fits(sentences: list[str], chosen: list[int]) -> bool:
    """Whether the chosen sentences together keep within the budget."""
    n_words = sum(len(words(sentences[index])) for index in chosen)
    return len(chosen) <= MAX_SENTENCES and n_words <= MAX_WORDS
