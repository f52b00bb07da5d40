"""Tables as files."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from django.http import HttpResponse, JsonResponse

FORMATS = ("csv", "json")


def as_csv(name: str, columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> HttpResponse:
    """A download called ``name``.csv."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    writer = csv.writer(response)
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return response


def csv_pieces(
    columns: Sequence[str], blocks: Iterable[Iterable[Iterable[Any]]]
) -> Iterator[bytes]:
    """The same as as_csv writes, a piece for each block of rows."""
    first: Iterable[Iterable[Any]] = [columns]
    for rows in chain([first], blocks):
        text = io.StringIO()
        csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
        yield text.getvalue().encode()


def as_json(name: str, content: Mapping[str, Any]) -> JsonResponse:
    """A download called ``name``.json."""
    response = JsonResponse(content, json_dumps_params={"ensure_ascii": False, "indent": 1})
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.json"'
    return response


def _cell(value: Any) -> Any:
    """Names come from strangers, and a spreadsheet would run one that begins like a formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
