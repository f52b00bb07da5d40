import gzip
import json

import pytest

from arena.models import Arena, Battle, Output, Prompt
from judges.formats.errors import DatasetError
from judges.formats.interface import Options
from judges.formats.records import JudgeRecord
from judges.models import Judge, Verdict, Voter
from judges.signals import verdicts_changed
from tests.judges.datasets import (
    BATTLES,
    added,
    already_there,
    load,
    outcomes,
    verdicts,
    write_csv,
    write_jsonl,
)

pytestmark = pytest.mark.django_db


def chat(*texts):
    return [
        {"role": role, "content": text}
        for role, text in zip(["user", "assistant"] * 9, texts, strict=False)
    ]


def with_chats(a, b, **more):
    return {"model_a": "Ada", "model_b": "Basil", "winner": "model_a", "conversation_a": a,
            "conversation_b": b, **more}  # fmt: skip


EXPECTED = [("Ada", "Basil", "A"), ("Ada", "Basil", "TIE"), ("Ada", "Cleo", "BOTH_BAD")]


@pytest.mark.parametrize(
    "ending", ["csv", "jsonl", "json", "parquet", "csv.gz", "jsonl.gz", "json.gz"]
)
def test_every_kind_of_file_says_the_same(tmp_path, ending):
    path = tmp_path / f"votes.{ending}"
    plain = tmp_path / f"votes.{ending.removesuffix('.gz')}"
    if "csv" in ending:
        write_csv(plain, BATTLES)
    elif "jsonl" in ending:
        write_jsonl(plain, BATTLES)
    elif "parquet" in ending:
        pyarrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(BATTLES), plain)
    else:
        plain.write_text(json.dumps(BATTLES))
    if ending.endswith(".gz"):
        path.write_bytes(gzip.compress(plain.read_bytes()))
    report = load(path)
    assert outcomes("battles") == EXPECTED
    assert added(report) == {
        "systems": 3, "prompts": 1, "battles": 3, "judges": 1, "voters": 2, "verdicts": 3,
    }  # fmt: skip


def test_a_second_import_adds_nothing(tmp_path):
    path = write_csv(tmp_path / "votes.csv", BATTLES)
    first = load(path)
    again = load(path)
    assert added(again) == {}
    assert already_there(again) == added(first)


def test_the_one_hot_columns_of_the_55k_set_are_understood(tmp_path):
    rows = [
        {"id": n, "model_a": "Ada", "model_b": "Basil", "prompt": '["Hi","And?"]',
         "response_a": '["A1",null]', "response_b": '["B1","B2"]', "winner_model_a": a,
         "winner_model_b": b, "winner_tie": tie}
        for n, (a, b, tie) in enumerate([(1, 0, 0), (0, 1, 0), (0, 0, 1)])
    ]  # fmt: skip
    load(write_csv(tmp_path / "train.csv", rows))
    assert outcomes("battles") == [("Ada", "Basil", outcome) for outcome in ("A", "B", "TIE")]
    prompt = Prompt.objects.get(source_id="0")
    assert prompt.messages == [
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "And?"},
    ]
    answers = set(Output.objects.filter(prompt=prompt).values_list("text", flat=True))
    assert answers == {"[Answer 1]\nA1\n\n[Answer 2]\n", "[Answer 1]\nB1\n\n[Answer 2]\nB2"}


def test_chats_become_a_prompt_and_two_outputs(tmp_path):
    row = with_chats(chat("Hi", "Hello"), chat("Hi", "Good day"), question_id="q1")
    load(write_jsonl(tmp_path / "votes.jsonl", [row]))
    prompt = Prompt.objects.get()
    assert (prompt.source_id, prompt.messages) == ("q1", chat("Hi"))
    assert dict(Output.objects.values_list("system__name", "text")) == {
        "Ada": "Hello",
        "Basil": "Good day",
    }


