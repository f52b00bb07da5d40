"""LLM judges: what they are configured to do, and the judge that is made of it.

A configuration is plain JSON with everything that decides what is asked of which model, at which price and
within which limits. It holds the name of an environment variable, never a key. It can't change: another
configuration is another version, and verdicts stay with the version that gave them.
"""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from arena.audit import note
from arena.models import Arena
from arena.slugs import free_slug
from judges.configurations import (
    WITHOUT_PROBABILITIES,
    ConfigurationError,
    Reader,
    checked_endpoint,
    endpoint_from,
)
from judges.endpoints.interface import Endpoint
from judges.models import Judge
from judges.protocols.interface import JudgeProtocol

MOST_REPETITIONS = 20
MOST_COMPLETION_TOKENS = 1_000_000
MOST_HEARD = 12  # judges of one discussion
_KEYS = {"endpoint", "protocol", "both_orders", "repetitions", "margin", "pictures", "discussion"}


def make_llm_judge(
    *,
    arena: Arena,
    name: str,
    configuration: Mapping[str, Any],
    family: str = "",
    description: str = "",
    actor: Any = None,
) -> Judge:
    """The LLM judge of this name and configuration: a new one, or the one that is there.

    ``configuration`` as ``checked_configuration`` takes it. Raises ConfigurationError, also where the name
    is taken by a judge that decides otherwise: new_version makes another version of that one.
    """
    complete = checked_configuration(configuration)
    name = _checked_name(name)
    with transaction.atomic():
        arena = Arena.objects.select_for_update().get(pk=arena.pk)
        versions = Judge.objects.filter(arena=arena, name=name)
        for judge in versions.filter(kind=Judge.Kind.LLM):
            if judge.configuration == complete:
                return judge
        if taken := versions.order_by("-version").first():
            raise ConfigurationError(
                {
                    "name": f"this arena has a judge {taken.name} that decides otherwise. Choose another "
                    "name, or make a new version of that judge."
                }
            )
        return _create(arena, name, 1, complete, family, description, actor)


def new_version(*, judge: Judge, configuration: Mapping[str, Any], actor: Any = None) -> Judge:
    """The judge configured anew: version + 1 with an address of its own. Verdicts stay with the old version.

    A version that has this configuration already is given back. Raises ConfigurationError.
    """
    if judge.kind != Judge.Kind.LLM:
        raise ConfigurationError({"judge": f"{judge} is not an LLM judge."})
    complete = checked_configuration(configuration)
    with transaction.atomic():
        arena = Arena.objects.select_for_update().get(pk=judge.arena_id)
        versions = list(Judge.objects.filter(arena=arena, name=judge.name).order_by("-version"))
        for version in versions:
            if version.kind == Judge.Kind.LLM and version.configuration == complete:
                return version
        return _create(
            arena,
            judge.name,
            versions[0].version + 1,
            complete,
            judge.family,
            judge.description,
            actor,
        )


