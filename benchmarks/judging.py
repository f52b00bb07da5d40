"""What asking costs beyond the calls themselves: an Asker against a bare loop with the same client library.

    python -m benchmarks.judging --calls 2000 --concurrency 64 --seconds 0.2
    python -m benchmarks.judging --calls 20000 --memory
    python -m benchmarks.judging --peer-python /tmp/ragelo/bin/python
    DATABASE_URL=postgres://… python -m benchmarks.judging

A server on the loopback, in a process of its own, answers each call after that time. The bare loop is tasks,
a semaphore and ``openai.AsyncOpenAI``: no cache, no limits, nothing kept. The Asker keeps every reply in the
database and agrees with other workers on its slots. Both ask the same in turns, and the ratio of each turn is
printed, with the processor time that a call took: the machine may be busy. At the end everything is asked
again, out of the cache.

``--memory`` measures instead a worker, in a process of its own, at a run of that many calls (Linux): what it
holds when a tenth, half and all of them are answered. ``--peer-python`` names the Python of an environment that
holds another program for the same (see benchmarks/peers/judging.py), which then takes its turn too.
"""

import argparse
import asyncio
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

import openai  # noqa: E402, TID251 (the peer)
from django.conf import settings  # noqa: E402 (after setup)
from django.db import connection  # noqa: E402

from arena.models import Arena, Battle, Output, Pair, Prompt, System  # noqa: E402
from judges.endpoints.asking import Asker  # noqa: E402
from judges.endpoints.interface import Endpoint, Question  # noqa: E402
from judges.llm_judges import make_llm_judge  # noqa: E402
from judges.models import CachedReply, EndpointState, JudgeRun  # noqa: E402
from judges.protocols.interface import Request  # noqa: E402
from judges.runs import confirm_run, do_some, plan_run  # noqa: E402
from judges.tasks import work_on_run  # noqa: E402

MOST_CALLS = 20_000
TEXT = "Which of the two answers is better? " * 40
REASON = "The first one answers what was asked. "
# In the words of every program that is measured: choice, verdict, and those of benchmarks/peers/judging.py.
REPLY = json.dumps(
    {"reasoning": REASON * 4, "choice": "A", "verdict": "A"}
    | {f"answer_{side}_analysis": REASON for side in "ab"}
    | {"comparison_reasoning": REASON * 2, "winner": "A"}
)
# What a worker's memory is told at: shares of the calls that are answered.
SHARES = (0.1, 0.5, 1.0)
PEER = Path(__file__).parent / "peers" / "judging.py"


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
    bodies = {"/v1/chat/completions": json.dumps(answer).encode()}
    choice["message"]["content"] = "A"
    bodies["/short/v1/chat/completions"] = json.dumps(answer).encode()

    async def app(scope, receive, send) -> None:
        while (await receive()).get("more_body"):
            pass
        await asyncio.sleep(seconds)
        body = bodies[scope["path"]]
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


