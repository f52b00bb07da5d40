"""The words of a request: templates, fences around what strangers wrote, and the parts of a case.

A template is filled in once. What was filled in isn't looked at again, so that no text of a stranger can ask
for another.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from judges.protocols.interface import Case, Choice, Example

FOLDER = Path(__file__).parent / "templates"
ROLES = {"user": "the user", "assistant": "the assistant", "system": "the system", "tool": "a tool"}
SAID = {
    Choice.FIRST: "A is better",
    Choice.SECOND: "B is better",
    Choice.TIE: "a tie",
    Choice.BOTH_BAD: "both are bad",
}


@cache
def template(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8").strip()


def filled(name: str, **values: str) -> str:
    return Template(template(name)).substitute(values)


def free_fence(fence: str, texts: list[str]) -> str:
    """The fence, longer by as many letters as it takes to occur in none of the texts."""
    while any(fence in text for text in texts):
        fence += "x"
    return fence


def fenced(fence: str, what: str, text: str) -> str:
    return f"<<<{fence} {what}>>>\n{text}\n<<<end {fence}>>>"


def texts_of(case: Case) -> list[str]:
    """All that strangers wrote."""
    examples = [text for one in case.examples for text in (one.prompt, *one.answers)]
    said = [message.get("content", "") for message in case.messages]
    names = [picture.name for picture in case.pictures]
    return [*said, *case.answers, case.reference, *case.checklist, *examples, *names]


def conversation(case: Case, fence: str) -> str:
    """Every message of the prompt in a fence of its own."""
    turns = [
        fenced(
            fence, f"prompt, {ROLES.get(message.get('role', ''), 'another')}", message["content"]
        )
        for message in case.messages
    ]
    return "\n\n".join(turns)


def example(fence: str, number: int, shown: Example) -> str:
    first, second = shown.answers
    return "\n\n".join(
        [
            f"Example {number}, decided by people:",
            fenced(fence, "example prompt", shown.prompt),
            fenced(fence, "example answer A", first),
            fenced(fence, "example answer B", second),
            f"People said: {SAID[shown.choice]}.",
        ]
    )


def message(role: str, text: str, case: Case | None = None, fence: str = "") -> Mapping[str, Any]:
    """With the case's pictures after the text, as parts of the chat-completions protocol."""
    if case is None or not case.pictures:
        return {"role": role, "content": text}
    names = fenced(fence, "names", "\n".join(picture.name for picture in case.pictures))
    parts: list[dict[str, Any]] = [
        {
            "type": "text",
            "text": f"{text}\n\nImages follow that the texts show by these names:\n{names}",
        }
    ]
    parts += [
        {"type": "image_url", "image_url": {"url": picture.data_url}} for picture in case.pictures
    ]
    return {"role": role, "content": parts}
