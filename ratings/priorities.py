"""What the next verdict of each pair is worth, written where the queue of battles reads it."""

import hashlib
import json
from math import floor, log, log1p

import numpy as np

from arena.matchmaking import set_priorities
from arena.models import Arena, Pair
from arena.policies import Policy
from ratings.engine.sampling import pair_weights
from ratings.engine.tallies import tally
from ratings.models import Publication, Snapshot
from ratings.packed_tallies import unpack
from ratings.slices import Slice

# Written anew for every so many verdicts more. Between them the best shares hardly change, 20,000 pairs aren't
# written for every vote, and the fewer times luck decides what is looked at next, the better intervals cover.
STEP = 1.1


def are_of(publication: Publication) -> bool:
    """Whether the arena's priorities follow this figure: people's own leaderboard."""
    return (
        publication.kind == Publication.Kind.LEADERBOARD
        and publication.slice_digest == Slice().digest
    )


def refresh(*, publication: Publication) -> bool:
    """Bring the priorities of the arena's pairs up to its leaderboard and policy; whether they were written.

    An arena that takes no votes keeps those it has. O(K^3) and one read and write of the pairs when
    something changed, two queries when nothing did.
    """
    arena, snapshot = publication.arena, publication.snapshot
    if not arena.is_open or snapshot is None:
        return False
    basis = _basis(arena, snapshot)
    if publication.priorities_basis == basis:
        return False
    set_priorities(arena=arena, priorities=_priorities(arena, snapshot))
    Publication.objects.filter(pk=publication.pk).update(priorities_basis=basis)
    return True


def _basis(arena: Arena, snapshot: Snapshot) -> str:
    """A digest of what the priorities depend on, verdicts in steps."""
    pairs = Pair.objects.filter(arena=arena).count()
    step = floor(log1p(snapshot.n_verdicts) / log(STEP))
    about = [Policy.of(arena).as_json(), pairs, step, snapshot.n_set_aside]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _priorities(arena: Arena, snapshot: Snapshot) -> dict[int, float]:
    pairs = np.array(
        Pair.objects.filter(arena=arena).values_list("pk", "system_a", "system_b"), dtype=np.int64
    ).reshape(-1, 3)
    if not len(pairs):
        return {}
    systems = np.unique(pairs[:, 1:])
    a, b = np.searchsorted(systems, pairs[:, 1]), np.searchsorted(systems, pairs[:, 2])
    possible = np.zeros((len(systems), len(systems)), dtype=bool)
    possible[a, b] = True
    policy = Policy.of(arena)
    weights = pair_weights(_tallies(snapshot, systems), possible=possible)
    shares = weights.mixed(
        active=policy.active, least_judged=policy.least_judged, uniform=policy.uniform
    )
    return dict(zip(pairs[:, 0].tolist(), shares[a, b].tolist(), strict=True))


def _tallies(snapshot: Snapshot, systems: np.ndarray):
    """The snapshot's cells, by the indexes of the systems that can meet."""
    system_a, system_b, counts = unpack(snapshot.tallies.npz)
    cell, outcome = np.nonzero(counts)
    return tally(
        np.searchsorted(systems, system_a[cell]),
        np.searchsorted(systems, system_b[cell]),
        outcome,
        n_systems=len(systems),
        count=counts[cell, outcome],
    )
