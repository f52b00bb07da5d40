"""Runs that ask a system to answer prompts: which prompts, what is asked of each, and what is kept.

A system's configuration is plain JSON, as judges.answering has checked it: where its model is asked, what it is
told first, and whether it can see. Its answers are outputs like any other's. What was cut off, held back or is
empty is a failure of its call, and never an output: nobody is ranked on half an answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, OuterRef, QuerySet, Sum, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from arena.audit import note
from arena.making import follow_outputs, keep_outputs
from arena.models import Arena, Output, Prompt, System
from arena.records import LONGEST_LINE
from judges.configurations import endpoint_from
from judges.endpoints.interface import Endpoint
from judges.models import JudgeCall, JudgeRun
from judges.protocols.interface import FinalReply, Reply, Request, UnreadableReply
from judges.runs.errors import RunError
from judges.runs.pictures import names_in, pictures_of_each
from judges.runs.planning import (
    BYTES_PER_TOKEN,
    RunPlan,
    seconds_of,
    usual_call,
    warning_of,
)
from judges.runs.selection import BATCH, bytes_of, checked_selection, spread_of
from judges.runs.sizes import ROLES, cost_of, most_tokens

MAX_TOKENS = 2_048  # of an answer, where the configuration says nothing
NOT_ASKED = "The conversation doesn't end with the user: there is nothing to answer."
_KEYS = {"prompts", "categories", "limit"}


# --- what a system is configured to do --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """How a system's model is asked."""

    endpoint: Endpoint
    max_tokens: int
    system_prompt: str = ""
    sees: bool = False

    @classmethod
    def of(cls, system: System) -> "Asked":
        """Raises RunError for a system that has no endpoint."""
        if not system.endpoint:
            raise RunError(f"{system} has no endpoint that could be asked: give it one first.")
        values = dict(system.endpoint["endpoint"])
        parameters = dict(values["parameters"])
        # Either name is that of the same limit; the client sends max_tokens from the request.
        limit = parameters.pop("max_tokens", None) or parameters.get("max_completion_tokens")
        return cls(
            endpoint=endpoint_from(values | {"parameters": parameters}),
            max_tokens=limit or MAX_TOKENS,
            system_prompt=system.endpoint["system_prompt"],
            sees=system.endpoint["pictures"],
        )

    def requests_of(self, arena: Arena, prompts: Sequence[Prompt]) -> list[Request | None]:
        """What is sent for each prompt; None for a conversation that doesn't end with the user."""
        shown: list[tuple[Any, ...]] = [()] * len(prompts)
        if self.sees:
            texts = [[_content(message) for message in prompt.messages] for prompt in prompts]
            shown = pictures_of_each(arena, texts)
        return [
            self._request(prompt.messages, {picture.name: picture for picture in pictures})
            for prompt, pictures in zip(prompts, shown, strict=True)
        ]

    def _request(
        self, messages: Sequence[Mapping[str, str]], pictures: Mapping[str, Any]
    ) -> Request | None:
        if not messages or messages[-1].get("role") != "user":
            return None
        sent: list[Mapping[str, Any]] = []
        for message in messages:
            content: Any = _content(message)
            names = [name for name in names_in([content]) if name in pictures]
            if names and message["role"] == "user":
                content = [
                    {"type": "text", "text": content},
                    *(
                        {"type": "image_url", "image_url": {"url": pictures[name].data_url}}
                        for name in names
                    ),
                ]
            sent.append({"role": message["role"], "content": content})
        if self.system_prompt:
            # One system message: some models take no second.
            theirs = [m["content"] for m in sent[:1] if m["role"] == "system"]
            words = "\n\n".join([self.system_prompt, *theirs])
            sent = [{"role": "system", "content": words}, *sent[len(theirs) :]]
        return Request(messages=tuple(sent), max_tokens=self.max_tokens)


