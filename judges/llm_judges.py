"""LLM judges: what they are configured to do, and the judge that is made of it.

A configuration is plain JSON with everything that decides what is asked of which model, at which price and
within which limits. It holds the name of an environment variable, never a key. It can't change: another
configuration is another version, and verdicts stay with the version that gave them.
"""

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction

from arena.audit import note
from arena.models import Arena
from arena.slugs import free_slug
from judges.endpoints.interface import Endpoint
from judges.models import Judge
from judges.protocols.interface import JudgeProtocol

MOST_REPETITIONS = 20
MOST_HEARD = 12  # judges of one discussion
APIS = ("chat", "reward", "score", "rerank")  # the last three: forms of reward models
_KEYS = {"endpoint", "protocol", "both_orders", "repetitions", "margin", "pictures", "discussion"}
_ENDPOINT_KEYS = {
    *("url", "model", "key_name", "parameters", "supports_schema", "input_price", "output_price"),
    *("timeout", "concurrency", "requests_per_minute", "tokens_per_minute", "api"),
}
# Which of them may be used is the operator's to say: see judges.endpoints. These never are.
_KEY_NAME = re.compile(r"(?!JURYBOX_|DATABASE_URL\Z|CELERY_BROKER_URL\Z)[A-Z][A-Z0-9_]*")
_PARAMETER = re.compile(r"[a-z][a-z0-9_]{0,59}")
# What the protocol decides, or what would change whom the client asks and how.
_NOT_PARAMETERS = {
    *("model", "messages", "n", "stream", "stream_options", "response_format", "logprobs"),
    *("top_logprobs", "tools", "tool_choice", "functions", "function_call", "timeout"),
    *("extra_headers", "extra_query", "extra_body", "api_key", "base_url", "user"),
}


class ConfigurationError(ValueError):
    """A judge can't be made of this. ``problems`` has a sentence by the dotted name of each wrong value."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(f"{name}: {text}" for name, text in self.problems.items()))


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

    {"endpoint": {"url", "model", "key_name", "parameters", "supports_schema", "input_price",
    "output_price" (USD per million tokens), "timeout" (seconds), "concurrency", "requests_per_minute",
    "tokens_per_minute", "api"}, "protocol": {"name", "options"}, "both_orders", "repetitions", "margin",
    "pictures"}.
    ``margin`` is the difference of scores up to which two outputs tie, where a protocol scores outputs.
    ``pictures``: the model can see, and is sent the images that texts show. ``discussion`` has only a judge
    that decides once more after it heard what others said: see judges.juries.discussing.
    """
    reader = _Reader()
    if not isinstance(configuration, Mapping):
        raise ConfigurationError({"configuration": "must be an object."})
    reader.known(configuration, _KEYS | {"protocol_digest"}, "")
    endpoint = reader.mapping(configuration, "endpoint", "")
    reader.known(endpoint, _ENDPOINT_KEYS, "endpoint.")
    at = "endpoint."
    complete: dict[str, Any] = {
        "endpoint": {
            "url": _checked_url(reader, endpoint.get("url")),
            "model": reader.text(endpoint, "model", at, longest=200),
            "key_name": _checked_key_name(reader, endpoint.get("key_name", "")),
            "parameters": _checked_parameters(reader, endpoint.get("parameters", {})),
            "supports_schema": reader.flag(endpoint, "supports_schema", at, default=True),
            "input_price": reader.number(endpoint, "input_price", at, default=0.0, most=100_000),
            "output_price": reader.number(endpoint, "output_price", at, default=0.0, most=100_000),
            "timeout": reader.number(endpoint, "timeout", at, default=60.0, least=1, most=3_600),
            "concurrency": reader.whole(endpoint, "concurrency", at, default=8, least=1, most=256),
            "requests_per_minute": reader.whole(
                endpoint, "requests_per_minute", at, default=0, most=1_000_000
            ),
            "tokens_per_minute": reader.whole(
                endpoint, "tokens_per_minute", at, default=0, most=1_000_000_000
            ),
            "api": reader.one_of(endpoint, "api", at, APIS),
        },
        "both_orders": reader.flag(configuration, "both_orders", "", default=True),
        "repetitions": reader.whole(
            configuration, "repetitions", "", default=1, least=1, most=MOST_REPETITIONS
        ),
        "margin": reader.number(configuration, "margin", "", default=0.0, most=1e6),
        "pictures": reader.flag(configuration, "pictures", "", default=False),
    }
    if "discussion" in configuration:
        complete["discussion"] = _checked_discussion(reader, configuration["discussion"])
    protocol = reader.mapping(configuration, "protocol", "")
    reader.known(protocol, {"name", "options"}, "protocol.")
    complete["protocol"] = {
        "name": reader.text(protocol, "name", "protocol.", longest=60),
        "options": dict(reader.mapping(protocol, "options", "protocol.", default={})),
    }
    if not reader.problems:
        try:
            complete["protocol_digest"] = _protocol_from(complete).digest
        except (ValueError, TypeError) as error:
            reader.problems["protocol"] = str(error)
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return complete


