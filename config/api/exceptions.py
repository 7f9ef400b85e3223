"""The mapping from exceptions of Django and of services to API errors.

drf-standardized-errors writes the body of the error.
"""

import logging
from typing import Any

from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError
from django.http.multipartparser import MultiPartParserError
from drf_standardized_errors.formatter import ExceptionFormatter, flatten_errors
from drf_standardized_errors.handler import ExceptionHandler
from drf_standardized_errors.types import Error, ErrorResponse
from rest_framework import exceptions, serializers, status
from rest_framework.response import Response

from config import database
from config.errors import DomainError, ServiceUnavailable, TooLarge
from config.headers import BEARER

logger = logging.getLogger(__name__)


class ApiExceptionHandler(ExceptionHandler):
    """The handler that REST framework calls for each exception of an API view."""

    def convert_known_exceptions(self, exc: Exception) -> Exception:
        """Return the API error for an exception. Other exceptions become a 500 later."""
        if isinstance(exc, ModelValidationError):
            return exceptions.ValidationError(serializers.as_serializer_error(exc))
        if isinstance(exc, RequestDataTooBig):
            return TooLarge()
        if isinstance(
            exc,
            (
                TooManyFieldsSent,
                TooManyFilesSent,
                MultiPartParserError,
                DisallowedHost,
                SuspiciousOperation,
            ),
        ):
            return exceptions.ParseError("The request could not be read.")
        if reason := database.unavailability(exc):
            return ServiceUnavailable(reason)
        if isinstance(exc, (DataError, OverflowError)):
            return exceptions.ParseError("A value is out of range.")
        return super().convert_known_exceptions(exc)

    def get_headers(self, exc: exceptions.APIException) -> dict[str, str]:
        """Return the error's headers: Retry-After for a ``retry_after``, and the challenge of a 401."""
        headers: dict[str, str] = super().get_headers(exc)
        if exc.status_code == status.HTTP_401_UNAUTHORIZED:
            headers["WWW-Authenticate"] = challenge(exc)
        if error := getattr(exc, "challenge", ""):
            headers["WWW-Authenticate"] = f"{BEARER}, {error}"
        if isinstance(exc, DomainError) and exc.retry_after:
            headers["Retry-After"] = str(exc.retry_after)
        return headers

    def report_exception(self, exc: exceptions.APIException, response: Response) -> None:
        """Log a server error with its traceback, and a part that is away with one line."""
        if isinstance(exc, ServiceUnavailable):
            logger.warning("Requests are answered with 503 %s: %s", exc.default_code, exc.detail)
            response._has_been_logged = True  # type: ignore[attr-defined]  # Django's own sign
        else:
            super().report_exception(exc, response)


def challenge(exc: exceptions.APIException) -> str:
    """Return the WWW-Authenticate header of a 401; it names the error of a token that was sent.

    RFC 6750, section 3: a request without a token gets no error code.
    """
    if not str(exc.get_codes()).startswith("token_"):
        return BEARER
    return f'{BEARER}, error="invalid_token", error_description="{exc.detail}"'


def with_text_keys(detail: Any) -> Any:
    """Return an error's detail with the places of a list's items as text: ``{0: …}`` is ``{"0": …}``.

    REST framework counts items with numbers, but ``attr`` is text (and 0 would pass for "no name").
    """
    if isinstance(detail, dict):
        return {str(key): with_text_keys(value) for key, value in detail.items()}
    if isinstance(detail, list):
        return [with_text_keys(item) for item in detail]
    return detail


class ApiExceptionFormatter(ExceptionFormatter):
    """The writer of the error body, with the ``attr`` and ``extra`` of a DomainError."""

    def get_errors(self) -> list[Error]:
        errors: list[Error] = flatten_errors(with_text_keys(self.exc.detail))
        if isinstance(self.exc, DomainError) and self.exc.attr:
            errors[0].attr = self.exc.attr
        return errors

    def format_error_response(self, error_response: ErrorResponse) -> Any:
        body = super().format_error_response(error_response)
        if isinstance(self.exc, DomainError) and self.exc.extra:
            body["errors"][0].update(self.exc.extra)
        return body