def checked_configuration(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration complete, with every default and the protocol's digest. Raises ConfigurationError.

    {"endpoint": as checked_endpoint takes it, "protocol": {"name", "options"}, "both_orders", "repetitions",
    "margin", "pictures"}.
    ``margin`` is the difference of scores up to which two outputs tie, where a protocol scores outputs.
    ``pictures``: the model can see, and is sent the images that texts show. ``discussion`` has only a judge
    that decides once more after it heard what others said: see judges.juries.discussing.
    """
    reader = Reader()
    if not isinstance(configuration, Mapping):
        raise ConfigurationError({"configuration": "must be an object."})
    reader.known(configuration, _KEYS | {"protocol_digest"}, "")
    complete: dict[str, Any] = {
        "endpoint": checked_endpoint(reader, configuration),
        "both_orders": reader.flag(configuration, "both_orders", "", default=True),
        "repetitions": reader.whole(
            configuration, "repetitions", "", default=1, least=1, most=MOST_REPETITIONS
        ),
        "margin": reader.number(configuration, "margin", "", default=0.0, most=1e6),
        "pictures": reader.flag(configuration, "pictures", "", default=False),
    }
    if "discussion" in configuration:
        complete["discussion"] = _checked_discussion(reader, configuration["discussion"])
    _check_length(reader, complete["endpoint"]["parameters"])
    protocol = reader.mapping(configuration, "protocol", "")
    reader.known(protocol, {"name", "options"}, "protocol.")
    complete["protocol"] = {
        "name": reader.text(protocol, "name", "protocol.", longest=60),
        "options": dict(reader.mapping(protocol, "options", "protocol.", default={})),
    }
    if not reader.problems:
        try:
            asks = _protocol_from(complete)
            complete["protocol_digest"] = asks.digest
            api = complete["endpoint"]["api"]
            if asks.needs_probabilities and api in WITHOUT_PROBABILITIES:
                reader.problems["protocol"] = (
                    f"{asks.name} reads probabilities, and endpoints of the kind {api} tell none."
                )
        except (ValueError, TypeError) as error:
            reader.problems["protocol"] = str(error)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return complete


def endpoint_of(judge: Judge) -> Endpoint:
    """Where the judge's model is asked."""
    return endpoint_from(judge.configuration["endpoint"])


def protocol_of(judge: Judge) -> JudgeProtocol:
    """How the judge asks. Raises ConfigurationError when the protocol is another one than it was made for."""
    protocol = _protocol_from(judge.configuration)
    if protocol.digest != judge.configuration["protocol_digest"]:
        raise ConfigurationError(
            {
                "protocol": f"{protocol.name} asks or reads otherwise than when {judge} was made: make a new "
                "version of the judge."
            }
        )
    return protocol


def _protocol_from(configuration: Mapping[str, Any]) -> JudgeProtocol:
    # Here, since templates and parsers are of no use to a web process that only lists judges.
    from judges.protocols import protocol_from

    return protocol_from(configuration)


def _create(
    arena: Arena,
    name: str,
    version: int,
    configuration: dict[str, Any],
    family: str,
    description: str,
    actor: Any,
) -> Judge:
    slugs = {"people", *Judge.objects.filter(arena=arena).values_list("slug", flat=True)}
    wanted = name if version == 1 else f"{name[:90]} v{version}"
    judge = Judge(
        arena=arena,
        slug=free_slug(wanted, taken=slugs, otherwise="judge", longest=120),
        name=name,
        version=version,
        kind=Judge.Kind.LLM,
        configuration=configuration,
        family=family,
        description=description,
    )
    try:
        with transaction.atomic():
            judge.save()
    except IntegrityError as error:
        raise ConfigurationError(
            {"name": "somebody made a judge of this name at the same moment: try again."}
        ) from error
    note(arena=arena, actor=actor, act="make judge", subject=str(judge), slug=judge.slug)
    return judge


def _check_length(reader: Reader, parameters: Mapping[str, Any]) -> None:
    """How long a reply may be is the protocol's to say; some models want to be told by another name."""
    if "max_tokens" in parameters:
        reader.problems["endpoint.parameters.max_tokens"] = (
            "is not a parameter of a judge: it is an option of its protocol."
        )
    if "max_completion_tokens" in parameters:
        reader.whole(
            parameters,
            "max_completion_tokens",
            "endpoint.parameters.",
            default=1,
            least=1,
            most=MOST_COMPLETION_TOKENS,
        )


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200 or not name.isprintable():
        raise ConfigurationError({"name": "must be of 1 to 200 printable characters."})
    return name


def _checked_discussion(reader: Reader, value: Any) -> dict[str, Any]:
    """{"own": judge, "of": [judge, …]}, each {"slug", "digest"}."""
    named = [value.get("own"), *_listed(value.get("of"))] if isinstance(value, Mapping) else []
    right = [
        isinstance(each, Mapping)
        and set(each) == {"slug", "digest"}
        and all(isinstance(part, str) and 0 < len(part) <= 120 for part in each.values())
        for each in named
    ]
    if not all(right) or not 2 <= len(named) <= MOST_HEARD or set(value) != {"own", "of"}:
        reader.problems["discussion"] = (
            f"must name the judge of its own first round and 1 to {MOST_HEARD - 1} others, each by slug and "
            "digest."
        )
        return {}
    own, *others = (dict(each) for each in named)
    return {"own": own, "of": others}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [None]
