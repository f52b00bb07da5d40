"""manage.py add_images: images, folders of them and zip files, all of them or none."""

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from arena.images import add_images
from arena.management.commands._makers import arena_of, complaint, content_of
from arena.uploads import UploadError


class Command(BaseCommand):
    help = (
        "Add images to which prompts and outputs refer by name; those that are there are left alone. "
        "A file is named without its folder, what is in a folder or a zip by its path within."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arena")
        parser.add_argument("paths", type=Path, nargs="+")

    def handle(self, *args: Any, **options: Any) -> None:
        arena = arena_of(options["arena"])
        try:
            added = add_images(arena=arena, files=_files(options["paths"]), actor=None)
        except UploadError as error:
            raise complaint(error) from error
        self.stdout.write(f"{added.new:,} added, {added.known:,} there already.")


def _files(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if file.is_file() and not file.name.startswith("."):
                    yield file.relative_to(path).as_posix(), content_of(file)
        else:
            yield path.name, content_of(path)
