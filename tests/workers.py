"""Real workers: processes of their own, with the test database and a queue, that tests start and kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from celery import Task
from django.conf import settings
from django.db import connections
from kombu import Connection


@pytest.fixture
def database_url(transactional_db, tmp_path: Path) -> Iterator[str]:
    """The test database where other processes can open it: one in memory is copied to a file."""
    connection = connections["default"]
    database = connection.settings_dict
    if connection.vendor == "postgresql":
        user, password = (quote(database[name], safe="") for name in ("USER", "PASSWORD"))
        host, port = database["HOST"] or "127.0.0.1", database["PORT"] or 5432
        yield f"postgres://{user}:{password}@{host}:{port}/{database['NAME']}"
        return
    file = tmp_path / "shared.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(file)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "connection", None)
        patch.setitem(database, "NAME", str(file))
        yield f"sqlite:///{file}"
        connection.close()


@dataclass
class Installation:
    """The test database, a queue, and worker processes that know of both and of nothing else."""

    folder: Path
    database_url: str
    broker_url: str
    workers: list[subprocess.Popen] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def start_worker(self, **variables: str) -> subprocess.Popen:
        environment = os.environ | {
            "DATABASE_URL": self.database_url,
            "CELERY_BROKER_URL": self.broker_url,
            "JURYBOX_VAR_DIR": str(self.folder),
            "JURYBOX_JOB_LEASE_SECONDS": "5",
            "JURYBOX_BOOTSTRAP_ROUNDS": "200",
        }
        command = [
            sys.executable,
            "-m",
            "celery",
            "--app",
            "config",
            "worker",
            "--concurrency",
            "1",
        ]
        with self.log.open("a") as log:
            worker = subprocess.Popen(  # noqa: S603 (our own command)
                [*command, "--without-gossip", "--without-mingle"],
                env=environment | variables,
                cwd=settings.BASE_DIR,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.workers.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen) -> None:
        """The worker and its pool at once, as a power cut would."""
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()

    def connect(self) -> Connection:
        messages, control = self.folder / "queue" / "messages", self.folder / "queue" / "control"
        options = {}
        if self.broker_url.startswith("filesystem"):
            for folder in (messages, control):
                folder.mkdir(parents=True, exist_ok=True)
            options = {
                "data_folder_in": str(messages),
                "data_folder_out": str(messages),
                "control_folder": str(control),
            }
        return Connection(self.broker_url, transport_options=options)

    def queue(self, task: Task, *args: Any) -> None:
        with self.connect() as broker:
            task.apply_async(args=args, connection=broker)

    def wait_until(self, condition: Callable[[], Any], *, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert all(worker.poll() in (None, -signal.SIGKILL) for worker in self.workers), (
                f"A worker ended by itself:\n{self.log.read_text()}"
            )
            assert time.monotonic() < deadline, f"Nothing happened:\n{self.log.read_text()}"
            time.sleep(0.1)


def redis_url() -> str:
    """A database of its own in TEST_REDIS_URL for each of the test processes that run side by side."""
    url = os.environ.get("TEST_REDIS_URL", "")
    if not url:
        pytest.skip("TEST_REDIS_URL is not set: it names a Redis whose databases may be emptied.")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return f"{url.rstrip('/')}/{worker}"


@pytest.fixture(params=["filesystem", "redis"])
def installation(request, database_url: str, tmp_path: Path) -> Iterator[Installation]:
    broker_url = redis_url() if request.param == "redis" else "filesystem://localhost"
    installation = Installation(tmp_path, database_url, broker_url)
    if request.param == "redis":
        with installation.connect() as broker:
            broker.default_channel.client.flushdb()
    yield installation
    for worker in installation.workers:
        installation.kill(worker)
