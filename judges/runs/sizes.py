"""How many tokens a call may take, known before it is asked: from the lengths of texts and the protocol."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from judges.endpoints.interface import Endpoint
from judges.protocols.interface import Case, Choice, Example, JudgeProtocol, Opinion, Request
from judges.protocols.texts import LONGEST_REASONS
from judges.runs.preparing import Scope, scopes_of

BYTES_PER_TOKEN = 4.0  # of English text; an estimate, other languages and code have fewer
ROLES = 64  # tokens that a chat template adds around the messages, at the most
_MARKS = "\ue000\ue001\ue002"  # of the private use area: in nobody's template
_REPEATED = 100
_REASON = "\U0010ffff"  # as many bytes as a character can have
MOST_REASONS = LONGEST_REASONS * len(_REASON.encode())


class Size(NamedTuple):
    """Of one kind of call: what it holds whatever is judged, and how often it repeats what is."""

    fixed: int  # bytes
    prompts: float
    answers: float  # of each answer
    references: float
    max_tokens: int

    def bytes(self, *, prompt: int, answers: int, reference: int) -> int:
        """How long the request's messages can be at the most."""
        size = self.prompts * prompt + self.answers * answers + self.references * reference
        return int(self.fixed + size) + 1


def size_of(
    protocol: JudgeProtocol,
    *,
    guidelines: str,
    examples: Sequence[Example] = (),
    reasons: int = MOST_REASONS,
    longest_reply: int = 0,
) -> Size:
    """Measured on a case whose texts can be told apart. ``reasons``: bytes of each judge's that it hears;
    ``longest_reply``: as the endpoint's parameters have it.
    """
    words = _REASON * (1 + reasons // len(_REASON.encode()))
    heard = Opinion(Choice.BOTH_BAD, words, Choice.BOTH_BAD)
    prompt, answer, reference = (mark * _REPEATED for mark in _MARKS)
    case = Case(
        messages=({"role": "user", "content": prompt},),
        answers=(answer, answer) if protocol.judges_battles else (answer,),
        reference=reference,
        guidelines=guidelines,
        checklist=("Is it right?",) * 10,
        examples=tuple(examples),
        discussion=(heard,) * protocol.hears,
    )
    size = _measured(protocol.render(case, fence="0" * 16), len(case.answers), longest_reply)
    # What the judge wrote first it reads again: as many tokens, and no token is shorter than a byte.
    first = sizes_of_preparations(protocol, longest_reply=longest_reply)
    written = sum(one.max_tokens for one in first.values())
    return size._replace(fixed=size.fixed + written)


def longest_reply_of(endpoint: Endpoint) -> int:
    """Tokens that the endpoint's parameters allow, whatever a protocol asks for; 0 where they say nothing."""
    limit = dict(endpoint.parameters).get("max_completion_tokens", 0)
    return limit if isinstance(limit, int) else 0


def _measured(request: Request, answers: int, longest_reply: int) -> Size:
    text = "".join(_texts(request.messages))
    times = [text.count(mark) / _REPEATED for mark in _MARKS]
    fixed = len(text.encode()) - sum(len(mark.encode()) * text.count(mark) for mark in _MARKS)
    if request.schema is not None:
        fixed += len(str(request.schema))
    most = max(request.max_tokens, longest_reply)
    return Size(fixed, times[0], times[1] / answers, times[2], most)


def sizes_of_preparations(protocol: JudgeProtocol, *, longest_reply: int = 0) -> dict[Scope, Size]:
    """The same of the calls that come first, in their order."""
    prompt, answer, reference = (mark * _REPEATED for mark in _MARKS)
    answers = (answer, answer) if protocol.judges_battles else (answer,)
    case = Case(({"role": "user", "content": prompt},), answers, reference=reference)
    sizes = {}
    for scope in scopes_of(protocol):
        request = protocol.preparation(case, fence="0" * 16)
        if request is not None:
            sizes[scope] = _measured(request, len(answers), longest_reply)
        case = replace(case, checklist=("Is it right?",))
    return sizes


def most_tokens(size: int, max_tokens: int) -> int:
    """No tokenizer in use makes more tokens than there are bytes."""
    return size + ROLES + max_tokens


def cost_of(input_tokens: float, output_tokens: float, endpoint: Endpoint) -> float:
    """USD."""
    priced = input_tokens * endpoint.input_price + output_tokens * endpoint.output_price
    return priced / 1_000_000


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list | tuple):
        return [text for inner in value for text in _texts(inner)]
    return []
