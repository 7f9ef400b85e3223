"""The errors that an operation of the API can answer with, as the OpenAPI document lists them.

Errors that follow from the kind of operation (a body, a path parameter, a permission) are found by
`config.api.schema.AutoSchema`. A refusal by a rule of the domain is named by the view's method, with
`refuses`. The tests compare each answer of the whole suite with the document.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeVar

from rest_framework import exceptions

from config.errors import ServiceUnavailable, TooLarge

ViewMethod = TypeVar("ViewMethod", bound=Callable[..., Any])
ErrorClass = type[exceptions.APIException]

REASONS = {
    status: HTTPStatus(status).phrase
    for status in (400, 401, 402, 403, 404, 408, 409, 410, 411, 412, 415, 423, 429, 500, 503)
} | {
    413: "Content Too Large",  # RFC 9110 has renamed these two
    422: "Unprocessable Content",
    460: "Checksum Mismatch",  # of tus
}

# Why each status is answered: the description of the response that all operations share.
MEANINGS = {
    400: "The request is wrong: it cannot be read, or a field or parameter has an invalid value.",
    401: "The request has no access token, or one that is not valid any more.",
    402: "The card was declined.",
    403: "The caller may not do this.",
    404: "There is nothing at this address, or the caller may not see it.",
    408: "The body did not arrive in time.",
    409: "The current state does not allow this.",
    410: "The thing has ended and will not come back.",
    411: "The length of the body is not known before it is sent.",
    412: "The request does not name a version of the protocol that is spoken here.",
    413: "The body is too large.",
    415: "The body's `Content-Type` is not one that this operation reads.",
    422: "The request is well formed, and a rule of the domain refuses it.",
    423: "Another request is changing the thing.",
    429: "Too many requests. `Retry-After` says how long to wait.",
    460: "The bytes are not those of their checksum.",
    500: "The service has failed. The failure is in its log, under the `X-Request-ID`.",
    503: "A part of the service is busy or away. Repeat the request after `Retry-After`.",
}

# One error of each status: the example of its shared response.
EXAMPLES = {
    400: ("parse_error", "The request could not be read."),
    401: ("not_authenticated", "Authentication credentials were not provided."),
    402: ("card_declined", "The card was declined (insufficient_funds). Try another card."),
    403: ("permission_denied", "You do not have permission to perform this action."),
    404: ("not_found", "Not found."),
    408: ("too_slow", "The body did not arrive in time. Send it again over a faster connection."),
    409: ("already_owned", "You own this video already."),
    410: ("session_ended", "This playback session has ended. Start playback again."),
    411: ("length_required", "Send the length of the body in Content-Length."),
    412: ("tus_version", "Send the header Tus-Resumable: 1.0.0."),
    413: ("too_large", "The request is too large."),
    415: ("unsupported_media_type", 'Unsupported media type "text/plain" in request.'),
    422: ("not_for_sale", "This video is not for sale."),
    423: ("upload_busy", "Another request writes this upload at the moment."),
    429: ("throttled", "Request was throttled. Expected available in 12 seconds."),
    460: ("checksum_mismatch", "The bytes are not those of Upload-Checksum."),
    500: ("error", "The service failed to answer this request. The failure has been logged."),
    503: ("unavailable", "A part of the service is busy. Try again in a moment."),
}

# Codes of any operation: transport, load and failures.
ALWAYS: dict[int, tuple[str, ...]] = {
    400: ("bad_request", "parse_error"),
    403: ("https_required",),
    429: (exceptions.Throttled.default_code,),
    500: (exceptions.APIException.default_code,),
    503: (ServiceUnavailable.default_code,),
}
WITH_BODY: dict[int, tuple[str, ...]] = {
    408: ("too_slow",),
    413: (TooLarge.default_code,),
    415: (exceptions.UnsupportedMediaType.default_code,),
}


def refuses(*errors: ErrorClass) -> Callable[[ViewMethod], ViewMethod]:
    """Return a decorator that names the domain's errors that a view's method can answer with.

    It stands on a method of an APIView or on an action of a viewset, below or above `extend_schema`.
    Several decorators add up.
    """

    return _marks("refusals", *errors)


def reads_body(method: ViewMethod) -> ViewMethod:
    """Mark the DELETE method of a view that reads a body, so that the document describes the body."""
    method.reads_body = True  # type: ignore[attr-defined]  # a mark on a function
    return method


def refusals_of(method: Callable[..., Any] | None) -> tuple[ErrorClass, ...]:
    """Return the errors that `refuses` named for a view's method; none for None."""
    return tuple(getattr(method, "refusals", ()))


def codes_by_status(errors: Iterable[ErrorClass]) -> list[tuple[int, tuple[str, ...]]]:
    return [(error.status_code, (error.default_code,)) for error in errors]


def reads_header(
    name: str, text: str, schema: dict[str, Any]
) -> Callable[[ViewMethod], ViewMethod]:
    """Return a decorator that documents a request header which a view's method reads."""
    header = {"name": name, "description": text, "schema": schema}
    return _marks("request_headers", header)


def sends_headers(*names: str) -> Callable[[ViewMethod], ViewMethod]:
    """Return a decorator that names headers of a view's answers; `config.api.schema` describes them."""
    return _marks("response_headers", *names)


def _marks(attribute: str, *values: object) -> Callable[[ViewMethod], ViewMethod]:
    """Return a decorator that adds values to an attribute of a method, which AutoSchema reads."""

    def mark(method: ViewMethod) -> ViewMethod:
        setattr(method, attribute, (*getattr(method, attribute, ()), *values))
        return method

    return mark


def response_name(status: int) -> str:
    """Return the name of a status's shared response in the document, such as "TooManyRequests"."""
    return REASONS[status].replace(" ", "")
