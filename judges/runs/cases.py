"""From the row of a call to the case that a judge sees."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from django.utils.crypto import salted_hmac

from judges.models import JudgeCall, JudgeRun, Verdict
from judges.protocols.interface import Case
from judges.runs.examples import ExampleOfRun, load_examples
from judges.runs.hearing import Hears, hearing_of
from judges.runs.pictures import pictures_of_each
from judges.runs.probing import shown_answers


def fence_of(case: Case) -> str:
    """The word around what strangers wrote: nobody can foresee it, and no text can hold its own.

    It follows from the texts and the site's secret, so that the same question is the same for every worker and
    run, and is found in the cache. A text that quotes a word it has seen gets another one.
    """
    examples = [(one.prompt, one.answers) for one in case.examples]
    names = [picture.name for picture in case.pictures]
    parts = [case.messages, case.answers, case.reference, case.checklist, examples, names]
    if case.discussion:
        # Only then, so that other questions keep their fences, and their replies in the cache.
        parts.append([one.rationale for one in case.discussion])
    texts = json.dumps(parts)
    return salted_hmac("judges.runs.fence", texts, algorithm="sha256").hexdigest()[:16]


def load_calls(keys: Sequence[int]) -> list[JudgeCall]:
    """With the texts that they are about: one query."""
    calls = JudgeCall.objects.filter(pk__in=keys).select_related(
        "prompt", "output", "battle__output_a", "battle__output_b"
    )
    return list(calls.order_by("pk"))


@dataclass(frozen=True, slots=True)
class Materials:
    """What all cases of a run share."""

    run: JudgeRun
    guidelines: str
    examples: Sequence[ExampleOfRun]
    shows_pictures: bool
    hears: Hears | None = None

    @classmethod
    def of(cls, run: JudgeRun) -> Self:
        return cls(
            run=run,
            guidelines=run.arena.guidelines,
            examples=load_examples(run.examples),
            shows_pictures=run.judge.configuration["pictures"],
            hears=hearing_of(run.judge),
        )

    def cases_of(self, calls: Sequence[JudgeCall]) -> list[Case]:
        """What the judge sees of each, without what it prepared."""
        cases = [self._case(call) for call in calls]
        if self.hears:
            heard = self.hears.on(calls)
            cases = [replace(one, discussion=said) for one, said in zip(cases, heard, strict=True)]
        if not self.shows_pictures:
            return cases
        texts = [
            [*(message.get("content", "") for message in case.messages), *case.answers]
            for case in cases
        ]
        pictures = pictures_of_each(self.run.arena, texts)
        return [replace(case, pictures=shown) for case, shown in zip(cases, pictures, strict=True)]

    def _case(self, call: JudgeCall) -> Case:
        """A prompt's preparation sees no answers; nobody sees the example of the very prompt."""
        if call.output is not None:
            answers: tuple[str, ...] = (call.output.text,)
        elif call.probe and call.battle is not None:
            _, answers = shown_answers(call.battle, call.probe, seed=self.run.probes["seed"])
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
            guidelines=self.guidelines,
            examples=tuple(one for prompt, one in self.examples if prompt != call.prompt_id),
        )
