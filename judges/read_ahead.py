"""Reading a file in one thread while another waits for the database."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
BATCHES = 4  # how many may wait
END = object()


def read_ahead(
    items: Iterable[T], *, size_of: Callable[[T], int], most: int, largest: int
) -> Iterator[T]:
    """The same items, made in a thread of their own, in batches of ``most`` items or ``largest`` size.

    What the items raise is raised here, after those that came before. Worth it where the consumer waits
    for another process: two threads that compute only get in each other's way.
    """
    batches: queue.Queue = queue.Queue(BATCHES)
    stopped = threading.Event()

    def put(batch: object) -> None:
        while not stopped.is_set():
            try:
                return batches.put(batch, timeout=0.1)
            except queue.Full:
                continue

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
            batch = batches.get()
            if batch is END:
                return
            if isinstance(batch, BaseException):
                raise batch
            yield from batch
    finally:
        stopped.set()
        thread.join()
