"""What the commands about judges share."""

import json
from typing import Any

from django.core.management.base import CommandError

from arena.models import Arena
from judges.models import Judge


def judge_of(arena: Arena, named: str) -> Judge:
    """By slug, else the latest version of that name. Raises CommandError."""
    judges = Judge.objects.filter(arena=arena).select_related("arena")
    found = (
        judges.filter(slug=named).first() or judges.filter(name=named).order_by("-version").first()
    )
    if found is None:
        known = ", ".join(judges.order_by("slug").values_list("slug", flat=True)[:20])
        raise CommandError(f"{arena.slug} has no judge {named!r}; it has {known or 'none yet'}.")
    return found


def told(options: list[str]) -> dict[str, object]:
    """NAME=VALUE; numbers become numbers. Raises CommandError."""
    found: dict[str, object] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or not name:
            raise CommandError(f"{option!r} isn't of the form NAME=VALUE.")
        found[name] = _number(text)
    return found


def _number(text: str) -> object:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def options_of(given: list[str]) -> dict[str, Any]:
    """NAME=JSON each; what isn't JSON is a word. Raises CommandError."""
    found: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name:
            raise CommandError(f"{one!r} isn't of the form NAME=VALUE.")
        try:
            found[name] = json.loads(text)
        except json.JSONDecodeError:
            found[name] = text
    return found
