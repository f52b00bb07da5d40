"""From the words of a query string to a selection of battles, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q

from arena.access import seen_systems
from arena.markdown import printable
from arena.models import Arena, Category, Prompt, System
from judges.models import Judge
from judges.records import AGREEMENT, Selection

KEYS = ("system", "opponent", "prompt", "category", "judge", "agreement")
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for. With ``problems`` (sentences by key) the selection isn't what was meant."""

    selection: Selection
    values: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def query(self) -> str:
        """The query string that asks for the same; empty for everything."""
        return urlencode(self.values)


def selection_from(query: Mapping[str, str], *, arena: Arena, viewer: Any = None) -> Asked:
    """``viewer`` is who looks, None the public: what they may not see isn't there for them."""
    # Printable: PostgreSQL refuses a question with a NUL in it.
    values = {key: printable(query[key]).strip() for key in KEYS if query.get(key, "").strip()}
    problems: dict[str, str] = {}
    systems = []
    for key in ("system", "opponent"):
        if key in values:
            found = _system(arena, values[key], viewer)
            if found is None:
                problems[key] = f"No system of this arena is called “{values[key][:80]}”."
            elif found in systems:
                problems[key] = f"{found} doesn’t meet itself: choose another opponent."
            else:
                systems.append(found)
    rows = {}
    for key, model in (("category", Category), ("judge", Judge)):
        if key in values:
            rows[key] = model.objects.filter(arena=arena, slug=values[key]).first()
            if rows[key] is None:
                problems[key] = f"This arena has no {key} “{values[key][:80]}”."
    if "prompt" in values:
        pk = id_from(values["prompt"])
        rows["prompt"] = pk and Prompt.objects.filter(arena=arena, pk=pk).first()
        if not rows["prompt"]:
            problems["prompt"] = f"This arena has no prompt {values['prompt'][:20]}."
    agreement = values.get("agreement", "")
    if agreement and agreement not in AGREEMENT:
        problems["agreement"] = f"Agreement is one of: {', '.join(AGREEMENT)}."
    if agreement in ("same", "opposite") and rows.get("judge") and rows["judge"].is_people:
        problems["agreement"] = "Choose a judge that isn’t people to compare with people."
    if problems:
        return Asked(Selection(arena=arena, viewer=viewer), values, problems)
    chosen = Selection(
        arena=arena, systems=tuple(systems), agreement=agreement, viewer=viewer, **rows
    )
    return Asked(chosen, values)


def id_from(text: str | None) -> int | None:
    """A row's id out of a query string; None when it can't be one."""
    if not text or not (text.isascii() and text.isdigit()) or len(text) > 19:
        return None
    return min(int(text), LARGEST_ID - 1)


def _system(arena: Arena, words: str, viewer: Any) -> System | None:
    """By address first, then by its full name."""
    systems = seen_systems(viewer, arena)
    by_address = systems.filter(slug=words.lower()).first()
    if by_address:
        return by_address
    named = systems.filter(Q(name=words) | Q(name=words.rpartition(" ")[0]))[:50]
    return next((system for system in named if words in (system.name, str(system))), None)
