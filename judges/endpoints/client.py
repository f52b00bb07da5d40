"""One attempt at a call: a question goes to an endpoint, and an answer comes back or a CallError.

Servers are strangers: what they send may be late, huge, cut, of another form, or untrue.
"""

import asyncio
import json
import math
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Self

import httpx2
import openai  # noqa: TID251 (this is the place for it)
from django.utils import timezone

from judges.endpoints.allowed import key_of, listed_site
from judges.endpoints.interface import Answer, CallError, Endpoint, Failure, Question
from judges.endpoints.wire import Wire
from judges.protocols.interface import Reply, Token

KEPT_TEXT = 20_000  # characters of a reply that couldn't be used
MOST_TOKENS = 10_000_000  # nobody's context is longer: more is a lie
LOWEST = -9999.0  # what servers send for the logarithm of nothing
# Set for every call by the request, or they would change what comes back.
OURS = {
    "model", "messages", "max_tokens", "response_format", "logprobs", "top_logprobs", "stream",
    "stream_options", "n", "tools", "tool_choice", "functions", "function_call", "store",
}  # fmt: skip
STATUSES = {
    401: Failure.CREDENTIALS,
    403: Failure.CREDENTIALS,
    404: Failure.NOT_FOUND,
    408: Failure.TIMEOUT,
    429: Failure.RATE_LIMITED,
}


