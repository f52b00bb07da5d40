"""The probe of symbols: a judge that calls the answers 1 and 2 instead of A and B.

Only the protocol's own words are changed: what strangers wrote stands between fences and stays, and what the
reply says is read back into A and B before the protocol reads it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from judges.protocols import reading
from judges.protocols.interface import (
    Case,
    JudgeProtocol,
    Reading,
    Reply,
    Request,
    UnreadableReply,
)

NUMBER_OF, LETTER_OF = {"A": "1", "B": "2"}, {"1": "A", "2": "B"}
_LETTER = re.compile(r"(?<![A-Za-z0-9])[AB](?![A-Za-z0-9])")
# A number that stands by itself: neither of a list ("1. First …") nor of a fraction or share.
_NUMBER = re.compile(r"(?<![\w.,])[12](?![\w%]|[.,]\d|[.)][ \t]+\S)")
_CERTAINTY = re.compile(r"certain|confiden", re.IGNORECASE)
_KEPT = ("reasons", "certainty")  # keys of a reply that hold no symbol


def can_be_relabelled(protocol: JudgeProtocol) -> bool:
    """Whether the protocol says A and B where it means the answers, and nowhere else."""
    options = getattr(protocol, "options", None)
    criteria = getattr(options, "criteria", ())
    return not protocol.needs_probabilities and not any(_LETTER.search(name) for name in criteria)


@dataclass(frozen=True, slots=True)
class Relabelled:
    """A protocol that asks and reads as another does, with numbers for letters."""

    of: JudgeProtocol

    def render(self, case: Case, *, fence: str) -> Request:
        request = self.of.render(case, fence=fence)
        return replace(
            request,
            messages=tuple(_message(message, fence) for message in request.messages),
            schema=None if request.schema is None else _schema(request.schema),
        )

    def read(self, reply: Reply, *, questions: Sequence[str] = ()) -> Reading:
        return self.of.read(replace(reply, text=_in_letters(reply.text)), questions=questions)


def _message(message: Mapping[str, Any], fence: str) -> Mapping[str, Any]:
    if message["role"] != "user":
        return message
    content = message["content"]
    if isinstance(content, str):
        return {**message, "content": _numbered(content, fence)}
    first, *pictures = content
    return {**message, "content": [{**first, "text": _numbered(first["text"], fence)}, *pictures]}


def _numbered(text: str, fence: str) -> str:
    """The fence may be longer by some letters: see judges.protocols.texts.free_fence."""
    block = re.compile(
        rf"(?P<head><<<(?P<fence>{re.escape(fence)}x*) [^\n]*>>>)(?P<rest>\n.*?\n<<<end (?P=fence)>>>)",
        re.DOTALL,
    )
    parts, at = [], 0
    for found in block.finditer(text):
        parts += [_numbers(text[at : found.start()]), _numbers(found["head"]), found["rest"]]
        at = found.end()
    return "".join([*parts, _numbers(text[at:])])


def _numbers(text: str) -> str:
    return _LETTER.sub(lambda found: NUMBER_OF[found[0]], text)


def _schema(schema: Any) -> Any:
    """Values that may be chosen, with numbers; names of keys stay."""
    if not isinstance(schema, Mapping):
        return schema
    return {
        name: [_numbers(one) for one in value] if name == "enum" else _schema(value)
        for name, value in schema.items()
    }


def _in_letters(text: str) -> str:
    try:
        said = reading.json_in(text)
    except UnreadableReply:
        lines = (line if _CERTAINTY.search(line) else _letters(line) for line in text.split("\n"))
        return "\n".join(lines)
    letters = {
        key: value if key in _KEPT or isinstance(value, bool) else _letters_of(value)
        for key, value in said.items()
    }
    return json.dumps(letters, ensure_ascii=False)


def _letters_of(value: Any) -> Any:
    return _letters(str(value)) if isinstance(value, str | int) else value


def _letters(text: str) -> str:
    return _NUMBER.sub(lambda found: LETTER_OF[found[0]], text)