def test_a_shared_history_is_part_of_the_prompt(tmp_path):
    row = with_chats(chat("Hi", "Hello", "More", "A"), chat("Hi", "Hello", "More", "B"))
    load(write_jsonl(tmp_path / "votes.jsonl", [row]))
    assert Prompt.objects.get().messages == chat("Hi", "Hello", "More")


def test_histories_that_differ_belong_to_the_answers(tmp_path):
    row = with_chats(chat("Hi", "A1", "More", "A2"), chat("Hi", "B1", "More", "B2"))
    load(write_jsonl(tmp_path / "votes.jsonl", [row]))
    assert Prompt.objects.get().messages == [
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": "More"},
    ]
    assert Output.objects.get(system__name="Basil").text == "[Answer 1]\nB1\n\n[Answer 2]\nB2"


def test_sides_that_were_asked_different_things_are_refused(tmp_path):
    row = with_chats(chat("Hi", "A"), chat("Ho", "B"))
    with pytest.raises(DatasetError, match="line 1, column conversation_b: the user's messages"):
        load(write_jsonl(tmp_path / "votes.jsonl", [row]))


def test_a_turn_cuts_the_chat_there(tmp_path):
    chats = chat("Q1", "A1", "Q2", "A2"), chat("Q1", "B1", "Q2", "B2")
    rows = [
        with_chats(*chats, question_id=81, turn=turn, judge=judge)
        for turn in (1, 2)
        for judge in ("expert_0", "author_2", "gpt4_pair")
    ]
    load(write_jsonl(tmp_path / "human.jsonl", rows))
    assert Prompt.objects.filter(source_id="81").count() == 2
    assert Battle.objects.count() == 2
    assert Output.objects.filter(text="B1").count() == 1
    assert sorted(Voter.objects.values_list("handle", flat=True)) == ["author_2", "expert_0"]
    assert Judge.objects.get(name="gpt4_pair").kind == Judge.Kind.LLM


def test_content_in_parts_is_joined(tmp_path):
    parts = [{"type": "text", "text": "Look:"}, {"type": "image", "image": "data:…"}]
    sides = [
        [{"role": "user", "content": parts}, {"role": "assistant", "content": s}] for s in "AB"
    ]
    load(write_jsonl(tmp_path / "votes.jsonl", [with_chats(*sides)]))
    assert Prompt.objects.get().messages == chat("Look:\n\n[image]")


def test_two_different_answers_of_one_system_to_one_prompt_are_an_error(tmp_path):
    rows = [
        with_chats(chat("Hi", "Hello"), chat("Hi", "Good day"), question_id="q", judge="arena_user_1"),
        with_chats(chat("Hi", "Hello"), chat("Hi", "Bye"), question_id="q", judge="arena_user_2"),
    ]  # fmt: skip
    path = write_jsonl(tmp_path / "votes.jsonl", rows)
    with pytest.raises(DatasetError, match=r"votes.jsonl, line 2: .*another answer.*question_id"):
        load(path)
    assert not Arena.objects.exists()


def test_an_answer_that_differs_from_the_one_in_the_arena_is_an_error(tmp_path):
    one, other = (
        write_jsonl(
            tmp_path / f"{name}.jsonl",
            [
                with_chats(
                    chat("Hi", name), chat("Hi", "B"), question_id="q", judge=f"expert_{name}"
                )
            ],
        )
        for name in ("one", "other")
    )
    load(one)
    with pytest.raises(DatasetError, match=r"other.jsonl, line 1: .*another answer"):
        load(other)


def test_rows_without_a_voter_all_count_once(tmp_path):
    row = {"model_a": "Ada", "model_b": "Basil", "winner": "model_a"}
    path = write_csv(tmp_path / "votes.csv", [row, row, row])
    assert added(load(path))["verdicts"] == 3
    assert added(load(path)) == {}
    grown = write_csv(path, [row] * 5)
    assert added(load(grown)) == {"battles": 2, "verdicts": 2}


def test_two_files_with_equal_rows_both_count(tmp_path):
    row = {"model_a": "Ada", "model_b": "Basil", "winner": "model_a"}
    load(write_csv(tmp_path / "january.csv", [row]))
    assert added(load(write_csv(tmp_path / "february.csv", [row])))["verdicts"] == 1


