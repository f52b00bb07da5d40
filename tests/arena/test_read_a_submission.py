"""Files of a system's outputs, as researchers have them and as somebody hostile would make them."""

import csv
import gzip
import io
import json
import os
import time
import zlib
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arena import records
from arena.submissions.formats import KINDS, read_submission
from arena.upload_problems import UploadError
from arena.uploads import OutputRow

# Without the time: the processes that run side by side must know tests by the same names.
pack = partial(gzip.compress, mtime=0)

DATA = os.environ.get("JURYBOX_DATA")


# --- writing the formats --------------------------------------------------------------------------
def as_lines(values: list[dict], **how) -> bytes:
    return "".join(f"{json.dumps(each, **how)}\n" for each in values).encode()


def record_of(row: OutputRow) -> dict:
    record = {"output": row.text}
    for name in ("prompt", "prompt_id", "tokens", "latency_ms"):
        if (value := getattr(row, name)) not in ("", None):
            record[name] = value
    if row.cost is not None:
        record["cost"] = float(row.cost)
    return record


def as_csv(rows: list[OutputRow]) -> bytes:
    columns = ["prompt_id", "prompt", "output", "tokens", "latency_ms", "cost"]
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(columns)
    for row in rows:
        record = record_of(row)
        table.writerow([record.get(name, "") for name in columns])
    return file.getvalue().encode()


def as_alpaca_eval(rows: list[OutputRow], **how) -> bytes:
    items = [
        {"instruction": row.prompt, "output": row.text, "generator": "Ada", "dataset": "koala"}
        for row in rows
    ]
    return json.dumps(items, **how).encode()


def as_arena_hard_v0(rows: list[OutputRow]) -> bytes:
    return as_lines([
        {
            "question_id": row.prompt_id, "answer_id": "a", "model_id": "Ada", "tstamp": 1.5,
            "choices": [{"index": 0, "turns": [{"content": row.text, "token_len": row.tokens}]}],
        }
        for row in rows
    ])  # fmt: skip


def as_arena_hard_v2(rows: list[OutputRow]) -> bytes:
    return as_lines([
        {
            "uid": row.prompt_id, "ans_id": "a", "model": "Ada",
            "messages": [
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": {"answer": row.text}},
            ],
            "metadata": {"token_len": row.tokens, "header_count": {"h1": 0}},
        }
        for row in rows
    ])  # fmt: skip


# How each is written, what it is then, and which fields it has room for.
OURS = {"prompt", "prompt_id", "tokens", "latency_ms", "cost"}
WRITERS = {
    "lines": (lambda rows: as_lines([record_of(r) for r in rows]), "jsonl", OURS),
    "lines, not escaped": (
        lambda rows: as_lines([record_of(r) for r in rows], ensure_ascii=False), "jsonl", OURS),
    "a list": (lambda rows: json.dumps([record_of(r) for r in rows]).encode(), "json", OURS),
    "a list over lines": (
        lambda rows: json.dumps([record_of(r) for r in rows], indent=1).encode(), "json", OURS),
    "a table": (as_csv, "csv", OURS),
    "alpaca_eval": (as_alpaca_eval, "alpaca_eval", {"prompt"}),
    "alpaca_eval over lines": (lambda r: as_alpaca_eval(r, indent=4), "alpaca_eval", {"prompt"}),
    "arena_hard v0.1": (as_arena_hard_v0, "arena_hard", {"prompt_id", "tokens"}),
    "arena_hard v2.0": (as_arena_hard_v2, "arena_hard", {"prompt_id", "tokens"}),
}  # fmt: skip
# What no database keeps is refused; the reader of CSV makes every line end in a cell its own.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1,
                max_size=60).filter(str.strip)  # fmt: skip
numbers = st.none() | st.integers(0, 2**31 - 1)
costs = st.none() | st.integers(0, 10**12 - 1).map(lambda n: Decimal(n) / 10**6)


