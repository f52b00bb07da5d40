"""How arenas, systems and judges are written in an address."""

from django.urls import register_converter

# What slug_validator allows, and nothing that a database would refuse to look for.
SLUG = r"[a-z0-9]+(?:[-.][a-z0-9]+)*"


class SlugConverter:
    """``<dotted:slug>`` in a path: lower-case letters, digits, single hyphens and dots."""

    regex = SLUG

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(SlugConverter, "dotted")
