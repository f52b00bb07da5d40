"""Arena-Hard: question.jsonl, model_answer/*.jsonl and model_judgment/<judge>/*.jsonl in one folder.

Both layouts are read: that of v0.1 (question_id, turns, choices) and that of v2.0 (uid, prompt, messages).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arena.chats import in_turns
from judges.formats import conversations
from judges.formats.errors import DatasetError, UnreadableDataset, Where
from judges.formats.interface import Options
from judges.formats.reading import Row, Source
from judges.formats.records import (
    JudgeRecord,
    OutputRecord,
    Outputs,
    PromptRecord,
    Record,
    TraceRecord,
    Unanswered,
    VerdictRecord,
)
from judges.formats.text import clean, label
from judges.models import Judge, Outcome

SUMMARY = "The folder of an Arena-Hard benchmark: question.jsonl, model_answer/, model_judgment/."
# Who is better, and by how much it is said: the sign is all that a verdict keeps, the rest is in its trace.
SCORES = {
    "A>>B": 1, "A>B": 1, "A=B": 0, "A<B": -1, "A<<B": -1,
    "B>>A": -1, "B>A": -1, "B=A": 0, "B<A": 1, "B<<A": 1,
}  # fmt: skip
BASELINE_OF_V0 = "gpt-4-0314"  # what v0.1 compares with; its files don't say so


def read(source: Source, options: Options) -> Iterator[Record]:
    folder = source.folder()
    questions = source.found(folder / "question.jsonl")
    answers = [source.found(path) for path in sorted((folder / "model_answer").glob("*.jsonl"))]
    judgments = [
        source.found(path) for path in sorted((folder / "model_judgment").glob("*/*.jsonl"))
    ]
    for files, place in (
        (answers, "model_answer/*.jsonl"),
        (judgments, "model_judgment/*/*.jsonl"),
    ):
        if not files:
            raise UnreadableDataset(f"the folder has no {place}.", where=Where(str(folder)))
    prompts: dict[str, PromptRecord] = {}
    for row in source.jsonl(questions):
        with source.rejects.at(row.where):
            prompt = _question(row)
            if prompt.source_id in prompts:
                raise DatasetError(f"the question {prompt.source_id!r} is there twice.")
            prompts[prompt.source_id] = prompt
            yield prompt
    for path in answers:
        for row in source.jsonl(path):
            with source.rejects.at(row.where):
                yield _answer(row, path, prompts)
    for path in judgments:
        judge = JudgeRecord(
            name=label(path.parent.name, column="judge", longest=200), kind=Judge.Kind.LLM
        )
        for row in source.jsonl(path):
            with source.rejects.at(row.where):
                yield _judgment(row, path, judge, prompts, options.baseline)


def _question(row: Row) -> PromptRecord:
    values = row.values
    if "turns" in values:
        turns = values["turns"]
        if not isinstance(turns, list) or not turns:
            raise DatasetError("a list of turns was expected.", column="turns")
        messages = conversations.messages(
            [{"role": "user", "content": _turn(turn)} for turn in turns], column="turns"
        )
    else:
        messages = conversations.prompt_messages(values.get("prompt"))
        if not messages:
            raise DatasetError("a prompt was expected, not nothing.", column="prompt")
    category = str(values.get("category") or "")
    if category.startswith("arena-hard"):
        category = ""  # the benchmark's own name says nothing about the prompt
    return PromptRecord(
        messages=messages,
        source_id=_uid(row),
        categories=(label(category.replace("_", " "), column="category", longest=60),)
        if category
        else (),
    )


def _turn(turn: Any) -> Any:
    return turn.get("content") if isinstance(turn, dict) else turn


def _answer(row: Row, path: Path, prompts: dict[str, PromptRecord]) -> OutputRecord:
    values = row.values
    if "messages" in values:
        chat = conversations.messages(values["messages"], column="messages")
        texts = [message["content"] for message in chat if message["role"] == "assistant"]
    else:
        choices = values.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        turns = first.get("turns") if isinstance(first, dict) else None
        if not isinstance(turns, list):
            raise DatasetError("choices with turns were expected.", column="choices")
        texts = [in_turns(conversations.response(_turn(t) or "", column="choices"))
                 for t in turns]  # fmt: skip
    if not texts:
        raise DatasetError("an answer was expected, not nothing.", column="messages")
    metadata = values.get("metadata") or values.get("conv_metadata") or {}
    tokens = metadata.get("token_len") if isinstance(metadata, dict) else None
    return OutputRecord(
        (_system(values.get("model") or values.get("model_id") or path.stem, "model"), ""),
        _prompt(row, prompts),
        in_turns(texts),
        row.where,
        tokens=tokens if isinstance(tokens, int) and 0 <= tokens < 2**31 else None,
    )


def _judgment(
    row: Row, path: Path, judge: JudgeRecord, prompts: dict[str, PromptRecord], baseline: str
) -> Record:
    values = row.values
    games = values.get("games")
    if not isinstance(games, list):
        raise DatasetError("a list of two games was expected.", column="games")
    model = _system(values.get("model") or path.stem, "model")
    baseline = _system(values.get("baseline") or baseline or BASELINE_OF_V0, "baseline")
    if model == baseline:
        raise DatasetError(
            f"{model!r} battles itself: is it the baseline? Name another with --baseline.",
            column="model",
        )
    if len(games) != 2 or any(not isinstance(g, dict) or g.get("score") is None for g in games):
        return Unanswered(row.where)
    # In the first game A is the baseline, in the second the model.
    said = [_score(game["score"]) for game in games]
    for_model = [-said[0], said[1]]
    agreed = for_model[0] if for_model[0] == for_model[1] else 0
    shown = [["baseline", "model"], ["model", "baseline"]]
    return VerdictRecord(
        where=row.where,
        systems=((baseline, ""), (model, "")),
        outcome={1: Outcome.B, -1: Outcome.A, 0: Outcome.TIE}[agreed],
        prompt=_prompt(row, prompts),
        outputs=Outputs.IMPORTED,
        judge=judge,
        trace=TraceRecord(
            completion="\n\n".join(
                f"[Game {n}]\n{_reply(game)}" for n, game in enumerate(games, start=1)
            ),
            parse={
                "games": [
                    {"order": order, "score": game["score"]}
                    for order, game in zip(shown, games, strict=True)
                ],
                "orders_agree": for_model[0] == for_model[1],
            },
        ),
    )


def _score(score: Any) -> int:
    if not isinstance(score, str) or score not in SCORES:
        raise DatasetError(
            f"{str(score)[:80]!r} is not one of A>>B, A>B, A=B, B>A, B>>A.", column="games"
        )
    return SCORES[score]


def _reply(game: dict[str, Any]) -> str:
    reply = game.get("judgment")
    if isinstance(reply, dict):
        reply = reply.get("answer")
    return clean(reply) if isinstance(reply, str) else ""


def _prompt(row: Row, prompts: dict[str, PromptRecord]) -> PromptRecord:
    uid = _uid(row)
    if uid not in prompts:
        raise DatasetError(f"{uid!r} is not a question of question.jsonl.", column="question_id")
    return prompts[uid]


def _uid(row: Row) -> str:
    value = row.values.get("uid", row.values.get("question_id"))
    if value in (None, ""):
        raise DatasetError("the id of a question was expected, not nothing.", column="question_id")
    return label(value, column="question_id", longest=200)


def _system(value: Any, column: str) -> str:
    return label(value, column=column, longest=200)
