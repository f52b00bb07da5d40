"""Words of an address, made of a name."""

import re
import unicodedata
from collections.abc import Container

_NOT_SLUG = re.compile(r"[^a-z0-9.]+")
_DOTS = re.compile(r"[-.]*\.[-.]*")


def slug_of(name: str, *, otherwise: str, longest: int) -> str:
    """What slug_validator takes, as near to the name as it gets; ``otherwise`` where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = _DOTS.sub(".", _NOT_SLUG.sub("-", plain))
    return slug.strip("-.")[:longest].rstrip("-.") or otherwise


def free_slug(name: str, *, taken: Container[str], otherwise: str, longest: int) -> str:
    """The same with a number behind it when it is taken."""
    slug = slug_of(name, otherwise=otherwise, longest=longest)
    number, free = 1, slug
    while free in taken:
        number += 1
        free = f"{slug[: longest - 1 - len(str(number))].rstrip('-.')}-{number}"
    return free
