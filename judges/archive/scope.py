"""What goes into one export: all of an arena, or what the public may have, up to one moment."""

from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple

from django.db.models import F, Model, Q, QuerySet

from arena.access import unseen_systems
from arena.models import Arena, Prompt, System
from arena.sharing import Sharing
from judges.cuts import Cut, watermark
from judges.disclosure import disclosed
from judges.models import Exclusion, Judge, Verdict


class Named(NamedTuple):
    """A system: by what it is ordered, and what rows call it."""

    order: tuple[str, str]
    slug: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """``last_prompt`` and ``last_verdict`` are ids beyond which nothing is told: None, all prompts.

    Systems, judges and exclusions are few and known as they were at the beginning, so that all tables
    agree about them: ``systems`` are those that may be told of, ``hidden`` the others. ``left_out`` counts by
    table what is held back; tables add to it as they are read.
    """

    arena: Arena
    sharing: Sharing
    is_whole: bool
    cut: Cut
    last_verdict: int
    last_prompt: int | None
    systems: dict[int, Named]
    hidden: frozenset[int]
    judges: dict[int, Judge]
    exclusions: dict[int, list[tuple[bool, str, datetime]]]
    left_out: dict[str, int] = field(default_factory=dict)

    def knows(self, *systems: int, judge: int | None = None) -> bool:
        """False where one of them isn't told of, or came after the beginning."""
        return all(system in self.systems for system in systems) and (
            judge is None or judge in self.judges
        )

    def is_held_back(self, prompt: int) -> bool:
        return self.last_prompt is not None and prompt > self.last_prompt

    def is_excluded(self, voter: int | None) -> bool:
        rows = self.exclusions.get(voter) if voter is not None else None
        return bool(rows and rows[-1][0])

    def leave_out(self, table: str, n: int = 1) -> None:
        self.left_out[table] = self.left_out.get(table, 0) + n


def unpublished_systems(arena: Arena) -> frozenset[int]:
    """The systems that are not in public files, nor anything about them. The only place that says so."""
    return frozenset(unseen_systems(None, arena).values_list("pk", flat=True))


def whole(arena: Arena) -> Scope:
    """Everything, for maintainers and for reading it back."""
    return _scope(arena, Sharing(), is_whole=True)


def public(arena: Arena) -> Scope:
    """What the arena's settings give to whoever sees it. Raises SharingError."""
    return _scope(arena, Sharing.of(arena), is_whole=False)


def _scope(arena: Arena, sharing: Sharing, *, is_whole: bool) -> Scope:
    cut = watermark()
    hidden = frozenset() if is_whole else unpublished_systems(arena)
    judges = {judge.pk: judge for judge in Judge.objects.filter(arena=arena).order_by("pk")}
    for judge in judges.values():
        # Whoever keeps the file isn't always whoever may read the settings.
        judge.configuration = disclosed(judge.configuration)
    exclusions: dict[int, list[tuple[bool, str, datetime]]] = {}
    rows = Exclusion.objects.filter(voter__judge__arena=arena, pk__lte=cut.exclusion)
    for voter, *said in rows.order_by("pk").values_list(
        "voter_id", "is_excluded", "reason", "created_at"
    ):
        exclusions.setdefault(voter, []).append(tuple(said))
    scope = Scope(
        arena=arena,
        sharing=sharing,
        is_whole=is_whole,
        cut=cut,
        last_verdict=cut.verdict,
        last_prompt=None,
        systems={
            pk: Named((name, version), slug)
            for pk, name, version, slug in System.objects.filter(arena=arena)
            .order_by("pk")
            .values_list("pk", "name", "version", "slug")
            if pk not in hidden
        },
        hidden=hidden,
        judges=judges,
        exclusions=exclusions,
    )
    return scope if is_whole else _without_the_newest(scope)


def _without_the_newest(scope: Scope) -> Scope:
    changes: dict[str, Any] = {}
    prompts = Prompt.objects.filter(arena=scope.arena)
    if scope.sharing.newest_prompts:
        changes["last_prompt"], n = _threshold(prompts, scope.sharing.newest_prompts, prompts)
        scope.leave_out("prompts", n)
    if scope.sharing.verdicts and scope.sharing.newest_verdicts:
        # Counted by the index of judges; the newest are found by id, from the end.
        counted = Verdict.objects.filter(judge_id__in=list(scope.judges))
        verdicts = Verdict.objects.filter(arena=scope.arena, pk__lte=scope.cut.verdict)
        told = ~Q(battle__system_a__in=scope.hidden) & ~Q(battle__system_b__in=scope.hidden)
        newest, n = _threshold(verdicts, scope.sharing.newest_verdicts, counted, told)
        changes["last_verdict"] = newest
        scope.leave_out("verdicts", n)
    return Scope(**{name: getattr(scope, name) for name in Scope.__slots__} | changes)


def _threshold(
    rows: QuerySet[Any], percent: float, counted: QuerySet[Any], told: Q | None = None
) -> tuple[int, int]:
    """The last id that isn't among the newest so many percent, and how many of those may be told of."""
    newest = ceil(counted.count() * percent / 100)
    ids = rows.order_by("-pk").values_list("pk", flat=True)
    last = ids[newest : newest + 1].first() or 0
    return last, rows.filter(told or Q(), pk__gt=last).count()


def newest_id(model: type[Model], arena: Arena, **which: Any) -> int:
    """The last row of the arena that is there now."""
    rows = model._default_manager.filter(arena=arena, **which).order_by(F("pk").desc())
    return rows.values_list("pk", flat=True).first() or 0
