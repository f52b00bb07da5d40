"""The tables of battles that LMArena, FastChat and MT-bench publish, and that export_dataset writes."""

from collections.abc import Iterator

from judges.formats.battles import check_columns, verdict
from judges.formats.errors import DatasetError, UnreadableDataset
from judges.formats.interface import Options
from judges.formats.reading import Row, Source
from judges.formats.records import Record

SUMMARY = (
    "A file of battles as LMArena, FastChat and MT-bench publish them (CSV, JSONL, JSON, Parquet)."
)


def read(source: Source, options: Options) -> Iterator[Record]:
    yield from verdicts(source, source.rows(source.file()), options, id_names_prompt=True)


def verdicts(
    source: Source, rows: Iterator[Row], options: Options, *, id_names_prompt: bool
) -> Iterator[Record]:
    """A verdict a row; the first row's columns decide whether this is a dataset of battles at all."""
    first = True
    for row in rows:
        if first:
            first = False
            id_names_prompt = id_names_prompt and "question_id" not in row.values
            try:
                check_columns(row)
            except DatasetError as error:
                raise UnreadableDataset(error.reason, where=row.where) from None
        try:
            record = verdict(
                row, default_judge=options.default_judge, id_names_prompt=id_names_prompt
            )
        except DatasetError as error:
            source.rejects.add(error, row.where)
            continue
        yield record