def test_a_named_source_is_the_same_in_any_file(tmp_path):
    row = {"model_a": "Ada", "model_b": "Basil", "winner": "model_a"}
    load(write_csv(tmp_path / "votes.csv", [row]), source="survey")
    assert added(load(write_csv(tmp_path / "renamed.csv", [row]), source="survey")) == {}


def test_rows_with_an_id_are_the_same_in_any_file(tmp_path):
    row = {"model_a": "Ada", "model_b": "Basil", "winner": "model_a", "id": "v1"}
    load(write_csv(tmp_path / "votes.csv", [row]))
    assert added(load(write_csv(tmp_path / "renamed.csv", [row]))) == {}


def test_judges_of_a_named_prompt_meet_on_one_battle(tmp_path):
    rows = [
        {"question_id": "q1", "model_a": "Ada", "model_b": "Basil", "winner": "tie", "judge": judge}
        for judge in ("gpt-4", "claude-3", "arena_user_1", "arena_user_2")
    ]
    load(write_csv(tmp_path / "votes.csv", rows))
    assert Battle.objects.count() == 1
    assert Verdict.objects.count() == 4


def test_a_prompt_without_outputs_is_still_published(tmp_path):
    row = {"model_a": "Ada", "model_b": "Basil", "winner": "tie", "prompt": "Why?", "language": "en",
           "category": '["math", "logic"]'}  # fmt: skip
    load(write_csv(tmp_path / "votes.csv", [row]))
    prompt = Prompt.objects.get()
    assert (prompt.text, prompt.language) == ("Why?", "en")
    assert [category.name for category in prompt.categories.all()] == ["logic", "math"]
    assert not Output.objects.exists()


def test_lmarenas_tags_become_categories(tmp_path):
    names = ["complexity", "creativity", "domain_knowledge", "problem_solving", "real_world",
             "specificity", "technical_accuracy"]  # fmt: skip
    tags = {
        "criteria_v0.1": {name: name != "creativity" for name in names},
        "if_v0.1": {"if": True, "score": 4},
        "math_v0.1": {"math": False},
        "creative_writing_v0.1": {"creative_writing": True, "score": "yes"},
    }
    row = {**BATTLES[0], "prompt": "Why?", "category_tag": tags, "is_code": True}
    load(write_jsonl(tmp_path / "votes.jsonl", [row]))
    assert [category.name for category in Prompt.objects.get().categories.all()] == [
        "code",
        "creative writing",
        "hard prompts",
        "instruction following",
    ]


def test_a_second_verdict_of_a_judge_needs_a_repetition(tmp_path):
    row = {
        "question_id": "q",
        "model_a": "Ada",
        "model_b": "Basil",
        "winner": "tie",
        "judge": "gpt-4",
    }
    path = tmp_path / "votes.csv"
    with pytest.raises(DatasetError, match=r"line 3: a verdict of gpt-4 .*came before.*repetition"):
        load(write_csv(path, [row, {**row, "winner": "model_a"}]))
    load(write_csv(path, [{**row, "repetition": n} for n in (0, 1)]))
    assert sorted(Verdict.objects.values_list("repetition", flat=True)) == [0, 1]


def test_a_verdict_that_says_otherwise_than_the_one_in_the_arena_is_an_error(tmp_path):
    row = {
        "question_id": "q",
        "model_a": "Ada",
        "model_b": "Basil",
        "winner": "tie",
        "judge": "gpt-4",
    }
    load(write_csv(tmp_path / "votes.csv", [row]))
    changed = write_csv(tmp_path / "changed.csv", [{**row, "winner": "model_a"}])
    with pytest.raises(DatasetError, match=r"changed.csv, line 2, column winner: .*says otherwise"):
        load(changed)


def test_an_id_that_comes_twice_is_an_error(tmp_path):
    rows = [{**BATTLES[0], "id": 7}, {**BATTLES[2], "id": 7}]
    with pytest.raises(DatasetError, match="line 3, column id: the id '7' came before"):
        load(write_csv(tmp_path / "votes.csv", rows))


