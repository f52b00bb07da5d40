"""Who won against whom: reads the cells that a snapshot was fitted on. numpy is imported when asked for."""

from typing import NamedTuple

from ratings.models import Rating, Snapshot, SnapshotTallies


class Record(NamedTuple):
    """One system against another."""

    wins: int
    losses: int
    ties: int
    both_bad: int

    @property
    def n(self) -> int:
        return sum(self)

    @property
    def win_rate(self) -> float:
        """Ties and both-bad count one half. A record has at least one verdict."""
        return (self.wins + (self.ties + self.both_bad) / 2) / self.n


class Opponent(NamedTuple):
    rating: Rating
    record: Record


class Cell(NamedTuple):
    """A system of a row against one of a column. ``away`` is the distance from 50 %, 0 to 1."""

    row: Rating
    column: Rating
    record: Record | None

    @property
    def is_self(self) -> bool:
        return self.row.system_id == self.column.system_id

    @property
    def away(self) -> float:
        return round(abs(self.record.win_rate - 0.5) * 2, 3) if self.record else 0.0

    @property
    def side(self) -> str:
        if self.record is None:
            return "none"
        return "win" if self.record.win_rate >= 0.5 else "loss"


def records(snapshot: Snapshot, *, of: set[int]) -> dict[tuple[int, int], Record]:
    """(system, opponent) → record, for the systems whose ids are in ``of``, each seen from its own side."""
    import numpy as np

    from ratings.packed_tallies import unpack

    tallies = SnapshotTallies.objects.filter(snapshot=snapshot).first()
    if tallies is None:
        return {}
    system_a, system_b, counts = unpack(tallies.npz)
    wanted = np.array(sorted(of))
    decided = counts.sum(axis=1) > 0
    found = {}
    # Both sides of a pair in one loop: seen from B, the first two outcomes change places.
    for ours, theirs, order in (
        (system_a, system_b, [0, 1, 2, 3]),
        (system_b, system_a, [1, 0, 2, 3]),
    ):
        rows = decided & np.isin(ours, wanted)
        keys = zip(ours[rows].tolist(), theirs[rows].tolist(), strict=True)
        found.update(zip(keys, map(Record._make, counts[rows][:, order].tolist()), strict=True))
    return found


def opponents(snapshot: Snapshot, *, system_id: int) -> list[Opponent]:
    """Everyone that the system met, best rank first, the unranked last."""
    record_of = {other: record for (_, other), record in records(snapshot, of={system_id}).items()}
    ratings = Rating.objects.filter(snapshot=snapshot).select_related("system")
    met = [Opponent(r, record_of[r.system_id]) for r in ratings if r.system_id in record_of]
    return sorted(met, key=_rank_then_name)


def _rank_then_name(opponent: Opponent) -> tuple[float, str]:
    rank = opponent.rating.rank
    return (float("inf") if rank is None else rank, opponent.rating.system.name)


def matrix(
    snapshot: Snapshot, *, rows: list[Rating], columns: list[Rating]
) -> list[tuple[Rating, list[Cell]]]:
    """Each row's rating with its cells."""
    found = records(snapshot, of={rating.system_id for rating in rows})
    return [
        (
            row,
            [Cell(row, column, found.get((row.system_id, column.system_id))) for column in columns],
        )
        for row in rows
    ]
