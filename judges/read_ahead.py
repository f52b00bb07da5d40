"""Reading a file in one thread while another waits for the database."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
BATCHES = 12  # how many may lie ready: a little more than one chunk of the importer
END = object()


def read_ahead(
    items: Iterable[T],
    *,
    size_of: Callable[[T], int],
    most: int,
    largest: int,
    waiting: threading.Event,
) -> Iterator[T]:
    """The same items, made in a thread of their own, in batches of ``most`` items or ``largest`` size.

    What the items raise is raised here, after those that came before. Two threads that compute only get in
    each other's way: the items are made while ``waiting`` is set, which the consumer does as long as
    it waits for another process, and this does when nothing lies ready.
    """
    batches: queue.Queue = queue.Queue(BATCHES)
    stopped = threading.Event()

    def put(batch: object) -> None:
        while not stopped.is_set():
            try:
                return batches.put(batch, timeout=0.1)
            except queue.Full:
                continue

    def wait() -> None:
        while not (stopped.is_set() or waiting.wait(timeout=0.1)):
            continue

    def take() -> object:
        try:
            return batches.get_nowait()
        except queue.Empty:
            waiting.set()
            try:
                return batches.get()
            finally:
                waiting.clear()

    def produce() -> None:
        batch: list[T] = []
        size, problem = 0, None
        try:
            for item in items:
                batch.append(item)
                size += size_of(item)
                if len(batch) >= most or size >= largest:
                    put(batch)
                    batch, size = [], 0
                    wait()
                if stopped.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 (raised again where the items are wanted)
            problem = error
        put(batch)
        put(problem or END)

    thread = threading.Thread(target=produce, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            batch = take()
            if batch is END:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield from batch
    finally:
        stopped.set()
        thread.join()
