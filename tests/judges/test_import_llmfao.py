import os
from collections import Counter
from pathlib import Path

import pytest

from arena.models import Arena, Output, System
from judges.archive.scope import whole
from judges.archive.writing import digest_of, write_archive
from judges.importing import import_dataset
from judges.models import GoldItem, Judge, Outcome, Verdict
from ratings.cells import count
from ratings.slices import Slice
from tests.judges.datasets import added, already_there, load, verdicts, write_csv, write_jsonl

DATA = os.environ.get("JURYBOX_DATA")
needs_data = pytest.mark.skipif(
    not DATA or not (Path(DATA) / "llmfao").is_dir(), reason="JURYBOX_DATA names no folder of data"
)
LLMFAO = {
    "systems": 70, "prompts": 19, "outputs": 1_133, "battles": 3_236, "judges": 3, "voters": 124,
    "verdicts": 15_403, "gold items": 7,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Three systems, one prompt; y before x on the left in one row."""
    (tmp_path / "crowd-instruction.md").write_text("# Which is better?\n")
    write_jsonl(
        tmp_path / "models.jsonl",
        [
            {"id": 1, "name": "Ada", "org": "OpenAI"},
            {"id": 2, "name": "Basil", "org": "A tuner"},
            {"id": 3, "name": "Cleo", "org": None},
        ],
    )
    write_jsonl(
        tmp_path / "prompts.jsonl",
        [{"id": 8, "text": "A haiku.", "type": "poems", "slug": "haiku", "note": "Short."}],
    )
    write_jsonl(
        tmp_path / "results.jsonl",
        [
            {"id": n, "model": n, "prompt": 8, "result": f"Answer {n}", "duration": 1234.4}
            for n in (1, 2, 3)
        ],
    )
    row = {"id": 0, "prompt": 8, "model_x": 1, "model_y": 2, "winner": "left", "left": "Ada",
           "right": "Basil"}  # fmt: skip
    turned = {**row, "model_x": 3, "model_y": 1, "winner": "right"}
    turned |= {"left": "Cleo", "right": "Ada"}
    crowd = [{**row, "worker": 5}, {**row, "worker": 6, "winner": "tie"}, {**turned, "worker": 5}]
    write_csv(tmp_path / "crowd-comparisons.csv", crowd)
    for name in ("gpt3", "gpt4"):
        write_csv(tmp_path / f"{name}-comparisons.csv", [row, turned])
        write_csv(tmp_path / f"{name}-crowd-comparisons.csv", [{**row, "id": 9}])
    write_jsonl(
        tmp_path / "pairs-crowd-training.jsonl",
        [{"id": -1, "text": "2+2?", "result_x": "4", "result_y": "5", "golden": "left",
          "reason": "It is 4."}],
    )  # fmt: skip
    return tmp_path


@needs_data
def test_the_real_llmfao_comes_in_whole_and_twice_is_once(db):
    first = load(Path(DATA) / "llmfao", "llmfao", "llmfao")
    assert added(first) == LLMFAO
    votes = Verdict.objects.filter(judge__kind=Judge.Kind.CROWD)
    assert votes.count() == 8_931
    assert votes.values("battle").distinct().count() == 2_139
    assert votes.values("prompt").distinct().count() == 13
    for name in ("GPT-3.5", "GPT-4"):
        assert Verdict.objects.filter(judge__name=name).count() == 3_236
    again = load(Path(DATA) / "llmfao", "llmfao", "llmfao")
    assert added(again) == {}
    assert already_there(again) == LLMFAO


def test_winner_speaks_of_left_and_right(db, folder):
    load(folder, "llmfao", "small")
    by_judge = Counter((key[0], key[1], key[3], key[5]) for key in verdicts("small"))
    assert by_judge["Ada", "Basil", "GPT-4", "A"] == 1
    assert by_judge["Ada", "Cleo", "GPT-4", "A"] == 1  # Cleo on the left, Ada won on the right
    assert by_judge["Ada", "Basil", "People", "TIE"] == 1


def test_the_left_one_was_shown_first(db, folder):
    load(folder, "llmfao", "small")
    first = {(key[0], key[1], key[4]): key[8] for key in verdicts("small") if key[3] == "People"}
    assert first["Ada", "Basil", "worker-5"] == 0
    assert first["Ada", "Cleo", "worker-5"] == 1


def test_left_and_right_that_lie_the_other_way_than_x_and_y_are_understood(db, folder):
    row = {"id": 0, "prompt": 8, "model_x": 1, "model_y": 2, "winner": "left", "left": "Basil",
           "right": "Ada"}  # fmt: skip
    write_csv(folder / "gpt3-comparisons.csv", [row])
    load(folder, "llmfao", "small")
    assert Verdict.objects.get(judge__name="GPT-3.5").outcome == Outcome.B


def test_the_repeated_files_of_the_llms_are_not_counted_twice(db, folder):
    load(folder, "llmfao", "small")
    assert Verdict.objects.filter(judge__name="GPT-4").count() == 2


def test_the_source_describes_arena_systems_prompts_outputs_and_gold(db, folder):
    load(folder, "llmfao", "small")
    arena = Arena.objects.get(slug="small")
    assert (arena.licence, arena.guidelines) == ("CC BY 4.0", "# Which is better?")
    families = dict(System.objects.values_list("name", "family"))
    assert families == {"Ada": "OpenAI", "Basil": "", "Cleo": ""}
    prompt = arena.prompts.get()
    assert (prompt.source_id, prompt.title, prompt.reference) == ("8", "haiku", "Short.")
    assert [category.name for category in prompt.categories.all()] == ["poems"]
    assert set(Output.objects.values_list("latency_ms", flat=True)) == {1234}
    assert GoldItem.objects.get().expected == Outcome.A
    judge = Judge.objects.get(name="GPT-4")
    assert (judge.kind, judge.family, judge.slug) == ("llm", "OpenAI", "gpt-4")
    assert Judge.objects.get(name="People").slug == "people"


def test_an_arena_that_says_something_of_itself_keeps_it(db, folder):
    Arena.objects.create(slug="small", name="Small", guidelines="Ours.")
    load(folder, "llmfao", "small")
    assert Arena.objects.get(slug="small").guidelines == "Ours."


def test_only_the_judges_that_were_asked_for_come_in(db, folder):
    report = load(folder, "llmfao", "small", judges=["GPT-4"])
    assert set(Verdict.objects.values_list("judge__name", flat=True)) == {"GPT-4"}
    assert report.left_out == 5


@needs_data
@pytest.mark.django_db
def test_it_comes_back_from_an_archive_as_the_same_arena(tmp_path):
    load(Path(DATA) / "llmfao", "llmfao", "llmfao")
    arena = Arena.objects.get(slug="llmfao")
    path = tmp_path / "llmfao.zip"
    write_archive(whole(arena), path)
    import_dataset(format="jurybox", path=path, arena="copy")
    copy = Arena.objects.get(slug="copy")
    assert digest_of(whole(copy)) == digest_of(whole(arena))
    for slug in ("people", *arena.judges.values_list("slug", flat=True)):
        digests = {count(arena=one, slice=Slice(judge=slug)).digest() for one in (arena, copy)}
        assert len(digests) == 1, slug
