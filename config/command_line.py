"""The command line: one place for what can go wrong with any command."""

import sys

from django.core.management import execute_from_command_line
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    OperationalError,
    ProgrammingError,
    connections,
)


def run(arguments: list[str]) -> None:
    """Run a command of manage.py; a sentence instead of a traceback where the tables aren't there yet."""
    try:
        execute_from_command_line(arguments)
    except (OperationalError, ProgrammingError) as error:
        # A migration that fails itself is another matter.
        if arguments[1:2] == ["migrate"] or not _waits_for_migrations():
            raise
        sys.exit(
            "The database isn't set up for this release: run manage.py migrate first. "
            f"(It says: {' '.join(str(error).split())})"
        )


def _waits_for_migrations() -> bool:
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    except DatabaseError:
        return False  # it doesn't answer at all
