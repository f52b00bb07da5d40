"""The words of a request: templates, fences around what strangers wrote, and the parts of a case.

A template is filled in once. What was filled in isn't looked at again, so that no text of a stranger can ask
for another.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from judges.protocols.interface import Case, Choice, Example, Opinion

FOLDER = Path(__file__).parent / "templates"
ROLES = {"user": "the user", "assistant": "the assistant", "system": "the system", "tool": "a tool"}
# Of each judge's reasons, in a discussion: characters.
LONGEST_REASONS = 2_000
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
    reasons = [opinion.rationale for opinion in case.discussion]
    return [*said, *case.answers, case.reference, *case.checklist, *examples, *names, *reasons]


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


def discussion(case: Case, fence: str) -> str:
    """What judges have said before: others as Judge 1, 2 …, the judge's own last."""
    others = [opinion for opinion in case.discussion if not opinion.is_own]
    parts = [_opinion(fence, f"Judge {number}", one) for number, one in enumerate(others, 1)]
    parts += [_opinion(fence, "You yourself", one) for one in case.discussion if one.is_own]
    return "\n\n".join(parts)


def _opinion(fence: str, who: str, opinion: Opinion) -> str:
    said = f"{who} decided: {SAID[opinion.choice]}."
    if opinion.in_this_order is not None:
        said += (
            f" Asked in this order of the answers: {SAID[opinion.in_this_order]}; asked in the other, or "
            "again, something else."
        )
    reasons = opinion.rationale.strip()
    if not reasons:
        return f"{said} No reasons are known."
    bound = f", of which the first {LONGEST_REASONS:,} characters are shown"
    cut = bound if len(reasons) > LONGEST_REASONS else ""
    shown = fenced(fence, "reasons of a judge", reasons[:LONGEST_REASONS])
    return f"{said} The reasons given{cut}:\n{shown}"


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
