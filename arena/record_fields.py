"""Single fields of uploaded records, each held to its type and to what a database keeps."""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from arena.records import LONGEST_LINE, Values

_DOLLARS = re.compile(r"\d{1,12}(?:\.\d{0,30})?(?:[eE][+-]?\d{1,3})?")
MILLIONTHS = Decimal("0.000001")  # what costs are kept in


class Wrong(ValueError):
    """Sentences about one record: ``args`` are all of them."""


class Fields:
    """Reads the fields of one record, and tells all that is wrong with them at once."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.wrong: list[str] = []

    def text(self, name: str, *, required: bool = True) -> str:
        return self._tried("", text, name, required=required)

    def short(self, name: str, longest: int, *, required: bool = False) -> str:
        return self._tried("", short, name, longest, required=required)

    def whole(self, name: str) -> int | None:
        return self._tried(None, whole, name)

    def dollars(self, name: str) -> Decimal | None:
        return self._tried(None, dollars, name)

    def check(self) -> None:
        if self.wrong:
            raise Wrong(*self.wrong)

    def _tried(self, otherwise: Any, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return read(self.values, *args, **kwargs)
        except Wrong as wrong:
            self.wrong += wrong.args
            return otherwise


def text(values: Values, name: str, *, required: bool = True) -> str:
    value = values.get(name)
    if value is None and not required:
        return ""
    if value is None:
        raise Wrong(f'"{name}" is missing.')
    if not isinstance(value, str):
        raise Wrong(f'"{name}" must be text in quotes.')
    if required and not value.strip():
        raise Wrong(f'"{name}" is empty.')
    no_longer(value, LONGEST_LINE, f'"{name}"')
    return clean(value, name)


def short(values: Values, name: str, longest: int, *, required: bool = False) -> str:
    value = values.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)  # ids are often numbers
    found = text({name: value}, name, required=required).strip()
    return no_longer(found, longest, f'"{name}"')


def no_longer(value: str, longest: int, what: str) -> str:
    if len(value) > longest:
        raise Wrong(f"{what} has {len(value):,} characters, more than {longest:,}: shorten it.")
    return value


def clean(value: str, name: str) -> str:
    if "\0" in value or not _is_whole(value):
        raise Wrong(
            f'"{name}" holds a NUL or half of a character: no database keeps those. Remove it.'
        )
    return value


def _is_whole(value: str) -> bool:
    """No half of a surrogate pair, which JSON can write and UTF-8 can't."""
    if value.isascii():
        return True
    try:
        value.encode()  # much quicker than an expression
    except UnicodeEncodeError:
        return False
    return True


def whole(values: Values, name: str) -> int | None:
    value = values.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value.strip()[:12])
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise Wrong(f'"{name}" must be a whole number that isn\'t negative.')
    return value


def dollars(values: Values, name: str) -> Decimal | None:
    """An amount of USD, rounded to millionths; below a million."""
    value = values.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, bool) and isinstance(value, int | float):
        value = repr(value)
    if not isinstance(value, str) or not _DOLLARS.fullmatch(value.strip()):
        raise Wrong(
            f'"{name}" must be a number of US dollars that isn\'t negative, such as 0.0042.'
        )
    try:
        amount = Decimal(value.strip()).quantize(MILLIONTHS, ROUND_HALF_EVEN)
    except InvalidOperation:
        amount = Decimal(10**6)  # too large even to be rounded
    if amount >= 10**6:
        raise Wrong(f'"{name}" must be less than a million US dollars.')
    return amount
