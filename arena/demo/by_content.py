"""Summarizers that weigh what sentences say: word frequencies, and graphs of sentences.

Each follows the idea of a published method, on single short texts and without stemming:
TF-IDF centroid (Radev et al. 2004), TextRank (Mihalcea and Tarau 2004), LexRank (Erkan and Radev 2004),
SumBasic (Nenkova and Vanderwende 2005).
"""

from collections import Counter

import numpy as np

from arena.demo.budget import join, take
from arena.demo.sentences import split_sentences
from arena.demo.words import content_words, overlap

DAMPING = 0.85
LEXRANK_THRESHOLD = 0.1


def tf_idf_centroid(text: str) -> str:
    """The sentences nearest (cosine) to the mean of all sentences' TF-IDF vectors."""
    sentences = split_sentences(text)
    vectors = tf_idf(sentences)
    return _best(sentences, vectors @ _unit(vectors.mean(axis=0)) if sentences else np.zeros(0))


def text_rank(text: str) -> str:
    """PageRank on shared words: |shared| / (log |S_i| + log |S_j|)."""
    sentences = split_sentences(text)
    bags = [content_words(sentence) for sentence in sentences]
    weights = np.zeros((len(bags), len(bags)))
    for i, one in enumerate(bags):
        for j, other in enumerate(bags[:i]):
            # + 1, so that two sentences of one word each don't divide by zero.
            scale = np.log(len(one) + 1) + np.log(len(other) + 1)
            weights[i, j] = weights[j, i] = overlap(one, other) / scale if scale else 0.0
    return _best(sentences, page_rank(weights))


def lex_rank(text: str) -> str:
    """PageRank on the graph of sentences whose TF-IDF cosine exceeds the threshold."""
    sentences = split_sentences(text)
    vectors = tf_idf(sentences)
    alike = (vectors @ vectors.T > LEXRANK_THRESHOLD).astype(float)
    np.fill_diagonal(alike, 0.0)
    return _best(sentences, page_rank(alike))


def sum_basic(text: str) -> str:
    """Again and again the sentence of the likeliest words; words that were used lose weight."""
    sentences = split_sentences(text)
    bags = [content_words(sentence) for sentence in sentences]
    counts = Counter(word for bag in bags for word in bag)
    share = {word: count / counts.total() for word, count in counts.items()}
    left = [index for index, bag in enumerate(bags) if bag]
    order = []
    while left:
        best = max(left, key=lambda index: _mean_share(bags[index], share))
        left.remove(best)
        order.append(best)
        for word in set(bags[best]):
            share[word] **= 2
    return join(sentences, take(sentences, order))


def tf_idf(sentences: list[str]) -> np.ndarray:
    """(sentences, vocabulary) unit rows of term frequency × log(1 + n / sentences with the term)."""
    bags = [Counter(content_words(sentence)) for sentence in sentences]
    vocabulary = {word: column for column, word in enumerate(sorted(set().union(*bags)))}
    counts = np.zeros((len(bags), len(vocabulary)))
    for row, bag in enumerate(bags):
        for word, count in bag.items():
            counts[row, vocabulary[word]] = count
    idf = np.log1p(len(bags) / np.maximum((counts > 0).sum(axis=0), 1))
    return _unit(counts * idf)


def page_rank(weights: np.ndarray, *, damping: float = DAMPING) -> np.ndarray:
    """(n,) shares that sum to 1, from symmetric weights (n, n) ≥ 0; solved exactly, not by iteration.

    A sentence without neighbours passes its share to all alike.
    """
    n = len(weights)
    if n == 0:
        return np.zeros(0)
    degrees = weights.sum(axis=1, keepdims=True)
    steps = np.divide(weights, degrees, out=np.full((n, n), 1 / n), where=degrees > 0)
    return np.linalg.solve(np.eye(n) - damping * steps.T, np.full(n, (1 - damping) / n))


def _best(sentences: list[str], scores: np.ndarray) -> str:
    # Rounded, so that the last bits of the linear algebra never decide between equal sentences.
    order = np.argsort(-np.round(scores, 9), kind="stable")
    return join(sentences, take(sentences, order.tolist()))


def _mean_share(bag: list[str], share: dict[str, float]) -> float:
    return sum(share[word] for word in bag) / len(bag)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors (last axis) at length 1; a vector of zeros stays as it is."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
