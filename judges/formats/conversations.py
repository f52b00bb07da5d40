"""Chats as sources publish them: into one prompt, and what each side answered to it."""

import re
from typing import Any

from arena.chats import in_turns
from judges.formats.errors import DatasetError
from judges.formats.reading import parse_json
from judges.formats.text import clean

Messages = list[dict[str, str]]
ROLES = ("system", "user", "assistant", "tool")
OTHER_NAMES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
_LOOKS_LIKE_JSON = re.compile(r"\s*[\[{]")


def messages(value: Any, *, column: str) -> Messages:
    """A list of {role, content}, or its JSON text. Content in parts is joined; an image becomes "[image]"."""
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except DatasetError as error:
            error.column = column
            raise
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise DatasetError("a list of messages {role, content} was expected.", column=column)
    result = []
    for message in value:
        role = str(message.get("role") or message.get("from") or "")
        role = OTHER_NAMES.get(role, role)
        if role not in ROLES:
            raise DatasetError(f"{role!r} is not one of {', '.join(ROLES)}.", column=column)
        content = message.get("content", message.get("value"))
        result.append({"role": role, "content": _content(content, column)})
    return result


def _content(content: Any, column: str) -> str:
    if isinstance(content, str):
        return clean(content)
    if content is None:
        return ""
    parts = content if isinstance(content, list) else [content]
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text", part.get("answer")), str):
            texts.append(part.get("text", part.get("answer")))
        elif isinstance(part, dict) and (part.get("image") or "image" in str(part.get("type"))):
            texts.append("[image]")
        else:
            raise DatasetError(
                "content is neither text nor a list of text and image parts.", column=column
            )
    return clean("\n\n".join(texts))


def prompt_messages(value: Any, *, column: str = "prompt") -> Messages:
    """A prompt column: plain text, a JSON list of messages, or a JSON list of what the user said in turn."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        if not _LOOKS_LIKE_JSON.match(value):
            return [{"role": "user", "content": clean(value)}]
        try:
            parsed = parse_json(value)
        except DatasetError:
            return [{"role": "user", "content": clean(value)}]  # a text that begins with a bracket
    else:
        parsed = value
    if isinstance(parsed, list) and parsed:
        if all(isinstance(item, dict) and ("role" in item or "from" in item) for item in parsed):
            return messages(parsed, column=column)
        if all(isinstance(item, str) for item in parsed):
            return [{"role": "user", "content": clean(item)} for item in parsed]
    if isinstance(value, str):
        return [{"role": "user", "content": clean(value)}]
    raise DatasetError("text or a list of messages was expected.", column=column)


def response(value: Any, *, column: str) -> list[str]:
    """A response column: plain text, or a (JSON) list with one answer per turn; null is an empty answer."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            parsed = parse_json(value)
        except DatasetError:
            return [clean(value)]
        if not (
            isinstance(parsed, list)
            and parsed
            and all(isinstance(item, str) or item is None for item in parsed)
        ):
            return [clean(value)]
        value = parsed
    if isinstance(value, str):
        return [clean(value)]
    if isinstance(value, list) and all(isinstance(item, str) or item is None for item in value):
        return [clean(item or "") for item in value]
    raise DatasetError("text or a list of texts was expected.", column=column)


def split(
    sides: tuple[Messages, Messages], *, turn: int | None = None
) -> tuple[Messages, list[str]]:
    """The prompt, and the answer of each side to it.

    The prompt is everything but the last assistant message. Where the sides' histories differ (each went on
    from its own earlier answers), the prompt is what both have in common, the messages of the user and the
    system; and the answer is all that the side said, turn by turn. ``turn`` cuts both chats after their
    turn-th answer.
    """
    if turn:
        sides = (_until(sides[0], turn), _until(sides[1], turn))
    answers, histories = [], []
    for side, column in zip(sides, ("conversation_a", "conversation_b"), strict=True):
        if not side or side[-1]["role"] != "assistant":
            raise DatasetError("the last message must be the assistant's.", column=column)
        histories.append(side[:-1])
        answers.append(side[-1]["content"])
    if histories[0] == histories[1]:
        return histories[0], answers
    asked = [[m for m in side if m["role"] != "assistant"] for side in sides]
    if asked[0] != asked[1]:
        raise DatasetError(
            "the user's messages differ from those in conversation_a: both sides must answer the same "
            "prompt.",
            column="conversation_b",
        )
    return asked[0], [
        in_turns([m["content"] for m in side if m["role"] == "assistant"]) for side in sides
    ]


def answer(value: Any, *, column: str) -> str:
    """A response column as one text."""
    if value.__class__ is str and not value.lstrip().startswith("["):  # the usual one
        return clean(value)
    return in_turns(response(value, column=column))


def _until(chat: Messages, turn: int) -> Messages:
    answered = 0
    for index, message in enumerate(chat):
        answered += message["role"] == "assistant"
        if answered == turn:
            return chat[: index + 1]
    return chat
