"""Providers that don't speak the chat-completions protocol, each in the form that it calls its own.

``Endpoint.api`` names the form; the path is put after the endpoint's URL. They are asked over the same wire as
all others, so the operator's lists, checked addresses, bounded replies and failures are the same.

| api | URL | posted to | key |
| --- | --- | --- | --- |
| anthropic | https://api.anthropic.com/v1 | /messages | x-api-key |
| gemini | https://generativelanguage.googleapis.com/v1beta | /models/MODEL:generateContent | x-goog-api-key |
| converse | https://bedrock-runtime.REGION.amazonaws.com | /model/MODEL/converse | Authorization: Bearer |

Converse is Amazon Bedrock's, by a Bedrock API key. Parameters have the provider's names in snake case.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import httpx2

from judges.endpoints.client import ChatClient, as_mapping, token_pair, worth_keeping
from judges.endpoints.interface import CallError, Endpoint, Failure, Question
from judges.protocols.interface import Reply, Request, Token

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")  # it becomes a part of the path
_DATA_URL = re.compile(r"data:(image/[a-z0-9.+-]+);base64,(.*)", re.DOTALL)


class ProviderClient(ChatClient):
    """One attempt, like ChatClient. A subclass says what is posted and reads what comes."""

    ours: ClassVar[frozenset[str]] = frozenset()
    tells_probabilities = False

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        if not _MODEL.fullmatch(endpoint.model):
            raise CallError(
                Failure.NOT_ALLOWED,
                f"The model {endpoint.model!r} can't be a part of an address: it may have letters, digits and "
                ". _ : -",
            )
        self.path = self.path.format(model=endpoint.model)
        for name, _ in endpoint.parameters:
            if name in self.ours:
                raise CallError(
                    Failure.NOT_ALLOWED,
                    f"{name} can't be a parameter of the judge: it is set for each call.",
                )

    def body(self, question: Question) -> dict[str, Any]:
        request = question.request
        if request.top_logprobs and not self.tells_probabilities:
            raise CallError(
                Failure.NOT_ALLOWED,
                f"An endpoint of the kind {self.endpoint.api} tells no probabilities: choose a protocol that "
                "needs none.",
            )
        parameters = dict(self.endpoint.parameters)
        if question.repetition and isinstance(parameters.get("seed"), int):
            parameters["seed"] += question.repetition
        system = "\n\n".join(
            _text_of(message) for message in request.messages if message["role"] == "system"
        )
        return self.posted(request, system, _turns(request.messages), parameters)

    def posted(
        self, request: Request, system: str, turns: list["Turn"], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        raise NotImplementedError

    def decided(
        self, text: str, finish: str, *, cut: frozenset[str], refused: frozenset[str]
    ) -> str:
        """How the reply ended, in the words of chat completions. Raises CallError where it is no reply."""
        if finish in refused:
            raise CallError(
                Failure.REFUSED,
                f"The model or its provider refused to answer ({finish[:40]}).",
                text=text,
            )
        if finish in cut and not text:
            raise CallError(
                Failure.CUT_OFF, "The token limit was reached before the model said anything."
            )
        if not text:
            raise CallError(Failure.MALFORMED, "The server's answer has no text.")
        return "length" if finish in cut else "stop"


Turn = tuple[str, list[Mapping[str, str]]]  # role; parts: {"text"} or {"type", "data"} of a picture


def _turns(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Without those of the system; what one side says in a row is one turn, as some providers want it."""
    turns: list[Turn] = []
    for message in messages:
        if message["role"] == "system":
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].extend(_parts_of(message["content"]))
    return turns


def _parts_of(content: Any) -> list[Mapping[str, str]]:
    if isinstance(content, str):
        return [{"text": content}]
    parts: list[Mapping[str, str]] = []
    for part in content:
        if part["type"] == "text":
            parts.append({"text": part["text"]})
        elif picture := _DATA_URL.fullmatch(part["image_url"]["url"]):
            parts.append({"type": picture[1], "data": picture[2]})
    return parts


def _text_of(message: Mapping[str, Any]) -> str:
    return "\n".join(part["text"] for part in _parts_of(message["content"]) if "text" in part)


