"""What of a judge's configuration the public may read: all but secrets and the operator's own machines."""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

HIDDEN = "(not shown)"
_SECRET_WORDS = {
    *("apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "key"),
    *("passphrase", "passwd", "password", "secret", "secrets", "signature", "token"),
}
# Words of snake_case, kebab-case and camelCase; "max_tokens" has the word tokens, which is none of those.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SECRET_VALUE = re.compile(
    r"\b(?:sk|pk|rk|hf|ghp|gho|xox[abp]|glpat|AKIA|AIza)[-_]?[A-Za-z0-9_-]{16,}|Bearer\s+\S{8,}"
)
# Names that lead somewhere inside a network only.
_INNER = re.compile(
    r"\.(?:local|localhost|localdomain|internal|intranet|private|corp|home|lan|arpa)\.?$"
)
_USER_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def disclosed(configuration: Any) -> Any:
    """The same nested lists and dicts, with whatever may be a secret replaced by HIDDEN."""
    if isinstance(configuration, dict):
        return {
            name: HIDDEN if _is_hidden(str(name), value) else disclosed(value)
            for name, value in configuration.items()
        }
    if isinstance(configuration, list):
        return [disclosed(value) for value in configuration]
    if isinstance(configuration, str):
        return _USER_IN_ADDRESS.sub(HIDDEN, _SECRET_VALUE.sub(HIDDEN, configuration))
    return configuration


def _is_hidden(name: str, value: Any) -> bool:
    return _is_secret(name) or (name == "url" and isinstance(value, str) and _is_inside(value))


def _is_inside(url: str) -> bool:
    """Whether the address of an endpoint lies in the operator's network: it tells others nothing of a judge."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host.rstrip(".") or bool(_INNER.search(host))


def _is_secret(name: str) -> bool:
    return any(word.lower() in _SECRET_WORDS for word in _WORD.findall(name))