def read_answer(reply: Reply) -> str:
    """The text of a reply that can be an output. Raises UnreadableReply."""
    if reply.finish == "length":
        raise FinalReply(
            "nobody is ranked on half an answer. Give the system a larger max_tokens, as another version."
        )
    if reply.finish == "content_filter":
        raise FinalReply("The server's content filter held the answer, or a part of it, back.")
    if not reply.text.strip():
        raise UnreadableReply("The answer is empty.")
    if len(reply.text) > LONGEST_LINE:
        raise FinalReply(f"The answer has more than the {LONGEST_LINE:,} characters of an output.")
    return reply.text


# --- which prompts ----------------------------------------------------------------------------------------


def checked_prompts(selection: Mapping[str, Any], *, arena: Arena) -> dict[str, Any]:
    """{"prompts": [id, …], "categories": [slug, …], "limit": n}, all of which exist. Raises RunError."""
    if unknown := sorted(set(selection) - _KEYS):
        raise RunError(
            f"A selection of prompts has no {str(unknown[0])[:60]!r}: it has {', '.join(sorted(_KEYS))}."
        )
    checked = checked_selection(selection, arena=arena)
    del checked["battles"]
    return checked


def unanswered(*, system: System, selection: Mapping[str, Any]) -> QuerySet[Prompt]:
    """The chosen prompts that can be asked and have no output of the system; with a limit a sample of them."""
    answered = Output.objects.filter(system=system, prompt=OuterRef("pk"))
    found = _chosen(system, selection).exclude(messages=[]).filter(~Exists(answered))
    found = found.annotate(size=bytes_of(Cast("messages", TextField())))
    if limit := selection.get("limit"):
        return found.annotate(spread=spread_of("pk", "pk")).order_by("spread", "pk")[:limit]
    return found.order_by("pk")


def _chosen(system: System, selection: Mapping[str, Any]) -> QuerySet[Prompt]:
    found = Prompt.objects.filter(arena_id=system.arena_id)
    if prompts := selection.get("prompts"):
        found = found.filter(pk__in=prompts)
    if categories := selection.get("categories"):
        labelled = Prompt.categories.through.objects.filter(
            category__arena=system.arena_id, category__slug__in=categories
        )
        found = found.filter(pk__in=labelled.values("prompt"))
    return found


def plan_of_answers(*, system: System, selection: Mapping[str, Any]) -> RunPlan:
    """``selection`` as checked_prompts gives it. Raises RunError for a system without an endpoint."""
    asked = Asked.of(system)
    rows = unanswered(system=system, selection=selection).values("pk", "size")
    sums = rows.aggregate(calls=Count("pk"), bytes=Sum("size", default=0))
    calls = sums["calls"]
    length = sums["bytes"] + calls * len(asked.system_prompt.encode())
    reply, latency, is_measured = usual_call(system.runs.all())
    input_tokens, output_tokens = length / BYTES_PER_TOKEN, calls * min(reply, asked.max_tokens)
    return RunPlan(
        battles=0,
        calls=calls,
        preparations=0,
        input_tokens=round(input_tokens),
        output_tokens=round(output_tokens),
        cost=cost_of(input_tokens, output_tokens, asked.endpoint),
        most_cost=cost_of(length + calls * ROLES, calls * asked.max_tokens, asked.endpoint),
        seconds=seconds_of(
            asked.endpoint, calls=calls, latency=latency, tokens=input_tokens + output_tokens
        ),
        is_measured=is_measured,
        warning=warning_of(asked.endpoint),
        prompts=calls,
        left_out=_chosen(system, selection).filter(messages=[]).count(),
    )


def write_calls(run: JudgeRun, system: System) -> None:
    """A row for each prompt that is to be answered, in batches."""
    asked = Asked.of(system)
    for batch in _batches(system, run.selection):
        JudgeCall.objects.bulk_create(
            JudgeCall(
                arena_id=run.arena_id,
                run=run,
                purpose=JudgeCall.Purpose.ANSWER,
                prompt_id=prompt,
                **_most(asked, size),
            )
            for prompt, size in batch
        )
        until = timezone.now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)
        JudgeRun.objects.filter(pk=run.pk).update(claimed_until=until)


