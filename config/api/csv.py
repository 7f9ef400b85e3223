"""CSV responses (RFC 4180) that are safe to open in a spreadsheet."""

import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

ROWS_A_PIECE = 200
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> str:
    """Return the text of one cell. Times, lists and objects look as in JSON.

    Text that a spreadsheet would run as a formula gets a leading quote.
    """
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def csv_response(
    name: str, header: list[str], rows: Iterable[Iterable[object]]
) -> StreamingHttpResponse:
    """Return a download called ``name``.csv. Rows are read when they are sent, a piece at a time."""

    def pieces() -> Iterator[str]:
        remaining = itertools.chain([header], rows)
        while some := list(itertools.islice(remaining, ROWS_A_PIECE)):
            piece = io.StringIO(newline="")
            csv.writer(piece).writerows([cell(value) for value in row] for row in some)
            yield piece.getvalue()

    return StreamingHttpResponse(
        pieces(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def json_or_csv(serializer: object) -> dict[tuple[int, str], object]:
    """Return the answers of an operation that gives CSV for ``?format=csv``, for `extend_schema`."""
    return {
        (200, "application/json"): serializer,
        (200, "text/csv"): OpenApiResponse(
            OpenApiTypes.STR, description="The answer; with `format=csv`, its rows as a CSV file."
        ),
    }
