"""The formats of judged datasets. A new one is a module here and a line in FORMATS."""

from judges.formats import alpaca_eval, arena_hard, jurybox, llmfao, lmarena, table
from judges.formats.errors import DatasetError
from judges.formats.interface import Format

FORMATS: dict[str, Format] = {
    "llmfao": llmfao,
    "lmarena": lmarena,
    "alpaca_eval": alpaca_eval,
    "arena_hard": arena_hard,
    "table": table,
    "jurybox": jurybox,
}


def format_named(name: str) -> Format:
    try:
        return FORMATS[name]
    except KeyError:
        raise DatasetError(f"{name!r} is not a format: there are {', '.join(FORMATS)}.") from None
