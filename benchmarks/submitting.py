"""Many submissions at once through the real web server, each sent twice: is each there once, and what it takes.

    python -m benchmarks.submitting --submissions 100 --outputs 500
    DATABASE_URL=postgres://… python -m benchmarks.submitting

Starts gunicorn and a worker as the Procfile does, on a database of its own. Prints how long requests took, the
memory of the web processes before, at most and after, how long it took until all had their place, and whether
submissions, systems and outputs are there exactly once. Then a gzip of 50 MB that unpacks to more than 5 GB is
sent, and how soon it is refused is told. On the loopback only.
"""

import argparse
import asyncio
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402 (after setup)
from django.db import connection  # noqa: E402

from arena.matchmaking import make_battles, plan_pairs  # noqa: E402
from arena.models import Arena, Output, Prompt, Submission, System  # noqa: E402
from arena.tokens import make_token  # noqa: E402
from benchmarks.voting import Reply, free_port, percentiles, serve  # noqa: E402
from judges.models import Verdict  # noqa: E402
from judges.programs import program_named  # noqa: E402
from judges.runs import make_program_judge, start_run, work_on  # noqa: E402

SYSTEMS, OWNERS = 6, 20
MOST = 500
WORDS = "An answer of **ordinary** words, with a list:\n\n- one\n- two\n\n" * 3
BOMB_PACKED, BOMB_UNPACKED = 50 * 2**20, 5 * 2**30
PATIENCE = 900  # seconds


def fill(n_prompts: int) -> list[str]:
    """An arena with judged systems; the tokens of those who submit."""
    arena = Arena.objects.create(slug="load", name="Load")
    systems = System.objects.bulk_create(
        System(arena=arena, slug=f"s{i}", name=f"s{i}") for i in range(SYSTEMS)
    )
    messages = [[{"role": "user", "content": f"Question {i}?"}] for i in range(n_prompts)]
    prompts = Prompt.objects.bulk_create(
        Prompt(arena=arena, messages=m, digest=Prompt.content_digest(m)) for m in messages
    )
    outputs = Output.objects.bulk_create(
        (
            Output(
                arena=arena,
                system=s,
                prompt=p,
                text=WORDS + "x" * ((7 * p.pk + 5 * s.pk) % 60),
                leak="",
            )
            for p in prompts
            for s in systems
        ),
        batch_size=2_000,
    )
    plan_pairs(arena=arena)
    of_prompt = [outputs[at : at + SYSTEMS] for at in range(0, len(outputs), SYSTEMS)][:100]
    make_battles(
        arena=arena,
        of={
            (one.pk, other.pk): one.prompt_id
            for row in of_prompt
            for i, one in enumerate(row)
            for other in row[i + 1 :]
        },
    )
    judge = make_program_judge(arena=arena, program=program_named("longer_is_better"), name="Long")
    work_on(start_run(judge=judge))
    arena.submission_policy = {
        "who": "accounts", "judges": [judge.slug], "battles": 60, "width": 200, "most_private": 1_000,
        "most_a_week": 1_000,
    }  # fmt: skip
    arena.save()
    users = get_user_model().objects.bulk_create(
        get_user_model()(username=f"u{i}", email=f"u{i}@example.org") for i in range(OWNERS)
    )
    return [make_token(user=user, name="load", scope="write", days=1)[1] for user in users]


def file_of(number: int, n_outputs: int) -> bytes:
    rows = (
        json.dumps(
            {"prompt": f"Question {i}?", "output": f"{WORDS}{'y' * ((3 * i + number) % 60)}"}
        )
        for i in range(n_outputs)
    )
    return gzip.compress("\n".join(rows).encode(), 6, mtime=0)


async def post(port: int, path: str, token: str, body: bytes) -> tuple[int, float, bytes]:
    begin = time.perf_counter()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Authorization: Bearer {token}\r\nContent-Type: application/gzip\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        try:
            writer.write(head.encode() + body)
            await writer.drain()
        except ConnectionError:
            pass  # it has answered before it read everything
        try:
            raw = await reader.read()
        except ConnectionError:
            raw = b""
    finally:
        writer.close()
    reply = Reply(raw)
    return reply.status, time.perf_counter() - begin, reply.body


def memory_of(pid: int) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            status = (folder / "status").read_text()
        except OSError:
            continue
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if int(folder.name) == pid or fields["PPid"].strip() == str(pid):
            total += int(fields.get("VmRSS", "0 kB").split()[0]) * 1024
    return total


async def all_at_once(port: int, tokens: list[str], files: list[bytes], pid: int) -> tuple:
    peak = [memory_of(pid)]

    async def watch() -> None:
        while True:
            peak[0] = max(peak[0], memory_of(pid))
            await asyncio.sleep(0.3)

    watcher = asyncio.create_task(watch())
    sent = [
        post(
            port,
            f"/api/v1/arenas/load/submissions/?name=System{number}",
            tokens[number % len(tokens)],
            body,
        )
        for number, body in enumerate(files)
        for _ in range(2)
    ]
    answers = await asyncio.gather(*sent)
    watcher.cancel()
    return answers, peak[0]