@st.composite
def rows_for(draw, fields: set[str]) -> list[OutputRow]:
    prompts = draw(st.lists(texts.map(str.strip), min_size=1, max_size=6, unique=True))
    rows = []
    for prompt in prompts:
        by_id = "prompt_id" in fields and (draw(st.booleans()) or "prompt" not in fields)
        about = {"prompt_id": prompt} if by_id else {"prompt": prompt}
        for name, values in (("tokens", numbers), ("latency_ms", numbers), ("cost", costs)):
            if name in fields:
                about[name] = draw(values)
        rows.append(OutputRow(line=0, text=draw(texts), **about))
    return rows


def without_lines(rows: list[OutputRow]) -> list[tuple]:
    return [(r.text, r.prompt, r.prompt_id, r.tokens, r.latency_ms, r.cost) for r in rows]


# --- what is read -----------------------------------------------------------------------------------
@pytest.mark.parametrize("how", WRITERS)
def test_what_was_written_is_read_back(how):
    write, kind, fields = WRITERS[how]

    @settings(max_examples=25, deadline=None)
    @given(rows_for(fields), st.booleans())
    def check(rows: list[OutputRow], packed: bool) -> None:
        content = pack(write(rows), 1) if packed else write(rows)
        for said in ("", kind):
            found = read_submission(content, kind=said)
            assert without_lines(found.rows) == without_lines(rows)
            assert (found.kind, found.is_packed, found.unused) == (kind, packed, [])
            assert found.system == ("Ada" if fields is not OURS else "")

    check()


def test_lines_and_items_are_those_of_the_file():
    content = b'\n{"prompt": "a", "output": "x"}\r\n\r\n{"prompt": "b", "response": "y"}'
    assert [row.line for row in read_submission(content).rows] == [2, 4]
    content = b'\xef\xbb\xbfprompt,response\r\na,"x\r\nx"\r\nb,y\r\n'
    found = read_submission(content)
    assert [(row.line, row.text) for row in found.rows] == [(2, "x\r\nx"), (4, "y")]
    content = (
        b'\xef\xbb\xbf [\n{"prompt": "a",\n "output": "x"},\n{"prompt": "b", "output": "y"}]\n'
    )
    rows = read_submission(content).rows
    assert [(row.line, row.line.at) for row in rows] == [(1, 2), (2, 4)]


def test_several_turns_are_one_text_and_their_tokens_are_counted_together():
    turns = [{"content": "Hello", "token_len": 1}, {"content": "Bye", "token_len": 2}]
    answer = {"question_id": 7, "model_id": "m", "choices": [{"index": 0, "turns": turns}]}
    [row] = read_submission(as_lines([answer])).rows
    assert (row.prompt_id, row.tokens) == ("7", 3)
    assert row.text == "[Answer 1]\nHello\n\n[Answer 2]\nBye"


def test_a_file_object_is_read_and_a_prompt_in_parts_is_one_text():
    item = {"instruction": "Sort.", "input": "c b a", "output": "a b c", "generator": "m"}
    content = json.dumps([item | {"colour": 1}, item | {"instruction": "Turn."}]).encode()
    found = read_submission(io.BytesIO(content), name="model_outputs.json")
    assert [row.prompt for row in found.rows] == ["Sort.\n\nc b a", "Turn.\n\nc b a"]
    assert (found.system, found.unused) == ("m", ["colour"])


@pytest.mark.skipif(not DATA, reason="JURYBOX_DATA names no folder of data")
def test_what_real_systems_wrote_survives_every_format():
    folder = Path(DATA or "") / "llmfao"
    asked = [json.loads(line) for line in (folder / "prompts.jsonl").read_text().splitlines()]
    texts = {each["id"]: each["text"] for each in asked}
    by_system: dict[str, dict[int, OutputRow]] = {}
    for line in (folder / "results.jsonl").read_text().splitlines():
        result = json.loads(line)
        if result["prompt"] in texts and result["result"].strip("\x00 \n"):
            row = OutputRow(0, result["result"].replace("\x00", ""), prompt=texts[result["prompt"]])
            by_system.setdefault(result["name"], {})[result["prompt"]] = row
    assert len(by_system) > 50
    for rows in by_system.values():
        for how in ("lines", "a table", "alpaca_eval over lines"):
            found = read_submission(pack(WRITERS[how][0](list(rows.values())), 1))
            assert without_lines(found.rows) == without_lines(list(rows.values()))


