"""Many people vote at once through the real web server: how fast, and is every vote there once.

    python -m benchmarks.voting --voters 200 --seconds 120
    DATABASE_URL=postgres://… python -m benchmarks.voting --voters 200 --seconds 120 --think 5

Starts gunicorn as the Procfile does, on a database of its own, and lets voters loop: get the ballot, think,
send the vote twice at the same moment, get the next. ``--think 0`` saturates the server: then the times are
those of a queue, and the rate is what the server can do. Prints votes a second, the 50th, 95th and 99th
percentile of a vote and of the next battle, the ratio to a bare view (/healthz, one SELECT) that was asked
all the while, and whether the accepted votes and the rows are the same. On the loopback only.
"""

import argparse
import asyncio
import os
import random  # noqa: TID251 (whose turn it is needn't be reproducible)
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402 (after setup)

from arena.matchmaking import plan_pairs  # noqa: E402
from arena.models import Arena, Output, Prompt, System  # noqa: E402
from judges.models import Ballot, Verdict  # noqa: E402

SYSTEMS, PROMPTS = 20, 200
MOST_VOTERS, MOST_SECONDS = 1_000, 600
OUTCOMES = ("first", "second", "tie", "both_bad")
KEY = re.compile(r'name="ballot" value="([0-9a-f-]{36})"')
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


def fill() -> None:
    arena = Arena.objects.create(slug="load", name="Load", is_open=True)
    systems = System.objects.bulk_create(
        System(arena=arena, slug=f"s{i:03}", name=f"s{i:03}") for i in range(SYSTEMS)
    )
    messages = [[{"role": "user", "content": f"Question {i}?"}] for i in range(PROMPTS)]
    prompts = Prompt.objects.bulk_create(
        Prompt(arena=arena, messages=m, digest=Prompt.content_digest(m)) for m in messages
    )
    words = "An answer of **ordinary** words, with a list:\n\n- one\n- two\n\n" * 6
    Output.objects.bulk_create(
        (
            Output(arena=arena, system=s, prompt=p, text=f"{words}{s.pk}-{p.pk}", leak="")
            for s in systems
            for p in prompts
        ),
        batch_size=2_000,
    )
    plan_pairs(arena=arena)


class Reply:
    def __init__(self, raw: bytes) -> None:
        head, _, self.body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1]) if lines[0] else 0
        self.headers = [tuple(line.split(": ", 1)) for line in lines[1:] if ": " in line]

    def header(self, name: str) -> str:
        return next((v for k, v in self.headers if k.lower() == name), "")


