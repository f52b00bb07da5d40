"""The first import makes indexes and foreign keys at its end, and leaves the tables as they were."""

import pytest

from judges.bulk import fetch, is_postgresql
from judges.formats.errors import DatasetError
from judges.upkeep import upkeep_at_the_end
from tests.judges.datasets import BATTLES, added, already_there, load, verdicts, write_csv

pytestmark = pytest.mark.django_db


def constraints():
    if is_postgresql():
        return set(
            fetch(
                "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
            )
            + fetch("SELECT conrelid, conname, pg_get_constraintdef(oid) FROM pg_constraint")
        )
    return set(fetch("SELECT tbl_name, name, sql FROM sqlite_master"))


def names():
    return {name for _, name, _ in constraints()}


def test_tables_have_the_same_indexes_and_keys_after_the_first_import(tmp_path):
    before = constraints()
    load(write_csv(tmp_path / "battles.csv", BATTLES))
    assert constraints() == before


def test_indexes_are_away_while_the_first_rows_come():
    before = constraints()
    assert "verdict_cells" in names()
    with upkeep_at_the_end():
        assert before - constraints()
        assert "verdict_cells" not in names()
    assert constraints() == before


def test_a_failed_import_leaves_them_too(tmp_path):
    before = constraints()
    bad = write_csv(tmp_path / "battles.csv", [*BATTLES, {**BATTLES[0], "winner": "nobody"}])
    with pytest.raises(DatasetError, match="line 5"):
        load(bad)
    assert constraints() == before


def test_a_later_import_keeps_them_all_the_time(tmp_path):
    load(write_csv(tmp_path / "battles.csv", BATTLES))
    before = constraints()
    with upkeep_at_the_end():
        assert constraints() == before


def test_rows_that_are_there_already_are_left_out_of_a_chunk_with_new_ones(tmp_path):
    load(write_csv(tmp_path / "first.csv", BATTLES), source="votes")
    more = [*BATTLES, {**BATTLES[0], "judge": "arena_user_3"}]
    report = load(write_csv(tmp_path / "second.csv", more), source="votes")
    assert added(report)["verdicts"] == 1
    assert already_there(report)["verdicts"] == 3
    assert sum(verdicts("battles").values()) == 4
    assert fetch("SELECT COUNT(*) FROM judges_verdict") == [(4,)]
