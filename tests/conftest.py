import os

import pytest
from django.db import connection

from arena.models import Arena
from tests import cast
from tests.workers import database_url, installation  # noqa: F401 (fixtures of all)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser first, else one process still walks over pages when the other has nothing left to do."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings, tmp_path_factory) -> None:
    """A file for SQLite, as the site has one.

    Threads that share a database in memory, as a browser test and its server do, don't wait for each other:
    "database table is locked".
    """
    if connection.vendor == "sqlite":
        folder = tmp_path_factory.mktemp("database")
        connection.settings_dict["TEST"]["NAME"] = str(folder / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_use_migrations(django_db_use_migrations) -> bool:
    """Of the processes that run side by side, one applies the migrations.

    The others make the same tables from the models, in a tenth of the time: ``make lint`` fails where models
    and migrations differ.
    """
    return django_db_use_migrations and os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"


@pytest.fixture(autouse=True)
def maintainers_ask_models(settings) -> None:
    """As a lab among friends has it; test_who_asks_models.py is about the others."""
    settings.WHO_ASKS_MODELS = "maintainers"


@pytest.fixture
def small_arena(db) -> Arena:
    return cast.make_small_arena()