class ChatClient:
    """Asks a server that speaks the chat-completions protocol. ``async with`` opens and closes connections."""

    path = "/chat/completions"
    key_header = ("Authorization", "Bearer {}")  # its name, and its value around the key
    headers: ClassVar[dict[str, str]] = {}  # that go with every request

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._site, self._key = listed_site(endpoint.url), key_of(endpoint)
        for name, _ in endpoint.parameters:
            if name in OURS:
                raise CallError(
                    Failure.NOT_ALLOWED,
                    f"{name} can't be a parameter of the judge: it is set for each call.",
                )

    async def __aenter__(self) -> Self:
        self._http = httpx2.AsyncClient(
            transport=Wire(
                self._site, key=self._key, key_header=self.key_header, more=self.headers
            ),
            follow_redirects=False,
            trust_env=False,  # no proxies and no .netrc
            timeout=self.endpoint.timeout,
        )
        # The wire sends the key; the library is given none, and what it finds in the environment stays here.
        self._sdk = openai.AsyncOpenAI(
            api_key="unused",
            base_url=self.endpoint.url,
            max_retries=0,
            http_client=self._http,
            timeout=self.endpoint.timeout,
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._http.aclose()

    async def attempt(self, question: Question) -> Answer:
        """Asks once. Raises CallError."""
        begin = time.perf_counter()
        response = await self._post(self.body(question))
        payload = self._json(response)
        stated_read, stated_written = self.usage(payload)
        read, written = _count(stated_read, at_least=1), _count(stated_written)
        cost = self._cost(read, written)
        try:
            reply, raw = self.reply(payload)
        except CallError as error:
            error.text = error.text or self._shown(response.text)
            error.status, error.cost = response.status_code, cost or 0.0
            raise
        return Answer(
            reply=reply,
            input_tokens=read,
            output_tokens=written,
            cost=cost,
            seconds=time.perf_counter() - begin,
            raw=raw,
        )

    def body(self, question: Question) -> dict[str, Any]:
        """What is posted. A seed is moved by the repetition: otherwise all repetitions would be one."""
        request, parameters = question.request, dict(self.endpoint.parameters)
        if question.repetition and isinstance(parameters.get("seed"), int):
            parameters["seed"] += question.repetition
        body = {"model": self.endpoint.model, "messages": list(request.messages), **parameters}
        if "max_completion_tokens" not in parameters:  # as some models want the limit to be called
            body["max_tokens"] = request.max_tokens
        if request.schema is not None and self.endpoint.supports_schema:
            body["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": dict(request.schema), "strict": True},
            }
        if request.top_logprobs:
            body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        return body

    def usage(self, payload: Any) -> tuple[Any, Any]:
        """(tokens read, tokens written), as the server states them."""
        usage = as_mapping(as_mapping(payload).get("usage"))
        return usage.get("prompt_tokens"), usage.get("completion_tokens")

    def reply(self, payload: Any) -> tuple[Reply, dict[str, Any]]:
        """The reply in what the server sent, and what else is worth keeping. Raises CallError."""
        payload = as_mapping(payload)
        choices = payload.get("choices")
        if not isinstance(choices, list) or not choices:
            raise_error_within(payload)
            raise CallError(Failure.MALFORMED, "The server's answer has no choices.")
        choice = as_mapping(choices[0])
        message = as_mapping(choice.get("message"))
        finish = choice.get("finish_reason")
        finish = finish[:40] if isinstance(finish, str) and finish else "stop"
        text, refusal = message.get("content"), message.get("refusal")
        if isinstance(refusal, str) and refusal:
            raise CallError(
                Failure.REFUSED, "The model refused to answer.", text=refusal[:KEPT_TEXT]
            )
        if not isinstance(text, str):
            if finish == "length":
                raise CallError(
                    Failure.CUT_OFF, "The token limit was reached before the model said anything."
                )
            if finish == "content_filter":
                raise CallError(Failure.REFUSED, "The server's content filter held the reply back.")
            raise CallError(Failure.MALFORMED, "The server's answer has no text.")
        raw = {
            name: payload[name]
            for name in ("id", "model", "system_fingerprint", "usage")
            if worth_keeping(payload.get(name))
        }
        return Reply(text=text, tokens=_tokens(choice.get("logprobs")), finish=finish), raw

    async def _post(self, body: Mapping[str, Any]) -> httpx2.Response:
        """The server's answer to a request that it took; everything else is a CallError."""
        seconds = self.endpoint.timeout
        try:
            # The library's limits are of a connection and of each read: a server that drips outlives them.
            async with asyncio.timeout(seconds):
                return await self._sdk.post(self.path, body=body, cast_to=httpx2.Response)
        except (TimeoutError, openai.APITimeoutError):
            raise CallError(
                Failure.TIMEOUT, f"The server didn't answer within {seconds:g} seconds."
            ) from None
        except openai.APIStatusError as error:
            raise self._refusal(error.response) from None
        except openai.APIConnectionError as error:
            raise CallError(
                Failure.CONNECTION, f"The connection to the server failed: {_cause(error)}."
            ) from None

    def _refusal(self, response: httpx2.Response) -> CallError:
        """What a status other than success means."""
        status = response.status_code
        failure = failure_of(status)
        text = "" if failure == Failure.CREDENTIALS else self._shown(response.text)
        says = {
            Failure.CREDENTIALS: f"The server doesn't take the key {self.endpoint.key_name}"
            if self._key
            else "The server wants a key, and the judge names none",
            Failure.NOT_FOUND: f"The server knows no model {self.endpoint.model} at this address",
            Failure.RATE_LIMITED: "The server is asked more often than it allows",
            Failure.TIMEOUT: "The server gave up waiting",
            Failure.SERVER: "The server failed",
            Failure.NOT_ALLOWED: "The server redirects elsewhere, which isn't followed",
        }.get(failure, "The server refused the request")
        return CallError(
            failure,
            f"{says} (status {status}).",
            text=text,
            status=status,
            retry_after=retry_after(response.headers),
        )

    def _json(self, response: httpx2.Response) -> Any:
        try:
            text = response.content.decode("utf-8")
            payload = json.loads(text, parse_constant={"-Infinity": LOWEST}.get)
        except (ValueError, RecursionError):
            raise CallError(
                Failure.MALFORMED,
                "The server's answer isn't JSON.",
                text=self._shown(response.text),
                status=response.status_code,
            ) from None
        # Databases don't take these, and they are rare: the text is only searched, seldom walked.
        return _clean(payload) if "\\u0000" in text or "\\ud" in text.lower() else payload

    def _cost(self, read: int | None, written: int | None) -> float | None:
        cost = 0.0
        for tokens, price in (
            (read, self.endpoint.input_price),
            (written, self.endpoint.output_price),
        ):
            if price:
                if tokens is None:
                    return None
                cost += tokens * price / 1e6
        return cost

    def _shown(self, text: str) -> str:
        """Of a stranger's text what may be kept: not everything, and never the key."""
        if self._key:
            text = text.replace(self._key, "[key]")
        return _storable(text[:KEPT_TEXT])