def peer(url: str, given: argparse.Namespace, *, calls: int) -> dict[str, Any] | None:
    """One turn of the peer in an environment of its own: what it is and its seconds; None if there is none."""
    command = [given.peer_python, str(PEER), url, str(calls), str(given.concurrency)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (as told)
    if done.returncode:
        print(f"  peer: it failed: {done.stderr.strip()[-400:]}")
        return None
    told = json.loads(done.stdout.splitlines()[-1])
    if "seconds" not in told:
        print(f"  peer: {told['problem']}")
        return None
    return told


def compare_peer(url: str, given: argparse.Namespace) -> None:
    """The same number of calls of the same server, in turns."""
    calls = min(given.calls, given.peer_calls)
    given = argparse.Namespace(**vars(given) | {"calls": calls})
    rates, asker, whole = [], [], []
    for turn in range(given.turns):
        told = peer(url, given, calls=calls)
        if told is None:
            return
        rates.append(told["calls"] / told["seconds"])
        asker.append(calls / asyncio.run(asked(url, given.turns + turn + 1, given)))
        run = make_run(url, given, slug=f"turn-{turn}")
        begin = time.perf_counter()
        work(run.pk)
        whole.append(calls / (time.perf_counter() - begin))
        run.refresh_from_db()
        assert (run.state, run.done, run.failed) == (JudgeRun.State.DONE, calls, 0)
        print(f"  turn {turn + 1}: calls a second: {told['name']} {rates[-1]:.1f}, "
              f"Asker {asker[-1]:.1f}, a whole run with its verdicts {whole[-1]:.1f}")  # fmt: skip
    ratios = [
        statistics.median(one / other for one, other in zip(ours, rates, strict=True))
        for ours in (asker, whole)
    ]
    print(f"  {told['name']}, {calls:,} calls, {told['note']}: the Asker is {ratios[0]:.2f} times as fast, "
          f"a whole run {ratios[1]:.2f} times (medians)")  # fmt: skip


def make_run(url: str, given: argparse.Namespace, *, slug: str = "run") -> JudgeRun:
    """A confirmed run of a judge of two orders, of which nobody was told."""
    arena = Arena.objects.create(slug=slug, name=slug)
    systems = [
        System.objects.create(arena=arena, slug=name, name=name) for name in ("ada", "basil")
    ]
    prompts = Prompt.objects.bulk_create(
        Prompt(arena=arena, digest=f"{i}", messages=list(messages(0, i)))
        for i in range(given.calls // 2)
    )
    outputs = [
        Output.objects.bulk_create(
            Output(
                arena=arena,
                system=system,
                prompt=prompt,
                text=f"{slug} {system.name} {prompt.digest}: {TEXT}",
            )
            for prompt in prompts
        )
        for system in systems
    ]
    pair = Pair.objects.create(arena=arena, system_a=systems[0], system_b=systems[1])
    Battle.objects.bulk_create(
        Battle(arena=arena, pair=pair, prompt_id=a.prompt_id, system_a=systems[0], system_b=systems[1],
               output_a=a, output_b=b)
        for a, b in zip(*outputs, strict=True)
    )  # fmt: skip
    judge = make_llm_judge(
        arena=arena,
        name="Judge",
        configuration={
            "endpoint": {"url": url, "model": "judge", "concurrency": given.concurrency},
            "protocol": {"name": "battle", "options": {}},
        },
    )
    work_on_run.delay = lambda key: None
    return confirm_run(run=plan_run(judge=judge, selection={}))


def work(key: int) -> None:
    """What a Celery worker does, without a queue: turns at the run until there is nothing left."""
    run = JudgeRun.objects.select_related("judge", "arena").get(pk=key)
    while do_some(run):
        pass


def held(process: int) -> tuple[float, float]:
    """MB that a process holds, and has held at most."""
    status = Path(f"/proc/{process}/status").read_text()
    return tuple(int(status.split(name)[1].split()[0]) / 1024 for name in ("VmRSS:", "VmHWM:"))


def measure_memory(url: str, given: argparse.Namespace) -> None:
    run = make_run(url, given)
    database = connection.settings_dict
    at = f"sqlite:///{database['NAME']}"
    if connection.vendor == "postgresql":
        user, password = (quote(database[name], safe="") for name in ("USER", "PASSWORD"))
        place = f"{database['HOST'] or '127.0.0.1'}:{database['PORT'] or 5432}"
        at = f"postgres://{user}:{password}@{place}/{database['NAME']}"
    connection.close()
    command = [sys.executable, "-m", "benchmarks.judging", "--work", str(run.pk)]
    environment = os.environ | {"DATABASE_URL": at, "JURYBOX_ENDPOINTS": url}
    begin = time.perf_counter()
    worker = subprocess.Popen(command, env=environment)  # noqa: S603 (ourselves)
    try:
        for share in SHARES:
            while run.done < share * given.calls and worker.poll() is None:
                time.sleep(0.1)
                run.refresh_from_db()
            if worker.poll() is not None and run.done < share * given.calls:
                sys.exit(f"The worker ended with {worker.returncode}: {run.error}")
            if worker.poll() is None:
                now, most = held(worker.pid)
                print(
                    f"  {run.done:6,} of {given.calls:,} answered: {now:.0f} MB, at most {most:.0f} MB"
                )
        seconds = time.perf_counter() - begin
        worker.wait(timeout=120)
    finally:
        worker.kill()
        worker.wait()
    run.refresh_from_db()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of the worker: no other child has ended
    cpu = (used.ru_utime + used.ru_stime) / given.calls * 1000
    print(f"  {run.done:,} answered in {seconds:.1f} s, start included, {cpu:.2f} ms of a processor each; "
          f"{run.verdicts_cast:,} verdicts")  # fmt: skip
    assert (run.state, run.failed) == (JudgeRun.State.DONE, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=0.2, help="that the server takes")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="that a worker holds at a run")
    parser.add_argument("--peer-python", help="of an environment that holds ragelo or autoarena")
    parser.add_argument("--peer-calls", type=int, default=500, help="at most, of the peer's turns")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(socket.socket(fileno=given.serve), given.seconds)
        return
    if given.work is not None:
        work(given.work)
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
            if given.memory:
                print(f"{connection.vendor}: a worker at a run, {given.concurrency} calls at once")
                measure_memory(url, given)
            elif given.peer_python:
                compare_peer(url, given)
            else:
                compare(url, given)
                print("  peer: not installed (--peer-python names an environment that holds one)")
        finally:
            server.terminate()
            server.wait(timeout=30)
            connection.creation.destroy_test_db(configured, verbosity=0)


if __name__ == "__main__":
    main()
