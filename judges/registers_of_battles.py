"""Outputs and battles of an arena, for one import: what is there, what is added, what contradicts."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from arena.models import Arena, Battle, Output
from judges.bulk import Forgetful, IdSet, Stage, fetch, last_id, moment, next_ids
from judges.formats.errors import DatasetError
from judges.formats.records import OutputRecord
from judges.registers import Counts, Register

# Pair, prompt, source key or None, lower and higher system: ids all.
Key = tuple[int, int, int | None, int, int]
Problem = Callable[[int, DatasetError], None]  # (position of the answer, what is wrong with it)


class Outputs:
    """Answers by (system id, prompt id). Two different answers of one system to one prompt are a problem."""

    table = Output._meta.db_table
    remembers = 150_000

    def __init__(self, arena: Arena, now: datetime) -> None:
        self.arena, self.now = arena, now
        self.known = Forgetful(self.remembers)  # to the hash of the text
        self.met = IdSet(last_id(self.table))
        self.added = 0
        self.stage = Stage(
            "output",
            {"system_id": "bigint", "prompt_id": "bigint", "text": "text", "tokens": "integer",
             "latency_ms": "integer", "cost": "numeric"},
        )  # fmt: skip

    @property
    def counts(self) -> Counts:
        return Counts(self.added, self.met.count)

    def store(
        self, wanted: list[tuple[tuple[int, int], str, OutputRecord | None]], problem: Problem
    ) -> None:
        """(key, text, record) in order; ``problem(position in wanted, error)`` for each that contradicts."""
        known = self.known
        new: dict[tuple[int, int], tuple[str, OutputRecord | None]] = {}
        for key, text, record in wanted:
            if key not in known and key not in new:
                new[key] = text, record
        there = self._add(new) if new else {}
        for position, (key, text, _) in enumerate(wanted):
            if hash(text) != (there[key] if key in new else known[key]):
                problem(position, _contradiction())
        known.remember(there)

    def _add(
        self, new: dict[tuple[int, int], tuple[str, OutputRecord | None]]
    ) -> dict[tuple[int, int], int]:
        """Hashes of what is in the arena then: the new text, or the one that was there."""
        rows = [
            (
                *key,
                text,
                record and record.tokens,
                record and record.latency_ms,
                None if record is None or record.cost is None else round(record.cost, 6),
            )
            for key, (text, record) in new.items()
        ]
        constants = {"arena_id": self.arena.pk, "created_at": moment(self.now)}
        inserted = self.stage.insert(self.table, constants, rows)
        self.added += inserted
        hashes = {key: hash(text) for key, (text, _) in new.items()}
        if inserted < len(rows):
            self.stage.fill(rows)
            found = fetch(
                "SELECT s.system_id, s.prompt_id, o.id,"  # noqa: S608
                " CASE WHEN o.text = s.text THEN NULL ELSE o.text END"
                f" FROM {self.stage.name} s JOIN {self.table} o"
                f" ON o.id = {_output_of('s.system_id')}"
            )
            for system, prompt, number, other_text in found:
                self.met.add(number)
                if other_text is not None:
                    hashes[system, prompt] = hash(other_text)
        return hashes


class Battles(Register):
    """Keys to ids; one with outputs has no source key.

    A battle that isn't in the answer has no outputs in the arena, although its source said so.
    """

    table = Battle._meta.db_table
    remembers = 200_000

    def __init__(self, arena: Arena, now: datetime) -> None:
        super().__init__(arena, now)
        self.stage = Stage(
            "battle",
            {"id": "bigint", "pair_id": "bigint", "prompt_id": "bigint", "source_key": "bigint",
             "system_a_id": "bigint", "system_b_id": "bigint", "output_a_id": "bigint",
             "output_b_id": "bigint"},
        )  # fmt: skip

    def ids(self, wanted: Mapping[Key, Any]) -> dict[Key, int]:
        known = self.known
        result = {key: known[key] for key in wanted if key in known}
        missing = [key for key in wanted if key not in result]
        with_outputs = [key for key in missing if key[2] is None]
        without = [key for key in missing if key[2] is not None]
        # Numbered before they are parted, so that ids are in the order in which the battles came.
        numbers = dict(zip(missing, next_ids(self.table, len(missing)), strict=True))
        if with_outputs:
            found = self._add(self._outputs_of(with_outputs), numbers, _BY_OUTPUTS)
            known.remember(found)
            result |= found
        if without:
            # Not remembered: one rarely comes twice.
            rows = [(*key, None, None) for key in without]
            result |= self._add(rows, numbers, _BY_SOURCE_KEY)
        return result

    def _outputs_of(self, keys: list[Key]) -> list[tuple[Any, ...]]:
        """The keys with the ids of both outputs, where both are there."""
        self.stage.fill([(None, *key, None, None) for key in keys])
        rows = fetch(
            "SELECT s.pair_id, s.prompt_id, s.source_key, s.system_a_id, s.system_b_id,"  # noqa: S608
            f" {_output_of('s.system_a_id')}, {_output_of('s.system_b_id')} FROM {self.stage.name} s"
        )
        return [row for row in rows if row[5] is not None and row[6] is not None]

    def _add(
        self, rows: list[tuple[Any, ...]], numbers: Mapping[Key, int], same: str
    ) -> dict[Key, int]:
        """``rows`` are keys with output ids; ``same`` says which battle b is the staged one s."""
        numbered = [(numbers[row[:5]], *row) for row in rows]
        constants = {"arena_id": self.arena.pk, "created_at": moment(self.now)}
        inserted = self.stage.insert(self.table, constants, numbered)
        self.added += inserted
        if inserted == len(rows):
            return {row[:5]: numbers[row[:5]] for row in rows}
        self.stage.fill(numbered)
        there = fetch(
            "SELECT s.pair_id, s.prompt_id, s.source_key, s.system_a_id, s.system_b_id,"  # noqa: S608
            f" (SELECT b.id FROM {self.table} b WHERE {same}) FROM {self.stage.name} s"
        )
        found = {row[:5]: row[5] for row in there if row[5] is not None}
        for number in found.values():
            self.met.add(number)
        return found


# Subqueries, not joins: the staged rows have no statistics, and a planner that guesses wrong reads all
# outputs of the arena for each of them.
_BY_OUTPUTS = (
    "b.output_a_id = s.output_a_id AND b.output_b_id = s.output_b_id AND b.output_a_id IS NOT NULL"
)
_BY_SOURCE_KEY = (
    "b.pair_id = s.pair_id AND b.source_key = s.source_key AND b.source_key IS NOT NULL"
    " AND b.prompt_id = s.prompt_id"
)


def _output_of(system: str) -> str:
    """The id of what the system answered to the staged prompt."""
    return (
        f"(SELECT a.id FROM {Output._meta.db_table} a"  # noqa: S608
        f" WHERE a.system_id = {system} AND a.prompt_id = s.prompt_id)"
    )


def _contradiction() -> DatasetError:
    return DatasetError(
        "the system already has another answer to this prompt. If the source names its prompts or "
        "conversations, give that name in a column question_id; else this row can't be told from the "
        "earlier one."
    )