# --- what is wrong ------------------------------------------------------------------------------------
GOOD = '{"prompt": "p", "output": "x"}'
ALPACA = '{"instruction": "%s", "output": "%s", "generator": "%s"}'
WRONG = [
    # (content, kind, [(line, what is said)])
    (b"", "", [(0, "nothing in it")]),
    (b" \n\n", "", [(0, "nothing in it")]),
    (b"[]", "", [(0, "nothing in it")]),
    (b"Dear all,\nhere it is.\n", "", [(0, "isn't known what this file is: it begins with neither")]),
    (b'{"colour": "red"}\n', "", [(0, 'line 1 has the fields "colour". What is read: records with')]),
    (b"PK\x03\x04" + b"\0" * 40, "", [(0, "a spreadsheet")]),
    ("prompt,output\na,b".encode("utf-16"), "", [(0, "UTF-16")]),
    (b"BZh91AY", "", [(0, "bzip2")]),
    (f"{GOOD}\n".encode() + b'{"prompt": "\xe9", "output": "y"}\n{"prompt": "q"}', "",
     [(2, "Byte 44 of the file (0xe9) isn't UTF-8"), (3, '"output" is missing')]),
    (b'prompt,output\na,\xe9\nb,""\n', "", [(2, "Byte 17 of the file"), (3, '"output" is empty')]),
    (f"[{GOOD},\n".encode() + b'{"prompt": "\xe9", "output": ""}]', "",
     [(2, "Byte 46 of the file"), (2, '"output" is empty')]),
    (b'{"prompt": "a\\u0000", "output": "\\ud800"}', "", [(1, '"prompt" holds a NUL'),
                                                          (1, '"output" holds a NUL or half')]),
    (b'{"prompt": "a", "output": "b", "tokens": -1, "latency_ms": 1.5, "cost": "free"}', "",
     [(1, '"tokens" must be a whole'), (1, '"latency_ms" must be'), (1, '"cost" must be a number')]),
    (b'{"prompt": "a", "output": "b", "cost": 1e6}', "", [(1, "less than a million")]),
    (b'{"prompt": "a", "output": "b", "cost": 1e300}', "", [(1, "less than a million")]),
    (b'{"prompt": "a", "output": "b", "cost": -0.1}', "", [(1, "isn't negative")]),
    (b'{"prompt": "a", "output": "b", "cost": NaN}', "", [(1, "NaN is no number")]),
    (b'{"prompt": "a", "output": "b", "cost": 1e999}', "", [(1, "too large")]),
    (b'{"prompt": "a", "output": "b", "seed": -Infinity}', "", [(1, "-Infinity is no number")]),
    (b'{"prompt": "a", "output": "b", "seed": %s}' % (b"1" * 9000), "", [(1, "9,000 digits")]),
    (b'{"prompt": "a", "output": "b", "prompt": "c"}', "", [(1, '"prompt" twice')]),
    (b'[{"prompt": "a", "output": "b", "output": "c"},\n{"prompt": "d", "output": " "}]', "",
     [(1, '"output" twice'), (2, '"output" is empty')]),
    (b'{"prompt": "a", "output": "b", "more": %s}' % (b"[" * 150 + b"]" * 150), "",
     [(1, "nested too deeply")]),
    (b'{"prompt": "a", "output": "b", "more": %s' % (b"[" * 90_000), "", [(1, "nested too deeply")]),
    (b'[{"prompt": "a", "output": "b", "more": %s]' % (b"[" * 90_000), "", [(1, "nested too deeply")]),
    (b'{"prompt": "a", "output": "b"} {"prompt": "c", "output": "d"}', "", [(1, "at character 32")]),
    (b'{"prompt": "a",\n"output": "b"}', "", [(1, "It isn't JSON"), (2, "It isn't JSON")]),
    (f"{GOOD}\n5\n[]\nnull\n".encode(), "", [(2, "isn't an object"), (3, "an object"), (4, "an object")]),
    (f"[{GOOD}, 5, {GOOD}".encode(), "", [(2, "isn't an object"), (3, "a comma or ] was expected")]),
    (f'[{GOOD}, {{"prompt": "a'.encode(), "", [(2, "It isn't JSON: unterminated string")]),
    (f"[{GOOD},]".encode(), "", [(2, "an item was expected")]),
    (f"[{GOOD}] []".encode(), "", [(0, "after the end of the list")]),
    (f"[{GOOD}]".encode(), "jsonl", [(1, "isn't an object")]),
    (GOOD.encode(), "json", [(0, "must be a list of objects")]),
    (GOOD.encode(), "alpaca_eval", [(1, '"instruction" is missing')]),
    (b"prompt,output\n", "alpaca_eval", [(1, "must begin with [ or {, as AlpacaEval's")]),
    (b'{"prompt": "%s", "output": "b"}' % (b"x" * 2**20), "", [(1, "longer than 1,048,576")]),
    (b'[%s, {"prompt": "%s", "output": "b"}]' % (GOOD.encode(), b"x" * 2**20), "",
     [(2, "longer than 1,048,576")]),
    (b'{"prompt": "a"}\n{"output": "b"}\n{"prompt": " ", "output": "b"}', "",
     [(1, '"output" is missing'), (2, "which prompt it answers"), (3, "which prompt it answers")]),
    (b'{"prompt": "a", "output": "b", "response": "c"}', "", [(1, 'both "output" and "response"')]),
    (f'{GOOD}\n\n{{"prompt": " p", "output": "y"}}'.encode(), "", [(3, "Line 1 answers the same prompt")]),
    (b'[{"prompt_id": 1, "output": "b"}, {"prompt_id": "1", "output": "c"}]', "",
     [(2, "Item 1 answers the same prompt")]),
    (b'"prompt";"output"\na;b\n', "", [(1, "separated by semicolons: save it with commas")]),
    (b"prompt\toutput\na\tb\n", "", [(1, "separated by tabs")]),
    (b"prompt,prompt\na,b\n", "", [(1, "the same name")]),
    (b"prompt,colour\na,b\n", "", [(1, "what the answer is: the header needs output or response")]),
    (b"output,tokens\na,5\n", "", [(1, "which prompt is answered: the header needs prompt or")]),
    (b"prompt,output\na,b,c\nd,e\nf\n", "", [(2, "3 values"), (4, "1 values")]),
    (b'prompt,output\na,b\nc,"d\n\n', "", [(3, "can't be read as CSV")]),
    (b'prompt,output\na,"%s"' % (b"x" * 2**20), "", [(2, "longer than")]),
    ((f"[{ALPACA % ('a', 'b', 'Ada')}, {ALPACA % ('c', '', 'Basil')}, {ALPACA % ('d', 'e', 'Ada')}]")
     .encode(), "", [(2, '"output" is empty'), (2, "output of “Basil”, and item 1 of “Ada”")]),
    (b'{"instruction": "a", "output": 5, "generator": "%s"}' % (b"x" * 201), "",
     [(1, '"generator" has 201'), (1, '"output" must be text')]),
    (b'{"question_id": "a", "choices": []}\n{"question_id": "", "choices": [{"turns": [{}]}]}', "",
     [(1, '"choices" must be a list'), (2, '"question_id" is empty'), (2, '"content" of an answer')]),
    (b'{"uid": "a", "messages": [{"role": "user", "content": "?"}]}\n{"uid": "b", "messages": 5}', "",
     [(1, 'role "assistant"'), (2, '"messages" must be a list')]),
    (b'{"uid": "a", "messages": [{"role": "assistant", "content": " "}]}', "", [(1, "answer is empty")]),
    (b'{"uid": "a", "choices": [{"turns": ["x"]}, {"turns": ["y"]}]}', "", [(1, "several answers")]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "kind", "says"), WRONG, ids=range(len(WRONG)))
