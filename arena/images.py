"""Images of an arena, to which its prompts and outputs refer by name: ``![what it shows](name.png)``.

Whatever comes in is decoded and written anew as WebP: what isn't a picture, what hides in one (metadata, a
second file behind it), and what would not fit into memory never reaches a visitor. Served from our own
address, so that no page asks another host.
"""

import hashlib
import re
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from io import BytesIO
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import Count, Max
from django.urls import reverse

from arena.audit import note
from arena.markdown import Picture
from arena.models import Arena, Image
from arena.uploads import Problem, Problems, UploadError

LARGEST_FILE = 10 * 2**20  # bytes
MOST_PIXELS = 25_000_000
LONGEST_SIDE = 2_048  # pixels; larger images are shrunk to it
MOST_AT_ONCE = 500
MOST_IMAGES = 10_000  # of one arena: a page knows all their names
LARGEST_UNPACKED = 100 * 2**20  # bytes of all files of one zip
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
# Photographs came with losses of their own; drawings and screenshots keep every pixel.
LOSSY = ("JPEG", "WEBP")
_NO_SVG = "SVG can hold scripts and isn’t taken: save it as PNG."
_BATCH = 500
_LONGEST_NAME = 200
_SEGMENT = r"\w[\w .,()+@=-]*"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*\.(?:png|jpe?g|webp|gif)", re.IGNORECASE)


@dataclass(frozen=True)
class Added:
    """What an upload did: how many are new, and how many were there already."""

    new: int
    known: int


@dataclass(frozen=True)
class _Encoded:
    name: str
    source_digest: str
    content: bytes
    width: int
    height: int


class _Wrong(ValueError):
    """One sentence about one file."""


# --- what a text shows ------------------------------------------------------------------------------------


def pictures_of(arena: Arena) -> Mapping[str, Picture]:
    """The images that texts of the arena may show, by name.

    One small query per arena object, and another only when images were added or removed since this process
    looked: ids grow, so their number and the highest tell every state from every other, and the time tells
    it from that of a database that was put back.
    """
    found = getattr(arena, "_pictures", None)
    if found is None:
        state = Image.objects.filter(arena=arena).aggregate(
            n=Count("pk"), last=Max("pk"), at=Max("created_at")
        )
        found = (
            _pictures(arena.pk, arena.slug, state["n"], state["last"], state["at"])
            if state["n"]
            else {}
        )
        arena._pictures = found  # type: ignore[attr-defined]
    return found


@lru_cache(maxsize=8)
def _pictures(
    arena_id: int, slug: str, number: int, last: int, added_at: datetime
) -> Mapping[str, Picture]:
    rows = Image.objects.filter(arena_id=arena_id).values_list("name", "digest", "width", "height")
    return {
        name: Picture(reverse("arena:image", args=[slug, digest]), width, height)
        for name, digest, width, height in rows
    }


# --- adding and removing ----------------------------------------------------------------------------------


def add_images(
    *,
    arena: Arena,
    files: Iterable[tuple[str, bytes]],
    actor: Any,
    most_pixels: float = float("inf"),
) -> Added:
    """Add images, each with its name, and those in .zip files; all of them or, with an UploadError, none.

    A file that was added before under the same name is left alone. ``most_pixels`` of all new ones together
    bound how long it takes: some 5 million a second.
    """
    problems = Problems()
    named = _named(files, problems)
    problems.check()
    if not named:
        raise UploadError([Problem(0, "There is no image in what you sent.")])
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in named.items()}
    known = _known(arena, digests, problems)
    problems.check()
    encoded: list[_Encoded] = []
    for name, content in named.items():
        if name not in known:
            try:
                pixels, *anew = _written_anew(content)
                encoded.append(_Encoded(name, digests[name], *anew))
            except _Wrong as wrong:
                problems.add(0, f"“{name}”: {wrong}")
                continue
            most_pixels -= pixels
            if most_pixels < 0:
                problems.add(
                    0, f"“{name}” and those before it have too many pixels: send fewer at once."
                )
                break
    problems.check()
    return _store(arena, encoded, digests, actor)


@transaction.atomic
def _store(arena: Arena, encoded: list[_Encoded], digests: dict[str, str], actor: Any) -> Added:
    arena = Arena.objects.select_for_update().get(pk=arena.pk)
    problems = Problems()
    # Somebody else may have added some since they were looked for.
    known = _known(arena, digests, problems)
    new = [image for image in encoded if image.name not in known]
    there = Image.objects.filter(arena=arena).count()
    if there + len(new) > MOST_IMAGES:
        problems.add(
            0,
            f"The arena has {there:,} images, and with these it would have more than "
            f"{MOST_IMAGES:,}: remove some first.",
        )
    problems.check()
    rows = [_kept(arena, image) for image in new]
    Image.objects.bulk_create(rows, batch_size=_BATCH)
    if rows:
        note(arena=arena, actor=actor, act="add images", subject=f"{len(rows):,} images")
    return Added(len(rows), len(digests) - len(rows))


def _kept(arena: Arena, image: _Encoded) -> Image:
    """The row, unsaved; its file is in the storage, where a file of the same content is the same file."""
    row = Image(
        arena=arena,
        name=image.name,
        digest=hashlib.sha256(image.content).hexdigest(),
        source_digest=image.source_digest,
        width=image.width,
        height=image.height,
        size=len(image.content),
    )
    if not default_storage.exists(row.path):
        default_storage.save(row.path, ContentFile(image.content))
    return row


