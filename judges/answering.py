"""Systems that are asked: where their outputs are generated, and runs that do it.

A system's endpoint is plain JSON, as an LLM judge's configuration is, and holds the name of a key, never a key:

    {"endpoint": as judges.configurations.checked_endpoint takes it, "system_prompt": "", "pictures": false}

``pictures``: the model can see, and is sent the images that prompts show. How long an answer may be is the
parameter max_tokens (or max_completion_tokens, as some models want it to be called). Runs are planned here;
what people do with them afterwards is in judges.runs, as with those of judges.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from arena.audit import account_of, note
from arena.making import create_system
from arena.models import Arena, System
from judges.configurations import (
    REWARD_APIS,
    ConfigurationError,
    Reader,
    checked_endpoint,
    is_storable,
)
from judges.models import JudgeCall, JudgeRun
from judges.runs.answers import MAX_TOKENS, Asked, checked_prompts
from judges.runs.errors import RunError
from judges.runs.verbs import checked_limits

LONGEST_SYSTEM_PROMPT = 50_000
MOST_MAX_TOKENS = 1_000_000
LIMITS = ("max_tokens", "max_completion_tokens")
State = JudgeRun.State
_KEYS = {"endpoint", "system_prompt", "pictures"}


def checked_system_endpoint(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration complete, with every default. Raises ConfigurationError."""
    reader = Reader()
    if not isinstance(configuration, Mapping):
        raise ConfigurationError({"configuration": "must be an object."})
    reader.known(configuration, _KEYS, "")
    complete = {
        "endpoint": checked_endpoint(reader, configuration),
        "system_prompt": _system_prompt(reader, configuration.get("system_prompt", "")),
        "pictures": reader.flag(configuration, "pictures", "", default=False),
    }
    if complete["endpoint"]["api"] in REWARD_APIS:
        reader.problems["endpoint.api"] = "is that of a reward model, which answers nothing."
    parameters = complete["endpoint"]["parameters"]
    limits = [name for name in LIMITS if name in parameters]
    for name in limits:
        reader.whole(
            parameters,
            name,
            "endpoint.parameters.",
            default=MAX_TOKENS,
            least=1,
            most=MOST_MAX_TOKENS,
        )
    if len(limits) > 1:
        reader.problems["endpoint.parameters.max_tokens"] = (
            "is the same as max_completion_tokens: keep one of them."
        )
    if reader.problems:
        raise ConfigurationError(reader.problems)
    if not limits:
        parameters["max_tokens"] = MAX_TOKENS
    return complete


@transaction.atomic
def make_system(
    *,
    arena: Arena,
    name: str,
    configuration: Mapping[str, Any],
    version: str = "",
    organisation: str = "",
    family: str = "",
    actor: Any = None,
) -> System:
    """A system whose outputs can be generated: a new one, or the one of this name, version and configuration.

    Raises ConfigurationError, also where the name is taken by a system that is asked otherwise or not at all.
    """
    complete = checked_system_endpoint(configuration)
    name, version = _line("name", name), _line("version", version)
    organisation, family = _line("organisation", organisation), _line("family", family)
    if not name:
        raise ConfigurationError({"name": "is needed."})
    arena = Arena.objects.select_for_update().get(pk=arena.pk)
    there = System.objects.filter(arena=arena, name=name, version=version).first()
    if there is not None:
        if there.endpoint == complete:
            return there
        raise ConfigurationError(
            {
                "name": f"this arena has a system {there} already. Choose another name or another version, or "
                "give that system an endpoint."
            }
        )
    try:
        system = create_system(
            arena=arena,
            name=name,
            version=version,
            organisation=organisation,
            family=family,
            actor=actor,
            endpoint=complete,
        )
    except ValidationError as error:
        raise ConfigurationError(
            {field: " ".join(sentences) for field, sentences in error.message_dict.items()}
        ) from error
    note(
        arena=arena,
        actor=actor,
        act="make system",
        subject=str(system),
        slug=system.slug,
        model=complete["endpoint"]["model"],
    )
    return system


@transaction.atomic
def give_endpoint(*, system: System, configuration: Mapping[str, Any], actor: Any = None) -> System:
    """Say where, and how, the system's outputs are generated. The same again changes nothing.

    Raises ConfigurationError, and RunError once it was asked otherwise: outputs of two configurations under one
    name would be mixed.
    """
    complete = checked_system_endpoint(configuration)
    system = (
        System.objects.select_for_update(of=("self",)).select_related("arena").get(pk=system.pk)
    )
    if system.endpoint == complete:
        return system
    if system.endpoint:
        _refuse_mixing(system)
    system.endpoint = complete
    system.save(update_fields=["endpoint"])
    note(
        arena=system.arena,
        actor=actor,
        act="give endpoint",
        subject=str(system),
        slug=system.slug,
        model=complete["endpoint"]["model"],
    )
    return system


def _refuse_mixing(system: System) -> None:
    asked = JudgeCall.objects.filter(run__system=system)
    if asked.filter(state=JudgeCall.State.DONE).exists():
        raise RunError(
            f"{system} has answered prompts by its endpoint: make a system of another name or version, so that "
            "what two configurations answered isn't mixed under one name."
        )
    # A plan was shown with this endpoint's price: who confirms it confirms that.
    unfinished = (State.PLANNED, State.QUEUED, State.RUNNING, State.PAUSED, State.FAILED)
    run = system.runs.filter(state__in=unfinished).first()
    if run is not None:
        raise RunError(f"{system} is to be asked as it is in run {run.pk}: cancel that run first.")


@transaction.atomic
def plan_answers(
    *,
    system: System,
    selection: Mapping[str, Any],
    budget: Decimal | None = None,
    max_tokens: int | None = None,
    max_calls: int | None = None,
    actor: Any = None,
) -> JudgeRun:
    """A planned run in which the system answers prompts: nothing is asked before confirm_run.

    ``selection`` is {"prompts": [id, …], "categories": [slug, …], "limit": n}, each of which may be missing;
    prompts that the system has answered are left out. ``budget`` is in USD. None: no limit. The planned run
    that this account has of the very same is given back. Raises RunError.
    """
    system = (
        System.objects.select_for_update(of=("self",)).select_related("arena").get(pk=system.pk)
    )
    Asked.of(system)
    checked = checked_prompts(selection, arena=system.arena)
    limits = checked_limits(budget=budget, max_tokens=max_tokens, max_calls=max_calls)
    known = account_of(actor)
    for run in system.runs.filter(state=State.PLANNED, created_by=known, **limits):
        if run.selection == checked:
            return run
    return JudgeRun.objects.create(
        arena=system.arena,
        system=system,
        state=State.PLANNED,
        selection=checked,
        created_by=known,
        **limits,
    )


def _line(name: str, value: str) -> str:
    value = " ".join(value.split())
    if not value.isprintable():
        raise ConfigurationError({name: "must be of printable characters."})
    return value


def _system_prompt(reader: Reader, value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_SYSTEM_PROMPT:
        reader.problems["system_prompt"] = (
            f"must be a text of at most {LONGEST_SYSTEM_PROMPT:,} characters."
        )
    elif not is_storable(value):
        reader.problems["system_prompt"] = (
            "holds a NUL or half of a character: no database keeps those."
        )
    else:
        return value.strip()
    return ""