def _joined(parts: Any) -> str:
    """The text of a list of parts, without what the model thought before."""
    rows = [as_mapping(part) for part in parts] if isinstance(parts, list) else []
    return "".join(_word(row.get("text")) for row in rows if not row.get("thought"))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _kept(payload: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: payload[name] for name in names if worth_keeping(payload.get(name))}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class AnthropicClient(ProviderClient):
    path = "/messages"
    key_header = ("x-api-key", "{}")
    headers: ClassVar[dict[str, str]] = {"anthropic-version": "2023-06-01"}
    ours = frozenset({"system", "thinking", "output_config", "output_format"})

    def posted(
        self, request: Request, system: str, turns: list[Turn], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        messages = [
            {
                "role": role,
                "content": [
                    {"type": "text", "text": part["text"]}
                    if "text" in part
                    else {
                        "type": "image",
                        "source": {
                            "type": "base64",
                            "media_type": part["type"],
                            "data": part["data"],
                        },
                    }
                    for part in parts
                ],
            }
            for role, parts in turns
        ]
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "max_tokens": request.max_tokens,
            "messages": messages,
        }
        if system:
            body["system"] = system
        if request.schema is not None and self.endpoint.supports_schema:
            schema = {"type": "json_schema", "schema": dict(request.schema)}
            body["output_config"] = {"format": schema}
        return {**body, **parameters}

    def usage(self, payload: Any) -> tuple[Any, Any]:
        usage = as_mapping(as_mapping(payload).get("usage"))
        cached = [usage.get(f"cache_{kind}_input_tokens") for kind in ("creation", "read")]
        read = [usage.get("input_tokens"), *(count for count in cached if count is not None)]
        return _sum(read), usage.get("output_tokens")

    def reply(self, payload: Any) -> tuple[Reply, dict[str, Any]]:
        payload = as_mapping(payload)
        text = _joined(payload.get("content"))
        finish = self.decided(
            text,
            _word(payload.get("stop_reason")),
            cut=frozenset({"max_tokens", "model_context_window_exceeded"}),
            refused=frozenset({"refusal"}),
        )
        return Reply(text=text, finish=finish), _kept(payload, "id", "model", "usage")


