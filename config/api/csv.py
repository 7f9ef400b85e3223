"""CSV responses (RFC 4180) that are safe to open in a spreadsheet."""

import csv
import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    """A file for csv.writer whose ``write`` returns the line instead of storing it."""

    def write(self, value: str) -> str:
        return value


def cell(value: object) -> str:
    """Return the text of one cell. Times, lists and objects look as in JSON.

    Text that a spreadsheet would run as a formula gets a leading quote.
    """
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    text = "" if value is None else str(value)
    if isinstance(value, str) and text.startswith(_FORMULA):
        return f"'{text}"
    return text


def csv_response(
    name: str, header: list[str], rows: Iterable[Iterable[object]]
) -> StreamingHttpResponse:
    """Return a download called ``name``.csv. Each row is read only when its line is sent."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield writer.writerow(header)
        for row in rows:
            yield writer.writerow([cell(value) for value in row])

    return StreamingHttpResponse(
        lines(),
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