def endpoint_of(judge: Judge) -> Endpoint:
    """Where the judge's model is asked."""
    values = dict(judge.configuration["endpoint"])
    values["parameters"] = tuple(
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in sorted(values["parameters"].items())
    )
    return Endpoint(**values)


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


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200 or not name.isprintable():
        raise ConfigurationError({"name": "must be of 1 to 200 printable characters."})
    return name


def _checked_url(reader: "_Reader", value: Any) -> str:
    text = value.strip().rstrip("/") if isinstance(value, str) else ""
    wrong = ""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        wrong = "is no address."
    else:
        if not text or parts.scheme not in ("http", "https") or not parts.hostname:
            wrong = "must begin with https:// or http:// and name a server."
        elif parts.username is not None or parts.password is not None:
            wrong = "must not hold a name or a password: name the key's variable in key_name."
        elif parts.query or parts.fragment or not text.isprintable() or len(text) > 500:
            wrong = "must be the address that /chat/completions is added to, and nothing more."
    if wrong:
        reader.problems["endpoint.url"] = wrong
    return text


def _checked_key_name(reader: "_Reader", value: Any) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or len(value) > 100 or not _KEY_NAME.fullmatch(value):
        reader.problems["endpoint.key_name"] = (
            "must be the name of an environment variable, such as OPENAI_API_KEY, never the key itself."
        )
        return ""
    return value


def _checked_discussion(reader: "_Reader", value: Any) -> dict[str, Any]:
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


def _checked_parameters(reader: "_Reader", value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len(value) > 30:
        reader.problems["endpoint.parameters"] = "must be an object of at most 30 values."
        return {}
    for name, given in value.items():
        if not isinstance(name, str) or not _PARAMETER.fullmatch(name) or name in _NOT_PARAMETERS:
            reader.problems[f"endpoint.parameters.{str(name)[:60]}"] = (
                "is not a parameter that a judge sets."
            )
        elif not _is_parameter(given):
            reader.problems[f"endpoint.parameters.{name}"] = (
                "must be a number, a text of at most 200 characters, true, false or a list of texts."
            )
    return dict(value)


def _is_parameter(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 16 and all(isinstance(v, str) and len(v) <= 200 for v in value)
    if isinstance(value, str):
        return len(value) <= 200
    return isinstance(value, bool | int | float) and math.isfinite(value)


class _Reader:
    """Typed values of a mapping; what is wrong is gathered, so that a form shows all of it at once."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def known(self, values: Mapping[str, Any], names: set[str], at: str) -> None:
        for name in values:
            if name not in names:
                self.problems[f"{at}{str(name)[:60]}"] = (
                    f"is not known: known are {', '.join(sorted(names))}."
                )

    def mapping(
        self, values: Mapping[str, Any], name: str, at: str, default: Any = None
    ) -> Mapping[str, Any]:
        value = values.get(name, default)
        if not isinstance(value, Mapping):
            self.problems[at + name] = "must be an object."
            return {}
        return value

    def text(self, values: Mapping[str, Any], name: str, at: str, *, longest: int) -> str:
        value = values.get(name)
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            self.problems[at + name] = f"must be a text of 1 to {longest} characters."
            return ""
        return value.strip()

    def flag(self, values: Mapping[str, Any], name: str, at: str, *, default: bool) -> bool:
        value = values.get(name, default)
        if not isinstance(value, bool):
            self.problems[at + name] = "must be true or false."
            return default
        return value

    def one_of(
        self, values: Mapping[str, Any], name: str, at: str, allowed: tuple[str, ...]
    ) -> str:
        """The first of them where nothing is said."""
        value = values.get(name, allowed[0])
        if value not in allowed:
            self.problems[at + name] = f"must be one of {', '.join(allowed)}."
        return value

    def number(
        self,
        values: Mapping[str, Any],
        name: str,
        at: str,
        *,
        default: float,
        least: float = 0,
        most: float,
    ) -> float:
        value = values.get(name, default)
        right = isinstance(value, int | float) and not isinstance(value, bool)
        if not right or not least <= value <= most:
            self.problems[at + name] = f"must be a number from {least:g} to {most:g}."
            return default
        return float(value)

    def whole(
        self,
        values: Mapping[str, Any],
        name: str,
        at: str,
        *,
        default: int,
        least: int = 0,
        most: int,
    ) -> int:
        value = values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.problems[at + name] = f"must be a whole number from {least:,} to {most:,}."
            return default
        return value
