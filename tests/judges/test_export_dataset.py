import csv
import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from arena.models import Arena, Category, Prompt
from judges.exporting import export_dataset
from judges.formats.errors import DatasetError
from judges.importing import import_dataset
from judges.models import Outcome, Retraction, Verdict
from tests import cast
from tests.judges.datasets import added, load, verdicts, write_csv

pytestmark = pytest.mark.django_db
ENDINGS = ["csv", "jsonl", "parquet", "csv.gz", "jsonl.gz"]


@pytest.fixture
def arena(small_arena):
    """The small arena with all that is awkward: lists, quotes, criteria, repeats, battles without outputs."""
    Prompt.objects.update(language="en")
    prompt = cast.make_prompt(
        small_arena, '[{"role": "user"}] isn\'t JSON,\r\n"quoted"', source_id="q,1"
    )
    prompt.categories.add(
        *(Category.objects.create(arena=small_arena, slug=s, name=s) for s in ("a-1", "b_2", "[c"))
    )
    chat = Prompt.objects.create(
        arena=small_arena,
        messages=[
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hi\n\n  there "},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "é 漢 🙂"},
        ],
    )
    one, other = (cast.make_system(small_arena, "Zoe", version=v, slug=f"zoe-{v}") for v in "21")
    people = small_arena.judges.get(slug="people")
    llm = small_arena.judges.get(slug="judge-llm")
    alice = people.voters.get(handle="alice")
    when = datetime(2024, 2, 29, 23, 59, 59, 123457, tzinfo=UTC)
    for p in (prompt, chat):
        battle = cast.make_battle(one, other, p)
        cast.make_verdict(battle, people, Outcome.BOTH_BAD, alice, cast_at=when)
        cast.make_verdict(battle, people, Outcome.B, alice, criterion="accuracy", shown_first=1)
        cast.make_verdict(battle, people, Outcome.A, repetition=2**62 + 1)
        cast.make_verdict(battle, llm, Outcome.A, confidence=0.1 + 0.2, shown_first=0)
        cast.make_verdict(battle, llm, Outcome.B, repetition=1)
    simulated = cast.make_judge(small_arena, "Simulated LLM", "llm", is_simulated=True, version=2)
    cast.make_verdict(battle, simulated, Outcome.TIE)
    return small_arena


@pytest.fixture
def without_outputs(arena, tmp_path):
    rows = [
        {"model_a": "Zoe", "model_b": "Ada", "winner": "model_a", "question_id": q, "prompt": text}
        for q, text in [("", ""), ("", ""), ("q9", ""), ("q9", "{ Why?"), ("", "Plain")]
    ]
    load(write_csv(tmp_path / "bare.csv", rows), arena=arena.slug)
    return arena


@pytest.mark.parametrize("ending", ENDINGS)
def test_import_of_export_is_the_same_arena_and_exports_the_same(without_outputs, tmp_path, ending):
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    arena = without_outputs
    first, second = tmp_path / f"first.{ending}", tmp_path / f"second.{ending}"
    n = export_dataset(arena=arena, path=first)
    assert n == Verdict.objects.filter(arena=arena).count() == 6 * 6 * 3 + 11 + 5
    import_dataset(format="lmarena", path=first, arena="copy")
    assert verdicts("copy") == verdicts(arena)
    export_dataset(arena=Arena.objects.get(slug="copy"), path=second)
    assert first.read_bytes() == second.read_bytes()
    copy = Arena.objects.get(slug="copy")
    assert copy.battles.count() == arena.battles.count()
    assert copy.outputs.count() == arena.outputs.count()
    assert copy.judges.get(name="Simulated LLM").is_simulated


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_import_into_the_same_arena_adds_nothing(without_outputs, tmp_path, ending):
    path = tmp_path / f"all.{ending}"
    export_dataset(arena=without_outputs, path=path)
    report = import_dataset(format="lmarena", path=path, arena=without_outputs.slug)
    assert added(report) == {}
    assert report.nouns["verdicts"].already_there == Verdict.objects.count()


def test_what_was_taken_back_is_not_exported(small_arena, tmp_path):
    before = Verdict.objects.count()
    Retraction.objects.create(verdict=Verdict.objects.first())
    assert export_dataset(arena=small_arena, path=tmp_path / "all.csv") == before - 1


def test_the_columns_are_lmarenas(small_arena, tmp_path):
    path = tmp_path / "all.csv"
    export_dataset(arena=small_arena, path=path)
    with path.open(newline="") as f:
        row = next(csv.DictReader(f))
    assert (row["model_a"], row["model_b"], row["winner"]) == ("Ada", "Basil", "model_a")
    assert (row["judge"], row["judge_kind"], row["voter"]) == ("People", "crowd", "alice")
    assert json.loads(row["conversation_a"])[-1] == {
        "role": "assistant",
        "content": "Ada answers.",
    }
    assert float(row["tstamp"]) > 1.7e9


def test_the_file_appears_only_when_it_is_whole(small_arena, tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("the power went out")

    monkeypatch.setattr("judges.exporting._row", fail)
    with pytest.raises(RuntimeError):
        export_dataset(arena=small_arena, path=tmp_path / "all.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_written_over(small_arena, tmp_path):
    path = tmp_path / "all.csv"
    path.write_text("precious")
    with pytest.raises(DatasetError, match="is there already"):
        export_dataset(arena=small_arena, path=path)
    assert path.read_text() == "precious"


def test_an_unknown_ending_and_an_unknown_arena_are_named(small_arena, tmp_path):
    with pytest.raises(CommandError, match=r"must end with one of \.csv"):
        call_command("export_dataset", str(tmp_path / "all.xlsx"), "--arena=poems")
    with pytest.raises(CommandError, match="no arena 'prose': there are poems"):
        call_command("export_dataset", str(tmp_path / "all.csv"), "--arena=prose")


def test_a_folder_that_is_not_there_is_named(small_arena, tmp_path):
    with pytest.raises(DatasetError, match="can't be written"):
        export_dataset(arena=small_arena, path=tmp_path / "no" / "all.csv")


def test_the_number_of_queries_does_not_grow_with_the_rows(
    small_arena, tmp_path, django_assert_max_num_queries
):
    with django_assert_max_num_queries(5):
        export_dataset(arena=small_arena, path=tmp_path / "all.csv")
