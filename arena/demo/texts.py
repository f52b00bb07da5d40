"""The texts of the demo arena: written for it, with reference summaries, in the files of corpus/."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from arena.demo.sentences import paragraphs

INSTRUCTION = "Summarise this text in two or three sentences, about fifty words:"
LICENCE = "CC0-1.0"

# The slug of a category is the name of its file.
CATEGORIES = {
    "news": "News",
    "explainer": "Explainer",
    "narrative": "Narrative",
    "how-to": "How-to",
}
CORPUS = Path(__file__).parent / "corpus"
_FIELDS = {"slug", "title", "text", "reference"}


@dataclass(frozen=True, slots=True)
class Text:
    """One text and how a person would summarise it. Blank lines separate the paragraphs of `text`."""

    slug: str
    title: str
    category: str
    text: str
    reference: str

    @property
    def prompt(self) -> str:
        """What a system is asked: the instruction, a blank line, the text."""
        return f"{INSTRUCTION}\n\n{self.text}"


@cache
def texts() -> tuple[Text, ...]:
    """All texts, category by category, in the order of the files."""
    found = [text for category in CATEGORIES for text in read_category(category)]
    slugs = [text.slug for text in found]
    twice = sorted({slug for slug in slugs if slugs.count(slug) > 1})
    if twice:
        raise ValueError(f"{CORPUS}: more than one text is called {', '.join(twice)}.")
    return tuple(found)


def read_category(category: str, *, folder: Path = CORPUS) -> list[Text]:
    """The texts of one file. Raises ValueError that names the file and the text when a field is amiss."""
    path = folder / f"{category}.toml"
    with path.open("rb") as file:
        try:
            entries = tomllib.load(file).get("text", [])
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: {error}") from error
    found = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, text {number} ({entry.get('slug', 'without a slug')})"
        if entry.keys() != _FIELDS:
            raise ValueError(f"{where}: expected the fields {', '.join(sorted(_FIELDS))}.")
        if not all(isinstance(value, str) and value.strip() for value in entry.values()):
            raise ValueError(f"{where}: every field must be text and not empty.")
        # Lines of the file are broken where they get long; only blank lines mean something.
        unwrapped = {name: "\n\n".join(paragraphs(value)) for name, value in entry.items()}
        found.append(Text(category=category, **unwrapped))
    return found
