"""From the row of a call to the case that a judge sees."""

import json
from collections.abc import Sequence

from django.utils.crypto import salted_hmac

from judges.models import JudgeCall, Verdict
from judges.protocols.interface import Case


def fence_of(case: Case) -> str:
    """The word around what strangers wrote: nobody can foresee it, and no text can hold its own.

    It follows from the texts and the site's secret, so that the same question is the same for every worker and
    run, and is found in the cache. A text that quotes a word it has seen gets another one.
    """
    texts = json.dumps([case.messages, case.answers, case.reference, case.checklist])
    return salted_hmac("judges.runs.fence", texts, algorithm="sha256").hexdigest()[:16]


def load_calls(keys: Sequence[int]) -> list[JudgeCall]:
    """With the texts that they are about: one query."""
    calls = JudgeCall.objects.filter(pk__in=keys).select_related(
        "prompt", "output", "battle__output_a", "battle__output_b"
    )
    return list(calls.order_by("pk"))


def case_of(call: JudgeCall, *, guidelines: str) -> Case:
    """What the judge sees of it, without what it prepared. A prompt's preparation sees no answers."""
    if call.output is not None:
        answers: tuple[str, ...] = (call.output.text,)
    elif call.battle is not None:
        answers = (call.battle.output_a.text, call.battle.output_b.text)
        if call.shown_first == Verdict.Side.B:
            answers = answers[::-1]
    else:
        answers = ()
    return Case(
        messages=tuple(call.prompt.messages),
        answers=answers,
        reference=call.prompt.reference,
        guidelines=guidelines,
    )
