"""Summarizers that look at where sentences stand and how long they are, never at what they say."""

import hashlib

import numpy as np

from arena.demo.budget import join, take
from arena.demo.sentences import split_sentences
from arena.demo.words import words


def first_sentences(text: str) -> str:
    sentences = split_sentences(text)
    return join(sentences, take(sentences, range(len(sentences))))


def last_sentences(text: str) -> str:
    sentences = split_sentences(text)
    return join(sentences, take(sentences, reversed(range(len(sentences)))))


def first_and_last(text: str) -> str:
    """The first sentence, the last one and, where there is room, the second."""
    sentences = split_sentences(text)
    ends = dict.fromkeys([0, len(sentences) - 1, 1]) if sentences else []
    return join(sentences, take(sentences, (i for i in ends if i < len(sentences))))


def random_sentences(text: str) -> str:
    """Sentences by lot. The lot is drawn from the text itself, so that a text always gets the same."""
    sentences = split_sentences(text)
    seed = int.from_bytes(
        hashlib.sha256(" ".join(sentences).encode("utf-8", "surrogatepass")).digest()[:8]
    )
    order = np.random.default_rng(seed).permutation(len(sentences)).tolist()
    return join(sentences, take(sentences, order))


def longest_sentences(text: str) -> str:
    sentences = split_sentences(text)
    return join(sentences, take(sentences, _in_order_of(-_lengths(sentences))))


def shortest_sentences(text: str) -> str:
    sentences = split_sentences(text)
    return join(sentences, take(sentences, _in_order_of(_lengths(sentences))))


def everything(text: str) -> str:
    """All sentences but the shortest: hardly a summary, and far over the budget."""
    sentences = split_sentences(text)
    dropped = _in_order_of(_lengths(sentences))[:1] if len(sentences) > 1 else []
    return join(sentences, set(range(len(sentences))).difference(dropped))


def _lengths(sentences: list[str]) -> np.ndarray:
    return np.array([len(words(sentence)) for sentence in sentences])


def _in_order_of(values: np.ndarray) -> list[int]:
    """Positions by rising value; of equal ones the earlier first."""
    return np.argsort(values, kind="stable").tolist()
