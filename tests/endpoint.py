"""A model's server that misbehaves on demand, on the loopback: the name of the model says how.

plain                 replies "A" with probabilities if they are asked for, and true usage
status:429:7          that status, with Retry-After: 7 if it is there
wrong-key             a 400 as Gemini tells it
flaky:2:500:NAME      that status twice, then as "plain"; NAME keeps counts apart
unreadable:2:NAME     "???" twice, then "A"
usage:{JSON}          as "plain", with that usage
body:{JSON}           exactly that body
message:{JSON}        that choice
and the words of SPECIAL below
"""

import asyncio
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

USAGE = {"prompt_tokens": 12, "completion_tokens": 1}
PROBABILITIES = {
    "content": [
        {
            "token": "A",
            "logprob": -0.1,
            "top_logprobs": [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -2.4}],
        }
    ]
}
SPECIAL = (
    "slow",
    "drip",
    "cut",
    "html",
    "empty",
    "redirect",
    "huge",
    "gzip",
    "latin",
    "deep",
    "nul",
)


@dataclass
class Call:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float


@dataclass
class MisbehavingEndpoint:
    """The server: where it is, and what it was asked."""

    url: str = ""
    delay: float = 0.0
    calls: list[Call] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0

    def forget(self) -> None:
        self.calls, self.seen, self.delay, self.most_in_flight = [], Counter(), 0.0, 0

    async def __call__(self, scope, receive, send) -> None:
        received, more = b"", True
        while more:
            part = await receive()
            received, more = received + part.get("body", b""), part.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body = json.loads(received)
        self.calls.append(Call(scope["path"], headers, body, time.time()))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay)
            await self._answer(body, scope["path"], send)
        finally:
            self.in_flight -= 1

    async def _answer(self, body: dict[str, Any], path: str, send) -> None:
        # Gemini and Converse have the model in the path.
        named = re.search(r"/models?/(.+?)(?::generateContent|/converse)$", path)
        model = named[1] if named else body.get("model", "rerank")
        kind, _, rest = model.partition(":")
        text, usage = "A", USAGE
        if kind in SPECIAL:
            await getattr(self, f"_{kind}")(send)
            return
        if kind == "status":
            status, _, wait = rest.partition(":")
            await _send(send, int(status), {"error": {"message": "No."}}, wait=wait)
            return
        if kind == "wrong-key":
            await _send(send, 400, {"error": {"details": [{"reason": "API_KEY_INVALID"}]}})
            return
        if kind == "flaky":
            times, status, *_ = rest.split(":")
            self.seen[model] += 1
            if self.seen[model] <= int(times):
                await _send(send, int(status), {"error": {"message": "Not yet."}}, wait="0")
                return
        if kind == "unreadable":
            self.seen[model] += 1
            text = "???" if self.seen[model] <= int(rest.split(":")[0]) else "A"
        if kind == "usage":
            usage = json.loads(rest)
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        if body.get("logprobs"):
            choice["logprobs"] = PROBABILITIES
        if kind == "message":
            choice = json.loads(rest)
        answer: Any = {"id": "1", "model": model, "choices": [choice], "usage": usage}
        if path.endswith("/reward"):
            answer = {"score": 0.75, "usage": usage}
        elif path.endswith("/messages"):
            answer = {
                "id": "msg_1",
                "model": model,
                "content": [{"type": "thinking", "thinking": "B?"}, {"type": "text", "text": text}],
                "stop_reason": "end_turn",
                "usage": {"input_tokens": 2, "cache_read_input_tokens": 10, "output_tokens": 1},
            }
        elif path.endswith(":generateContent"):
            chosen = {"token": "A", "logProbability": -0.1}
            other = {"token": "B", "logProbability": -2.4}
            answer = {
                "candidates": [
                    {
                        "content": {"parts": [{"text": "B?", "thought": True}, {"text": text}]},
                        "finishReason": "STOP",
                        "logprobsResult": {
                            "chosenCandidates": [chosen],
                            "topCandidates": [{"candidates": [chosen, other]}],
                        },
                    }
                ],
                "usageMetadata": {
                    "promptTokenCount": 12,
                    "candidatesTokenCount": 1,
                    "thoughtsTokenCount": 4,
                },
            }
        elif path.endswith("/converse"):
            answer = {
                "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 12, "outputTokens": 1, "totalTokens": 13},
            }
        elif path.endswith("/score"):
            answer = {"data": [{"index": 0, "score": 0.5}], "usage": usage}
        elif path.endswith("/rerank"):
            answer = [{"index": 0, "score": 0.25}]
        await _send(send, 200, json.loads(rest) if kind == "body" else answer)

    async def _slow(self, send) -> None:
        await asyncio.sleep(3)
        await _send(send, 200, {})

    async def _drip(self, send) -> None:
        """Never silent for long, and never done."""
        await _start(send, 200)
        for _ in range(60):
            await send({"type": "http.response.body", "body": b" ", "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b"{}"})

    async def _cut(self, send) -> None:
        await _start(send, 200, (b"content-length", b"1000"))
        await send({"type": "http.response.body", "body": b'{"choices": [', "more_body": True})

    async def _html(self, send) -> None:
        await _start(send, 200, (b"content-type", b"text/html"))
        await send({"type": "http.response.body", "body": b"<h1>It works!</h1>"})

    async def _empty(self, send) -> None:
        await _start(send, 200)
        await send({"type": "http.response.body", "body": b""})

    async def _redirect(self, send) -> None:
        await _start(send, 307, (b"location", b"http://169.254.169.254/latest/meta-data/"))
        await send({"type": "http.response.body", "body": b""})

    async def _huge(self, send) -> None:
        await _start(send, 200)
        for _ in range(12):
            await send({"type": "http.response.body", "body": b" " * 2**20, "more_body": True})
        await send({"type": "http.response.body", "body": b"{}"})

    async def _gzip(self, send) -> None:
        await _start(send, 200, (b"content-encoding", b"gzip"))
        await send({"type": "http.response.body", "body": b"\x1f\x8b"})

    async def _latin(self, send) -> None:
        await _start(send, 200)
        await send({"type": "http.response.body", "body": '{"choices": "é"}'.encode("latin-1")})

    async def _deep(self, send) -> None:
        await _start(send, 200)
        await send({"type": "http.response.body", "body": b"[" * 100_000})

    async def _nul(self, send) -> None:
        await _start(send, 200)
        body = rb'{"choices": [{"message": {"content": "A\u0000B\ud800C"}}]}'
        await send({"type": "http.response.body", "body": body})


async def _start(send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send(send, status: int, body: Any, *, wait: str = "") -> None:
    headers = [(b"retry-after", wait.encode())] if wait else []
    await _start(send, status, (b"content-type", b"application/json"), *headers)
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


@contextmanager
def running_endpoint(
    endpoint: MisbehavingEndpoint | None = None,
) -> Iterator[MisbehavingEndpoint]:
    """The server in a thread of its own, on a free port."""
    endpoint = endpoint or MisbehavingEndpoint()
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    config = uvicorn.Config(
        endpoint, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield endpoint
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
