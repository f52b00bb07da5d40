"""Verdicts that follow from other judges' verdicts: when they are derived anew, and how they are stored.

A pass goes through all battles of the arena and compares what follows now with what is stored, so it does no
more than is new, and it doesn't matter in which order verdicts were committed. What follows otherwise than
before is retracted, and the new verdict is the next repetition.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from arena.models import Arena, Battle
from judges.models import Derivation, Judge, Outcome, Retraction, Verdict, VerdictTrace
from judges.voting import announce

log = logging.getLogger(__name__)

CHUNK = 500  # battles of one transaction
MAX_ATTEMPTS = 3
# After a pass that took a second the next begins ten seconds later at the earliest.
REST = 10
CHANGED = "derived anew: its members' verdicts are others now"


class DerivationError(Exception):
    """Verdicts that can't be derived; str() says why and what to do."""


class BattleRow(NamedTuple):
    """What is known of a battle when it is decided."""

    pk: int
    pair: int
    prompt: int
    system_a: int
    system_b: int
    output_a: int | None
    output_b: int | None


@dataclass(frozen=True, slots=True)
class Derived:
    """A verdict as it follows now. ``parse`` is plain JSON and says from what: with another it is another."""

    outcome: Outcome
    confidence: float | None
    cast_at: datetime
    rationale: str
    parse: dict[str, Any] = field(default_factory=dict)


class Rule(Protocol):
    """How one judge's verdicts follow from others. Made for one pass."""

    def decide(self, battles: list[BattleRow]) -> Mapping[int, Derived]:
        """Verdicts by battle, of those that have one. Called within the transaction that stores them."""
        ...

    def figures(self) -> dict[str, Any]:
        """What the pass came to, beside how many verdicts there are; plain JSON."""
        ...

    def keep(self, derivation: Derivation) -> dict[str, Any]:
        """Other fields of the row to be written at the end of the pass."""
        ...


def start(*, judge: Judge, sources: Iterable[Judge]) -> Derivation:
    """The row that keeps a new judge's verdicts current; a worker is asked to derive them."""
    derivation = Derivation.objects.create(judge=judge, stale_since=timezone.now())
    derivation.sources.set(sources)
    transaction.on_commit(partial(_queue, judge.pk, countdown=0))
    return derivation


def mark_stale(*, arena_id: int, judge_ids: Iterable[int]) -> None:
    """Note that these judges have said something else, and ask for a pass after a while in which more may come.

    A cascade answers to people: their votes tell whether what it claims still holds.
    """
    ids = list(judge_ids)
    fresh = Q(stale_since=None) | Q(attempts__gte=MAX_ATTEMPTS)
    # Nearly always there is none, and this is all that a vote asks for.
    kinds = dict(
        Derivation.objects.filter(fresh, judge__arena=arena_id)
        .order_by()
        .values_list("pk", "judge__kind")
    )
    if not kinds:
        return
    follows = Derivation.sources.through.objects.filter(derivation__in=kinds, judge__in=ids)
    keys = set(follows.values_list("derivation", flat=True))
    watching = {key for key, kind in kinds.items() if kind == Judge.Kind.CASCADE}
    if watching and Judge.objects.filter(pk__in=ids, kind=Judge.Kind.CROWD).exists():
        keys |= watching
    for key in sorted(keys):
        Derivation.objects.filter(fresh, pk=key).update(
            stale_since=timezone.now(), attempts=0, error=""
        )
        transaction.on_commit(partial(_queue, key, countdown=settings.REFRESH_DEBOUNCE_SECONDS))


def due() -> QuerySet[Derivation]:
    """Stale ones that don't rest, and those whose worker died."""
    now = timezone.now()
    rested = Q(rests_until=None) | Q(rests_until__lte=now)
    work = Q(rested, stale_since__isnull=False) | Q(claimed_until__lt=now)
    return Derivation.objects.unclaimed().filter(work, attempts__lt=MAX_ATTEMPTS)


def sweep() -> int:
    """Ask again for all work that is due, whatever message or worker was lost; how many were asked for."""
    keys = list(due().values_list("pk", flat=True))
    for key in keys:
        _queue(key, countdown=0)
    return len(keys)


