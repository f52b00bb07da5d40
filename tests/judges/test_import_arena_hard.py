import pytest

from arena.models import Output, Prompt
from judges.formats.errors import DatasetError
from judges.formats.interface import Options
from judges.models import Judge, Verdict, VerdictTrace
from tests.judges.datasets import added, load, outcomes, write_jsonl

pytestmark = pytest.mark.django_db
QUESTIONS = ["q1", "q2", "q3"]


def game(score):
    return {"score": score, "judgment": f"I say {score}", "user_prompt": "…"}


def folder_v0(tmp_path, judgments):
    """v0.1: the baseline isn't in the files."""
    write_jsonl(
        tmp_path / "question.jsonl",
        [{"question_id": q, "category": "arena-hard-v0.1", "turns": [{"content": f"What is {q}?"}]}
         for q in QUESTIONS],
    )  # fmt: skip
    for model in ("gpt-4-0314", "Ada"):
        write_jsonl(
            tmp_path / "model_answer" / f"{model}.jsonl",
            [{"question_id": q, "model_id": model,
              "choices": [{"index": 0, "turns": [{"content": f"{model} on {q}", "token_len": 3}]}],
              "conv_metadata": {"token_len": 3}} for q in QUESTIONS],
        )  # fmt: skip
    write_jsonl(
        tmp_path / "model_judgment" / "gpt-4-1106-preview" / "Ada.jsonl",
        [{"question_id": q, "model": "Ada", "judge": "gpt-4-1106-preview",
          "games": [game(score) if score != "none" else None for score in scores]}
         for q, scores in zip(QUESTIONS, judgments, strict=False)],
    )  # fmt: skip
    return tmp_path


def folder_v2(tmp_path):
    write_jsonl(
        tmp_path / "question.jsonl",
        [{"uid": "u1", "category": "creative_writing", "prompt": "Write."}],
    )
    for model in ("base", "Ada"):
        write_jsonl(
            tmp_path / "model_answer" / f"{model}.jsonl",
            [{"uid": "u1", "model": model, "metadata": {"token_len": 7},
              "messages": [{"role": "user", "content": "Write."},
                           {"role": "assistant", "content": {"answer": f"{model} wrote"}}]}],
        )  # fmt: skip
    write_jsonl(
        tmp_path / "model_judgment" / "gpt-4.1" / "Ada.jsonl",
        [{"uid": "u1", "category": "creative_writing", "judge": "gpt-4.1", "model": "Ada",
          "baseline": "base",
          "games": [{"score": "B>>A", "judgment": {"answer": "Ada."}, "prompt": []},
                    {"score": "A>B", "judgment": {"answer": "Ada again."}, "prompt": []}]}],
    )  # fmt: skip
    return tmp_path


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        # A is the baseline in the first game, and the model in the second.
        ("B>>A", "A>B", "A"),  # the model (Ada) both times
        ("A>B", "B>>A", "B"),
        ("A<<B", "A>>B", "A"),
        ("A=B", "A=B", "TIE"),
        ("A>B", "A>B", "TIE"),  # whoever stands first
        ("B>A", "B>A", "TIE"),
        ("B>A", "A=B", "TIE"),
    ],
)
def test_two_orders_make_one_verdict(tmp_path, first, second, outcome):
    load(folder_v0(tmp_path, [(first, second)]), "arena_hard")
    assert outcomes("battles") == [("Ada", "gpt-4-0314", outcome)]


def test_both_games_are_kept_in_the_trace(tmp_path):
    load(folder_v0(tmp_path, [("A>B", "A>>B")]), "arena_hard")
    trace = VerdictTrace.objects.get()
    assert trace.parse == {
        "games": [
            {"order": ["baseline", "model"], "score": "A>B"},
            {"order": ["model", "baseline"], "score": "A>>B"},
        ],
        "orders_agree": False,
    }
    assert trace.completion == "[Game 1]\nI say A>B\n\n[Game 2]\nI say A>>B"
    assert Verdict.objects.get().shown_first is None


def test_a_game_without_a_score_is_an_error_of_the_judge_and_no_tie(tmp_path):
    judgments = [(None, "A>B"), ("none", "A>B"), ("B>A", "A>B")]
    report = load(folder_v0(tmp_path, judgments), "arena_hard")
    assert report.unanswered == 2
    assert outcomes("battles") == [("Ada", "gpt-4-0314", "A")]


def test_the_first_layout_is_read_whole_and_twice_is_once(tmp_path):
    folder = folder_v0(tmp_path, [("B>A", "A>B")] * 3)
    assert added(load(folder, "arena_hard")) == {
        "systems": 2, "prompts": 3, "outputs": 6, "battles": 3, "judges": 1, "verdicts": 3,
    }  # fmt: skip
    assert Output.objects.filter(tokens=3).count() == 6
    assert Prompt.objects.get(source_id="q1").text == "What is q1?"
    assert added(load(folder, "arena_hard")) == {}


def test_the_second_layout_is_read(tmp_path):
    load(folder_v2(tmp_path), "arena_hard")
    assert outcomes("battles") == [("Ada", "base", "A")]
    assert Output.objects.get(system__name="Ada").text == "Ada wrote"
    assert [c.name for c in Prompt.objects.get().categories.all()] == ["creative writing"]
    assert Judge.objects.get().name == "gpt-4.1"


def test_another_baseline_can_be_named(tmp_path):
    folder = folder_v0(tmp_path, [("B>A", "A>B")])
    (folder / "model_answer" / "gpt-4-0314.jsonl").rename(folder / "model_answer" / "base.jsonl")
    text = (folder / "model_answer" / "base.jsonl").read_text().replace("gpt-4-0314", "base")
    (folder / "model_answer" / "base.jsonl").write_text(text)
    with pytest.raises(DatasetError, match=r"Ada.jsonl, line 1: the files hold no answers of"):
        load(folder, "arena_hard")
    load(folder, "arena_hard", options=Options(baseline="base"))
    assert outcomes("battles") == [("Ada", "base", "A")]


def test_an_unknown_score_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"Ada.jsonl, line 1, column games: 'C>A' is not one of"):
        load(folder_v0(tmp_path, [("C>A", "A>B")]), "arena_hard")


@pytest.mark.parametrize("missing", ["question.jsonl", "model_answer", "model_judgment"])
def test_a_missing_part_of_the_folder_is_named(tmp_path, missing):
    folder = folder_v0(tmp_path, [("B>A", "A>B")])
    (folder / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=missing):
        load(folder, "arena_hard")