@pytest.mark.parametrize("is_packed", [False, True])
def test_every_problem_is_told_with_its_place(content, kind, says, is_packed):
    with pytest.raises(UploadError) as error:
        read_submission(pack(content) if is_packed else content, kind=kind)
    told = [(problem.line, problem.sentence) for problem in error.value.problems]
    assert [line for line, _ in told] == [line for line, _ in says], told
    for (_, sentence), (_, part) in zip(told, says, strict=True):
        assert part in sentence


def test_problems_are_kept_up_to_a_number_counted_beyond_it_and_reading_stops():
    with pytest.raises(UploadError) as error:
        read_submission(b'{"prompt": "a", "output": ""}\n' * 1000)
    assert (len(error.value.problems), error.value.count) == (200, 1000)
    begin = time.process_time()
    with pytest.raises(UploadError) as error:
        read_submission(b"{\n" * 5_000_000)
    assert error.value.count == records.MOST_COUNTED + 1
    assert time.process_time() - begin < 2


def test_a_problem_of_a_list_is_named_by_item_and_by_line():
    with pytest.raises(UploadError) as error:
        read_submission(b'[\n{"prompt": "a", "output": "b"},\n5]')
    assert str(error.value) == (
        "Item 2 (line 3): It isn't an object: a record begins with { and ends with }."
    )
    assert error.value.problems[0].by_line() == (
        3, "Item 2: It isn't an object: a record begins with { and ends with }."
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "limit", "content"),
    [
        ("MOST_RECORDS", 3, b'{"prompt": "a", "output": "b"}\n' * 4),
        ("MOST_RECORDS", 3, b"[" + b",".join([GOOD.encode()] * 4) + b"]"),
        ("MOST_LINES", 30, b"\n" * 31),
        ("MOST_LINES", 30, b"prompt,output\na,\"" + b"\n" * 31),
    ],
)  # fmt: skip
def test_a_file_of_too_many_records_or_lines_is_refused(monkeypatch, name, limit, content):
    monkeypatch.setattr(records, name, limit)
    with pytest.raises(UploadError) as error:
        read_submission(content, kind="" if content.strip() else "jsonl")
    assert any("split the file" in problem.sentence for problem in error.value.problems)


