"""Which verdicts are counted, and how: a value object. Equal slices of equal data give equal figures."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from typing import Any, Self

from arena.models import Arena
from judges.models import Judge, Voter

PEOPLE = "people"
METHODS = {
    "bt": "Bradley-Terry",
    "davidson": "Davidson",
    "style": "Bradley-Terry, style held equal",
    "elo": "Elo",
}


class SliceError(ValueError):
    """A slice that can't be counted; str() says which part and what would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """``judge`` and ``shared_with`` are "people" (every crowd of the arena) or a judge's slug.

    ``shared_with`` keeps only the battles that the other one decided too; ``since`` and ``until`` are ISO
    dates, the second not included. ``method`` is a key of METHODS, ``ridge`` the penalty on log-strengths.
    ``without`` is the handle of a voter whose verdicts are set aside beside those of excluded voters.
    ``helped_by`` is the slug of a judge whose verdicts sharpen those of ``judge`` (prediction-powered).
    """

    judge: str = PEOPLE
    category: str = ""
    criterion: str = ""
    since: str = ""
    until: str = ""
    shared_with: str = ""
    method: str = "bt"
    ridge: float = 0.0
    without: str = ""
    helped_by: str = ""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SliceError(f"method: {self.method!r} is not one of {', '.join(METHODS)}.")
        if not 0 <= self.ridge < float("inf"):
            raise SliceError(f"ridge: {self.ridge} is not a number of at least 0.")
        if self.helped_by and (self.method != "bt" or self.ridge):
            raise SliceError("helped_by: only plain Bradley-Terry takes the help of a judge.")
        if self.helped_by and self.helped_by == self.judge:
            raise SliceError("helped_by: a judge can't help itself; choose another.")
        if self.method == "style" and self.ridge:
            raise SliceError("ridge: strengths aren't penalised where style is held equal.")
        for name in ("since", "until"):
            value = getattr(self, name)
            try:
                if value:
                    date.fromisoformat(value)
            except ValueError:
                raise SliceError(f"{name}: {value!r} is not a date like 2026-01-31.") from None

    def as_json(self) -> dict[str, Any]:
        # Slices were stored before there were these: where they are empty they aren't part of the identity.
        later = ("without", "helped_by")
        return {key: value for key, value in asdict(self).items() if value or key not in later}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(stored) - known):
            raise SliceError(f"{unknown[0]}: not a part of a slice.")
        return cls(**stored)

    @property
    def helper(self) -> Self:
        """What is counted of the judge that helps: everything that it said about the same."""
        return replace(self, judge=self.helped_by, helped_by="", without="", shared_with="")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    @property
    def seed(self) -> int:
        """Follows from the slice, so that nobody can shop for a seed that suits."""
        return int(self.digest[:12], 16)


def judge_ids(*, arena: Arena, judge: str) -> list[int]:
    """The judges behind "people" or a slug; SliceError when there is no such judge."""
    judges = Judge.objects.filter(arena=arena)
    if judge == PEOPLE:
        return list(
            judges.filter(kind=Judge.Kind.CROWD).order_by("pk").values_list("pk", flat=True)
        )
    found = list(judges.filter(slug=judge).values_list("pk", flat=True))
    if not found:
        slugs = judges.order_by("slug").values_list("slug", flat=True)[:20]
        # A crowd may have the slug "people", too.
        known = ", ".join(dict.fromkeys([PEOPLE, *slugs]))
        raise SliceError(f"judge: {arena.slug} has no judge {judge!r}; it has {known}.")
    return found


def voter_ids(*, arena: Arena, judge: str, handle: str) -> list[int]:
    """The voters of that handle in the crowds behind "people" or a slug; SliceError when there is none."""
    ids = judge_ids(arena=arena, judge=judge)
    found = list(Voter.objects.filter(judge_id__in=ids, handle=handle).values_list("pk", flat=True))
    if not found:
        raise SliceError(f"without: {judge} of {arena.slug} has no voter {handle!r}.")
    return found
