"""Published leaderboards for tests of pages: real ones of the small arena, and hand-made ones of any size."""

import html
import re

import numpy as np
from django.http import HttpResponse
from django.test import override_settings
from django.utils import timezone

from arena.models import Arena, System
from ratings import publications
from ratings.engine.tallies import tally
from ratings.models import Publication, Rating, Snapshot, SnapshotTallies
from ratings.packed_tallies import pack
from ratings.slices import Slice


def text(response: HttpResponse) -> str:
    """What a person reads of a page: without tags, with single spaces."""
    content = re.sub(r"<[^>]+>", " ", html.unescape(response.content.decode()))
    return re.sub(r"\s+", " ", content).replace(" ,", ",").replace(" .", ".").replace(" :", ":")


def publish(arena: Arena, **parts: str) -> Snapshot:
    """The leaderboard of a slice, computed here and now as a worker would."""
    publication = publications.publication_for(arena=arena, slice=Slice(**parts))
    with override_settings(BOOTSTRAP_ROUNDS=200):
        publications.refresh(publication.pk)
    publication.refresh_from_db()
    return publication.snapshot


def hand_made(arena: Arena, *, n_systems: int, unranked: tuple[str, ...] = ()) -> Snapshot:
    """A published leaderboard by people: systems 10 points apart, three to a tier, everyone met everyone.

    One more system for each status in ``unranked``.
    """
    System.objects.bulk_create(
        System(arena=arena, slug=f"s-{n}", name=f"System {n:03}", organisation=f"Lab {n % 7}")
        for n in range(n_systems + len(unranked))
    )
    systems = list(System.objects.filter(arena=arena).order_by("pk"))
    snapshot = Snapshot.objects.create(
        arena=arena,
        slice=Slice().as_json(),
        slice_digest=Slice().digest,
        data_digest="d" * 64,
        seed=1,
        code_version="by hand",
        interval=Snapshot.Interval.PROMPTS,
        rounds=1000,
        n_verdicts=12_345,
        n_battles=1000,
        n_prompts=50,
        n_voters=9,
        n_ranked=n_systems,
        n_retracted=2,
    )
    ranked = [
        Rating(
            snapshot=snapshot,
            system=system,
            status=Rating.Status.RANKED,
            rating=1500 - 10 * rank,
            lower=1480 - 10 * rank,
            upper=1520 - 10 * rank,
            sd=10,
            rank=rank,
            rank_lower=max(rank - 1, 1),
            rank_upper=min(rank + 1, n_systems),
            rank_upper_bound=max(rank - 1, 1),
            tier=1 + (rank - 1) // 3,
            n_verdicts=100 + rank,
            wins=50,
            losses=40,
            ties=10 + rank,
            win_rate=0.55,
            change=None if rank == 1 else 4.0,
        )
        for rank, system in enumerate(systems[:n_systems], start=1)
    ]
    left_out = [
        Rating(
            snapshot=snapshot, system=system, status=status, n_verdicts=1, wins=1, losses=0, ties=0
        )
        for status, system in zip(unranked, systems[n_systems:], strict=True)
    ]
    Rating.objects.bulk_create([*ranked, *left_out])
    a, b = np.triu_indices(n_systems, 1)
    tallies = tally(
        np.repeat(a, 4), np.repeat(b, 4), np.tile([0, 0, 1, 2], len(a)), n_systems=n_systems
    )
    ids = np.array([system.pk for system in systems])
    SnapshotTallies.objects.create(
        snapshot=snapshot, npz=pack(ids[tallies.a], ids[tallies.b], tallies.counts)
    )
    Publication.objects.update_or_create(
        arena=arena,
        kind=Publication.Kind.LEADERBOARD,
        slice_digest=Slice().digest,
        defaults={
            "slice": Slice().as_json(),
            "counts_people": True,
            "snapshot": snapshot,
            "refreshed_at": timezone.now(),
        },
    )
    return snapshot
