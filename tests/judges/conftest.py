from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections

from judges.endpoints import database
from tests.endpoint import MisbehavingEndpoint, running_endpoint


@pytest.fixture(scope="session")
def _running_endpoint() -> Iterator[MisbehavingEndpoint]:
    with running_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def server(_running_endpoint: MisbehavingEndpoint, settings) -> MisbehavingEndpoint:
    """A model's server whose models misbehave as their names say; the operator has listed it."""
    _running_endpoint.forget()
    settings.ENDPOINTS = [_running_endpoint.url]
    return _running_endpoint


@pytest.fixture
def one_connection(db, monkeypatch) -> Iterator[None]:
    """An Asker's thread works on the connection of the test, which is rolled back: tables needn't be emptied.

    For one Asker at a time: threads that share a connection would disturb each other's transactions.
    """
    shared = connections["default"]

    def with_it(function: Callable[..., Any], *arguments: Any) -> Any:
        connections["default"] = shared
        return function(*arguments)

    monkeypatch.setattr(database, "_with_clean_connection", with_it)
    monkeypatch.setattr(database, "_close_connections", lambda: None)
    shared.inc_thread_sharing()
    yield
    shared.dec_thread_sharing()