def refresh(key: int) -> bool:
    """A pass, if it is due and nobody else is at it; whether there was one."""
    if not due().filter(pk=key).exists() or not Derivation.objects.claim(key):
        return False
    _work_on(key)
    if Derivation.objects.filter(pk=key).exclude(stale_since=None).exists():
        _queue(key, countdown=settings.REFRESH_DEBOUNCE_SECONDS)
    return True


def derive(*, judge: Judge) -> Derivation:
    """A pass in this process, stale or not; running it again adds only what is new.

    Raises DerivationError where somebody else is at it, or nothing can follow.
    """
    if not Derivation.objects.filter(pk=judge.pk).exists():
        raise DerivationError(
            f"{judge} is no jury or cascade: nothing follows from others' verdicts."
        )
    if not Derivation.objects.claim(judge.pk):
        raise DerivationError(
            f"A worker is deriving the verdicts of {judge}: try again in a minute."
        )
    _work_on(judge.pk)
    return Derivation.objects.select_related("judge").get(pk=judge.pk)


def derive_some(*, judge: Judge, pairs: Sequence[int]) -> None:
    """What follows now for the battles of these pairs, in this process; the whole pass comes as always.

    Raises DerivationError where a worker is at it: its pass may have gone past some of them.
    """
    if not Derivation.objects.claim(judge.pk):
        raise DerivationError(f"A worker is deriving the verdicts of {judge}.")
    derivation = Derivation.objects.select_related("judge__arena").get(pk=judge.pk)
    lease = _Lease(derivation)
    try:
        rule = _rule_of(derivation.judge)
        for battles in chunks_of(judge.arena, pairs=pairs):
            lease.renew()
            _store(derivation.judge, battles, rule)
    finally:
        lease.mine().update(claimed_until=None, attempts=F("attempts") - 1)


def _queue(key: int, *, countdown: float) -> None:
    """Send the message. The row says what is to be done, so a verdict doesn't fail without a broker."""
    from judges.tasks import derive as task

    try:
        task.apply_async(args=[key], countdown=countdown, retry=False)
    except OperationalError as error:
        log.warning("The broker didn't take a derivation; the sweeper will ask again: %s", error)


def _work_on(key: int) -> None:
    """The pass of a row that we have claimed. A failure is kept on the row and raised again."""
    # From here on another verdict of a source makes it stale again.
    Derivation.objects.filter(pk=key).update(stale_since=None)
    derivation = Derivation.objects.select_related("judge__arena").get(pk=key)
    lease = _Lease(derivation)
    began = perf_counter()
    try:
        rule = _rule_of(derivation.judge)
        counts = _pass(derivation.judge, rule, lease)
        figures = {**counts, **rule.figures()}
        more = rule.keep(derivation)
    except Exception as error:
        lease.mine().update(
            claimed_until=None,
            stale_since=timezone.now(),
            error=f"{type(error).__name__}: {error}",
        )
        raise
    seconds = perf_counter() - began
    lease.mine().update(
        figures=figures,
        computed_at=timezone.now(),
        seconds=seconds,
        rests_until=timezone.now() + timedelta(seconds=REST * seconds),
        claimed_until=None,
        attempts=0,
        error="",
        **more,
    )


class _Lease:
    """Our claim of the row, renewed while we work."""

    def __init__(self, derivation: Derivation) -> None:
        self.key, self.until = derivation.pk, derivation.claimed_until

    def mine(self) -> QuerySet[Derivation]:
        return Derivation.objects.filter(pk=self.key, claimed_until=self.until)

    def renew(self) -> None:
        until = timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)
        if not self.mine().update(claimed_until=until):
            raise DerivationError("Another worker has taken this over.")
        self.until = until


def _rule_of(judge: Judge) -> Rule:
    from judges.cascades.deriving import Tiers
    from judges.juries.deriving import Panel

    if judge.kind == Judge.Kind.JURY:
        return Panel(judge)
    if judge.kind == Judge.Kind.CASCADE:
        return Tiers(judge)
    raise DerivationError(
        f"{judge} is {judge.get_kind_display()}: its verdicts follow from nothing."
    )


