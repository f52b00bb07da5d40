import gzip
import json
import sys
from contextlib import suppress

import pytest
from django.core.management import CommandError, call_command

from arena.models import Arena, Output, Prompt
from judges.formats import alpaca_eval, arena_hard, table
from judges.formats.battles import verdict
from judges.formats.errors import DatasetError, Where
from judges.formats.reading import LONGEST_RECORD, Row
from judges.formats.records import JudgeRecord, PromptRecord
from judges.models import Verdict, VerdictTrace
from tests.judges.datasets import BATTLES, added, load, outcomes, write_csv, write_jsonl

pytestmark = pytest.mark.django_db
HEADER = "model_a,model_b,winner,judge\n"
ITEM = json.dumps(BATTLES[0]).encode()
GOOD = "Ada,Basil,tie,arena_user_1\n"


def refused(path, complaint, format="lmarena"):
    """It is a DatasetError that says this, and nothing of the file is in the database."""
    with pytest.raises(DatasetError, match=complaint):
        load(path, format)
    assert not Arena.objects.exists()


def text_file(tmp_path, text, name="votes.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("Ada,Basil,left,x", r"line 3, column winner: 'left' is not one of model_a, model_b, tie"),
        ("Ada,Basil,,x", "line 3, column winner: a winner was expected"),
        ("Ada,Ada,tie,x", "line 3, column model_b: 'Ada' battles itself"),
        (",Ada,tie,x", "line 3, column model_a: the name of a system was expected"),
        ("Ada,Basil,tie", "line 3: 3 cells, where the header has 4"),
        ("Ada,Basil,tie,x,y", "line 3: 5 cells, where the header has 4"),
        (f"{'A' * 201},Basil,tie,x", "line 3, column model_a: .* 201 characters, more than 200"),
        ("Ada\x07,Basil,tie,x", "line 3, column model_a: .*can't be printed"),
        ('"Ada,Basil,tie,x', "line 3: not CSV: .*unclosed quote"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_column(tmp_path, row, complaint):
    refused(text_file(tmp_path, HEADER + GOOD + row + "\n"), f"^votes.csv, {complaint}")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"model_a": ["Ada"]}, "column model_a: the name of a system"),
        ({"shown_first": "left"}, "column shown_first: 'left' is neither model_a nor model_b"),
        ({"confidence": 1.5}, "column confidence: '1.5' is not between 0 and 1"),
        ({"confidence": "nan"}, "column confidence: 'nan' is not between"),
        ({"repetition": -1}, "column repetition: '-1' is not a whole number"),
        ({"repetition": 1.5}, "column repetition: '1.5' is not a whole number"),
        ({"source_key": 2**63}, "column source_key: '9223372036854775808' is not a whole number"),
        ({"tstamp": "yesterday"}, "column tstamp: 'yesterday' is neither seconds"),
        ({"judge": "Bot", "judge_kind": "robot"}, "column judge_kind: 'robot' is not one of"),
        ({"judge": "gpt-4", "voter": "eve"}, "column voter: the judge 'gpt-4' is not a crowd"),
        ({"prompt": {"a": 1}}, "column prompt: text or a list of messages"),
        ({"conversation_a": "{", "conversation_b": "{"}, "column conversation_a: not JSON"),
        (
            {"conversation_a": [1], "conversation_b": [1]},
            "column conversation_a: a list of messages",
        ),
        ({"criterion": "c" * 41}, "column criterion: .*more than 40"),
    ],
)
def test_a_bad_value_is_named(tmp_path, values, complaint):
    path = write_jsonl(tmp_path / "votes.jsonl", [BATTLES[0], BATTLES[1] | values])
    refused(path, f"^votes.jsonl, line 2, {complaint}")


ODD = [
    None, True, 0, -1, 2**70, 1e400, -1e400, float("nan"), "", " ", "x", "[", "[[1]]", "{", '{"a": 1}',
    "\x00", "\ud800", "y" * 500, [], {}, [[]], [{}], [None], [1], {"a": 1}, {"a": {"b": True}},
    [{"role": "user", "content": "Hi"}], [{"role": "assistant", "content": [{"text": 1}]}],
    [{"role": ["user"], "content": {"answer": None}}], '[{"role": "assistant", "content": "Hi"}]',
]  # fmt: skip


