"""The tables under the figures of a judge report, on the page and as downloads. Pure functions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

BINS = 10
SIDES = ("A", "B", "tie")

SYSTEM_COLUMNS = (
    *("slug", "name", "organisation"),
    *("judge_rating", "judge_lower", "judge_upper"),
    *("reference_rating", "reference_lower", "reference_upper"),
    *("bias", "bias_lower", "bias_upper", "n", "n_reference"),
)


class Bin(NamedTuple):
    """Pairs of systems whose win rate with people lies in [lower, upper); rates are means over pairs."""

    lower: float
    upper: float
    pairs: int
    verdicts: int
    people: float
    judge: float


class ConfusionCell(NamedTuple):
    n: int
    share: float  # of the row


class ConfusionRow(NamedTuple):
    people: str
    cells: list[ConfusionCell]
    n: int


def win_rate_bins(pairs: Sequence[Sequence[float]], *, bins: int = BINS) -> list[Bin]:
    """The cloud of the decisiveness curve in numbers: (people's rate, judge's rate, n) in equal bins.

    Each pair is taken from its stronger side (by people), so that the rates run from one half up.
    Bins without pairs are left out.
    """
    found: dict[int, list[tuple[float, float, int]]] = {}
    for people, judge, n in pairs:
        side = (people, judge) if people >= 0.5 else (1 - people, 1 - judge)
        place = min(int((side[0] - 0.5) * 2 * bins), bins - 1)
        found.setdefault(place, []).append((*side, int(n)))
    width = 0.5 / bins
    return [
        Bin(
            0.5 + place * width,
            0.5 + (place + 1) * width,
            len(rows),
            sum(n for _, _, n in rows),
            sum(people for people, _, _ in rows) / len(rows),
            sum(judge for _, judge, _ in rows) / len(rows),
        )
        for place, rows in sorted(found.items())
    ]


def confusion_rows(confusion: Sequence[Sequence[int]] | None) -> tuple[list[ConfusionRow], int]:
    """Rows of people's majority (A, B, tie) with the judge's decisions in their cells, and the total."""
    if not confusion:
        return [], 0
    rows = []
    for side, counts in zip(SIDES, confusion, strict=True):
        total = sum(counts)
        cells = [ConfusionCell(n, n / total if total else 0.0) for n in counts]
        rows.append(ConfusionRow(side, cells, total))
    return rows, sum(row.n for row in rows)


def bias_order(systems: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The systems whose bias is known, the most favoured first."""
    known = [system for system in systems if system.get("bias") is not None]
    return sorted(known, key=lambda system: (-system["bias"], system["slug"]))


def _systems(figures: Mapping[str, Any]) -> tuple[Sequence[str], Iterable[Iterable[Any]]]:
    systems = figures.get("systems") or []
    return SYSTEM_COLUMNS, ([system.get(name) for name in SYSTEM_COLUMNS] for system in systems)


def _pairs(figures: Mapping[str, Any]) -> tuple[Sequence[str], Iterable[Iterable[Any]]]:
    return ("reference_win_rate", "judge_win_rate", "n"), figures.get("pairs") or []


def _confusion(figures: Mapping[str, Any]) -> tuple[Sequence[str], Iterable[Iterable[Any]]]:
    rows, _ = confusion_rows(figures.get("confusion"))
    columns = ("reference", *(f"judge_{side}" for side in SIDES))
    return columns, ([row.people, *(cell.n for cell in row.cells)] for row in rows)


def _people(figures: Mapping[str, Any]) -> tuple[Sequence[str], Iterable[Iterable[Any]]]:
    epsilons = [test["epsilon"] for test in figures.get("alt_tests") or []]
    columns = ("n", "judge", "person", *(f"p_epsilon_{epsilon}" for epsilon in epsilons))
    rows = figures.get("alt_test_people") or []
    return columns, ([row["n"], row["judge"], row["person"], *row["p"]] for row in rows)


# What can be downloaded: the name in the address, and columns and rows from a report's figures.
TABLES: dict[str, Callable[[Mapping[str, Any]], tuple[Sequence[str], Iterable[Iterable[Any]]]]] = {
    "systems": _systems,
    "pairs": _pairs,
    "confusion": _confusion,
    "people": _people,
}
