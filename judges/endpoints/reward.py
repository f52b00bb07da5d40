"""Reward models: servers that give an answer a number, over HTTP. They fail like chat models.

``Endpoint.api`` names the form; the path is put after the endpoint's URL.

| api | posted | answered |
| --- | --- | --- |
| reward | /reward: {"model", "messages"}, the last message being the answer that is judged | {"score": 0.7} |
| score | /score, as vLLM has it: {"model", "text_1": prompt, "text_2": answer} | {"data": [{"score": 0.7}]} |
| rerank | /rerank, as text-embeddings-inference has it: {"query", "texts"} | [{"index": 0, "score": 0.7}] |

An answer that is an object may add ``usage`` as chat completions have it. The reply's text is the number;
``read_score`` reads it.
"""

import math
from typing import Any

from judges.endpoints.client import ChatClient, as_mapping, raise_error_within
from judges.endpoints.interface import CallError, Failure, Question
from judges.protocols.interface import Reading, Reply, UnreadableReply

FORMS = ("reward", "score", "rerank")


class RewardClient(ChatClient):
    """Asks a reward model; one attempt, like ChatClient."""

    def __init__(self, endpoint) -> None:
        super().__init__(endpoint)
        self.path = f"/{endpoint.api}"

    def body(self, question: Question) -> dict[str, Any]:
        messages = question.request.messages
        common = {"model": self.endpoint.model, **dict(self.endpoint.parameters)}
        if self.endpoint.api == "reward":
            return {**common, "messages": list(messages)}
        prompt = "\n\n".join(_text(message) for message in messages[:-1])
        answer = _text(messages[-1])
        if self.endpoint.api == "score":
            return {**common, "text_1": prompt, "text_2": answer}
        return {"query": prompt, "texts": [answer], **dict(self.endpoint.parameters)}

    def reply(self, payload: Any) -> tuple[Reply, dict[str, Any]]:
        rows: Any = payload
        if isinstance(payload, dict):
            rows = [payload] if self.endpoint.api == "reward" else payload.get("data")
        if not isinstance(rows, list) or len(rows) != 1:
            raise_error_within(as_mapping(payload))
            raise CallError(Failure.MALFORMED, "The server's answer isn't one score.")
        score = as_mapping(rows[0]).get("score")
        if type(score) not in (int, float) or not abs(score) < math.inf:
            raise CallError(Failure.MALFORMED, "The server's score isn't a finite number.")
        return Reply(text=repr(score)), {}


def read_score(reply: Reply) -> Reading:
    """The score in a reward model's reply; for ``Asker.ask``. Raises UnreadableReply."""
    try:
        return Reading(score=float(reply.text))
    except ValueError:
        raise UnreadableReply("The reply isn't a number.") from None


def _text(message) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")