def measure_calls(run: JudgeRun) -> None:
    """How much the open calls of a system's run can take: it may have another endpoint since they failed."""
    if run.system is None:
        return
    asked = Asked.of(run.system)
    sized = run.calls.filter(state=JudgeCall.State.OPEN).annotate(
        size=bytes_of(Cast("prompt__messages", TextField()))
    )
    last = 0
    while batch := list(sized.filter(pk__gt=last).order_by("pk")[:BATCH]):
        last = batch[-1].pk
        for call in batch:
            for name, value in _most(asked, call.size).items():
                setattr(call, name, value)
        JudgeCall.objects.bulk_update(batch, ["most_tokens", "most_cost"])


def _batches(system: System, selection: Mapping[str, Any]) -> Iterator[list[tuple[int, int]]]:
    """(prompt, bytes), by key and not by offset: what is answered meanwhile changes nothing."""
    found = unanswered(system=system, selection=selection).values_list("pk", "size")
    if selection.get("limit"):
        rows = sorted(found)
        for start in range(0, len(rows), BATCH):
            yield rows[start : start + BATCH]
        return
    last = 0
    while batch := list(found.filter(pk__gt=last)[:BATCH]):
        yield batch
        last = batch[-1][0]


def _most(asked: Asked, size: int) -> dict[str, Any]:
    length = size + len(asked.system_prompt.encode())
    cost = cost_of(length + ROLES, asked.max_tokens, asked.endpoint)
    return {
        "most_tokens": most_tokens(length, asked.max_tokens),
        "most_cost": Decimal(cost).quantize(Decimal("0.000001"), rounding="ROUND_UP"),
    }


# --- what is kept -----------------------------------------------------------------------------------------


def keep_answers(run: JudgeRun, answered: Mapping[int, Any]) -> None:
    """Outputs of results by prompt; where the system has an output already, that one stays.

    What was in flight when its run was cancelled, and came when the system had another endpoint, isn't kept.
    """
    system = run.system
    assert system is not None  # noqa: S101 (only a system's run has calls that ask for answers)
    asked = Asked.of(system)
    prompts = Prompt.objects.in_bulk(answered)
    keep_outputs(
        system=system,
        outputs=[
            Output(
                arena_id=run.arena_id,
                system=system,
                prompt=prompts[prompt],
                text=result.text,
                tokens=result.output_tokens,
                latency_ms=round(result.seconds * 1_000),
                cost=_price(result, asked.endpoint),
            )
            for prompt, result in answered.items()
            if result.asked == asked
        ],
    )


def follow_answers(run: JudgeRun) -> None:
    """What follows from the outputs that a system's run has made so far: pairs, and who is told."""
    if not run.answers:
        return
    of_run = Output.objects.filter(
        system=run.system_id,
        prompt__in=run.calls.filter(state=JudgeCall.State.DONE).values("prompt"),
    )
    if first := of_run.order_by("pk").values_list("pk", flat=True).first():
        follow_outputs(arena=run.arena, after=first - 1, of=run.system)


def note_answers(run: JudgeRun) -> None:
    """What an upload leaves in the audit log."""
    note(
        arena=run.arena,
        actor=run.created_by,
        act="add outputs",
        subject=str(run.subject),
        outputs=run.done,
        run=run.pk,
    )


def _price(result: Any, endpoint: Endpoint) -> Decimal | None:
    """What the answer alone costs, also where it came from the cache; None where nobody can tell."""
    if not (endpoint.input_price or endpoint.output_price):
        return None
    if result.input_tokens is None or result.output_tokens is None:
        return None
    return round(Decimal(cost_of(result.input_tokens, result.output_tokens, endpoint)), 6)


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content", "")
    return content if isinstance(content, str) else str(content)