def _pass(judge: Judge, rule: Rule, lease: _Lease) -> dict[str, int]:
    counts: Counter[str] = Counter(decided=0, added=0, retracted=0)
    for battles in chunks_of(judge.arena):
        lease.renew()
        counts.update(_store(judge, battles, rule))
    return dict(counts)


def chunks_of(arena: Arena, *, pairs: Sequence[int] | None = None) -> Iterator[list[BattleRow]]:
    """All battles of the arena, or those of some pairs, by key and not by offset."""
    battles = Battle.objects.filter(arena=arena)
    if pairs is not None:
        battles = battles.filter(pair__in=pairs)
    rows = battles.order_by("pk").values_list(
        "pk", "pair_id", "prompt_id", "system_a_id", "system_b_id", "output_a_id", "output_b_id"
    )
    last = 0
    while chunk := [BattleRow(*row) for row in rows.filter(pk__gt=last)[:CHUNK]]:
        yield chunk
        last = chunk[-1].pk


@transaction.atomic
def _store(judge: Judge, battles: list[BattleRow], rule: Rule) -> Counter[str]:
    """What follows now, compared with what is stored; only the differences are written."""
    derived = rule.decide(battles)
    stored = _stored(judge, battles)
    new: list[tuple[BattleRow, int, Derived]] = []
    stale: list[int] = []
    for battle in battles:
        standing, repetition = stored.get(battle.pk, (None, 0))
        now = derived.get(battle.pk)
        if standing is not None and now is not None and standing.says(now):
            continue
        if standing is not None:
            stale.append(standing.pk)
        if now is not None:
            new.append((battle, repetition, now))
    Retraction.objects.bulk_create(Retraction(verdict_id=pk, reason=CHANGED) for pk in stale)
    cast = Verdict.objects.bulk_create(
        Verdict(
            arena_id=judge.arena_id,
            battle_id=battle.pk,
            pair_id=battle.pair,
            prompt_id=battle.prompt,
            judge=judge,
            outcome=now.outcome,
            confidence=now.confidence,
            repetition=repetition,
            cast_at=now.cast_at,
        )
        for battle, repetition, now in new
    )
    VerdictTrace.objects.bulk_create(
        VerdictTrace(verdict=verdict, rationale=now.rationale, parse=now.parse)
        for verdict, (_, _, now) in zip(cast, new, strict=True)
    )
    if new or stale:
        announce(arena_id=judge.arena_id, judge_ids=[judge.pk])
    return Counter(decided=len(derived), added=len(new), retracted=len(stale))


def among(battles: list[BattleRow]) -> dict[str, Any]:
    """A filter of verdicts to these battles: by the range of their ids, unless many others lie between."""
    low, high = battles[0].pk, battles[-1].pk
    if high - low < 4 * len(battles):
        return {"battle__gte": low, "battle__lte": high}
    return {"battle__in": [battle.pk for battle in battles]}


class _Standing(NamedTuple):
    pk: int
    outcome: int
    parse: Any

    def says(self, derived: Derived) -> bool:
        return (self.outcome, self.parse) == (int(derived.outcome), derived.parse)


def _stored(judge: Judge, battles: list[BattleRow]) -> dict[int, tuple[_Standing | None, int]]:
    """By battle: the verdict that counts, if there is one, and the next repetition."""
    rows = (
        Verdict.objects.filter(
            judge=judge,
            voter=None,
            criterion="",
            **among(battles),
        )
        .annotate(taken_back=F("retraction__pk"))
        .order_by("battle_id", "repetition")
        .values_list("battle_id", "repetition", "taken_back", "pk", "outcome", "trace__parse")
    )
    found: dict[int, tuple[_Standing | None, int]] = {}
    for battle, repetition, taken_back, *standing in rows:
        before = found.get(battle, (None, 0))[0]
        found[battle] = (_Standing(*standing) if taken_back is None else before, repetition + 1)
    return found
