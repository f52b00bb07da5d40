"""What is sent to the API: bodies that are read in bounded memory, and fields that take only their own type."""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser

from config.packed import PackedError, is_packed, opened, unpacked
from config.problems import Refused

READ_ON_SECONDS = 5
NO_LIST = "The body must be a list of objects, [{…}, …]. Nothing was stored."


# --- bodies ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Records:
    """Records as they were sent, maybe gzipped. ``kind`` is empty where what is in it tells."""

    content: bytes
    kind: str


def _read(stream: Any, context: Any, *, unpack: bool = True) -> bytes:
    """The body, which may be gzipped where its header says so; with ``unpack`` unpacked."""
    content = _sent(stream)
    encoding = context["request"].headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise Refused(
            f"A body in the Content-Encoding {encoding[:40]!r} isn't read: send it as it is, or in gzip.",
            status=415,
        )
    if "gzip" not in encoding:
        return content
    if not is_packed(content):
        raise Refused(
            "The Content-Encoding says gzip, and the body isn't gzip. Nothing was stored."
        )
    if not unpack:
        return content
    try:
        return unpacked(content, largest=settings.LARGEST_UPLOAD)
    except PackedError as error:
        raise Refused(f"{error} Nothing was stored.") from error


def _sent(stream: Any) -> bytes:
    content = stream.read(settings.LARGEST_UPLOAD + 1)
    if len(content) > settings.LARGEST_UPLOAD:
        _read_on(stream)
        raise Refused(
            f"The body is larger than {settings.LARGEST_UPLOAD // 2**20} MB: send it in parts. "
            "Nothing was stored.",
            status=413,
        )
    return content


def _read_on(stream: Any) -> None:
    """What isn't taken is read for a moment longer, and dropped: whoever still sends when the connection is
    closed loses the answer with it."""
    left, until = 4 * settings.LARGEST_UPLOAD, monotonic() + READ_ON_SECONDS
    while left > 0 and monotonic() < until:
        block = stream.read(2**20)
        if not block:
            break
        left -= len(block)


class JsonBody(BaseParser):
    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            # JSON has neither NaN nor Infinity, which Python would take.
            return json.loads(
                _read(stream, parser_context).decode("utf-8-sig"), parse_constant=_no_number
            )
        except UnicodeDecodeError as error:
            raise ParseError(f"Byte {error.start + 1} of the body isn't UTF-8.") from error
        except json.JSONDecodeError as error:
            raise ParseError(
                f"The body isn't JSON at line {error.lineno}, column {error.colno}."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ParseError(
                "The body holds a number that is too long, or too many levels."
            ) from error


def _no_number(word: str) -> None:
    raise ParseError(f"The body isn't JSON: {word} is no number there.")


class BytesParser(BaseParser):
    """Bytes of one kind of file: ``media_type`` says which.

    What reads records unpacks them itself, a piece at a time: then ``unpacks`` is false.
    """

    unpacks = True

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> bytes:
        return _read(stream, parser_context, unpack=self.unpacks)


class _RecordsParser(BaseParser):
    """Hands on what was sent: the reader of records unpacks it a piece at a time."""

    kind = ""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Records:
        return Records(_read(stream, parser_context, unpack=False), self.kind)


class JsonList(_RecordsParser):
    media_type, kind = "application/json", "json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Records:
        records = super().parse(stream, media_type, parser_context)
        try:
            begin = opened(records.content).read(2**12)
        except PackedError as error:
            raise Refused(f"{error} Nothing was stored.") from error
        if not begin.removeprefix(BOM_UTF8).lstrip().startswith(b"["):
            raise Refused(NO_LIST)
        return records


class JsonLines(_RecordsParser):
    media_type, kind = "application/jsonl", "jsonl"


class NdJson(_RecordsParser):
    media_type, kind = "application/x-ndjson", "jsonl"


class Csv(_RecordsParser):
    media_type, kind = "text/csv", "csv"


class PlainText(_RecordsParser):
    media_type, kind = "text/plain", "text"


class Gzip(_RecordsParser):
    media_type = "application/gzip"


def records_of(data: Any) -> Records:
    """The records of a body in any of the formats; Refused where there was no body."""
    if not isinstance(data, Records):
        raise Refused(NO_LIST)
    return data


# --- fields ---------------------------------------------------------------------------------------
class Text(serializers.CharField):
    default_error_messages = {"half": "Holds half of a character, which nothing can keep."}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_blank": not kwargs.get("required", True), **kwargs})

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if not _is_whole(data):
            self.fail("half")
        return super().to_internal_value(data)


class Flag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Whole(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class Number(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        # JSON has neither NaN nor Infinity; 1e999 is read as one.
        if isinstance(data, bool) or not isinstance(data, int | float) or not -1e300 < data < 1e300:
            self.fail("invalid")
        return super().to_internal_value(data)


class Names(serializers.ListField):
    """A list of texts; line ends and runs of spaces within one become a space."""

    child = serializers.CharField()
    default_error_messages = {"not_texts": "Must be a list of texts."}

    def to_internal_value(self, data: Any) -> list[str]:
        if not isinstance(data, list) or not all(isinstance(x, str) and _is_whole(x) for x in data):
            self.fail("not_texts")
        return [" ".join(text.split()) for text in data]


@extend_schema_field({"type": "object", "additionalProperties": {}})
class AnObject(serializers.Field):
    """Names with values, whatever they are: a verb checks them."""

    default_error_messages = {
        "not_object": "Must be an object, {{…}}.",
        "not_storable": "Holds half of a character, a NUL, a number that is too large, or too many levels.",
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("not_object")
        if not _is_storable(data):
            self.fail("not_storable")
        return data


def _is_storable(value: Any, levels: int = 10) -> bool:
    """Whether every database takes it, and everything can be computed with it."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return levels > 0 and all(_is_storable(each, levels - 1) for each in inner)
    if isinstance(value, str):
        return "\0" not in value and _is_whole(value)
    return not isinstance(value, int | float) or abs(value) < 2**63


def _is_whole(text: str) -> bool:
    """No half of a surrogate pair, which JSON can write and UTF-8 can't."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


class Body(serializers.Serializer):
    # (No docstring: it would become the description of every body.) Fields that aren't known are refused.

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, Mapping):
            raise ValidationError({"body": ["It must be an object, {…}."]})
        known = ", ".join(self.fields)
        unknown = {
            # A name that can't be written is shown as far as it can.
            name.encode("utf-8", "replace").decode()[:60]: [f"There is no such field, but {known}."]
            for name in data
            if name not in self.fields
        }
        if unknown:
            raise ValidationError(unknown)
        return super().to_internal_value(data)