@pytest.mark.parametrize("column", [*table.COLUMNS, "prompt, conversation_a, conversation_b"])
def test_an_odd_value_in_any_column_is_taken_or_refused_in_words(column):
    for value in ODD:
        values = BATTLES[0] | dict.fromkeys(column.split(", "), value)
        row = Row(Where("votes.jsonl", 1), values)
        with suppress(DatasetError):  # anything else fails the test
            assert len(verdict(row, default_judge=JudgeRecord()).prompt.digest) == 64


@pytest.mark.parametrize("format", ["alpaca_eval", "arena_hard"])
def test_an_odd_value_in_any_place_of_other_formats_is_refused_in_words(tmp_path, format):
    annotation = {"instruction": "Hi", "output_1": "A", "generator_1": "a", "output_2": "B",
                  "generator_2": "b", "annotator": "gpt-4", "preference": 1.4, "input": "",
                  "dataset": "d", "raw_completion": None, "price_per_example": 0.1,
                  "time_per_example": 1, "output": "O", "generator": "g"}  # fmt: skip
    question = {"uid": "u", "category": "c", "prompt": "P", "turns": [{"content": "P"}]}
    answer = {"uid": "u", "model": "m", "messages": [{"role": "assistant", "content": "A"}],
              "choices": [{"turns": [{"content": "A"}]}], "metadata": {"token_len": 1}}  # fmt: skip
    judgment = {"uid": "u", "model": "m", "baseline": "n", "games": [{"score": "A>B"}] * 2}
    prompts = {"u": PromptRecord(source_id="u")}
    readers = {
        "alpaca_eval": [(annotation, alpaca_eval._record)],
        "arena_hard": [
            (question, arena_hard._question),
            (answer, lambda row: arena_hard._answer(row, tmp_path, prompts)),
            (judgment, lambda row: arena_hard._judgment(row, tmp_path, JudgeRecord(), prompts, "")),
        ],
    }
    for good, read in readers[format]:
        for column in good:
            without = {
                k: v for k, v in good.items() if k not in ("preference", "prompt", "messages")
            }
            for base in (good, without):
                for value in [
                    *ODD,
                    [{"turns": 1}],
                    [{"turns": [1]}],
                    [{"score": []}] * 2,
                    {"token_len": []},
                ]:
                    with suppress(DatasetError):
                        assert read(Row(Where("file", 1), base | {column: value}))


def test_the_line_counts_lines_and_not_rows(tmp_path):
    text = 'prompt,model_a,model_b,winner\n"two\nlines",Ada,Basil,tie\nHi,Ada,Basil,nobody\n'
    refused(text_file(tmp_path, text), "votes.csv, line 4, column winner")


@pytest.mark.parametrize(
    ("data", "name", "complaint"),
    [
        (b"", "votes.csv", "votes.csv: the file has no rows"),
        (b"model_a,model_b,winner\n", "votes.csv", "the file has no rows"),
        (b"", "votes.jsonl", "the file has no rows"),
        (b"[]", "votes.json", "the file has no rows"),
        (b"", "votes.json", "not a JSON array"),
        (b"[%s%s]" % (ITEM, ITEM), "votes.json", "item 2: not a JSON array: a comma or ] was expected"),
        (b"[%s] 2" % ITEM, "votes.json", "item 2: not a JSON array: something comes after its end"),
        (b'["\xff"]', "votes.json", "item 1: not a JSON array: byte 0xff isn't UTF-8"),
        (b'[{"model_a": "Ada"', "votes.json", "not a JSON array"),
        (b'{"model_a": "Ada"}', "votes.json", "not a JSON array: it doesn't begin with"),
        (b"[1, 2]", "votes.json", "item 1: a JSON object was expected, not int"),
        (b"nonsense", "votes.jsonl", "votes.jsonl, line 1: not JSON"),
        (b"[]\n", "votes.jsonl", "line 1: a JSON object was expected, not list"),
        (HEADER.encode("utf-16"), "votes.csv", "UTF-16: save the file as UTF-8"),
        (b"model_a\x00,b\n", "votes.csv", "NUL bytes: this isn't a text file"),
        (b"a,a\n1,2\n", "votes.csv", "the header names the column 'a' twice"),
        (b"left,right\nAda,Basil\n", "votes.csv", "there is no column model_a and no model_b and no"),
        (b"PAR1 and then nothing", "votes.parquet", "votes.parquet: not a Parquet file"),
        (b"hello", "votes.csv.gz", "not a sound gzip file"),
        (gzip.compress(HEADER.encode(), mtime=0), "votes.csv", "gzip data: the name must end with .gz"),
        (b"hello", "votes.txt", "the name must end with one of .csv, .jsonl, .json, .parquet"),
    ],
)  # fmt: skip
def test_a_file_that_is_something_else_is_refused(tmp_path, data, name, complaint):
    if "parquet" in name:
        pytest.importorskip("pyarrow")
    refused(text_file(tmp_path, data, name), complaint)