class GeminiClient(ProviderClient):
    path = "/models/{model}:generateContent"
    key_header = ("x-goog-api-key", "{}")
    ours = frozenset({"contents", "system_instruction", "candidate_count", "max_output_tokens"})
    tells_probabilities = True
    refusals = frozenset(
        {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"}
    )

    def posted(
        self, request: Request, system: str, turns: list[Turn], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        contents = [
            {
                "role": "model" if role == "assistant" else "user",
                "parts": [
                    {"text": part["text"]}
                    if "text" in part
                    else {"inlineData": {"mimeType": part["type"], "data": part["data"]}}
                    for part in parts
                ],
            }
            for role, parts in turns
        ]
        budget = parameters.pop("thinking_budget", None)
        generation = {_camel(name): value for name, value in parameters.items()}
        generation["maxOutputTokens"] = request.max_tokens
        if budget is not None:
            generation["thinkingConfig"] = {"thinkingBudget": budget}
        if request.schema is not None and self.endpoint.supports_schema:
            generation["responseMimeType"] = "application/json"
            generation["responseJsonSchema"] = dict(request.schema)
        if request.top_logprobs:
            generation |= {"responseLogprobs": True, "logprobs": request.top_logprobs}
        instruction = {"systemInstruction": {"parts": [{"text": system}]}} if system else {}
        return {"contents": contents, "generationConfig": generation, **instruction}

    def usage(self, payload: Any) -> tuple[Any, Any]:
        usage = as_mapping(as_mapping(payload).get("usageMetadata"))
        thought = usage.get("thoughtsTokenCount")
        written = [usage.get("candidatesTokenCount"), *([] if thought is None else [thought])]
        return usage.get("promptTokenCount"), _sum(written)

    def reply(self, payload: Any) -> tuple[Reply, dict[str, Any]]:
        payload = as_mapping(payload)
        blocked = _word(as_mapping(payload.get("promptFeedback")).get("blockReason"))
        if blocked:
            raise CallError(Failure.REFUSED, f"The provider refused the prompt ({blocked[:40]}).")
        candidates = payload.get("candidates")
        if not isinstance(candidates, list) or not candidates:
            raise CallError(Failure.MALFORMED, "The server's answer has no candidates.")
        candidate = as_mapping(candidates[0])
        text = _joined(as_mapping(candidate.get("content")).get("parts"))
        finish = self.decided(
            text,
            _word(candidate.get("finishReason")),
            cut=frozenset({"MAX_TOKENS"}),
            refused=self.refusals,
        )
        tokens = _tokens(as_mapping(candidate.get("logprobsResult")))
        kept = _kept(payload, "responseId", "modelVersion", "usageMetadata")
        return Reply(text=text, tokens=tokens, finish=finish), kept

    def _refusal(self, response: httpx2.Response) -> CallError:
        """A wrong key is told by a 400 like any other."""
        if response.status_code == 400 and "API_KEY_INVALID" in response.text:
            return CallError(
                Failure.CREDENTIALS,
                f"The server doesn't take the key {self.endpoint.key_name} (status 400).",
                status=400,
            )
        return super()._refusal(response)


class ConverseClient(ProviderClient):
    path = "/model/{model}/converse"
    ours = frozenset({"system", "inference_config", "max_tokens"})
    known = frozenset({"temperature", "top_p", "stop_sequences"})
    refusals = frozenset({"guardrail_intervened", "content_filtered"})

    def posted(
        self, request: Request, system: str, turns: list[Turn], parameters: dict[str, Any]
    ) -> dict[str, Any]:
        messages = [
            {
                "role": role,
                "content": [
                    {"text": part["text"]}
                    if "text" in part
                    else {
                        "image": {
                            "format": part["type"].removeprefix("image/"),
                            "source": {"bytes": part["data"]},
                        }
                    }
                    for part in parts
                ],
            }
            for role, parts in turns
        ]
        inference = {_camel(n): value for n, value in parameters.items() if n in self.known}
        # Those that single models have go to them by their own names.
        others = {name: value for name, value in parameters.items() if name not in self.known}
        return {
            "messages": messages,
            "inferenceConfig": {**inference, "maxTokens": request.max_tokens},
            **({"system": [{"text": system}]} if system else {}),
            **({"additionalModelRequestFields": others} if others else {}),
        }

    def usage(self, payload: Any) -> tuple[Any, Any]:
        usage = as_mapping(as_mapping(payload).get("usage"))
        cached = [usage.get(f"cache{kind}InputTokens") for kind in ("Read", "Write")]
        read = [usage.get("inputTokens"), *(count for count in cached if count is not None)]
        return _sum(read), usage.get("outputTokens")

    def reply(self, payload: Any) -> tuple[Reply, dict[str, Any]]:
        payload = as_mapping(payload)
        message = as_mapping(as_mapping(payload.get("output")).get("message"))
        text = _joined(message.get("content"))
        finish = self.decided(
            text,
            _word(payload.get("stopReason")),
            cut=frozenset({"max_tokens"}),
            refused=self.refusals,
        )
        return Reply(text=text, finish=finish), _kept(payload, "usage", "metrics")


def _sum(counts: Sequence[Any]) -> int | None:
    """None where one of them is no number of tokens."""
    if any(isinstance(count, bool) or not isinstance(count, int) or count < 0 for count in counts):
        return None
    return sum(counts)


def _tokens(result: Mapping[str, Any]) -> tuple[Token, ...] | None:
    """Tokens with their probabilities, or None unless every one of them makes sense."""
    chosen, tops = result.get("chosenCandidates"), result.get("topCandidates")
    if not isinstance(chosen, list) or not chosen:
        return None
    tops = tops if isinstance(tops, list) and len(tops) == len(chosen) else [{}] * len(chosen)
    try:
        return tuple(
            Token(
                *_pair(one),
                alternatives=tuple(
                    _pair(other) for other in as_mapping(top).get("candidates") or ()
                ),
            )
            for one, top in zip(chosen, tops, strict=True)
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _pair(entry: Any) -> tuple[str, float]:
    return token_pair(entry["token"], entry["logProbability"])


PROVIDERS: dict[str, type[ProviderClient]] = {
    "anthropic": AnthropicClient,
    "gemini": GeminiClient,
    "converse": ConverseClient,
}
