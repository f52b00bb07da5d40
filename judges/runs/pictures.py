"""The images that a prompt or an answer shows, as a judge that can see gets them."""

import base64
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from django.core.files.storage import default_storage

from arena.models import Arena, Image
from judges.protocols.interface import Picture

MOST_PICTURES = 8  # of one case
LARGEST_PICTURE = 4 * 2**20  # bytes
_SHOWN = re.compile(
    r"!\[[^\]\n]{0,500}\]\(\s*<?([^)<>\n]{1,200}?)>?\s*(?:\"[^\"\n]{0,500}\"\s*)?\)"
)


def names_in(texts: Iterable[str]) -> list[str]:
    """The names by which texts show images, in the order in which they do, each once."""
    return list(dict.fromkeys(name for text in texts for name in _SHOWN.findall(text)))


def pictures_of_each(arena: Arena, cases: Sequence[Sequence[str]]) -> list[tuple[Picture, ...]]:
    """Of the texts of each case those images that the arena has, at most MOST_PICTURES; one query."""
    names = [names_in(texts) for texts in cases]
    wanted = {name for of_case in names for name in of_case}
    if not wanted:
        return [()] * len(cases)
    images = Image.objects.filter(arena=arena, name__in=wanted, size__lte=LARGEST_PICTURE)
    paths = {image.name: image.path for image in images}
    return [
        tuple(
            Picture(name, _data_url(paths[name]))
            for name in [name for name in of_case if name in paths][:MOST_PICTURES]
        )
        for of_case in names
    ]


@lru_cache(maxsize=16)
def _data_url(path: str) -> str:
    with default_storage.open(path) as file:
        return f"data:image/webp;base64,{base64.b64encode(file.read()).decode()}"