# --- packed files ---------------------------------------------------------------------------------------
PACKED = pack(f"{GOOD}\n".encode())


def bomb(size: int) -> bytes:
    """A gzip file of one record whose text is that long."""
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(b'{"prompt": "a", "output": "')]
    pieces += [packer.compress(bytes([120]) * 2**20) for _ in range(size >> 20)]
    return b"".join([*pieces, packer.flush()])


def test_members_one_after_the_other_and_zeros_at_the_end_are_read():
    second = pack(b'{"prompt": "q", "output": "y"}\n')
    found = read_submission(PACKED + second + bytes(100), name="misleading.csv")
    assert [row.text for row in found.rows] == ["x", "y"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (PACKED[:-3], "cut off"),
        (PACKED[:15], "cut off"),
        (PACKED[:2], "cut off"),
        (PACKED[:20] + b"\0" + PACKED[21:], "damaged"),
        (PACKED[:-8] + bytes(8), "damaged"),
        (PACKED + b"more", "after its end"),
        (PACKED + b"\0\0more", "after its end"),
        (pack(PACKED), "packed twice"),
        (pack(b"") * 10_001, "10,000 packed files"),
        (pack(b""), "nothing in it"),
        (bomb(20 * 2**20), "200 times as large"),
    ],
)
def test_a_packed_file_that_is_not_sound_is_refused(content, says):
    begin = time.process_time()
    with pytest.raises(UploadError, match=says):
        read_submission(content)
    assert time.process_time() - begin < 0.5