def test_times_are_read_as_seconds_or_iso_dates(tmp_path):
    times = ["1700000000.25", "2024-05-06T07:08:09+02:00", "2024-05-06 07:08:09"]
    rows = [{**BATTLES[0], "tstamp": time, "judge": f"arena_user_{time}"} for time in times]
    load(write_csv(tmp_path / "votes.csv", rows))
    read = Verdict.objects.order_by("cast_at").values_list("cast_at", flat=True)
    assert [str(moment) for moment in read] == [
        "2023-11-14 22:13:20.250000+00:00",
        "2024-05-06 05:08:09+00:00",
        "2024-05-06 07:08:09+00:00",
    ]


def test_an_address_is_stored_as_a_pseudonym(tmp_path):
    names = ["arena_user_203.0.113.7", "arena_user_eve@example.org"]
    rows = [{**BATTLES[0], "judge": name} for name in names]
    path = write_csv(tmp_path / "votes.csv", rows)
    load(path)
    handles = list(Voter.objects.values_list("handle", flat=True))
    assert len(handles) == 2
    assert not any("203" in handle or "eve" in handle for handle in handles)
    assert added(load(path)) == {}


def test_a_judge_may_be_named_for_rows_that_name_none(tmp_path):
    row = {"question_id": "q", "model_a": "Ada", "model_b": "Basil", "winner": "tie"}
    judge = JudgeRecord(name="Panel", kind=Judge.Kind.PROGRAM)
    load(write_csv(tmp_path / "votes.csv", [row]), options=Options(default_judge=judge))
    assert Verdict.objects.get().judge.name == "Panel"


def test_a_judge_of_another_kind_is_not_mixed_up(tmp_path):
    rows = [{**BATTLES[0], "judge": "Panel", "judge_kind": kind} for kind in ("llm", "program")]
    load(write_csv(tmp_path / "one.csv", rows[:1]))
    with pytest.raises(
        DatasetError, match="column judge: the judge 'Panel' is 'llm' in this arena"
    ):
        load(write_csv(tmp_path / "other.csv", rows[1:]))


def test_criteria_become_the_arenas(tmp_path):
    rows = [{**BATTLES[0], "criterion": name} for name in ("style", "", "accuracy", "style ")]
    rows[3]["judge"] = "arena_user_9"
    load(write_csv(tmp_path / "votes.csv", rows))
    assert Arena.objects.get().criteria == ["accuracy", "style"]
    assert Verdict.objects.filter(criterion="style").count() == 2


def test_others_hear_of_new_verdicts_after_the_commit(tmp_path, django_capture_on_commit_callbacks):
    heard = []
    path = write_csv(tmp_path / "votes.csv", BATTLES)

    def listen(sender, arena_id, judge_ids, **kwargs):
        heard.append((arena_id, judge_ids))

    verdicts_changed.connect(listen)
    try:
        for _ in range(2):  # the second adds nothing, and says nothing
            with django_capture_on_commit_callbacks(execute=True):
                load(path)
    finally:
        verdicts_changed.disconnect(listen)
    assert heard == [(Arena.objects.get().pk, frozenset([Judge.objects.get().pk]))]


def test_more_rows_than_a_chunk_come_in_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("judges.importer.FIRST_CHUNK_RECORDS", 3)
    monkeypatch.setattr("judges.importer.CHUNK_RECORDS", 7)
    names = [f"System {n}" for n in range(9)]
    rows = [
        {"model_a": a, "model_b": b, "winner": "model_a", "judge": f"arena_user_{n}"}
        for n in range(3)
        for a in names
        for b in names
        if a != b
    ]
    report = load(write_csv(tmp_path / "votes.csv", rows))
    assert added(report)["verdicts"] == len(rows) == 216
    assert sum(verdicts("battles").values()) == 216
    assert added(report)["systems"] == 9
    assert Arena.objects.get().pairs.count() == 36