def test_a_byte_that_is_not_utf_8_is_named_by_its_line(tmp_path):
    data = (HEADER + GOOD).encode() + b"Caf\xe9,Ada,tie,x\n"
    refused(text_file(tmp_path, data), r"votes.csv, line 3: byte 4 \(0xe9\) isn't UTF-8")


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path):
    path = write_csv(tmp_path / "votes.csv", BATTLES, newline="\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    load(path)
    assert len(outcomes("battles")) == 3


def test_a_line_of_a_hundred_megabytes_is_not_kept_in_memory(tmp_path):
    path = tmp_path / "votes.jsonl"
    with path.open("w") as f:
        f.write(json.dumps(BATTLES[0]) + "\n")
        for _ in range(100):
            f.write("x" * 2**20)
        f.write("\n" + json.dumps(BATTLES[1]) + "\n")
    megabytes = LONGEST_RECORD // 2**20
    refused(path, f"votes.jsonl, line 2: a line of more than {megabytes} MB")
    report = load(path, skip_bad=tmp_path / "rejects.jsonl")
    assert (report.rejected, added(report)["verdicts"]) == (1, 2)
    assert (tmp_path / "rejects.jsonl").stat().st_size < 20_000


def test_an_endless_quote_is_given_up(tmp_path):
    path = tmp_path / "votes.csv"
    with path.open("w") as f:
        f.write(HEADER + '"')
        for _ in range(LONGEST_RECORD // 2**16 + 2):
            f.write("line\n" * (2**16 // 5 + 1))
    refused(path, "votes.csv, line 2: .*unclosed quote")


def test_an_endless_item_of_a_json_array_is_given_up(tmp_path):
    path = tmp_path / "votes.json"
    with path.open("w") as f:
        f.write('[{"model_a": "')
        for _ in range(LONGEST_RECORD // 2**20 + 2):
            f.write("x" * 2**20)
    refused(path, "votes.json, item 1: an item of more than")


def test_a_gzip_file_that_was_cut_off_is_refused(tmp_path):
    data = gzip.compress((HEADER + GOOD * 5_000).encode())
    path = text_file(tmp_path, data[: len(data) // 2], "votes.csv.gz")
    refused(path, "the gzip file ends in the middle")


def test_a_gzip_bomb_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("judges.formats.reading.GZIP_FREE_BYTES", 2**20)
    path = text_file(tmp_path, gzip.compress(HEADER.encode() + b"\n" * 2**25), "votes.csv.gz")
    refused(path, "expands more than 200-fold")


@pytest.mark.parametrize("name", ["votes.jsonl", "votes.json"])
def test_json_nested_a_hundred_thousand_deep_is_refused(tmp_path, name):
    deep = "[" * 100_000 + "]" * 100_000
    row = json.dumps(BATTLES[0])[:-1] + f', "prompt": {deep}}}\n'
    text = f"[{row}]" if name.endswith("json") else row
    assert sys.getrecursionlimit() < 100_000
    refused(text_file(tmp_path, text, name), "nested too deep")


def test_json_nested_deep_in_a_cell_is_refused(tmp_path):
    deep = "[" * 100_000 + "]" * 100_000
    row = {**BATTLES[0], "conversation_a": deep, "conversation_b": deep}
    refused(write_csv(tmp_path / "votes.csv", [row]), "column conversation_a: JSON that is nested")


def test_a_folder_where_a_file_is_expected_and_the_other_way_round(tmp_path):
    refused(tmp_path, "a folder, where one file was expected")
    path = write_csv(tmp_path / "votes.csv", BATTLES)
    refused(path, "a file, where a folder was expected", "llmfao")
    refused(tmp_path / "nothing.csv", "there is no such file")
    refused(tmp_path / "nothing", "there is no such folder", "arena_hard")


def test_text_that_no_database_stores_is_replaced(tmp_path):
    row = json.dumps(
        {**BATTLES[0], "prompt": "Nul \x00 and half \ud83d a pair", "response_a": "a\x00",
         "response_b": "b\udc00"}
    )  # fmt: skip
    load(text_file(tmp_path, row + "\n", "votes.jsonl"))
    assert Prompt.objects.get().text == "Nul � and half � a pair"
    assert set(Output.objects.values_list("text", flat=True)) == {"a�", "b�"}


def test_a_name_that_no_database_stores_is_refused(tmp_path):
    row = json.dumps({**BATTLES[0], "judge": "arena_user_\x00"})
    refused(text_file(tmp_path, row + "\n", "votes.jsonl"), "column judge: .*can't be printed")


def test_words_of_a_judge_that_no_database_stores_are_replaced(tmp_path):
    item = {"instruction": "Hi\x00", "output_1": "\ud800", "generator_1": "a", "output_2": "B",
            "generator_2": "b", "annotator": "gpt-4", "preference": 1.4,
            "raw_completion": {"text": None, "odd": ["\x00", "\ud83d"]}}  # fmt: skip
    path = text_file(tmp_path, json.dumps([item]), "annotations.json")
    load(path, "alpaca_eval")
    assert "\x00" not in VerdictTrace.objects.get().completion


def test_without_pyarrow_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = text_file(tmp_path, b"PAR1", "votes.parquet")
    refused(path, r"Parquet needs the package pyarrow: pip install -r requirements/parquet.txt")


def test_bad_rows_can_be_written_to_a_file_instead(tmp_path):
    rows = HEADER + GOOD + "Ada,Basil,left,x\n" + "Ada,Ada,tie,x\n" + "Ada,Cleo,tie,arena_user_2\n"
    rejects = tmp_path / "rejects.jsonl"
    report = load(text_file(tmp_path, rows), skip_bad=rejects)
    assert report.nouns["verdicts"].added == 2
    assert report.nouns["verdicts"].rejected == report.rejected == 2
    written = [json.loads(line) for line in rejects.read_text().splitlines()]
    assert [(r["file"], r["line"], r["column"], r["text"]) for r in written] == [
        ("votes.csv", 3, "winner", "Ada,Basil,left,x"),
        ("votes.csv", 4, "model_b", "Ada,Ada,tie,x"),
    ]
    assert written[1]["reason"].startswith("'Ada' battles itself")


def test_what_only_the_database_shows_to_be_bad_can_be_skipped_too(tmp_path):
    row = {"model_a": "Ada", "model_b": "Basil", "winner": "tie", "question_id": "q",
           "judge": "gpt-4", "response_a": "A", "response_b": "B"}  # fmt: skip
    rows = [row, {**row, "judge": "claude", "response_b": "C"}, {**row, "winner": "model_a"}]
    report = load(write_jsonl(tmp_path / "votes.jsonl", rows), skip_bad=tmp_path / "rejects.jsonl")
    assert report.nouns["verdicts"].rejected == 2
    lines = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [line["line"] for line in lines] == [2, 3]
    assert Verdict.objects.count() == 1


def test_every_row_that_contradicts_the_arena_is_rejected_and_no_other(tmp_path):
    def rows(*answers):
        return [
            {"model_a": "Ada", "model_b": "Basil", "winner": "tie", "question_id": "q",
             "judge": f"arena_user_{answers}-{n}", "response_a": answer, "response_b": "B"}
            for n, answer in enumerate(answers)
        ]  # fmt: skip

    load(write_jsonl(tmp_path / "one.jsonl", rows("old")))
    path = write_jsonl(tmp_path / "two.jsonl", rows("new", "new", "old", "newer"))
    report = load(path, skip_bad=tmp_path / "rejects.jsonl")
    assert (report.rejected, added(report)["verdicts"]) == (3, 1)


def test_a_file_of_rejects_is_never_written_over(tmp_path):
    rejects = tmp_path / "rejects.jsonl"
    rejects.write_text("precious")
    with pytest.raises(DatasetError, match=r"rejects.jsonl: the file for rejects is already there"):
        load(write_csv(tmp_path / "votes.csv", BATTLES), skip_bad=rejects)
    assert rejects.read_text() == "precious"


def test_a_bad_line_inside_a_row_spoils_that_row_only(tmp_path):
    data = b'prompt,model_a,model_b,winner\n"one\nb\xe4d\nthree",Ada,Basil,tie\nHi,Ada,Basil,tie\n'
    report = load(text_file(tmp_path, data), skip_bad=tmp_path / "rejects.jsonl")
    assert report.rejected == 2  # the line, and the row that lost it
    assert Prompt.objects.get().text == "Hi"


def test_the_command_says_it_in_one_sentence(tmp_path):
    path = text_file(tmp_path, HEADER + "Ada,Basil,left,x\n")
    with pytest.raises(
        CommandError, match=r"votes.csv, line 2, column winner: .*\nNothing was imported"
    ):
        call_command("import_dataset", "lmarena", str(path), "--arena=battles")


def rejects_of(tmp_path, text):
    """([rejected lines, the reasons, the texts], the judges whose rows were read)."""
    report = load(text_file(tmp_path, text), skip_bad=tmp_path / "rejects.jsonl")
    written = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert report.rejected == len(written)
    judges = set(Verdict.objects.values_list("judge__name", flat=True))
    return [[r[key] for r in written] for key in ("line", "reason", "text")], judges


def test_a_row_that_is_not_csv_is_rejected_and_the_next_one_read(tmp_path):
    text = HEADER + "Ada,Basil,tie,u1\n" + '"Ada"x,Basil,tie,u2\n' + '"Ada",Basil,tie,u3\n'
    (lines, reasons, texts), judges = rejects_of(tmp_path, text)
    assert lines == [3]
    assert reasons[0].startswith("not CSV: ',' expected after '\"'")
    assert reasons[0].endswith("The line is left out; reading goes on below.")
    assert texts == ['"Ada"x,Basil,tie,u2']
    assert judges == {"u1", "u3"}


@pytest.mark.parametrize("below", ["", '"Cleo",Ada,tie,u9\n', 'Cleo,"Ada",tie,u9\n'])
def test_an_unclosed_quote_takes_no_rows_with_it(tmp_path, below):
    text = HEADER + '"Ada,Basil,tie,u1\n' + "Ada,Basil,tie,u2\nAda,Cleo,tie,u3\n" + below
    (lines, reasons, texts), judges = rejects_of(tmp_path, text)
    assert lines == [2]
    assert reasons[0].endswith("The line is left out; reading goes on at line 3.")
    assert texts == ['"Ada,Basil,tie,u1']
    assert judges == {"u2", "u3"} | ({"u9"} if below else set())


def test_of_a_bad_row_of_several_lines_the_reject_says_which_are_lost(tmp_path):
    text = (
        "prompt,model_a,model_b,winner,judge\n"
        '"one\ntwo\nthree"!,Ada,Basil,tie,u1\n'
        '"four\nfive",Ada,Basil,tie,u2\n'
        "six,Ada,Basil,tie,u3\n"
    )
    (lines, reasons, texts), judges = rejects_of(tmp_path, text)
    # Line 4 has as many cells as a row, and isn't taken for one.
    assert lines == [2]
    assert reasons[0].endswith("Lines 2 to 4 are left out; reading goes on below.")
    assert texts == ['"one\ntwo\nthree"!,Ada,Basil,tie,u1']
    assert judges == {"u2", "u3"}


def test_an_endless_quote_costs_its_line_only(tmp_path, monkeypatch):
    monkeypatch.setattr("judges.formats.reading.LONGEST_RECORD", 1000)
    rows = "".join(f"Ada,Basil,tie,u{n}\n" for n in range(200))
    (lines, reasons, _), judges = rejects_of(tmp_path, HEADER + '"Ada,Basil,tie,x\n' + rows)
    assert lines == [2]
    assert "a row of more than" in reasons[0]
    assert len(judges) == 200


def test_reading_again_and_again_comes_to_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr("judges.formats.reading.MOST_READ_AGAIN", 20_000)
    text = HEADER + '"x\n' + 'Ada","Basil,tie\n' * 2_000
    with pytest.raises(DatasetError, match="too many unclosed quotes"):
        load(text_file(tmp_path, text), skip_bad=tmp_path / "rejects.jsonl")