def bomb() -> bytes:
    """A gzip of about BOMB_PACKED bytes that unpacks to more than BOMB_UNPACKED."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts, size, block = [], 0, b"\0" * 2**24
    head = packer.compress(os.urandom(BOMB_PACKED - 6 * 2**20))
    parts.append(head)
    while size < BOMB_UNPACKED:
        parts.append(packer.compress(block))
        size += len(block)
    return b"".join([*parts, packer.flush()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--submissions", type=int, default=100)
    parser.add_argument("--outputs", type=int, default=500)
    given = parser.parse_args()
    if not (1 <= given.submissions <= MOST and 1 <= given.outputs <= 5_000):
        parser.error(f"at most {MOST} submissions of 5,000 outputs.")
    with tempfile.TemporaryDirectory() as folder:
        configured = connection.settings_dict["NAME"]
        name = f"benchmark_submitting_{os.getpid()}"
        if connection.vendor == "sqlite":
            name = str(Path(folder) / f"{name}.sqlite3")
            url = f"sqlite:///{name}"
        else:
            url = os.environ["DATABASE_URL"].rsplit("/", 1)[0] + f"/{name}"
        connection.settings_dict["TEST"]["NAME"] = name
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            good = run(given.submissions, given.outputs, url=url, folder=folder)
        finally:
            connection.creation.destroy_test_db(configured, verbosity=0)
    if not good:
        raise SystemExit(1)


def run(n: int, n_outputs: int, *, url: str, folder: str) -> bool:
    tokens = fill(n_outputs)
    files = [file_of(number, n_outputs) for number in range(n)]
    port = free_port()
    server = serve(port, url, folder, 2)
    environment = os.environ | {"DATABASE_URL": url, "JURYBOX_VAR_DIR": folder}
    worker = subprocess.Popen(  # noqa: S603 (our own code)
        [sys.executable, "-m", "celery", "--quiet", "--app", "config", "worker", "--loglevel", "error",
         "--beat", "--schedule", f"{folder}/beat"],
        env=environment,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        # Each web process has done something before it is measured.
        for token in tokens[:8]:
            asyncio.run(
                post(port, "/api/v1/arenas/load/submissions/check/?name=x", token, files[0])
            )
        before = memory_of(server.pid)
        begin = time.perf_counter()
        answers, peak = asyncio.run(all_at_once(port, tokens, files, server.pid))
        seconds = time.perf_counter() - begin
        after = memory_of(server.pid)
        while time.perf_counter() - begin < PATIENCE:
            left = Submission.objects.filter(state__in=["queued", "judging"]).count()
            if not left:
                break
            time.sleep(1)
        placed = time.perf_counter() - begin
        body = bomb()
        path = "/api/v1/arenas/load/submissions/?name=bomb"
        refused = asyncio.run(post(port, path, tokens[0], body))
        after_bomb = memory_of(server.pid)
    finally:
        worker.terminate()
        server.terminate()
        worker.wait(timeout=60)
        server.wait(timeout=60)
    statuses = Counter(status for status, _, _ in answers)
    states = Counter(Submission.objects.values_list("state", flat=True))
    outputs = Output.objects.filter(system__submission__isnull=False).count()
    doubled = Verdict.objects.count() - Verdict.objects.values("battle", "judge").distinct().count()
    print(f"{connection.vendor}: {n} submissions of {n_outputs} outputs, each sent twice at once, in "
          f"{seconds:.1f} s; answers {dict(statuses)}")  # fmt: skip
    print(f"  a request: {percentiles([took for _, took, _ in answers])}")
    print(f"  web processes: {before / 2**20:.0f} MB before, {peak / 2**20:.0f} at most, "
          f"{after / 2**20:.0f} after")  # fmt: skip
    print(f"  all had their place after {placed:.0f} s: {dict(states)}; "
          f"{sum(Submission.objects.values_list('n_battles', flat=True)):,} battles")  # fmt: skip
    print(
        f"  there: {Submission.objects.count()} submissions, {outputs:,} outputs; doubled verdicts {doubled}"
    )
    print(f"  a bomb of {len(body) / 2**20:.0f} MB: {refused[0]} after {refused[1]:.2f} s; web processes "
          f"{after_bomb / 2**20:.0f} MB")  # fmt: skip
    return (
        Submission.objects.count() == n
        and outputs == n * n_outputs
        and not doubled
        and set(statuses) == {200, 201}
        and refused[0] == 413
    )


if __name__ == "__main__":
    main()
