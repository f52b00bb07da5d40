"""A council of the systems themselves: each that has an endpoint becomes a judge, never of its own family.

The idea is that of Language Model Council (arXiv 2406.08598) and of peer review in PRE (arXiv 2401.15641).
"""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from arena.models import Arena, System
from judges.configurations import ConfigurationError
from judges.juries.making import JuryError, make_jury
from judges.llm_judges import make_llm_judge
from judges.models import Judge

# How long an answer may be says nothing of how long a judgement may be: that is the protocol's to say.
_OF_ANSWERS = ("max_tokens", "max_completion_tokens")


@transaction.atomic
def make_council(
    *,
    arena: Arena,
    name: str,
    protocol: Mapping[str, Any] | None = None,
    quorum: int | None = None,
    description: str = "",
    actor: Any = None,
) -> Judge:
    """The council of all systems that have an endpoint; those that are there again where nothing changed.

    ``protocol`` is {"name", "options"} of how they are asked, pairwise with reasons where it isn't said. Each
    member judges as an LLM judge named after its system, to be run like any other. Raises JuryError, also
    where a system has no family, since it would then judge itself; and ConfigurationError.
    """
    if protocol is not None and not isinstance(protocol, Mapping):
        raise ConfigurationError({"protocol": "must be an object."})
    systems = [s for s in System.objects.filter(arena=arena) if s.endpoint]
    if len(systems) < 2:
        raise JuryError(
            "A council needs two systems that have an endpoint at least: give them one under Systems."
        )
    if nameless := [str(system) for system in systems if not system.family.strip()]:
        raise JuryError(
            f"{nameless[0]} has no family, so it couldn't be kept from judging itself: give it one."
        )
    members = [
        make_llm_judge(
            arena=arena,
            name=f"{system} as a judge",
            configuration={
                "endpoint": _asked_to_judge(system.endpoint["endpoint"]),
                "protocol": dict(protocol or {"name": "battle", "options": {"reasoned": True}}),
                "pictures": system.endpoint.get("pictures", False),
            },
            family=system.family,
            description=f"The system {system}, asked to judge the others.",
            actor=actor,
        )
        for system in systems
    ]
    return make_jury(
        arena=arena,
        name=name,
        members=members,
        rule="council",
        options={} if quorum is None else {"quorum": quorum},
        description=description,
        actor=actor,
    )


def _asked_to_judge(endpoint: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {k: v for k, v in endpoint["parameters"].items() if k not in _OF_ANSWERS}
    # Where a temperature is set at all, the server takes one: a judge has no use for chance.
    if "temperature" in parameters:
        parameters["temperature"] = 0
    return {**endpoint, "parameters": parameters}
