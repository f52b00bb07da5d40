"""Verdicts of one import, with the words behind them: added once, compared where they are there already."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from arena.models import Arena
from judges.bulk import Stage, fetch, is_postgresql, moment, run
from judges.formats.errors import DatasetError
from judges.formats.records import RetractionRecord, TraceRecord
from judges.models import Outcome, Retraction, Verdict, VerdictTrace

VERDICT = Verdict._meta.db_table
TRACE = VerdictTrace._meta.db_table
RETRACTION = Retraction._meta.db_table
COLUMNS = {
    "battle_id": "bigint",
    "pair_id": "bigint",
    "prompt_id": "bigint",
    "judge_id": "bigint",
    "voter_id": "bigint",
    "criterion": "text",
    "outcome": "smallint",
    "shown_first": "smallint",
    "confidence": "double precision",
    "repetition": "bigint",
    "cast_at": "timestamptz",
}


class VerdictRow(NamedTuple):
    """The columns of a verdict, in the order of COLUMNS."""

    battle: int
    pair: int
    prompt: int
    judge: int
    voter: int | None
    criterion: str
    outcome: int
    shown_first: int | None
    confidence: float | None
    repetition: int
    cast_at: str


class Verdicts:
    """No two rows of one import may be the same verdict: the importer sees to that before."""

    def __init__(self, arena: Arena, now: datetime) -> None:
        self.arena = arena
        self.now = moment(now)
        self.added = self.already_there = 0
        self.judges: set[int] = set()  # who got new verdicts
        self.rows = Stage("verdict", COLUMNS)
        self.stage = Stage("numbered_verdict", {"n": "integer", **COLUMNS})
        self.traces = Stage(
            "trace",
            {"n": "integer", "rationale": "text", "completion": "text", "parse": "text",
             "tokens": "integer", "cost": "numeric", "latency_ms": "integer"},
        )  # fmt: skip
        self.retractions = Stage(
            "retraction", {"n": "integer", "reason": "text", "created_at": "timestamptz"}
        )

    def store(
        self,
        rows: list[VerdictRow],
        traces: list[tuple[int, TraceRecord]],
        problem: Callable[[int, DatasetError], None],
        retractions: Sequence[tuple[int, RetractionRecord]] = (),
    ) -> None:
        """Add what isn't there. ``problem(position, error)`` where the arena says otherwise.

        ``traces`` and ``retractions`` are (position in rows, what it is).
        """
        inserted = self.rows.insert(VERDICT, {"arena_id": self.arena.pk}, rows)
        if inserted < len(rows) or traces or retractions:
            self.stage.fill([(n, *row) for n, row in enumerate(rows)])
        self.added += inserted
        if inserted:
            self.judges.update(row.judge for row in rows)
        if inserted < len(rows):
            contradictions = self._contradictions()
            self.already_there += len(rows) - inserted - len(contradictions)
            for n, outcome in contradictions:
                problem(n, _contradiction(Outcome(outcome)))
        if traces:
            self._store_traces(traces)
        if retractions and self._store_retractions(retractions):
            self.judges.update(rows[n].judge for n, _ in retractions)

    def _contradictions(self) -> list[tuple[int, int]]:
        return [
            row
            for same in _same_verdict()
            for row in fetch(
                f"SELECT s.n, v.outcome FROM {self.stage.name} s JOIN {VERDICT} v ON v.id = {same}"  # noqa: S608
                " AND v.outcome <> s.outcome"
            )
        ]

    def _store_traces(self, traces: list[tuple[int, TraceRecord]]) -> None:
        self.traces.fill([_trace_row(n, trace) for n, trace in traces])
        parse = "CAST(t.parse AS jsonb)" if is_postgresql() else "t.parse"
        for same in _same_verdict():
            run(
                f"INSERT INTO {TRACE} (verdict_id, rationale, completion, parse, tokens, cost, latency_ms)"  # noqa: S608
                f" SELECT v.id, t.rationale, t.completion, {parse}, t.tokens, t.cost, t.latency_ms"
                f" FROM {self.traces.name} t JOIN {self.stage.name} s ON s.n = t.n"
                f" JOIN {VERDICT} v ON v.id = {same} AND v.outcome = s.outcome"
                " WHERE true ON CONFLICT DO NOTHING"
            )

    def _store_retractions(self, retractions: Sequence[tuple[int, RetractionRecord]]) -> int:
        """How many there weren't yet."""
        self.retractions.fill([(n, said.reason, moment(said.at)) for n, said in retractions])
        return sum(
            run(
                f"INSERT INTO {RETRACTION} (verdict_id, reason, created_at)"  # noqa: S608
                f" SELECT v.id, t.reason, t.created_at"
                f" FROM {self.retractions.name} t JOIN {self.stage.name} s ON s.n = t.n"
                f" JOIN {VERDICT} v ON v.id = {same} AND v.outcome = s.outcome"
                " WHERE true ORDER BY t.n ON CONFLICT DO NOTHING"
            )
            for same in _same_verdict()
        )


def _same_verdict() -> tuple[str, str]:
    """The id of the verdict that is there, by either of the two unique indexes: with a voter, and without.

    Subqueries, not joins, so that no planner takes another way.
    """
    of_battle = (
        "x.battle_id = s.battle_id AND x.criterion = s.criterion AND x.repetition = s.repetition"
    )
    return tuple(
        f"(SELECT x.id FROM {VERDICT} x WHERE {of_battle} AND {who})"  # noqa: S608
        for who in (
            "x.voter_id = s.voter_id AND x.voter_id IS NOT NULL",
            "x.judge_id = s.judge_id AND x.voter_id IS NULL AND s.voter_id IS NULL",
        )
    )


def _trace_row(n: int, trace: TraceRecord) -> tuple[Any, ...]:
    cost = None if trace.cost is None else round(trace.cost, 6)
    return (
        n,
        trace.rationale,
        trace.completion,
        json.dumps(dict(trace.parse)),
        trace.tokens,
        cost,
        trace.latency_ms,
    )


def _contradiction(outcome: Outcome) -> DatasetError:
    return DatasetError(
        f"this verdict is in the arena already and says otherwise ({outcome.label!r}, where A is the "
        "system that came first into the arena). Verdicts are never changed: retract that one, or give "
        "this one its own repetition.",
        column="winner",
    )
