"""Checklist (TICK, arXiv 2410.03608): questions are written once per prompt, each answered with yes or no.

The score is the share of yes. The questions belong to the prompt and not to the reply: they are kept, shown,
and may be edited, before any output is judged by them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from judges.protocols import reading, texts
from judges.protocols.asking import Asking
from judges.protocols.interface import (
    Case,
    MissingInput,
    Reading,
    Reply,
    Request,
    UnreadableReply,
)

MOST = 10
LONGEST = 300
ANSWERS = {"yes": True, "no": False}
_NUMBERED = re.compile(r"^(?:question\s*|q)?(\d{1,2})\s*[.):=-]+\s*(.+)$", re.IGNORECASE)


class Checklist(Asking):
    name = "checklist"
    judges_battles = False
    templates = ("checklist", "write_checklist")

    def render(self, case: Case, *, fence: str) -> Request:
        if not case.checklist:
            raise MissingInput("The prompt has no checklist yet: its questions are written first.")
        return super().render(case, fence=fence)

    def form(self, case: Case) -> str:
        # A model that had read a stranger's prompt may have written them: they are short, and listed.
        asked = "\n".join(f"{number}. {one}" for number, one in enumerate(case.checklist, 1))
        return f"The questions:\n{asked}\n\n{super().form(case)}"

    def decided(self, case: Case) -> dict[str, str]:
        return {
            str(number): f"yes or no, question {number}"
            for number, _ in enumerate(case.checklist, 1)
        }

    def kinds(self, case: Case) -> dict[str, Mapping[str, Any]]:
        return {key: {"type": "string", "enum": list(ANSWERS)} for key in self.decided(case)}

    def of_json(self, value: Mapping[str, Any], questions: Sequence[str]) -> Reading:
        said = [
            reading.the(value, str(n), lambda one: reading.label_of(one, ANSWERS, what="answer"))
            for n in range(1, len(questions) + 1)
        ]
        return _scored(said)

    def of_words(self, text: str, questions: Sequence[str]) -> Reading:
        found: dict[int, bool] = {}
        for line in reading.words_of(text):
            numbered = _NUMBERED.match(line)
            if not numbered or (said := numbered[2].strip(" .!").casefold()) not in ANSWERS:
                continue
            number = int(numbered[1])
            if found.setdefault(number, ANSWERS[said]) != ANSWERS[said]:
                raise UnreadableReply(f"Question {number} is answered with yes and with no.")
        if set(found) != set(range(1, len(questions) + 1)):
            raise UnreadableReply(
                f"There are {len(questions)} questions, and answers to {sorted(found) or 'none'}."
            )
        return _scored([found[n] for n in range(1, len(questions) + 1)])

    # --- the questions ------------------------------------------------------------------------------------

    def preparation(self, case: Case, *, fence: str) -> Request | None:
        if case.checklist:
            return super().preparation(case, fence=fence)
        fence = texts.free_fence(fence, texts.texts_of(case))
        system = [
            texts.filled("write_checklist", most=str(MOST)),
            texts.filled("fences", fence=fence),
        ]
        asked = 'Reply with one JSON object and nothing else: {"questions": ["…", "…"]}.'
        return Request(
            messages=(
                texts.message("system", "\n\n".join(system)),
                texts.message("user", f"{texts.conversation(case, fence)}\n\n{asked}", case, fence),
            ),
            max_tokens=1_000,
            schema={
                "type": "object",
                "properties": {"questions": {"type": "array", "items": {"type": "string"}}},
                "required": ["questions"],
                "additionalProperties": False,
            },
        )

    def prepared(self, case: Case, reply: Reply) -> Case:
        if case.checklist:
            return super().prepared(case, reply)
        questions = reading.the(reading.json_in(reply.text), "questions", _questions)
        return replace(case, checklist=questions)


def _scored(said: list[bool]) -> Reading:
    if not said:
        raise UnreadableReply("No questions were asked.")
    return Reading(score=sum(said) / len(said), details={"answers": said})


def _questions(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise UnreadableReply("The questions must be a list of words.")
    questions = tuple(dict.fromkeys(" ".join(one.split()) for one in value))
    if not 1 <= len(questions) <= MOST or not all(0 < len(one) <= LONGEST for one in questions):
        raise UnreadableReply(
            f"There must be 1 to {MOST} questions of at most {LONGEST} characters, not {len(questions)}."
        )
    return questions
