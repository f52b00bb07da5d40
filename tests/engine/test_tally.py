from collections import Counter

import numpy as np
import pytest

from ratings.engine import tallies as module
from ratings.engine.tallies import Outcome, tally, tally_by_cluster
from tests.engine import simulate

MIRROR = {0: 1, 1: 0, 2: 2, 3: 3}


def by_hand(a, b, outcome) -> Counter:
    counted: Counter = Counter()
    for i, j, y in zip(a.tolist(), b.tolist(), outcome.tolist(), strict=True):
        counted[(i, j, y) if i < j else (j, i, MIRROR[y])] += 1
    return counted


def as_counter(tallies) -> Counter:
    return Counter(
        {
            (int(i), int(j), y): int(row[y])
            for i, j, row in zip(tallies.a, tallies.b, tallies.counts, strict=True)
            for y in range(4)
            if row[y]
        }
    )


@pytest.fixture
def rows():
    a, b, outcome = simulate.battles(simulate.strengths(7, seed=1), 3000, seed=2, nu=0.5)
    outcome[::50] = Outcome.BOTH_BAD
    return a, b, outcome


@pytest.mark.parametrize("kind", [np.int64, np.int16, np.int32])
def test_cells_are_what_counting_by_hand_gives(rows, kind):
    a, b, outcome = (values.astype(kind) for values in rows)
    assert as_counter(tally(a, b, outcome, n_systems=7)) == by_hand(*rows)


def test_many_systems_are_counted_without_a_dense_table(rows, monkeypatch):
    monkeypatch.setattr(module, "_MAX_DENSE_BINS", 1)
    found = tally(*rows, n_systems=7)
    assert as_counter(found) == by_hand(*rows)


def test_swapping_the_sides_of_every_battle_changes_nothing(rows):
    a, b, outcome = rows
    mirrored = np.array([MIRROR[y] for y in outcome.tolist()])
    straight, swapped = tally(a, b, outcome, n_systems=7), tally(b, a, mirrored, n_systems=7)
    assert as_counter(straight) == as_counter(swapped)


def test_pairs_are_canonical_unique_and_sorted(rows):
    found = tally(*rows, n_systems=7)
    assert (found.a < found.b).all()
    assert (np.diff(found.a * 7 + found.b) > 0).all()


def test_counts_weigh_rows(rows):
    a, b, outcome = rows
    twice = tally(a, b, outcome, n_systems=7, count=np.full(len(a), 2))
    assert twice.n == 2 * len(a)


def test_cells_by_cluster_add_up_to_the_cells(rows):
    a, b, outcome = rows
    cluster = np.random.default_rng(3).integers(0, 11, len(a))
    found = tally_by_cluster(a, b, outcome, cluster, n_systems=7, n_clusters=11)
    assert as_counter(found.tallies) == by_hand(a, b, outcome)
    for c in range(11):
        inside, mine = cluster == c, found.cluster == c
        counted = Counter(
            {
                (int(found.tallies.a[p]), int(found.tallies.b[p]), int(y)): int(n)
                for p, y, n in zip(
                    found.pair[mine], found.outcome[mine], found.count[mine], strict=True
                )
            }
        )
        assert counted == by_hand(a[inside], b[inside], outcome[inside])


@pytest.mark.parametrize(
    ("a", "b", "outcome", "says"),
    [
        ([0, 1], [1], [0, 0], "one length"),
        ([0, 3], [1, 1], [0, 0], "a must lie between 0 and 2"),
        ([0, 1], [1, -1], [0, 0], "b must lie between 0 and 2"),
        ([0, 1], [1, 2], [0, 4], "outcome must lie between 0 and 3"),
        ([0, 1], [1, 1], [0, 0], "Row 1: system 1 battles itself"),
    ],
)
def test_rows_that_make_no_sense_are_refused_with_the_reason(a, b, outcome, says):
    with pytest.raises(ValueError, match=says):
        tally(np.array(a), np.array(b), np.array(outcome), n_systems=3)


@pytest.mark.parametrize("k", [0, 1, 5])
def test_no_battles_make_no_cells(k):
    found = tally([], [], np.array([], dtype=int), n_systems=k)
    assert (len(found.a), found.n, found.counts.shape) == (0, 0.0, (0, 4))