def test_a_packed_file_is_refused_beyond_what_it_may_unpack_to(settings):
    settings.LARGEST_UNPACKED = 10_000
    content = as_lines([{"prompt": str(n), "output": "x" * 100} for n in range(100)])
    with pytest.raises(UploadError, match="larger than 10,000 bytes"):
        read_submission(pack(content))
    with pytest.raises(UploadError, match="send it in parts"):
        read_submission(io.BytesIO(content))
    settings.LARGEST_UPLOAD = 30
    with pytest.raises(UploadError, match="send it in parts"):
        read_submission(io.BytesIO(PACKED))


# --- whatever comes -------------------------------------------------------------------------------------
WHOLE = {
    how: write([
        OutputRow(0, f"Text {n}, é\n“x”", **({"prompt_id": f"p{n}"} if "prompt_id" in fields else
                                             {"prompt": f"p{n}"})) for n in range(3)
    ]) for how, (write, _, fields) in WRITERS.items()
}  # fmt: skip
WHOLE["packed"] = pack(WHOLE["lines"])
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["prompt", "output", "prompt_id", "instruction", "generator", "choices", "turns", "content",
         "messages", "uid", "question_id", "model", "role", "metadata", "token_len", "cost", "tokens"]),
        inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@st.composite
def mutated(draw) -> bytes:
    content = bytearray(WHOLE[draw(st.sampled_from(sorted(WHOLE)))])
    for _ in range(draw(st.integers(1, 4))):
        at, to = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        way = draw(st.sampled_from(["flip", "cut", "drop", "splice", "insert", "value"]))
        if way == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif way == "cut":
            del content[at:]
        elif way == "drop":
            del content[at:to]
        elif way == "splice":
            content[at:to] = WHOLE[draw(st.sampled_from(sorted(WHOLE)))][at:to]
        elif way == "insert":
            content[at:at] = draw(st.binary(max_size=8) | st.sampled_from(
                [b"\n", b"\r", b'"', b"\\", b"{", b"[" * 50, b"\0", b"\xff", b"\xef\xbb\xbf", b"\\ud800",
                 b"1" * 400, b"NaN", b",", b"\x1f\x8b", b"\xed\xa0\x80", b"\xc2\x85",
                 b"\xe2\x80\xa8"]))  # fmt: skip
        else:
            content[at:at] = json.dumps(draw(anything)).encode()
    return bytes(content)


json_files = st.one_of(
    anything.map(lambda value: json.dumps(value).encode()),
    st.lists(anything, max_size=4).map(lambda values: json.dumps(values, indent=1).encode()),
    st.lists(anything, max_size=4).map(as_lines),
)


def check_problems(error: UploadError, content: bytes) -> None:
    assert error.problems
    assert error.count >= len(error.problems)
    try:
        whole = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error):
        whole = b""
    # CSV and JSON lines may end as old Macs wrote it.
    lines = whole.count(b"\n") + whole.count(b"\r") + 1
    for problem in error.problems:
        assert problem.sentence.strip()
        assert str(problem).encode()
        line, sentence = problem.by_line()
        assert 0 <= line <= lines
        assert sentence.endswith(problem.sentence)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(mutated(), mutated(), json_files, st.binary(max_size=60)),
       st.sampled_from(["", "", *KINDS]))  # fmt: skip
def test_whatever_comes_is_read_or_refused_with_sentences_that_say_where(content, kind):
    try:
        found = read_submission(content, kind=kind)
    except UploadError as error:
        check_problems(error, content)
        return
    assert found.rows
    assert found.kind in ([kind] if kind else KINDS)
    for row in found.rows:
        assert row.text.strip()
        assert row.prompt.strip() or row.prompt_id
        assert f"{row.text}{row.prompt}{row.prompt_id}{found.system}{found.unused}".encode()
