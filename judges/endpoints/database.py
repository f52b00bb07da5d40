"""The database behind asyncio: one thread with one connection, and questions to it in batches.

What comes while the thread is busy is done together the next time, so that calls in flight share queries.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from django.db import close_old_connections, connections


class DatabaseThread:
    """Runs functions that use the ORM, one at a time. ``async with`` begins and ends it and its connection."""

    async def __aenter__(self) -> Self:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="endpoint-database")
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._in_thread(_close_connections)
        self._pool.shutdown(wait=True)

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._in_thread(_with_clean_connection, function, *arguments)

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


def _with_clean_connection(function: Callable[..., Any], *arguments: Any) -> Any:
    """A connection that the server closed, or that is too old, is replaced first."""
    close_old_connections()
    return function(*arguments)


def _close_connections() -> None:
    connections.close_all()


class Batches:
    """One function of many items at once, for callers that have one item each."""

    def __init__(
        self,
        thread: DatabaseThread,
        function: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        most: int,
    ) -> None:
        self._thread, self._function, self._most = thread, function, most
        self._waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def one(self, item: Any) -> Any:
        """The function's result for this item; its exception where the batch failed."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await done

    async def settle(self) -> None:
        """Waits until nothing is left to do."""
        if self._task is not None:
            await self._task

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            try:
                results = await self._thread.run(self._function, [item for item, _ in batch])
            except Exception as error:  # noqa: BLE001 (raised by each caller of `one`)
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error)
                continue
            for (_, done), result in zip(batch, results, strict=True):
                if not done.done():
                    done.set_result(result)
        self._task = None
