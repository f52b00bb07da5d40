"""How tests ask the read API."""

import base64
from typing import Any

from django.test import Client

from arena.models import Arena
from judges.models import Judge, VerdictTrace
from judges.voting import retract_verdict
from ratings import publications
from tests import cast

# A picture of one pixel.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def get(path: str, *, status: int = 200, **headers: str) -> Any:
    """The JSON below /api/v1/ at a path, which must be answered with this status."""
    response = Client().get(f"/api/v1/{path}", headers=headers)
    assert response.status_code == status, response.content[:500]
    expected = "application/json" if status < 400 else "application/problem+json"
    assert response.headers["Content-Type"] == expected
    return response.json()


def rows(path: str) -> list[dict[str, Any]]:
    return get(path)["results"]


def make_published_arena() -> Arena:
    """The small arena with categories, a trace, a retraction, leaderboards, and a report of its LLM."""
    arena = cast.make_small_arena()
    prompts = list(arena.prompts.all())
    category = arena.categories.create(slug="odes", name="Odes")
    category.prompts.set(prompts[:2])
    llm = arena.judges.get(kind=Judge.Kind.LLM)
    VerdictTrace.objects.create(
        verdict=llm.verdicts.earliest("pk"), rationale="It rhymes.", completion="[[A]]", tokens=7
    )
    retract_verdict(verdict=llm.verdicts.latest("pk"), reason="misclick")
    publications.refresh_all(arena=arena)
    return arena
