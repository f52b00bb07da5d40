import json

import pytest

from arena.models import Output, Prompt
from judges.formats.errors import DatasetError
from judges.models import Judge, Verdict, VerdictTrace
from tests.judges.datasets import added, already_there, load, outcomes

pytestmark = pytest.mark.django_db


def annotation(preference, instruction="Hi", **more):
    return {
        "instruction": instruction, "output_1": "Hello", "generator_1": "baseline",
        "dataset": "helpful_base", "output_2": f"Answer to {instruction}", "generator_2": "Ada",
        "annotator": "weighted_alpaca_eval_gpt4_turbo", "preference": preference,
        "price_per_example": 0.0085, "time_per_example": 0.5,
        "raw_completion": {"message": {"content": "M", "role": "assistant"}},
    } | more  # fmt: skip


def write(path, items):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(items))
    return path


def test_a_preference_above_one_and_a_half_is_for_the_second_output(tmp_path):
    items = [
        annotation(preference, f"Question {n}") for n, preference in enumerate([1, 1.97, 1.5, 2.0])
    ]
    load(write(tmp_path / "annotations.json", items), "alpaca_eval")
    assert outcomes("battles") == [
        ("Ada", "baseline", outcome) for outcome in ("A", "A", "B", "TIE")
    ]
    judge = Judge.objects.get()
    assert (judge.name, judge.kind) == ("weighted_alpaca_eval_gpt4_turbo", "llm")


def test_a_null_is_an_error_of_the_judge_and_no_tie(tmp_path):
    items = [annotation(None, "Q1"), annotation(1.2, "Q2")]
    report = load(write(tmp_path / "annotations.json", items), "alpaca_eval")
    assert report.unanswered == 1
    assert outcomes("battles") == [("Ada", "baseline", "B")]


def test_the_words_and_the_cost_are_kept_beside_the_verdict(tmp_path):
    path = write(tmp_path / "annotations.json", [annotation(1.25)])
    load(path, "alpaca_eval")
    trace = VerdictTrace.objects.get()
    assert (trace.completion, trace.parse) == ("M", {"preference": 1.25})
    assert (float(trace.cost), trace.latency_ms) == (0.0085, 500)
    assert trace.verdict.confidence == 0.75
    load(path, "alpaca_eval")
    assert VerdictTrace.objects.count() == 1


def test_a_judge_that_only_says_one_or_two_states_no_confidence(tmp_path):
    load(write(tmp_path / "annotations.json", [annotation(2)]), "alpaca_eval")
    assert Verdict.objects.get().confidence is None


def test_an_old_zero_is_a_tie_only_where_both_outputs_are_the_same(tmp_path):
    same = annotation(0, output_2="Hello")
    load(write(tmp_path / "annotations.json", [same]), "alpaca_eval")
    assert outcomes("battles") == [("Ada", "baseline", "TIE")]
    other = write(tmp_path / "other.json", [annotation(0, "Q")])
    with pytest.raises(
        DatasetError, match=r"other.json, item 1, column preference: 0 is not between"
    ):
        load(other, "alpaca_eval")


def test_a_folder_of_outputs_and_annotations_comes_in_whole(tmp_path):
    outputs = [{"instruction": f"Q{n}", "output": f"Answer to Q{n}", "generator": "Ada",
                "dataset": "helpful_base"} for n in range(3)]  # fmt: skip
    write(tmp_path / "Ada" / "model_outputs.json", outputs)
    write(tmp_path / "Ada" / "judge" / "annotations.json", [annotation(1.7, "Q1")])
    report = load(tmp_path, "alpaca_eval")
    assert added(report)["outputs"] == 4  # three of Ada, one of the baseline
    assert added(report)["verdicts"] == 1
    assert Prompt.objects.count() == 3
    again = load(tmp_path, "alpaca_eval")
    assert added(again) == {}
    assert already_there(again)["outputs"] == 4


def test_outputs_alone_are_systems_without_verdicts(tmp_path):
    item = {"instruction": "Hi", "output": "Hello", "generator": "Ada"}
    load(write(tmp_path / "model_outputs.json", [item]), "alpaca_eval")
    assert Output.objects.get().text == "Hello"
    assert not Verdict.objects.exists()


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"preference": 2.5}, "column preference: 2.5 is not between 1 and 2"),
        ({"preference": "1"}, "column preference: '1' is not a number"),
        ({"preference": True}, "column preference: True is not a number"),
        ({"generator_2": "baseline"}, "column generator_2: 'baseline' battles itself"),
        ({"annotator": None}, "column annotator"),
        ({"output_1": None}, "column output_1: text was expected"),
    ],
)
def test_a_bad_item_is_named(tmp_path, more, complaint):
    path = write(tmp_path / "annotations.json", [annotation(1, "Q"), annotation(1) | more])
    with pytest.raises(DatasetError, match=f"annotations.json, item 2, {complaint}"):
        load(path, "alpaca_eval")


def test_a_folder_without_such_files_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="the folder holds none of"):
        load(tmp_path, "alpaca_eval")
