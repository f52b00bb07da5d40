"""Texts made comparable: case, white space and the encoding of accents don't matter."""

import unicodedata


def normalised(text: str) -> str:
    """NFC, case-folded, with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text.casefold()).split())
