"""Strict readers of environment variables.

A value that is there but malformed stops the start with one sentence that names the variable; so does a
variable that begins with JURYBOX_ and that nobody reads, since it is most likely a misspelling.
"""

import os
from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured

PREFIX = "JURYBOX_"


class Environment:
    """Typed access to one mapping of variables; remembers which names were asked for."""

    def __init__(self, variables: Mapping[str, str] | None = None) -> None:
        self.variables = os.environ if variables is None else variables
        self.known: set[str] = set()

    def text(self, name: str, default: str) -> str:
        self.known.add(name)
        return self.variables.get(name, default).strip()

    def flag(self, name: str, *, default: bool) -> bool:
        value = self.text(name, "yes" if default else "no").lower()
        if value not in ("yes", "no", "true", "false", "1", "0"):
            raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")
        return value in ("yes", "true", "1")

    def number(self, name: str, default: int, *, at_least: int = 0) -> int:
        value = self.text(name, str(default))
        try:
            number = int(value)
        except ValueError:
            raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
        if number < at_least:
            raise ImproperlyConfigured(f"{name} must be at least {at_least}, not {number}.")
        return number

    def words(self, name: str, default: str) -> list[str]:
        """A comma-separated list."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def url(self, name: str, default: str, *, schemes: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value and value.split("://", 1)[0] not in schemes:
            # The value may hold a password, so the sentence doesn't repeat it.
            raise ImproperlyConfigured(f"{name} must begin with one of: {', '.join(schemes)}.")
        return value

    def refuse_unknown(self, *, also: tuple[str, ...] = ()) -> None:
        unknown = sorted(
            name
            for name in self.variables
            if name.startswith(PREFIX) and name not in self.known and name not in also
        )
        if unknown:
            raise ImproperlyConfigured(
                f"Unknown setting {unknown[0]}: known ones are "
                f"{', '.join(sorted(n for n in self.known if n.startswith(PREFIX)))}."
            )
