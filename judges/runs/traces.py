"""One call, so that it can be retraced: the request as it is rendered from what is stored, and the reply.

Requests aren't stored: they follow from the judge's protocol, the texts and the run's examples. Where a request
can't be rendered any more, or may differ from what was sent, this says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arena.models import Output, System
from judges.disclosure import disclosed
from judges.endpoints import cache
from judges.endpoints.interface import Endpoint, Question
from judges.llm_judges import MOST_REPETITIONS, ConfigurationError, endpoint_of, protocol_of
from judges.models import CachedReply, JudgeCall, JudgeRun, Score, Verdict
from judges.protocols.interface import MissingInput, Request
from judges.runs import answers
from judges.runs.cases import Materials, fence_of, load_calls
from judges.runs.errors import RunError
from judges.runs.preparing import (
    builds_on,
    preparations_for,
    scopes_of,
    subject_of,
    with_preparation,
)
from judges.runs.probing import protocol_for

MOST_OTHERS = 2 * MOST_REPETITIONS


@dataclass(frozen=True, slots=True)
class Message:
    """Of a request. ``pictures`` are the sizes, in characters, of the images that it carries."""

    role: str
    text: str
    pictures: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """The request of a call; or, in ``why_not``, why it can't be rendered.

    ``is_proven``: the reply to exactly this request is in the cache, so this is what was sent, to the letter.
    """

    messages: tuple[Message, ...] = ()
    url: str = ""
    model: str = ""
    api: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int = 0
    schema: Mapping[str, Any] | None = None
    top_logprobs: int = 0
    is_proven: bool = False
    why_not: str = ""


def asked_of(call: JudgeCall, *, run: JudgeRun) -> Asked:
    """What the judge, or the system, is asked by a call, rendered again. A handful of queries."""
    try:
        if run.system is not None:
            endpoint, request = _request_of_answer(call, run.system)
        else:
            endpoint, request = endpoint_of(run.judge), _request(call, run)
    except (ConfigurationError, MissingInput, RunError) as error:
        return Asked(why_not=str(error))
    repetition = 0 if call.purpose == JudgeCall.Purpose.PREPARE else call.repetition
    key = cache.key_of_question(Question(endpoint, request, repetition))
    return Asked(
        messages=tuple(_message(message) for message in request.messages),
        url=endpoint.url,
        model=endpoint.model,
        api=endpoint.api,
        parameters=disclosed(dict(endpoint.parameters)),
        max_tokens=request.max_tokens,
        schema=request.schema,
        top_logprobs=request.top_logprobs,
        is_proven=CachedReply.objects.filter(key=key).exists(),
    )


@dataclass(frozen=True, slots=True)
class LedTo:
    """What the judge made of the subject of a call: verdicts of its battle, or scores of its output.

    ``output`` is what a system answered; also where it was there before, or came from elsewhere.
    """

    verdicts: list[Verdict]
    scores: list[Score]
    others: list[JudgeCall]  # of the same run, about the same battle or output
    output: Output | None = None


def led_to(call: JudgeCall, *, run: JudgeRun) -> LedTo:
    """Two queries."""
    if call.battle_id:
        about = {"battle": call.battle_id}
    elif call.output_id:
        about = {"output": call.output_id}
    elif call.purpose == JudgeCall.Purpose.ANSWER:
        of_system = Output.objects.filter(system=run.system_id, prompt=call.prompt_id)
        return LedTo([], [], [], of_system.first())
    else:
        return LedTo([], [], [])
    others = run.calls.filter(**about).exclude(pk=call.pk).defer("text", "parse").order_by("pk")
    same: dict[str, Any] = {"judge": run.judge, "repetition": call.repetition}
    verdicts: list[Verdict] = []
    scores: list[Score] = []
    if call.purpose in (JudgeCall.Purpose.PREPARE, JudgeCall.Purpose.PROBE):
        pass
    elif call.battle_id:
        found = Verdict.objects.filter(**about, **same, voter=None)
        verdicts = list(found.select_related("retraction", "battle__system_a", "battle__system_b"))
    else:
        scores = list(Score.objects.filter(**about, **same))
    return LedTo(verdicts, scores, list(others[:MOST_OTHERS]))


def _request_of_answer(call: JudgeCall, system: System) -> tuple[Endpoint, Request]:
    asked = answers.Asked.of(system)
    [request] = asked.requests_of(system.arena, [call.prompt])
    if request is None:
        raise MissingInput(answers.NOT_ASKED)
    return asked.endpoint, request


def _request(call: JudgeCall, run: JudgeRun) -> Request:
    protocol = protocol_of(run.judge)
    [loaded] = load_calls([call.pk])
    [case] = Materials.of(run).cases_of([loaded])
    scopes = builds_on(loaded, scopes_of(protocol))
    there = preparations_for(run.judge, [loaded]) if scopes else {}
    for scope in scopes:
        found = there.get(subject_of(loaded, scope))
        if found is None:
            raise MissingInput(
                "What the judge writes first isn’t there yet, and this call builds on it."
            )
        case = with_preparation(case, found)
    if call.purpose == JudgeCall.Purpose.PREPARE:
        request = protocol.preparation(case, fence=fence_of(case))
        if request is None:
            raise MissingInput(f"{protocol.name} needs no preparation of this.")
        return request
    return protocol_for(loaded, protocol).render(case, fence=fence_of(case))


def _message(message: Mapping[str, Any]) -> Message:
    content = message["content"]
    if isinstance(content, str):
        return Message(message["role"], content)
    return Message(
        message["role"],
        "\n\n".join(part["text"] for part in content if "text" in part),
        tuple(len(part["image_url"]["url"]) for part in content if "image_url" in part),
    )
