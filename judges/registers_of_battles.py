"""Outputs and battles of an arena, for one import: what is there, what is added, what contradicts."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from arena.models import Arena, Battle, Output
from judges.bulk import Forgetful, IdSet, Stage, fetch, last_id, moment, next_ids, run, timestamp
from judges.formats.errors import DatasetError
from judges.formats.records import OutputRecord
from judges.registers import Counts, Register

OUTPUT = Output._meta.db_table
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
             "latency_ms": "integer"},
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
            (*key, text, record and record.tokens, record and record.latency_ms)
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
                " ON o.system_id = s.system_id AND o.prompt_id = s.prompt_id"
            )
            for system, prompt, number, other_text in found:
                self.met.add(number)
                if other_text is not None:
                    hashes[system, prompt] = hash(other_text)
        return hashes


class Battles(Register):
    """With outputs: (pair, prompt, None, a, b) to ids. Without: (pair, prompt, source key, a, b).

    A battle that isn't in the answer has no outputs in the arena, although its source said so.
    """

    table = Battle._meta.db_table
    remembers = 200_000

    def __init__(self, arena: Arena, now: datetime) -> None:
        super().__init__(arena, now)
        columns = {"pair_id": "bigint", "prompt_id": "bigint", "source_key": "bigint",
                   "system_a_id": "bigint", "system_b_id": "bigint"}  # fmt: skip
        self.stage = Stage("battle", columns)
        self.own = Stage("own_battle", {"id": "bigint", **columns})

    def ids(self, wanted: Mapping[tuple[Any, ...], Any]) -> dict[Any, int]:
        known = self.known
        result = {key: known[key] for key in wanted if key in known}
        missing = [key for key in wanted if key not in result]
        if not missing:
            return result
        found: dict[Any, int] = {}
        if with_outputs := [key for key in missing if key[2] is None]:
            self.stage.fill(with_outputs)
            self.added += self._add_with_outputs()
            found |= self._find_with_outputs()
            known.remember(found)
        if without := [key for key in missing if key[2] is not None]:
            found |= self._add_without_outputs(without)  # not remembered: one rarely comes twice
        for number in found.values():
            self.met.add(number)
        return result | found

    def _add_with_outputs(self) -> int:
        return run(
            f"INSERT INTO {self.table} (arena_id, pair_id, prompt_id, system_a_id, system_b_id,"  # noqa: S608
            " output_a_id, output_b_id, created_at)"
            f" SELECT %s, s.pair_id, s.prompt_id, s.system_a_id, s.system_b_id, oa.id, ob.id,"
            f" {timestamp()} FROM {self.stage.name} s"
            f" JOIN {OUTPUT} oa ON oa.system_id = s.system_a_id AND oa.prompt_id = s.prompt_id"
            f" JOIN {OUTPUT} ob ON ob.system_id = s.system_b_id AND ob.prompt_id = s.prompt_id"
            " WHERE s.source_key IS NULL ON CONFLICT DO NOTHING",
            [self.arena.pk, moment(self.now)],
        )

    def _find_with_outputs(self) -> dict[Any, int]:
        rows = fetch(
            "SELECT s.pair_id, s.prompt_id, s.system_a_id, s.system_b_id, b.id"  # noqa: S608
            f" FROM {self.stage.name} s"
            f" JOIN {OUTPUT} oa ON oa.system_id = s.system_a_id AND oa.prompt_id = s.prompt_id"
            f" JOIN {OUTPUT} ob ON ob.system_id = s.system_b_id AND ob.prompt_id = s.prompt_id"
            f" JOIN {self.table} b ON b.output_a_id = oa.id AND b.output_b_id = ob.id"
            " WHERE s.source_key IS NULL AND b.output_a_id IS NOT NULL"
        )
        return {(pair, prompt, None, a, b): number for pair, prompt, a, b, number in rows}

    def _add_without_outputs(self, keys: list[tuple[Any, ...]]) -> dict[Any, int]:
        numbers = next_ids(self.table, len(keys))
        rows = [(number, *key) for number, key in zip(numbers, keys, strict=True)]
        constants = {"arena_id": self.arena.pk, "created_at": moment(self.now)}
        inserted = self.own.insert(self.table, constants, rows)
        self.added += inserted
        if inserted == len(keys):
            return dict(zip(keys, numbers, strict=True))
        self.stage.fill(keys)
        return self._find_without_outputs()

    def _find_without_outputs(self) -> dict[Any, int]:
        rows = fetch(
            "SELECT s.pair_id, s.prompt_id, s.source_key, s.system_a_id, s.system_b_id, b.id"  # noqa: S608
            f" FROM {self.stage.name} s JOIN {self.table} b"
            " ON b.pair_id = s.pair_id AND b.source_key = s.source_key"
            " WHERE b.source_key IS NOT NULL AND b.prompt_id = s.prompt_id"
        )
        return {row[:5]: row[5] for row in rows}


def _contradiction() -> DatasetError:
    return DatasetError(
        "the system already has another answer to this prompt. If the source names its prompts or "
        "conversations, give that name in a column question_id; else this row can't be told from the "
        "earlier one."
    )
