"""What asking costs beyond the calls themselves: an Asker against a bare loop with the same client library.

    python -m benchmarks.judging --calls 2000 --concurrency 64 --seconds 0.2
    DATABASE_URL=postgres://… python -m benchmarks.judging

A server on the loopback, in a process of its own, answers each call after that time. The bare loop is tasks,
a semaphore and ``openai.AsyncOpenAI``: no cache, no limits, nothing kept. The Asker keeps every reply in the
database and agrees with other workers on its slots. Both ask the same in turns, and the ratio of each turn is
printed, with the processor time that a call took: the machine may be busy. At the end everything is asked
again, out of the cache.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

import openai  # noqa: E402, TID251 (the peer)
from django.conf import settings  # noqa: E402 (after setup)
from django.db import connection  # noqa: E402

from judges.endpoints.asking import Asker  # noqa: E402
from judges.endpoints.interface import Endpoint, Question  # noqa: E402
from judges.models import CachedReply, EndpointState  # noqa: E402
from judges.protocols.interface import Request  # noqa: E402

MOST_CALLS = 20_000
TEXT = "Which of the two answers is better? " * 40
REPLY = json.dumps({"reasoning": "The first one answers what was asked. " * 8, "choice": "A"})


def serve(listener: socket.socket, seconds: float) -> None:
    import uvicorn

    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": REPLY},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 300, "completion_tokens": 80, "total_tokens": 380}
    answer = {
        "id": "1", "object": "chat.completion", "created": 1, "model": "judge",
        "choices": [choice], "usage": usage,
    }  # fmt: skip
    body = json.dumps(answer).encode()

    async def app(scope, receive, send) -> None:
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(seconds)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none")
    uvicorn.Server(config).run(sockets=[listener])


def messages(turn: int, i: int) -> tuple[dict[str, str], ...]:
    return ({"role": "user", "content": f"{TEXT} {turn} {i}"},)


async def bare(url: str, turn: int, given: argparse.Namespace) -> float:
    slots = asyncio.Semaphore(given.concurrency)
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        async def one(i: int) -> str:
            async with slots:
                answer = await client.chat.completions.create(
                    model="judge", messages=list(messages(turn, i)), max_tokens=300
                )
                return json.loads(answer.choices[0].message.content)["choice"]

        begin = time.perf_counter()
        choices = await asyncio.gather(*(one(i) for i in range(given.calls)))
        seconds = time.perf_counter() - begin
    assert choices == ["A"] * given.calls
    return seconds


async def asked(url: str, turn: int, given: argparse.Namespace, *, again: bool = False) -> float:
    """Tasks without a semaphore of their own: the Asker holds them to the concurrency."""
    endpoint = Endpoint(url, "judge", concurrency=given.concurrency)
    async with Asker(endpoint) as asker:

        async def one(i: int) -> str:
            request = Request(messages(turn, i), max_tokens=300)
            answer, choice = await asker.ask(
                Question(endpoint, request), read=lambda reply: json.loads(reply.text)["choice"]
            )
            assert answer.from_cache is again
            return choice

        begin = time.perf_counter()
        choices = await asyncio.gather(*(one(i) for i in range(given.calls)))
        seconds = time.perf_counter() - begin
    assert choices == ["A"] * given.calls
    return seconds


def compare(url: str, given: argparse.Namespace) -> None:
    ideal = given.calls * given.seconds / given.concurrency
    print(f"{connection.vendor}: {given.calls:,} calls of {given.seconds * 1000:.0f} ms, "
          f"{given.concurrency} at once: {ideal:.2f} s if nothing else took time")  # fmt: skip
    ratios = []
    for turn in range(given.turns):
        measures = [bare, asked] if turn % 2 else [asked, bare]
        took, cpu = {}, {}
        for measure in measures:
            begin = time.process_time()
            took[measure] = asyncio.run(measure(url, turn, given))
            cpu[measure] = (time.process_time() - begin) / given.calls * 1000
        ratios.append(took[asked] / took[bare])
        print(f"  turn {turn + 1}: bare {took[bare]:.2f} s, Asker {took[asked]:.2f} s: {ratios[-1]:.3f}; "
              f"processor time of a call {cpu[bare]:.2f} ms, {cpu[asked]:.2f} ms")  # fmt: skip
    print(f"  median ratio {statistics.median(ratios):.3f}")
    seconds = asyncio.run(asked(url, 0, given, again=True))
    print(f"  from the cache: {given.calls / seconds:,.0f} a second")
    kept, state = CachedReply.objects.count(), EndpointState.objects.get()
    print(f"  kept {kept:,} replies; the shared state was written {state.version} times")
    assert kept == given.calls * given.turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.2, help="that the server takes")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(socket.socket(fileno=given.serve), given.seconds)
        return
    if not 1 <= given.calls <= MOST_CALLS:
        parser.error(f"at most {MOST_CALLS} calls.")
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as port:
        url = f"http://127.0.0.1:{port.getsockname()[1]}/v1"
        settings.ENDPOINTS = [url]
        configured = connection.settings_dict["NAME"]
        name = f"benchmark_judging_{os.getpid()}"
        if connection.vendor == "sqlite":
            name = str(Path(folder) / f"{name}.sqlite3")
        connection.settings_dict["TEST"]["NAME"] = name
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        command = [sys.executable, "-m", "benchmarks.judging", "--serve", str(port.fileno()),
                   "--seconds", str(given.seconds)]  # fmt: skip
        server = subprocess.Popen(command, pass_fds=[port.fileno()])  # noqa: S603 (ourselves)
        try:
            compare(url, given)
        finally:
            server.terminate()
            server.wait(timeout=30)
            connection.creation.destroy_test_db(configured, verbosity=0)


if __name__ == "__main__":
    main()
