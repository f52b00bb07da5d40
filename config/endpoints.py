"""What judges may ask, and which keys may be sent where, as the operator writes it.

A judge's configuration names a URL and a key, and comes from whoever runs an arena: so a key belongs to an
endpoint, ``https://api.openai.com/v1=OPENAI_API_KEY``, and is sent nowhere else. Keys that are listed on their
own are those of the one endpoint that there is.
"""

import re
from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

ENDPOINTS, KEYS = "JURYBOX_ENDPOINTS", "JURYBOX_ENDPOINT_KEYS"


def keys_by_endpoint(endpoints: Sequence[str], keys: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The names of the keys that may be sent to each listed URL. Raises ImproperlyConfigured.

    Sentences repeat neither what may hold a password nor what may be the key itself.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in endpoints:
        url, is_bound, name = word.partition("=")
        if not url.startswith(("https://", "http://")) or "@" in word:
            raise ImproperlyConfigured(
                f"{ENDPOINTS} must be URLs that begin with https:// or http://, without a password."
            )
        names = (_checked(name, ENDPOINTS),) if is_bound else ()
        found[url] = (*found.get(url, ()), *names)
    alone = tuple(_checked(name, KEYS) for name in keys)
    if alone and len(found) > 1:
        raise ImproperlyConfigured(
            f"{KEYS} is for a single endpoint. Of several, write behind each the key that may be sent to it: "
            f"{ENDPOINTS}=https://api.openai.com/v1=OPENAI_API_KEY,http://127.0.0.1:8001/v1"
        )
    return {url: (*names, *alone) for url, names in found.items()}


def _checked(name: str, setting: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
        # Most likely the key itself.
        raise ImproperlyConfigured(
            f"{setting}: keys are given by the names of environment variables, such as OPENAI_API_KEY."
        )
    if name.startswith("JURYBOX_") or name in ("DATABASE_URL", "CELERY_BROKER_URL"):
        raise ImproperlyConfigured(f"{setting} names {name}, which is no key of an endpoint.")
    return name
