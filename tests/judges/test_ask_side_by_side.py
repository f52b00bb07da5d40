"""Several workers ask one endpoint: each has its own connection, and together they keep to its limits."""

import asyncio

import pytest
from django.db import connection

from judges.endpoints.asking import Asker
from judges.endpoints.interface import Endpoint, Question
from judges.models import CachedReply, EndpointState
from judges.protocols.interface import Request


def connections_to_the_database() -> int:
    if connection.vendor == "sqlite":
        return 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_workers_together_keep_to_the_concurrency_and_leave_no_connection(server):
    server.delay = 0.02
    endpoint = Endpoint(server.url, "plain", concurrency=3)

    async def worker(name: str) -> list:
        async with Asker(endpoint) as asker:
            requests = [
                Request(({"role": "user", "content": f"{name} {i}"},), max_tokens=5)
                for i in range(12)
            ]
            calls = (
                asker.ask(Question(endpoint, request), read=lambda reply: reply.text)
                for request in requests
            )
            return await asyncio.gather(*calls)

    async def workers() -> list:
        return await asyncio.gather(*(worker(name) for name in ("a", "b", "c", "d")))

    before = connections_to_the_database()
    assert [len(answers) for answers in asyncio.run(workers())] == [12] * 4
    assert server.most_in_flight == 3
    assert CachedReply.objects.count() == 48
    assert EndpointState.objects.get().state["workers"] == {}
    assert connections_to_the_database() == before
