"""A pytest plugin for a second run on another database: only what touches the database runs again.

Loaded by ``-p tests.another_database``.
"""

import pytest

TOUCHING = {"db", "transactional_db", "live_server"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    again, rest = [], []
    for item in items:
        touches = item.get_closest_marker("django_db") or TOUCHING & set(
            getattr(item, "fixturenames", ())
        )
        (again if touches else rest).append(item)
    items[:] = again
    config.hook.pytest_deselected(items=rest)
