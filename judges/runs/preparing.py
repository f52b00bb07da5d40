"""What a judge writes before it judges: a checklist of each prompt, a reference adapted to the answers.

Whether a protocol wants either, and of what, is read from the protocol itself: by asking it about a case.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from arena.audit import account_of, note
from arena.models import Prompt
from judges.models import Judge, JudgeCall, JudgeRun, Preparation, Score
from judges.protocols.interface import Case, JudgeProtocol
from judges.runs.errors import RunError

MOST_QUESTIONS = 10
LONGEST_QUESTION = 300
_FENCE = "0" * 16


class Scope(StrEnum):
    """Of what a judge's preparations are."""

    PROMPT = "prompt"
    ANSWERS = "answers"  # of a battle, or of an output where outputs are scored


def scopes_of(protocol: JudgeProtocol) -> tuple[Scope, ...]:
    """Of what its preparations are, in the order in which they are asked for: at most one of each scope."""
    one, another = (_case(protocol, word) for word in ("one", "another"))
    request = protocol.preparation(one, fence=_FENCE)
    if request is None:
        return ()
    if request != protocol.preparation(another, fence=_FENCE):
        return (Scope.ANSWERS,)
    asked = replace(one, checklist=("Is it right?",))
    if protocol.preparation(asked, fence=_FENCE) is None:
        return (Scope.PROMPT,)
    return Scope.PROMPT, Scope.ANSWERS


def preparations_for(judge: Judge, calls: Iterable[JudgeCall]) -> dict[Any, Preparation]:
    """By what they are of, as ``subject_of`` names it: one query."""
    prompts = {call.prompt_id for call in calls}
    found = Preparation.objects.filter(judge=judge, prompt__in=prompts)
    return {(row.prompt_id, row.battle_id, row.output_id): row for row in found}


def builds_on(call: JudgeCall, scopes: Sequence[Scope]) -> list[Scope]:
    """Which preparations must be there before the call: of one that prepares answers, the prompt's."""
    if call.purpose != JudgeCall.Purpose.PREPARE:
        return list(scopes)
    is_of_prompt = call.battle_id is None and call.output_id is None
    return [] if is_of_prompt else [scope for scope in scopes if scope == Scope.PROMPT]


def subject_of(call: JudgeCall, scope: Scope) -> tuple[int, int | None, int | None]:
    """(prompt, battle, output) of a preparation that a call builds on, or is."""
    if scope == Scope.PROMPT:
        return call.prompt_id, None, None
    return call.prompt_id, call.battle_id, call.output_id


def with_preparation(case: Case, preparation: Preparation) -> Case:
    if preparation.checklist:
        return replace(case, checklist=tuple(preparation.checklist))
    return replace(case, reference=preparation.reference)


def keep_preparations(run: JudgeRun, calls: Sequence[JudgeCall]) -> None:
    """Of answered calls; what is there already stays."""
    Preparation.objects.bulk_create(
        (
            Preparation(
                arena_id=run.arena_id,
                judge_id=run.judge_id,
                prompt_id=call.prompt_id,
                battle_id=call.battle_id,
                pair_id=call.pair_id,
                output_id=call.output_id,
                checklist=call.parse.get("checklist", []),
                reference=call.parse.get("reference", ""),
            )
            for call in calls
        ),
        ignore_conflicts=True,
    )


def prepared(judge: Judge, prompts: Iterable[int]) -> QuerySet[Preparation]:
    return Preparation.objects.filter(judge=judge, prompt__in=set(prompts))


@transaction.atomic
def edit_checklist(
    *, judge: Judge, prompt: Prompt, questions: Sequence[str], actor: Any = None
) -> Preparation:
    """Set the questions by which the judge checks outputs to a prompt, also before it has written any.

    Raises RunError once an output of the prompt was judged by them: its score would be one of other questions.
    The same questions again change nothing.
    """
    asked = list(dict.fromkeys(" ".join(question.split()) for question in questions))
    if not 1 <= len(asked) <= MOST_QUESTIONS or not all(
        0 < len(question) <= LONGEST_QUESTION and question.isprintable() for question in asked
    ):
        raise RunError(
            f"A checklist has 1 to {MOST_QUESTIONS} questions of at most {LONGEST_QUESTION} characters."
        )
    judge = Judge.objects.select_for_update(of=("self",)).select_related("arena").get(pk=judge.pk)
    there = Preparation.objects.filter(judge=judge, prompt=prompt, battle=None, output=None).first()
    if there is not None and there.checklist == asked:
        return there
    if Score.objects.filter(Q(output__prompt=prompt), judge=judge).exists():
        raise RunError(
            "Outputs to this prompt were judged by its checklist already: make a new version of the judge."
        )
    known = account_of(actor)
    kept, _ = Preparation.objects.update_or_create(
        judge=judge,
        prompt=prompt,
        battle=None,
        output=None,
        defaults={"arena_id": judge.arena_id, "checklist": asked, "edited_by": known},
    )
    note(arena=judge.arena, actor=actor, act="edit checklist", subject=str(judge), prompt=prompt.pk)
    return kept


def _case(protocol: JudgeProtocol, word: str) -> Case:
    answers = (word, f"{word} more") if protocol.judges_battles else (word,)
    return Case(({"role": "user", "content": "What?"},), answers, reference="This.")
