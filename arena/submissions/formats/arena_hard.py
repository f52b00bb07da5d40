"""Arena-Hard's model_answer/*.jsonl, of v0.1 (choices with turns) and v2.0 (messages); the prompt by its id.

Of a chat the answers are one text, as where judged datasets are read.
"""

from typing import Any

from arena.chats import in_turns
from arena.record_fields import Fields, Wrong, clean, no_longer, short
from arena.records import LONGEST_LINE, Values
from arena.uploads import OutputRow

KNOWN = {
    "question_id", "uid", "answer_id", "ans_id", "model_id", "model", "choices", "messages", "metadata",
    "conv_metadata", "tstamp",
}  # fmt: skip
LOOKS_LIKE = (
    'Arena-Hard\'s lines of {"question_id", "model_id", "choices"} or {"uid", "model", "messages"}'
)


def recognises(values: Values) -> bool:
    return bool({"choices", "messages"} & values.keys() and {"question_id", "uid"} & values.keys())


def system(values: Values) -> str:
    return short(values, "model" if values.get("model") else "model_id", 200)


def row(line: int, values: Values) -> OutputRow:
    record = Fields(values)
    prompt_id = record.short("uid" if "uid" in values else "question_id", 200, required=True)
    text, tokens = "", None
    try:
        answers, tokens = _answers(values)
        text = clean(in_turns(answers), "answer")
        no_longer(text, LONGEST_LINE, "the answer")
        if not any(answer.strip() for answer in answers):
            raise Wrong("The answer is empty.")
    except Wrong as wrong:
        record.wrong += wrong.args
    record.check()
    return OutputRow(line=line, text=text, prompt_id=prompt_id, tokens=tokens)


def _answers(values: Values) -> tuple[list[str], int | None]:
    """What was said turn by turn, and how many tokens that were, where the file tells."""
    if "messages" in values:
        messages = values["messages"]
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise Wrong('"messages" must be a list of {"role", "content"}.')
        turns = [message for message in messages if message.get("role") == "assistant"]
        if not turns:
            raise Wrong('None of "messages" has the role "assistant": there is no answer.')
    else:
        choices = values.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise Wrong('"choices" must be a list with one {"index", "turns"}.')
        if len(choices) > 1:
            raise Wrong('"choices" holds several answers: keep the one that is meant.')
        turns = choices[0].get("turns")
        if not isinstance(turns, list) or not turns:
            raise Wrong('"turns" must be a list of {"content"}.')
    counts = [_count(turn, "token_len") for turn in turns]
    for name in ("metadata", "conv_metadata"):
        if (count := _count(values.get(name), "token_len")) is not None:
            return [_said(turn) for turn in turns], count
    whole = sum(count for count in counts if count is not None) if None not in counts else None
    return [_said(turn) for turn in turns], whole if whole is None or whole < 2**31 else None


def _said(turn: Any) -> str:
    """A turn is a text or has one as its content; v2.0 puts it into an object with the name "answer"."""
    content = turn.get("content") if isinstance(turn, dict) else turn
    if isinstance(content, dict):
        content = content.get("answer", content.get("text"))
    if not isinstance(content, str):
        raise Wrong('The "content" of an answer must be text in quotes.')
    return content


def _count(value: Any, name: str) -> int | None:
    """Counts are a source's own notes, and may be kept in another way: what is no count is left out."""
    count = value.get(name) if isinstance(value, dict) else None
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31
    return count if is_count else None
