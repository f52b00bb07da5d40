"""Any table with one verdict a row: its columns and values are named on the command line."""

from collections.abc import Iterator

from judges.formats import lmarena
from judges.formats.errors import UnreadableDataset
from judges.formats.interface import Options
from judges.formats.reading import Row, Source
from judges.formats.records import Record

SUMMARY = "Any CSV, JSONL, JSON or Parquet file with a verdict a row; see --column and --value."
COLUMNS = (
    "model_a", "model_b", "winner", "winner_model_a", "winner_model_b", "winner_tie", "prompt",
    "question_id", "id", "conversation_a", "conversation_b", "response_a", "response_b", "output_a",
    "output_b", "response_1", "response_2", "turn", "judge", "judge_kind", "judge_version",
    "judge_family", "judge_simulated", "judge_hash", "voter", "criterion", "language", "category",
    "category_tag", "is_code", "shown_first", "confidence", "repetition", "source_key", "version_a",
    "version_b", "tstamp", "timestamp", "cast_at",
)  # fmt: skip
TRANSLATED = ("winner", "shown_first")


def read(source: Source, options: Options) -> Iterator[Record]:
    rows = _renamed(source.rows(source.file()), options)
    yield from lmarena.verdicts(source, rows, options, id_names_prompt=False)


def _renamed(rows: Iterator[Row], options: Options) -> Iterator[Row]:
    columns, values = options.columns, options.values
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise UnreadableDataset(
            f"--column {unknown[0]}=…: there is no such column here; there are {', '.join(COLUMNS)}."
        )
    first = True
    for row in rows:
        if first:
            first = False
            if missing := [name for name in columns.values() if name and name not in row.values]:
                raise UnreadableDataset(
                    f"there is no column {missing[0]!r}; the columns are {', '.join(row.values)}.",
                    where=row.where,
                )
        ours = {name: value for name, value in row.values.items() if name not in columns}
        ours |= {name: row.values.get(theirs) for name, theirs in columns.items() if theirs}
        for name in TRANSLATED:
            if (given := ours.get(name)) is not None:
                ours[name] = values.get(str(given).strip(), given)
        yield Row(row.where, ours)
