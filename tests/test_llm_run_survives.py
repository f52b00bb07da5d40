"""Workers at an LLM judge's run are killed, and their broker: nothing is lost, doubled or asked in vain."""

import asyncio
import hashlib
import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from django.db.models import Count

from arena.models import Battle, Output, Pair, Prompt
from judges.llm_judges import make_llm_judge
from judges.models import JudgeCall, JudgeRun, Verdict
from judges.runs import confirm_run, plan_run
from judges.tasks import sweep_runs, work_on_run
from tests import cast
from tests.workers import Installation

# More by hand, to measure.
CALLS = int(os.environ.get("TEST_KILLED_CALLS", "400"))
WORKERS = int(os.environ.get("TEST_KILLED_WORKERS", "1"))
KILLS = int(os.environ.get("TEST_KILLS", "3"))
BROKER_DIES_AT = 2  # of the kills
CONCURRENCY = 8
REPLY = {"choices": [{"message": {"content": '{"verdict": "A"}'}, "finish_reason": "stop"}]}


@dataclass
class Model:
    """A model that prefers what it reads first, and counts how often it was asked what."""

    url: str = ""
    delay: float = 0.01
    asked: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0

    async def __call__(self, scope, receive, send) -> None:
        body, more = b"", True
        while more:
            part = await receive()
            if part["type"] == "http.disconnect":
                return  # it was killed before it had asked
            body, more = body + part.get("body", b""), part.get("more_body", False)
        self.asked[hashlib.sha256(body).hexdigest()] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(self.delay)
        self.in_flight -= 1
        usage = {"prompt_tokens": 100, "completion_tokens": 5}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        answer = json.dumps(REPLY | {"model": "fast", "usage": usage}).encode()
        await send({"type": "http.response.body", "body": answer})


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    listener = socket.create_server(("127.0.0.1", 0))
    model.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server = uvicorn.Server(uvicorn.Config(model, log_level="critical", lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield model
    server.should_exit = True
    thread.join(timeout=10)
    listener.close()


@pytest.fixture
def run(installation: Installation, model: Model) -> JudgeRun:
    """Two systems, a battle for every two calls; confirmed, and nobody was told."""
    arena = cast.make_arena()
    systems = [cast.make_system(arena, name) for name in ("Ada", "Basil")]
    prompts = Prompt.objects.bulk_create(
        Prompt(
            arena=arena,
            digest=str(number),
            messages=[{"role": "user", "content": f"Poem {number}"}],
        )
        for number in range(CALLS // 2)
    )
    outputs = [
        Output.objects.bulk_create(
            Output(arena=arena, system=system, prompt=prompt, text=f"{system} on {prompt.pk}.")
            for prompt in prompts
        )
        for system in systems
    ]
    pair = Pair.objects.create(arena=arena, system_a=systems[0], system_b=systems[1])
    Battle.objects.bulk_create(
        Battle(
            arena=arena,
            pair=pair,
            prompt_id=a.prompt_id,
            system_a=systems[0],
            system_b=systems[1],
            output_a=a,
            output_b=b,
        )
        for a, b in zip(*outputs, strict=True)
    )
    judge = make_llm_judge(
        arena=arena,
        name="Fast",
        configuration={
            "endpoint": {"url": model.url, "model": "fast", "concurrency": CONCURRENCY},
            "protocol": {"name": "battle", "options": {}},
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work_on_run, "delay", lambda key: None)
        return confirm_run(run=plan_run(judge=judge, selection={}))


def test_a_run_whose_workers_and_broker_are_killed_completes_by_itself(
    installation: Installation,
    model: Model,
    run: JudgeRun,
):
    environment = {"JURYBOX_ENDPOINTS": model.url, "JURYBOX_RUN_WORKERS": str(WORKERS)}
    swept = 0.0

    def start_workers() -> list[subprocess.Popen]:
        return [installation.start_worker(**environment) for _ in range(WORKERS)]

    def is_answered(share: float) -> bool:
        nonlocal swept
        if time.monotonic() - swept > 1:  # as beat does, only more often
            installation.queue(sweep_runs)
            swept = time.monotonic()
        run.refresh_from_db()
        assert run.error == ""
        return run.done >= share * CALLS

    workers = start_workers()
    lost = 0
    for kill in range(1, KILLS + 1):
        installation.wait_until(lambda share=kill / (KILLS + 1): is_answered(share))
        claimed = JudgeCall.objects.filter(run=run).exclude(claimed_until=None)
        # All at once, as when the machine goes.
        for worker in workers:
            installation.kill(worker)
        lost += claimed.count()
        run.refresh_from_db()
        assert run.done < CALLS
        if kill == BROKER_DIES_AT:
            installation.broker.lose_everything()  # what was queued and nobody had taken
        workers = start_workers()
        if kill == BROKER_DIES_AT:
            # Nobody was told since. Those who listen now must find the broker again.
            installation.wait_until_ready(workers=len(installation.workers))
            installation.broker.lose_everything()
    installation.wait_until(lambda: is_answered(1) and run.state == "done")

    assert (run.total, run.done, run.failed) == (CALLS, CALLS, 0)
    assert run.verdicts_cast == Verdict.objects.count() == CALLS // 2
    doubled = Verdict.objects.values("battle").annotate(n=Count("pk")).filter(n__gt=1)
    assert not doubled.exists()
    assert len(model.asked) == CALLS
    repeated = model.asked.total() - CALLS
    print(f"{CALLS} calls, {KILLS} kills: {lost} in flight at them, {repeated} asked again")  # noqa: T201
    assert repeated <= lost <= KILLS * CONCURRENCY
    assert model.most_in_flight <= 2 * CONCURRENCY
