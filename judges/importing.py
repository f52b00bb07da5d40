"""Judged datasets into an arena: streamed, in one transaction, and twice the same as once."""

from collections.abc import Callable, Collection
from pathlib import Path

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max

from arena.models import Arena, Output
from arena.signals import outputs_added
from judges import bulk
from judges.formats import format_named
from judges.formats.errors import DatasetError, rejects_file
from judges.formats.interface import Options
from judges.formats.reading import Source
from judges.importer import CHUNK_CHARACTERS, CHUNK_RECORDS, Importer, ImportReport, size_of
from judges.read_ahead import read_ahead
from judges.upkeep import upkeep_at_the_end

Progress = Callable[[Source, ImportReport], None]


def import_dataset(
    *,
    format: str,
    path: Path,
    arena: str,
    name: str = "",
    source: str = "",
    judges: Collection[str] = (),
    options: Options | None = None,
    skip_bad: Path | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Import what is at ``path`` into the arena of that slug, made when it is missing.

    All of it or nothing: the first bad record raises DatasetError, or, with ``skip_bad``, is written to that
    new file. ``judges`` are the only ones whose verdicts count (empty: all). ``source`` names where rows
    come from that have no voter and no id; by default it is the file's name, so that two files count
    both, and one file twice counts once. ``progress`` is called after every chunk. Sends
    verdicts_changed after the commit.
    """
    reader = format_named(format)
    with (
        rejects_file(skip_bad) as rejects,
        bulk.temporary_data_in_files(),
        transaction.atomic(),
        bulk.session(),
        bulk.fewer_collections(),
        upkeep_at_the_end(),
    ):
        target, created = _arena(arena, name)
        files = Source(Path(path), rejects)
        importer = Importer(arena=target, files=files, source=source, judges=judges)
        importer.report.arena_created = created
        importer.keeps_name = bool(name)
        records = reader.read(files, options or Options())
        if bulk.is_postgresql():
            records = read_ahead(
                records,
                size_of=size_of,
                most=CHUNK_RECORDS // 10,
                largest=CHUNK_CHARACTERS // 10,
                waiting=bulk.waiting,
            )
        newest = Output.objects.aggregate(last=Max("pk"))["last"] or 0
        for record in records:
            if importer.take(record) and progress:
                progress(files, importer.report)
        importer.finish()
        if Output.objects.filter(pk__gt=newest).exists():
            outputs_added.send(Output, arena_id=target.pk, after=newest)
        if progress:
            progress(files, importer.report)
    return importer.report


def _arena(slug: str, name: str) -> tuple[Arena, bool]:
    if there := Arena.objects.filter(slug=slug).first():
        return there, False
    arena = Arena(slug=slug, name=name or name_from(slug))
    try:
        arena.full_clean()
    except ValidationError as error:
        raise DatasetError(f"--arena {slug!r}: {' '.join(error.messages)}") from None
    arena.save()
    return arena, True


def name_from(slug: str) -> str:
    """What an arena is called that nobody named: words with a capital; a slug of one piece stays, as it may
    be a name that is written like that."""
    words = slug.replace("-", " ")
    return slug if words == slug else words[:1].upper() + words[1:]
