"""What the rest of the code raises, as the API error it means.

drf-standardized-errors makes the body; ours is only the mapping.
"""

from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DataError, OperationalError
from django.http.multipartparser import MultiPartParserError
from drf_standardized_errors.formatter import ExceptionFormatter
from drf_standardized_errors.handler import ExceptionHandler
from rest_framework import exceptions, serializers

from config.errors import DomainError, ServiceUnavailable, TooLarge


class ApiExceptionHandler(ExceptionHandler):
    def convert_known_exceptions(self, exc: Exception) -> Exception:
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
        if isinstance(exc, OperationalError):  # the database is away or busy: come back later
            return ServiceUnavailable()
        if isinstance(exc, (DataError, OverflowError)):
            return exceptions.ParseError("A value is out of range.")
        return super().convert_known_exceptions(exc)

    def get_headers(self, exc: exceptions.APIException) -> dict:
        headers = super().get_headers(exc) or {}
        if getattr(exc, "retry_after", None):
            headers["Retry-After"] = str(exc.retry_after)
        return headers


class ApiExceptionFormatter(ExceptionFormatter):
    def get_errors(self):
        errors = super().get_errors()
        if isinstance(self.exc, DomainError) and self.exc.attr:
            errors[0].attr = self.exc.attr
        return errors

    def format_error_response(self, error_response):
        body = super().format_error_response(error_response)
        if isinstance(self.exc, DomainError) and self.exc.extra:
            body["errors"][0].update(self.exc.extra)
        return body