def failure_of(status: int) -> Failure:
    """What a status other than 2xx means for the call."""
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return Failure.SERVER
    return Failure.REFUSED if status >= 400 else Failure.NOT_ALLOWED


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, said as seconds or as a date; None if it says nothing sensible."""
    stated = headers.get("retry-after", "").strip()
    try:
        seconds = float(stated)
    except ValueError:
        try:
            date = parsedate_to_datetime(stated)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        seconds = max(0.0, (date - timezone.now()).total_seconds())
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def raise_error_within(payload: Mapping[str, Any]) -> None:
    """Some routers answer 200 and put the failure of the server behind them into the body."""
    error = as_mapping(payload.get("error"))
    code = error.get("code")
    if isinstance(code, int) and 400 <= code <= 599:
        raise CallError(failure_of(code), f"The server passed on a failure with status {code}.")


def _cause(error: BaseException) -> str:
    """The kind of what went wrong below the client library; our own errors as they are.

    Only the kind: messages of libraries may repeat headers.
    """
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, CallError):
            raise inner from None
        kind, inner = type(inner).__name__, inner.__cause__ or inner.__context__
        if kind in ("ConnectError", "ReadError", "WriteError", "RemoteProtocolError"):
            return {
                "ConnectError": "it wasn't accepted",
                "ReadError": "it was cut",
                "WriteError": "it was cut",
                "RemoteProtocolError": "it was cut, or what came wasn't HTTP",
            }[kind]
    return type(error).__name__


def as_mapping(value: Any) -> dict[str, Any]:
    """The value where it is an object, and an empty one otherwise."""
    return value if isinstance(value, dict) else {}


def worth_keeping(value: Any) -> bool:
    """Whether it is there, not too long, and JSON as databases know it."""
    try:
        return value is not None and len(json.dumps(value, allow_nan=False)) < 2_000
    except ValueError:
        return False


def _count(value: Any, *, at_least: int = 0) -> int | None:
    """A number of tokens that may be true, or None."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if at_least <= value <= MOST_TOKENS else None


def _tokens(logprobs: Any) -> tuple[Token, ...] | None:
    """Tokens with their probabilities, or None unless every one of them makes sense."""
    entries = as_mapping(logprobs).get("content")
    if not isinstance(entries, list) or not entries:
        return None
    try:
        return tuple(
            Token(
                *_pair(entry),
                alternatives=tuple(_pair(other) for other in entry.get("top_logprobs") or ()),
            )
            for entry in entries
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _pair(entry: Mapping[str, Any]) -> tuple[str, float]:
    return token_pair(entry["token"], entry["logprob"])


def token_pair(text: Any, logprob: Any) -> tuple[str, float]:
    """A token with the logarithm of its probability. Raises ValueError or TypeError where it can't be one."""
    if not isinstance(text, str) or isinstance(logprob, bool):
        raise ValueError("A token is a text with a number.")
    logprob = float(logprob)
    # A little above zero is rounding.
    if not math.isfinite(logprob) or logprob > 1e-3:
        raise ValueError("A probability is at most 1.")
    return text, min(logprob, 0.0)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_storable(name): _clean(item) for name, item in value.items()}
    return value


def _storable(text: str) -> str:
    """Without what no database takes: NUL and halves of surrogate pairs."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode("utf-8")
