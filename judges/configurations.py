"""What is typed of an endpoint: read strictly, and kept complete. Of judges and of systems alike.

It holds the name of an environment variable, never a key.
"""

import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from judges.endpoints.interface import Endpoint

# Chat completions, providers' own forms, and those of reward models.
REWARD_APIS = ("reward", "score", "rerank")  # they score what was answered, and answer nothing
APIS = ("chat", "anthropic", "gemini", "converse", *REWARD_APIS)
WITHOUT_PROBABILITIES = ("anthropic", "converse")  # of a reply's tokens
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
    """Nothing can be made of this. ``problems`` has a sentence by the dotted name of each wrong value."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__(" ".join(f"{name}: {text}" for name, text in self.problems.items()))


def checked_endpoint(reader: "Reader", configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What ``configuration["endpoint"]`` says, complete; what is wrong is in ``reader.problems``.

    {"url", "model", "key_name", "parameters", "supports_schema", "input_price", "output_price" (USD per million
    tokens), "timeout" (seconds), "concurrency", "requests_per_minute", "tokens_per_minute", "api"}.
    """
    at = "endpoint."
    endpoint = reader.mapping(configuration, "endpoint", "")
    reader.known(endpoint, _ENDPOINT_KEYS, at)
    return {
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
    }


def endpoint_from(values: Mapping[str, Any]) -> Endpoint:
    """Of an endpoint as checked_endpoint gives it."""
    parameters = tuple(
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in sorted(values["parameters"].items())
    )
    return Endpoint(**{**values, "parameters": parameters})


def _checked_url(reader: "Reader", value: Any) -> str:
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


def _checked_key_name(reader: "Reader", value: Any) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or len(value) > 100 or not _KEY_NAME.fullmatch(value):
        reader.problems["endpoint.key_name"] = (
            "must be the name of an environment variable, such as OPENAI_API_KEY, never the key itself."
        )
        return ""
    return value


def _checked_parameters(reader: "Reader", value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or len(value) > 30:
        reader.problems["endpoint.parameters"] = "must be an object of at most 30 values."
        return {}
    for name, given in value.items():
        if not isinstance(name, str) or not _PARAMETER.fullmatch(name) or name in _NOT_PARAMETERS:
            reader.problems[f"endpoint.parameters.{str(name)[:60]}"] = (
                "is not a parameter that can be set."
            )
        elif not _is_parameter(given):
            reader.problems[f"endpoint.parameters.{name}"] = (
                "must be a number, a text of at most 200 characters, true, false or a list of texts."
            )
    return dict(value)


def _is_parameter(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 16 and all(isinstance(v, str) and _is_parameter(v) for v in value)
    if isinstance(value, str):
        return len(value) <= 200 and is_storable(value)
    return isinstance(value, bool | int | float) and math.isfinite(value)


def is_storable(text: str) -> bool:
    """Whether every database takes it: no NUL, and no half of a character."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


class Reader:
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
        if not value.strip().isprintable():
            self.problems[at + name] = "must be of printable characters."
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
