"""Text from strangers, made fit to be stored."""

import re

from judges.formats.errors import DatasetError

# PostgreSQL stores neither NUL nor lone surrogates; both are seen in what models write.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """The text, with U+FFFD for what no database can store."""
    if text.isascii():
        return text.replace("\x00", "�") if "\x00" in text else text
    return _UNSTORABLE.sub("�", text)


def label(value: object, *, column: str, longest: int) -> str:
    """A short name (of a system, a judge, a prompt …): one line, no control characters, stripped."""
    text = str(value).strip()
    if len(text) > longest:
        raise DatasetError(
            f"{text[:40]!r}… has {len(text):,} characters, more than {longest}.", column=column
        )
    if not text.isprintable():
        raise DatasetError(f"{text[:80]!r} holds characters that can't be printed.", column=column)
    return text
