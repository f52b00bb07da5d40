"""Several files that belong together: a ZIP archive, or the folder that it was unpacked into."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from judges.formats.errors import UnreadableDataset, Where
from judges.formats.reading import GZIP_FREE_BYTES, GZIP_MOST_RATIO, Part, Source

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


class Bundle:
    def __init__(self, source: Source, parts: dict[str, Callable[[], BinaryIO]]) -> None:
        self.source, self.parts = source, parts

    def __contains__(self, name: str) -> bool:
        return name in self.parts

    def part(self, name: str) -> "HashedPart":
        if name not in self.parts:
            raise UnreadableDataset(
                f"there is no {name} in it.", where=Where(self.source.path.name)
            )
        return HashedPart(name, self.parts[name])


class HashedPart(Part):
    """Knows the SHA-256 of what was read of it."""

    def __init__(self, name: str, opened: Callable[[], BinaryIO]) -> None:
        super().__init__(name)
        self._opened = opened
        self.hash = hashlib.sha256()

    def open(self, mode: str) -> BinaryIO:
        return cast(BinaryIO, _Hashed(self._opened(), self.hash))


class _Hashed(io.RawIOBase):
    def __init__(self, stream: BinaryIO, hash: Any) -> None:
        self.stream, self.hash = stream, hash

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self.stream.readinto(buffer)  # type: ignore[attr-defined]
        self.hash.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self.stream.close()
        super().close()


@contextmanager
def opened_bundle(source: Source) -> Iterator[Bundle]:
    """The files directly in the archive or the folder. UnreadableDataset where it is neither."""
    path = source.path
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file()]
        source.bytes_total += sum(file.stat().st_size for file in files)
        yield Bundle(source, {file.name: _opener(file) for file in files})
        return
    where = Where(path.name)
    if not path.is_file():
        raise UnreadableDataset("there is no such file or folder.", where=Where(str(path)))
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UnreadableDataset(
            f"not a ZIP archive, or one that was cut off ({error}).", where=where
        ) from None
    with archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        for info in members:
            _check(info, Where(f"{path.name}: {info.filename[:80]}"))
        source.bytes_total += sum(info.file_size for info in members)
        yield Bundle(source, {info.filename: _member(archive, info) for info in members})


def _opener(file: Path) -> Callable[[], BinaryIO]:
    return lambda: file.open("rb")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
    return lambda: cast(BinaryIO, archive.open(info))


def _check(info: zipfile.ZipInfo, where: Where) -> None:
    """zipfile reads no more than the sizes that it is told here, so they can be relied on."""
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
        raise UnreadableDataset("encrypted, or compressed in an unusual way.", where=where)
    if info.file_size > max(GZIP_FREE_BYTES, GZIP_MOST_RATIO * info.compress_size):
        raise UnreadableDataset(
            f"it expands more than {GZIP_MOST_RATIO}-fold, as a ZIP bomb does: if you trust it, unpack it "
            "yourself and import the folder.",
            where=where,
        )