class Browser:
    """One cookie jar. Every request on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port, self.cookies = port, {}

    async def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> Reply:
        body = urlencode(form or {}).encode() if method == "POST" else b""
        jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        head = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close"]
        if jar:
            head.append(f"Cookie: {jar}")
        if body:
            head += [
                "Content-Type: application/x-www-form-urlencoded",
                f"Content-Length: {len(body)}",
            ]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            await writer.drain()
            reply = Reply(await reader.read())
        finally:
            writer.close()
        for name, value in reply.headers:
            if name.lower() == "set-cookie":
                cookie, _, _ = value.partition(";")
                key, _, content = cookie.partition("=")
                self.cookies[key] = content
        return reply


class Load:
    def __init__(self, port: int, *, think: float, seconds: float) -> None:
        self.port, self.think = port, think
        self.until = time.perf_counter() + seconds
        self.votes: list[float] = []
        self.nexts: list[float] = []
        self.bare: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.accepted: set[str] = set()

    async def timed(self, browser: Browser, kind: str, *request: object) -> tuple[Reply, float]:
        begin = time.perf_counter()
        reply = await browser.ask(*request)
        self.statuses[f"{kind} {reply.status}"] += 1
        return reply, time.perf_counter() - begin

    async def voter(self, number: int) -> None:
        rng = random.Random(number)
        browser = Browser(self.port)
        await asyncio.sleep(rng.random() * max(self.think, 1))
        while time.perf_counter() < self.until:
            page, seconds = await self.timed(browser, "next", "GET", "/a/load/vote/")
            text = page.body.decode("utf-8", "replace")
            key, token = KEY.search(text), TOKEN.search(text)
            if page.status != 200 or not key or not token:
                self.statuses["no ballot on the page"] += 1
                await asyncio.sleep(1)
                continue
            self.nexts.append(seconds)
            if self.think:
                thinks = rng.expovariate(1 / self.think)
                if time.perf_counter() + thinks >= self.until:
                    return  # all voters at once in the last second would be another load
                await asyncio.sleep(thinks)
            form = {
                "ballot": key[1],
                "csrfmiddlewaretoken": token[1],
                "outcome": rng.choice(OUTCOMES),
            }
            path = "/a/load/vote/cast/"
            answers = await asyncio.gather(
                *(self.timed(browser, "vote", "POST", path, form) for _ in range(2))
            )
            self.votes.extend(seconds for _, seconds in answers)
            if any(key[1] in reply.header("location") for reply, _ in answers):
                self.accepted.add(key[1])
            else:
                self.statuses["vote that leads elsewhere than to its reveal"] += 1

    async def bystander(self) -> None:
        browser = Browser(self.port)
        while time.perf_counter() < self.until:
            _, seconds = await self.timed(browser, "bare", "GET", "/healthz")
            self.bare.append(seconds)
            await asyncio.sleep(0.1)

    async def run(self, voters: int) -> None:
        await asyncio.gather(self.bystander(), *(self.voter(n) for n in range(voters)))


def percentiles(values: list[float]) -> str:
    ordered = sorted(values) or [float("nan")]
    at = {p: ordered[min(len(ordered) - 1, len(ordered) * p // 100)] * 1000 for p in (50, 95, 99)}
    return ", ".join(f"p{p} {value:.0f} ms" for p, value in at.items())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(port: int, url: str, var: str, workers: int) -> subprocess.Popen:
    environment = os.environ | {
        "DATABASE_URL": url,
        "JURYBOX_VAR_DIR": var,
        "JURYBOX_VOTES_PER_MINUTE": "100000",
        "JURYBOX_NETWORK_VOTES_PER_MINUTE": "10000000",
    }
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"],
        env=environment,
        check=True,
    )
    command = ["-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--workers",
               str(workers), "--threads", "4", "--backlog", "2048", "--log-level", "warning",
               "--no-control-socket"]  # fmt: skip
    server = subprocess.Popen([sys.executable, *command], env=environment)  # noqa: S603
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
            return server
        except OSError:
            time.sleep(0.1)
    server.kill()
    raise SystemExit("The server didn't come up.")


def report(load: Load, seconds: float) -> bool:
    """Whether every accepted vote is there exactly once and nothing failed."""
    rows = Ballot.objects.filter(state=Ballot.State.VOTED)
    kept = {str(key) for key in rows.values_list("key", flat=True)}
    counted = rows.filter(purpose__in=("fresh", "overlap")).count()
    verdicts = Verdict.objects.count()
    lost, uninvited = len(load.accepted - kept), len(kept - load.accepted)
    failures = {
        key: n for key, n in load.statuses.items() if key.split()[-1] not in ("200", "302", "303")
    }
    print(f"{connection.vendor}: {len(load.accepted):,} votes in {seconds:.0f} s = "
          f"{len(load.accepted) / seconds:.1f}/s, each sent twice")  # fmt: skip
    print(f"  vote:        {percentiles(load.votes)}")
    print(f"  next battle: {percentiles(load.nexts)}")
    print(f"  bare view:   {percentiles(load.bare)}")
    p95 = [sorted(values)[len(values) * 95 // 100] for values in (load.nexts, load.bare) if values]
    if len(p95) == 2:
        print(f"  next battle is {p95[0] / p95[1]:.1f} times the bare view at p95")
    print(f"  lost {lost}, doubled {verdicts - counted}, not accepted but there {uninvited}, "
          f"failures {failures or 'none'}")  # fmt: skip
    return not (lost or verdicts != counted or failures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--voters", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--think", type=float, default=5.0, help="seconds, on average")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    if not (1 <= given.voters <= MOST_VOTERS and 1 <= given.seconds <= MOST_SECONDS):
        parser.error(f"at most {MOST_VOTERS} voters for {MOST_SECONDS} seconds.")
    with tempfile.TemporaryDirectory() as folder:
        configured = connection.settings_dict["NAME"]
        suffix = f"benchmark_voting_{os.getpid()}"
        if connection.vendor == "sqlite":
            name = str(Path(folder) / f"{suffix}.sqlite3")
            url = f"sqlite:///{name}"
        else:
            name = suffix
            url = os.environ["DATABASE_URL"].rsplit("/", 1)[0] + f"/{name}"
        connection.settings_dict["TEST"]["NAME"] = name
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            fill()
            port = free_port()
            server = serve(port, url, folder, given.workers)
            try:
                load = Load(port, think=given.think, seconds=given.seconds)
                begin = time.perf_counter()
                asyncio.run(load.run(given.voters))
                seconds = time.perf_counter() - begin
            finally:
                server.terminate()
                server.wait(timeout=60)
            good = report(load, seconds)
        finally:
            connection.creation.destroy_test_db(configured, verbosity=0)
    if not good:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
