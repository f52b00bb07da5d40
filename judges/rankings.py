"""A few outputs of one prompt to a voter, and the order that the voter puts them in: issue, cast, skip, undo.

Rankings stay what they are: split into pairs, their verdicts would look like more evidence than they are. Like
a ballot, a ranking has a key that names it on the page, and is decided once.
"""

import random  # noqa: TID251 (who gets which outputs must not be foreseeable)
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import log
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models import Avg, Count, Exists, OuterRef, Prefetch, Q, QuerySet
from django.utils import timezone

from arena.models import Arena, Output, Prompt, Standing
from judges.exclusions import by_excluded_voter
from judges.models import RankedOutput, Ranking, Voter
from judges.signals import rankings_changed
from judges.voters import voters_of

# Prompts that are chosen among, and rankings in which systems are counted: both bound what drawing reads.
PROMPTS = 20
LATEST = 400
KEPT_OPEN = timedelta(days=1)
KEPT_NETWORK = timedelta(days=1)
SWEPT_AT_ONCE = 2_000
LONGEST_COMMENT = 4_000


class RankingError(ValueError):
    """An order that can't be taken as it is; str() says what is wrong."""


class RankingDecided(Exception):
    """The ranking was decided already, and otherwise; ``ranking`` is how it stands."""

    def __init__(self, ranking: Ranking) -> None:
        self.ranking = ranking
        super().__init__("You have put these answers in order already: your first order counts.")


class Others(NamedTuple):
    """What other people said of an output."""

    mean_rank: float
    n: int


def next_ranking(*, arena: Arena, voter: Voter, rng: random.Random | None = None) -> Ranking | None:
    """The ranking that lies open before the voter, else a new one; None when nothing is left."""
    if waiting := _whole(Ranking.objects.filter(voter=voter, state=Ranking.State.OPEN)).first():
        return waiting
    return _issue(arena, voter, rng or random.Random())  # noqa: S311 (no secret)


def mark_shown(ranking: Ranking) -> None:
    """The dwell time counts from the first time that the ranking is on a screen."""
    if ranking.shown_at is None:
        ranking.shown_at = timezone.now()
        Ranking.objects.filter(pk=ranking.pk, shown_at=None).update(shown_at=ranking.shown_at)


@transaction.atomic
def cast_ranking(
    *, ranking: Ranking, places: Mapping[int, int], comment: str = "", network: str = ""
) -> Ranking:
    """Decide a ranking; the same order again changes nothing.

    ``places`` gives every position on the page a place: 1 is best, equal places are a tie, and places may be
    left out, so that 1, 3, 3 says the same as 1, 2, 2. Raises RankingDecided, or RankingError for places
    that are no order of these outputs.
    """
    ranking = _locked(ranking)
    shown = list(ranking.outputs.all())
    if len(comment) > LONGEST_COMMENT:
        raise RankingError(
            f"The comment has {len(comment):,} characters, more than {LONGEST_COMMENT:,}."
        )
    if set(places) != {output.position for output in shown}:
        raise RankingError("Give every answer a place, and no other.")
    if not all(1 <= place <= len(shown) for place in places.values()):
        raise RankingError(f"Places go from 1 to {len(shown)}.")
    ranks = {
        position: 1 + sum(other < place for other in places.values())
        for position, place in places.items()
    }
    if ranking.state != Ranking.State.OPEN:
        same = ranks == {output.position: output.rank for output in shown}
        if ranking.state == Ranking.State.DECIDED and same:
            return ranking
        raise RankingDecided(ranking)
    for output in shown:
        output.rank, output.is_ordered = ranks[output.position], True
    RankedOutput.objects.bulk_update(shown, ["rank", "is_ordered"])
    ranking.comment, ranking.network, ranking.is_ordered = comment, network, True
    _decide(ranking, Ranking.State.DECIDED, timezone.now())
    _announce(ranking)
    return ranking


@transaction.atomic
def skip_ranking(*, ranking: Ranking, network: str = "") -> Ranking:
    """Leave the outputs without an order; the prompt doesn't come back to this voter. Raises RankingDecided."""
    ranking = _locked(ranking)
    if ranking.state == Ranking.State.OPEN:
        ranking.network = network
        _decide(ranking, Ranking.State.SKIPPED, timezone.now())
    elif ranking.state != Ranking.State.SKIPPED:
        raise RankingDecided(ranking)
    return ranking


