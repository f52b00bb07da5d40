"""From the probabilities of a reply's first word to those of labels."""

import math
from collections.abc import Mapping
from typing import Any

from judges.protocols.interface import Reply, UnreadableReply

TOP = 20  # as many alternatives as servers give
LEAST = 0.5  # with less than this on all labels together, the model was saying something else


def shares(reply: Reply, labels: Mapping[str, Any]) -> dict[Any, float]:
    """What each label stands for -> its share of the labels' probability at the first word, summing to 1.

    A label is counted in every way of writing it: with a space before it, in capitals or not, with a full
    stop. Raises UnreadableReply where the server told no probabilities.
    """
    if not reply.tokens:
        raise UnreadableReply(
            "The server told no token probabilities: choose one that does, or another protocol."
        )
    token = next((one for one in reply.tokens if _bare(one.text)), None)
    if token is None:
        raise UnreadableReply("The reply holds no word.")
    probabilities = dict(token.alternatives) or {token.text: token.logprob}
    probabilities.setdefault(token.text, token.logprob)
    found = dict.fromkeys(labels.values(), 0.0)
    for text, logprob in probabilities.items():
        if not isinstance(logprob, int | float) or math.isnan(logprob) or logprob > 1e-3:
            raise UnreadableReply(
                f"The server says that a probability has the logarithm {logprob!r}."
            )
        if (label := _bare(text)) in labels:
            found[labels[label]] += math.exp(logprob)
    total = sum(found.values())
    if total < LEAST:
        raise UnreadableReply(
            f"Only {100 * total:.0f} % of the probability is on {', '.join(labels)}."
        )
    return {value: share / total for value, share in found.items()}


def _bare(text: str) -> str:
    return text.replace("▁", " ").replace("Ġ", " ").strip().strip(".:*\"'[]()").casefold()
