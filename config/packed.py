"""Gzip from strangers: unpacked a piece at a time, and refused as soon as it is a bomb, cut off or damaged."""

import io
import zlib
from typing import Any, BinaryIO

from django.conf import settings

MAGIC = b"\x1f\x8b"
BLOCK = 2**14  # bytes given to zlib at once: what is unsuspected until then is bounded, too
PIECE = 2**18  # bytes that come out at once
FREE_BYTES = 8 * 2**20  # only beyond this much is the ratio looked at
MOST_RATIO = 200  # text rarely shrinks more than twentyfold; gzip can reach 1000
MOST_MEMBERS = 10_000  # gzip files one after the other, as parallel packers write them


class PackedError(ValueError):
    """One sentence: what is wrong with the packed file, and what to do."""


def is_packed(content: bytes) -> bool:
    """Whether it is gzip, by its first bytes: a name says nothing."""
    return content.startswith(MAGIC)


def opened(content: bytes) -> BinaryIO:
    """The content to be read in pieces, unpacked where it is gzip. Reading raises PackedError."""
    if not is_packed(content):
        return io.BytesIO(content)
    return io.BufferedReader(_Unpacked(content, settings.LARGEST_UNPACKED), PIECE)


def check_packed(content: bytes, *, largest: int | None = None) -> int:
    """How many bytes it unpacks to; 0 bytes of it are kept. Raises PackedError.

    To be asked before anything is made of what comes out: a file that turns out to be a bomb at its end costs
    no more than unpacking it up to the limit. ``largest`` is settings.LARGEST_UNPACKED bytes.
    """
    unpacked = _Unpacked(content, settings.LARGEST_UNPACKED if largest is None else largest)
    begins = unpacked.some(PIECE)
    if begins.startswith(MAGIC):
        raise PackedError("It is packed twice: unpack it once and send that.")
    while unpacked.some(PIECE):
        pass
    return unpacked.count


def unpacked(content: bytes, *, largest: int) -> bytes:
    """All that comes out, or a PackedError."""
    check_packed(content, largest=largest)
    return io.BufferedReader(_Unpacked(content, largest), PIECE).read()


class _Unpacked(io.RawIOBase):
    """The bytes of one or more gzip members, one after the other."""

    def __init__(self, packed: bytes, largest: int) -> None:
        self.packed, self.largest = memoryview(packed), largest
        self.at = 0  # bytes of it that were used
        self.count = 0  # bytes that came out
        self.members = 0
        self.member: Any = None  # zlib's object of the one that is being read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.some(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def some(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        while True:
            if self.member is None and not self._next_member():
                return b""
            block = self.packed[self.at : self.at + BLOCK]
            try:
                data = self.member.decompress(block, size)
            except zlib.error:
                raise PackedError(
                    "It is damaged and can't be unpacked: pack it again, and send it as binary."
                ) from None
            self.at += len(block) - len(self.member.unconsumed_tail) - len(self.member.unused_data)
            if self.member.eof:
                self.member = None
            elif not block and not data:
                raise PackedError("It was cut off: its end is missing. Pack or fetch it again.")
            if data:
                self._count(len(data))
                return data

    def _next_member(self) -> bool:
        rest = self.packed[self.at :]
        # Tapes and some tools fill the last block with zeros.
        if not rest or (rest[0] == 0 and self.members and not bytes(rest).strip(b"\0")):
            return False
        if bytes(rest[:2]) != MAGIC:
            raise PackedError(
                "Something that isn't gzip comes after its end: send the packed file alone."
            )
        self.members += 1
        if self.members > MOST_MEMBERS:
            raise PackedError(
                f"It is made of more than {MOST_MEMBERS:,} packed files: unpack it, and pack it as one."
            )
        self.member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        return True

    def _count(self, size: int) -> None:
        self.count += size
        if self.count > self.largest:
            raise PackedError(
                f"Unpacked it is larger than {_megabytes(self.largest)}: send it in parts."
            )
        if self.count > FREE_BYTES and self.count > MOST_RATIO * self.at:
            raise PackedError(
                f"Unpacked it is more than {MOST_RATIO} times as large, as no honest file is: send it "
                "unpacked or in parts."
            )


def _megabytes(size: int) -> str:
    return f"{size // 2**20} MB" if size >= 2**20 else f"{size:,} bytes"