@transaction.atomic
def undo_ranking(*, ranking: Ranking) -> Ranking | None:
    """Take back an order or a skip. Undoing again changes nothing; an open ranking is returned as it is.

    After a skip the voter gets the same outputs again, in the order of before, and the ranking that lay open
    meanwhile is given up. An order was answered with who wrote what, so its prompt doesn't come back and None
    is returned.
    """
    ranking = _locked(ranking)
    if ranking.state == Ranking.State.OPEN:
        return ranking
    same = Ranking.objects.filter(voter=ranking.voter, prompt=ranking.prompt)
    if later := _whole(same.filter(repetition__gt=ranking.repetition)).last():
        return later
    if ranking.state != Ranking.State.SKIPPED:
        undone = Ranking.objects.filter(pk=ranking.pk, state=Ranking.State.DECIDED)
        if undone.update(state=Ranking.State.UNDONE):
            _announce(ranking)
        return None
    Ranking.objects.filter(voter=ranking.voter, state=Ranking.State.OPEN).delete()
    return _create(
        ranking.arena,
        ranking.voter,
        prompt_id=ranking.prompt_id,
        outputs=[(shown.output_id, shown.system_id) for shown in ranking.outputs.all()],
        repetition=ranking.repetition + 1,
    )


def last_decided(*, voter: Voter) -> Ranking | None:
    """The ranking that undo takes back. Also after it did, so that undo twice doesn't reach the one before."""
    decided = Ranking.objects.filter(voter=voter).exclude(state=Ranking.State.OPEN)
    return _whole(decided).order_by("-decided_at", "-pk").first()


def ranking_by_key(*, key: object, voter: Voter) -> Ranking | None:
    """The voter's ranking of that key, with all that a page shows."""
    return _whole(Ranking.objects.filter(key=key, voter__in=voters_of(voter))).first()


def ranked_today(*, voter: Voter) -> int:
    """How many rankings the voter has decided since midnight, UTC."""
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    mine = Ranking.objects.filter(voter__in=voters_of(voter), state=Ranking.State.DECIDED)
    return mine.filter(decided_at__gte=midnight).count()


def counted_rankings(*, arena: Arena) -> QuerySet[Ranking]:
    """The rankings that figures count: decided, not taken back, by nobody who is excluded."""
    decided = Ranking.objects.filter(arena=arena, state=Ranking.State.DECIDED)
    return decided.exclude(by_excluded_voter())


def others_on(ranking: Ranking) -> dict[int, Others]:
    """Output id -> the mean rank that other people gave it on this prompt; without those nobody ranked."""
    counted = counted_rankings(arena=ranking.arena).filter(prompt=ranking.prompt_id)
    found = (
        RankedOutput.objects.filter(ranking__in=counted.order_by())
        .exclude(ranking__voter__in=voters_of(ranking.voter).values("pk"))
        .filter(output__in=[shown.output_id for shown in ranking.outputs.all()])
        .order_by()
        .values("output")
        .annotate(mean=Avg("rank"), n=Count("pk"))
    )
    return {row["output"]: Others(row["mean"], row["n"]) for row in found}


def sweep_rankings() -> int:
    """Forget what nobody came back to, and from which network older ones came; how many rows."""
    now = timezone.now()
    forgotten = Ranking.objects.filter(state=Ranking.State.OPEN, created_at__lt=now - KEPT_OPEN)
    keys = list(forgotten.order_by("pk").values_list("pk", flat=True)[:SWEPT_AT_ONCE])
    _, deleted = Ranking.objects.filter(pk__in=keys, state=Ranking.State.OPEN).delete()
    old = Ranking.objects.filter(decided_at__lt=now - KEPT_NETWORK).exclude(network="")
    keys = list(old.order_by("pk").values_list("pk", flat=True)[:SWEPT_AT_ONCE])
    erased = Ranking.objects.filter(pk__in=keys).update(network="")
    return deleted.get(Ranking._meta.label, 0) + erased


def _whole(rankings: QuerySet[Ranking]) -> QuerySet[Ranking]:
    shown = RankedOutput.objects.select_related("output", "system").order_by("position")
    return rankings.select_related("arena", "prompt", "voter__judge").prefetch_related(
        Prefetch("outputs", queryset=shown)
    )


def _locked(ranking: Ranking) -> Ranking:
    return _whole(Ranking.objects.select_for_update(of=("self",))).get(pk=ranking.pk)


def _decide(ranking: Ranking, state: Ranking.State, now: datetime) -> None:
    ranking.state, ranking.decided_at = state, now
    if ranking.shown_at:
        elapsed = (now - ranking.shown_at).total_seconds() * 1000
        ranking.dwell_ms = min(max(0, round(elapsed)), 2**31 - 1)
    ranking.save(
        update_fields=["state", "is_ordered", "decided_at", "dwell_ms", "comment", "network"]
    )


def _announce(ranking: Ranking) -> None:
    rankings_changed.send(Ranking, arena_id=ranking.arena_id)


