"""The second round of a committee: each member once more, after it heard what the others said and why.

A judge of the second round asks the same model in the same way as the member did, and is a judge of its own:
its configuration names those that it hears, its runs choose the battles that all of them have decided, and its
verdicts are on every page that verdicts are on.
"""

from collections.abc import Sequence
from typing import Any

from arena.models import Arena
from judges.llm_judges import MOST_HEARD, ConfigurationError, make_llm_judge, new_version
from judges.models import Judge

NAME = "{} after discussion"
LONGEST = 120  # of a member's name in it


class DiscussionError(ValueError):
    """A discussion that can't be held; str() says why."""


def second_round(*, arena: Arena, members: Sequence[Judge], actor: Any = None) -> list[Judge]:
    """For each member the judge that decides once more, in their order; those that are there are given back.

    Raises DiscussionError.
    """
    if not 2 <= len(members) <= MOST_HEARD:
        raise DiscussionError(f"A discussion takes 2 to {MOST_HEARD} members, not {len(members)}.")
    for member in members:
        if member.kind != Judge.Kind.LLM or "protocol_digest" not in member.configuration:
            raise DiscussionError(
                f"{member} has no endpoint that could be asked again: members of a committee are LLM judges "
                "that were made here."
            )
        if "discussion" in member.configuration:
            raise DiscussionError(
                f"{member} has heard others already: there is one round of discussion."
            )
    try:
        return [_once_more(arena, member, members, actor) for member in members]
    except ConfigurationError as error:
        raise DiscussionError(str(error)) from error


def _once_more(arena: Arena, member: Judge, members: Sequence[Judge], actor: Any) -> Judge:
    others = sorted((o for o in members if o != member), key=lambda other: other.slug)
    configuration = {
        **member.configuration,
        "discussion": {"own": _named(member), "of": [_named(other) for other in others]},
    }
    name = NAME.format(str(member)[:LONGEST].strip())
    there = Judge.objects.filter(arena=arena, name=name).order_by("-version").first()
    if there is not None:
        # Of another committee, which hears others: this is a further version.
        return new_version(judge=there, configuration=configuration, actor=actor)
    return make_llm_judge(
        arena=arena,
        name=name,
        configuration=configuration,
        family=member.family,
        description=f"{member}, asked once more after it heard {', '.join(map(str, others))}.",
        actor=actor,
    )


def _named(judge: Judge) -> dict[str, str]:
    return {"slug": judge.slug, "digest": judge.digest}
