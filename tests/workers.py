"""Real workers: processes of their own, with the test database and a queue, that tests start and kill."""

import os
import shutil
import signal
import socket
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

# One broker with each database: no code of ours depends on both. TEST_BROKER names another, by hand.
BROKERS = {"sqlite": "filesystem", "postgresql": "redis"}
BROKER = os.environ.get("TEST_BROKER") or BROKERS[connections["default"].vendor]


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
class FolderQueue:
    """The default broker, which is a folder."""

    folder: Path
    url: str = "filesystem://localhost"

    @property
    def options(self) -> dict[str, str]:
        messages, control = self.folder / "messages", self.folder / "control"
        for folder in (messages, control):
            folder.mkdir(parents=True, exist_ok=True)
        return {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(control),
        }

    def lose_everything(self) -> None:
        """What was queued, and which queues there are."""
        for file in self.folder.glob("*/*"):
            file.unlink(missing_ok=True)  # a worker took it

    def stop(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class RedisQueue:
    """A Redis of the test's own, which keeps nothing on disk."""

    folder: Path
    port: int
    server: subprocess.Popen | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "redis.log").open("a") as log:
            self.server = subprocess.Popen(  # noqa: S603 (a fixed command)
                [*command, "--save", "", "--appendonly", "no", "--dir", str(self.folder)],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        with Connection(self.url) as broker:
            broker.ensure_connection(max_retries=100, interval_start=0.1, interval_step=0)

    def stop(self) -> None:
        if self.server is not None:
            self.server.kill()
            self.server.wait()

    def lose_everything(self) -> None:
        """It is killed, and comes back with nothing: its connections are lost as well."""
        self.stop()
        self.start()


@dataclass
class Installation:
    """The test database, a queue, and worker processes that know of both and of nothing else."""

    folder: Path
    database_url: str
    broker: FolderQueue | RedisQueue
    workers: list[subprocess.Popen] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def start_worker(self, **variables: str) -> subprocess.Popen:
        environment = os.environ | {
            "DATABASE_URL": self.database_url,
            "CELERY_BROKER_URL": self.broker.url,
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
            "--loglevel",
            "info",
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

    def queue(self, task: Task, *args: Any) -> None:
        with Connection(self.broker.url, transport_options=self.broker.options) as broker:
            task.apply_async(args=args, connection=broker)

    def wait_until_ready(self, *, workers: int) -> None:
        """Until so many workers, of all that were ever started, have said that they listen."""
        self.wait_until(lambda: self.log.read_text().count(" ready.") >= workers)

    def wait_until(self, condition: Callable[[], Any], *, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert all(worker.poll() in (None, -signal.SIGKILL) for worker in self.workers), (
                f"A worker ended by itself:\n{self.log.read_text()}"
            )
            assert time.monotonic() < deadline, f"Nothing happened:\n{self.log.read_text()}"
            time.sleep(0.1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture(params=[BROKER])
def installation(request, database_url: str, tmp_path: Path) -> Iterator[Installation]:
    broker: FolderQueue | RedisQueue = FolderQueue(tmp_path / "queue")
    if request.param == "redis":
        if shutil.which("redis-server") is None:
            pytest.skip("There is no redis-server to start.")
        broker = RedisQueue(tmp_path, free_port())
        broker.start()
    installation = Installation(tmp_path, database_url, broker)
    yield installation
    for worker in installation.workers:
        installation.kill(worker)
    broker.stop()