@transaction.atomic
def remove_image(*, image: Image, actor: Any) -> bool:
    """Take it out of the arena; whether it was there. Texts that refer to it show its description."""
    arena = Arena.objects.select_for_update().get(pk=image.arena_id)
    if not Image.objects.filter(pk=image.pk).delete()[0]:
        return False
    note(arena=arena, actor=actor, act="remove image", subject=image.name)
    if not Image.objects.filter(arena=arena, digest=image.digest).exists():
        transaction.on_commit(lambda: default_storage.delete(image.path))
    return True


def _known(arena: Arena, digests: dict[str, str], problems: Problems) -> set[str]:
    """The names that the arena has already; a problem for each that names another image there."""
    found: set[str] = set()
    names = list(digests)
    for start in range(0, len(names), _BATCH):
        rows = Image.objects.filter(arena=arena, name__in=names[start : start + _BATCH])
        for name, digest in rows.values_list("name", "source_digest"):
            found.add(name)
            if digest != digests[name]:
                problems.add(
                    0,
                    f"“{name}”: the arena has another image of this name, and votes may rest on it. Give "
                    "the new one another name, or remove the other first.",
                )
    return found


# --- what comes in ----------------------------------------------------------------------------------------


def _named(files: Iterable[tuple[str, bytes]], problems: Problems) -> dict[str, bytes]:
    named: dict[str, bytes] = {}
    for name, content in _unpacked(files, problems):
        name = unicodedata.normalize("NFC", name)
        shown = name[:80]
        if name.lower().endswith((".svg", ".svgz")):
            problems.add(0, f"“{shown}”: {_NO_SVG}")
        elif not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
            problems.add(
                0,
                f"“{shown}” can’t be a name: use letters, digits, spaces and . , ( ) + @ = _ - only, at most "
                f"{_LONGEST_NAME} with the folders. Begin with a letter or digit, and end with .png, .jpg, "
                ".webp or .gif.",
            )
        elif name in named:
            problems.add(0, f"“{shown}” comes twice: give each image its own name.")
        elif len(named) >= MOST_AT_ONCE:
            problems.add(
                0, f"These are more than {MOST_AT_ONCE} images: send them in several parts."
            )
            break
        elif len(content) > LARGEST_FILE:
            problems.add(
                0, f"“{shown}” is larger than {LARGEST_FILE // 2**20} MB: save it smaller."
            )
        else:
            named[name] = content
    return named


def _unpacked(
    files: Iterable[tuple[str, bytes]], problems: Problems
) -> Iterator[tuple[str, bytes]]:
    for name, content in files:
        if name.lower().endswith(".zip"):
            try:
                yield from _of_zip(content)
            except _Wrong as wrong:
                problems.add(0, f"“{name[:80]}”: {wrong}")
        else:
            yield name, content


def _of_zip(content: bytes) -> Iterator[tuple[str, bytes]]:
    """What is in it, but for folders and what a Mac adds. No more is unpacked than is allowed."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as packed:
            members = [m for m in packed.infolist() if not (m.is_dir() or _is_litter(m.filename))]
            if len(members) > MOST_AT_ONCE:
                raise _Wrong(f"it holds more than {MOST_AT_ONCE} files: pack them into several.")
            if any(member.flag_bits & 1 for member in members):
                raise _Wrong("it is locked by a password: pack it without.")
            # What the list of contents says may be a lie; what is read is bounded by it all the same.
            if sum(member.file_size for member in members) > LARGEST_UNPACKED:
                raise _Wrong(
                    f"unpacked it would be larger than {LARGEST_UNPACKED // 2**20} MB: pack several."
                )
            for member in members:
                with packed.open(member) as file:
                    yield member.filename, file.read(LARGEST_FILE + 1)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as error:
        raise _Wrong("it is damaged, or no zip file: pack it anew.") from error


def _is_litter(name: str) -> bool:
    return name.startswith("__MACOSX/") or name.rpartition("/")[2] in (".DS_Store", "Thumbs.db")


def _written_anew(content: bytes) -> tuple[int, bytes, int, int]:
    """How many pixels it had; then WebP, width and height. Raises _Wrong."""
    # Pillow is only loaded where images are added: no page needs it.
    from PIL import Image as Pictures
    from PIL import ImageOps

    start = content[:1_000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml", b"<!")):
        raise _Wrong(_NO_SVG)
    try:
        with Pictures.open(BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise _Wrong(
                    f"it has {image.width:,} × {image.height:,} pixels, more than "
                    f"{MOST_PIXELS // 10**6} million: shrink it."
                )
            if getattr(image, "n_frames", 1) > 1:
                raise _Wrong("it moves: save one of its frames.")
            is_lossy, pixels = image.format in LOSSY, image.width * image.height
            image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
            still = _flat(ImageOps.exif_transpose(image))
            still.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            file = BytesIO()
            if is_lossy:
                still.save(file, "WEBP", quality=90, method=2)
            else:
                still.save(file, "WEBP", lossless=True, quality=0, method=0)
            return pixels, file.getvalue(), still.width, still.height
    except _Wrong:
        raise
    except (Pictures.DecompressionBombError, Pictures.DecompressionBombWarning) as error:
        raise _Wrong(
            f"it has more than {MOST_PIXELS // 10**6} million pixels: shrink it."
        ) from error
    except Exception as error:  # decoders raise what they like on what is damaged
        raise _Wrong(
            "it is damaged, or no PNG, JPEG, WebP or GIF: save it as one of those."
        ) from error


def _flat(image: Any) -> Any:
    """Red, green and blue; what was transparent is white, as on the page that it was drawn for."""
    from PIL import Image as Pictures

    if image.mode.startswith("I"):  # 16 bits of grey
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Pictures.alpha_composite(Pictures.new("RGBA", image.size, "white"), image).convert(
            "RGB"
        )
    return image.convert("RGB")