# --- which outputs ----------------------------------------------------------------------------------------


def _issue(arena: Arena, voter: Voter, rng: random.Random) -> Ranking | None:
    """A prompt that the voter hasn't had, and those of its outputs whose systems were ranked least."""
    if not arena.rank_size:
        return None
    prompts = _prompts(arena, voter, rng)
    if not prompts:
        return None
    prompt = rng.choice(list(prompts))
    drawn = _seldom_first(arena, prompts[prompt], rng)[: arena.rank_size]
    rng.shuffle(drawn)
    try:
        return _create(arena, voter, prompt_id=prompt, outputs=drawn)
    except IntegrityError:
        # The same voter opened another page in the same moment: there is one open ranking, that one.
        return _whole(Ranking.objects.filter(voter=voter, state=Ranking.State.OPEN)).first()


def _prompts(arena: Arena, voter: Voter, rng: random.Random) -> dict[int, list[tuple[int, int]]]:
    """Up to PROMPTS prompts that have enough to show, from a random one on: id -> outputs (id, system)."""
    numbers = Prompt.objects.filter(arena=arena).order_by("pk").values_list("pk", flat=True)
    # Two looks into the index; Min and Max in one query read all of it.
    first, last = numbers.first(), numbers.last()
    if first is None:
        return {}
    start = rng.randint(first, last)
    had = Ranking.objects.filter(prompt=OuterRef("pk"), voter__in=voters_of(voter))
    left = Prompt.objects.filter(~Exists(had), arena=arena).order_by("pk")
    next_ones = left.filter(pk__gte=start).values_list("pk", flat=True)
    if found := _enough(arena, list(next_ones[:PROMPTS])):
        return found
    # Near the end, or where few prompts have so many answers: count the outputs of all.
    enough = (
        left.annotate(n_shown=Count("outputs", filter=_shown("outputs__")))
        .filter(n_shown__gte=arena.rank_size)
        .values_list("pk", flat=True)
    )
    keys = list(enough.filter(pk__gte=start)[:PROMPTS]) or list(enough[:PROMPTS])
    return _enough(arena, keys)


def _enough(arena: Arena, prompts: list[int]) -> dict[int, list[tuple[int, int]]]:
    """Of these prompts those with at least ``rank_size`` outputs to show: id -> outputs (id, system)."""
    outputs = Output.objects.filter(_shown(), prompt__in=prompts).order_by("pk")
    found: dict[int, list[tuple[int, int]]] = {}
    for prompt, *output in outputs.values_list("prompt_id", "pk", "system_id"):
        found.setdefault(prompt, []).append(tuple(output))
    return {prompt: each for prompt, each in found.items() if len(each) >= arena.rank_size}


def _shown(path: str = "") -> Q:
    """Neither blank nor giving its system away, and of a published one; ``path`` leads to the output."""
    is_safe = Q(**{f"{path}leak": None}) | Q(**{f"{path}leak": ""})
    asked = Q(**{f"{path}system__standing": Standing.PUBLISHED})
    return ~Q(**{f"{path}text": ""}) & is_safe & asked


def _seldom_first(
    arena: Arena, outputs: list[tuple[int, int]], rng: random.Random
) -> list[tuple[int, int]]:
    """The outputs (id, system) in random order, those of systems that were ranked less more often first."""
    latest = Ranking.objects.filter(arena=arena, state=Ranking.State.DECIDED).order_by("-pk")
    keys = list(latest.values_list("pk", flat=True)[:LATEST])
    ranked = Counter(
        RankedOutput.objects.filter(ranking__in=keys).values_list("system_id", flat=True)
    )
    least = min((ranked[system] for _, system in outputs), default=0)
    # Drawn without replacement, with weights that fall with the count (Efraimidis & Spirakis 2006): always
    # the least ranked would keep meeting each other, and the table needs everybody to meet everybody.
    return sorted(
        outputs,
        key=lambda row: -log(1 - rng.random()) * (1 + ranked[row[1]] - least) ** 2,
    )


@transaction.atomic
def _create(
    arena: Arena,
    voter: Voter,
    *,
    prompt_id: int,
    outputs: list[tuple[int, int]],
    repetition: int = 0,
) -> Ranking:
    ranking = Ranking.objects.create(
        arena=arena, voter=voter, prompt_id=prompt_id, repetition=repetition
    )
    RankedOutput.objects.bulk_create(
        RankedOutput(
            ranking=ranking, prompt_id=prompt_id, system_id=system, output_id=output, position=n
        )
        for n, (output, system) in enumerate(outputs)
    )
    return _whole(Ranking.objects.filter(pk=ranking.pk)).get()
