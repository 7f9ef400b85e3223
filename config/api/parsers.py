"""Parsers that refuse everything that two readers could understand differently (for JSON: RFC 8259)."""

import json
import math
from collections.abc import Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import ParseError
from rest_framework.parsers import DataAndFiles, JSONParser, MultiPartParser

from config.errors import TooLarge

MAX_DEPTH = 16
NOT_UTF8 = "A field of the form is not UTF-8. Send its text in UTF-8."


class StrictJSONParser(JSONParser):
    """The parser of JSON bodies of at most 1 MiB (DATA_UPLOAD_MAX_MEMORY_SIZE) and 16 levels.

    It refuses with a 400: bytes that are not UTF-8, NaN, infinities, numbers that overflow, repeated
    keys, and strings with NUL or lone surrogates. It refuses a body that is too large with a 413.
    """

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        request = (parser_context or {}).get("request")
        if request is not None:
            refuse_long_body(request, limit)
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise TooLarge(f"A JSON body may have at most {limit} bytes.")
        try:
            value = json.loads(
                body.decode("utf-8-sig"),
                object_pairs_hook=_unique_keys,
                parse_constant=_refuse_constant,
                parse_float=_finite_float,
            )
        except RecursionError:
            raise ParseError(f"JSON may be at most {MAX_DEPTH} levels deep.") from None
        except UnicodeDecodeError:
            raise ParseError("JSON must be UTF-8.") from None
        except ValueError as error:
            raise ParseError(f"JSON parse error: {str(error)[:200]}") from None
        _check(value, MAX_DEPTH)
        return value


class StrictMultiPartParser(MultiPartParser):
    """The parser of small forms. It refuses, with a 400, a field whose text is not UTF-8.

    Django puts U+FFFD in the place of such bytes, so a field that holds this character is refused too.
    """

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> "DataAndFiles[Any, Any]":
        form = super().parse(stream, media_type, parser_context)
        if any("\ufffd" in text for _, texts in form.data.lists() for text in texts):
            raise ParseError(NOT_UTF8)
        return form


def refuse_long_body(request: HttpRequest, limit: int) -> None:
    """Raise TooLarge if the Content-Length is over ``limit`` bytes, before the body is read."""
    try:
        announced = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise ParseError("Content-Length must be a number.") from None
    if announced > limit:
        raise TooLarge(f"The body may have at most {limit} bytes.")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is repeated in one object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _check(value: object, depth: int) -> None:
    """Raise ParseError for a forbidden string or number, or for more than ``depth`` levels."""
    if isinstance(value, str):
        if "\x00" in value or any(0xD800 <= ord(char) <= 0xDFFF for char in value):
            raise ParseError("Strings may not contain NUL or lone surrogates.")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        raise ParseError("A number is too large.")
    elif isinstance(value, (list, dict)):
        if depth == 0:
            raise ParseError(f"JSON may be at most {MAX_DEPTH} levels deep.")
        if isinstance(value, dict):
            for key, item in value.items():
                _check(key, depth)
                _check(item, depth - 1)
        else:
            for item in value:
                _check(item, depth - 1)
