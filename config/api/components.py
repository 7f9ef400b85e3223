"""The parts that all operations of the OpenAPI document share: error body, responses and headers."""

import json
from typing import Any

from config.api import refusals

Document = dict[str, Any]
REF = "#/components"

HEADERS = {
    "X-Request-ID": (
        "string",
        "The id of this request, which is also in the service's log and in the audit log."
        " A client's own `X-Request-ID` is kept if it has 8 to 128 letters, digits and `._:-`.",
    ),
    "RateLimit-Limit": ("integer", "Requests that the caller may make in a minute."),
    "RateLimit-Remaining": ("integer", "Requests that are left in this minute."),
    "RateLimit-Reset": ("integer", "Seconds until the next minute begins."),
    "Retry-After": ("integer", "Seconds to wait before the request is repeated."),
    "WWW-Authenticate": (
        "string",
        'The scheme of the access token: `Bearer`, with `error="invalid_token"` if one was sent, and'
        ' with `error="insufficient_scope"` and the `scope` for an API key that lacks it.',
    ),
    "Idempotent-Replayed": (
        "string",
        "`true` if this is the stored answer of an earlier request with the same `Idempotency-Key`.",
    ),
    "ETag": ("string", "The version of the file, for `If-None-Match`."),
    "Cache-Control": (
        "string",
        "Who may keep the answer (RFC 9111); `no-store`: nobody.",
    ),
    "Content-Disposition": ("string", "The name under which to save the file."),
    "Location": ("string", "The address to go on to."),
    "Tus-Resumable": ("string", "The version of tus: `1.0.0`."),
    "Upload-Offset": ("integer", "Bytes of the upload that have come."),
    "Upload-Length": ("integer", "Bytes of the whole upload, if they are known."),
    "Upload-Defer-Length": ("integer", "`1` if the length is not known yet."),
    "Upload-Metadata": ("string", "The metadata, as it was sent."),
    "Upload-Concat": ("string", "`partial`, or `final;` and the parts, as it was sent."),
    "Upload-Expires": ("string", "When the upload ends if nothing more comes (RFC 9110 date)."),
    "Video-Id": ("string", "The id of the video to which the upload goes."),
}
REQUEST_ID: Document = {
    "name": "X-Request-ID",
    "in": "header",
    "description": "An id of your own for this request: 8 to 128 letters, digits and `._:-`.",
    "schema": {"type": "string"},
}
ANSWERS = {  # the description of an answer that has none
    "200": "The request was carried out.",
    "201": "It was created.",
    "202": "It was accepted, and is not finished yet.",
    "204": "The request was carried out. There is nothing to say about it.",
}
HEADERS_OF_ALL = (
    "X-Request-ID", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Cache-Control",
)  # fmt: skip
HEADERS_OF_STATUS = {
    # The answers that `payments.idempotency` stores and repeats.
    **dict.fromkeys((400, 402, 404, 422), ("Idempotent-Replayed",)),
    401: ("WWW-Authenticate",),
    403: ("Idempotent-Replayed", "WWW-Authenticate"),
    409: ("Idempotent-Replayed", "Retry-After"),
    423: ("Retry-After",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
ERROR_KINDS = ["validation_error", "client_error", "server_error"]
MORE_OF_AN_ERROR = {  # the extra members that some errors have (DomainError.extra)
    "decline_code": ("card_declined", "The bank's reason."),
    "current_amount": ("price_changed", "The amount that the video costs now."),
    "currency": ("price_changed, earlier_period_open", "The currency of the amount or month."),
    "scope": ("insufficient_scope", "The scope that the API key lacks; missing if none is enough."),
    "publish_at": ("not_yet_available", "From when the video can be watched, in UTC."),
    "period": ("earlier_period_open", "The month that must be closed first, as YYYY-MM."),
}
RUNNING_SESSION = {  # streaming.limits
    "type": "object",
    "required": ["id", "video_id", "video_title", "device", "created_at"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "video_id": {"type": "string", "format": "uuid"},
        "video_title": {"type": "string"},
        "device": {"type": "string", "examples": ["Firefox on Windows"]},
        "created_at": {"type": "string", "format": "date-time"},
    },
}
ERROR_DETAIL = {
    "type": "object",
    "required": ["code", "detail", "attr"],
    "properties": {
        "code": {
            "type": "string",
            "description": "What went wrong, for programs. Each operation lists its codes.",
            "examples": ["not_found"],
        },
        "detail": {
            "type": "string",
            "description": "What went wrong and what to do, for people. The text may change.",
            "examples": ["There is nothing at this address."],
        },
        "attr": {
            "type": ["string", "null"],
            "description": "The field or parameter that is wrong, such as `price` or `tags.0`.",
            "examples": ["price", None],
        },
        **{
            name: {"type": "string", "description": f"With `{codes}`: {text}"}
            for name, (codes, text) in MORE_OF_AN_ERROR.items()
        },
        "sessions": {
            "type": "array",
            "items": RUNNING_SESSION,
            "description": "With `too_many_streams`: the caller's sessions that hold a place.",
        },
    },
}
ERROR = {
    "type": "object",
    "description": "The body of every error. A `validation_error` may hold several errors.",
    "required": ["type", "errors"],
    "properties": {
        "type": {"type": "string", "enum": ERROR_KINDS},
        "errors": {"type": "array", "items": {"$ref": f"{REF}/schemas/ErrorDetail"}},
    },
}


def document_errors(result: Document, generator: Any, request: Any, public: bool) -> Document:
    """Add the shared error body, responses and headers; a hook of drf-spectacular."""
    components = result["components"]
    components["schemas"] |= {"Error": ERROR, "ErrorDetail": ERROR_DETAIL}
    components["headers"] = {
        name: {"schema": {"type": kind}, "description": text}
        for name, (kind, text) in HEADERS.items()
    }
    components["responses"] = {
        refusals.response_name(status): _error_response(status, text)
        for status, text in refusals.MEANINGS.items()
    }
    return result


def drop_unused(result: Document, generator: Any, request: Any, public: bool) -> Document:
    """Remove the components that nothing refers to; a hook of drf-spectacular.

    A nested serializer that is only read has a component for requests, which no request uses.
    """
    components = result["components"]
    named = [
        (kind, name) for kind in ("schemas", "responses", "headers") for name in components[kind]
    ]
    while True:
        text = json.dumps(result, default=str)
        unused = [each for each in named if '"{}/{}/{}"'.format(REF, *each) not in text]
        if not unused:
            return result
        for kind, name in unused:
            del components[kind][name]
            named.remove((kind, name))


def _error_response(status: int, text: str) -> Document:
    kind = "server_error" if status >= 500 else "client_error"
    code, detail = refusals.EXAMPLES[status]
    body = {"type": kind, "errors": [{"code": code, "detail": detail, "attr": None}]}
    names = (*HEADERS_OF_ALL, *HEADERS_OF_STATUS.get(status, ()))
    return {
        "description": text,
        "headers": {name: {"$ref": f"{REF}/headers/{name}"} for name in names},
        "content": {
            "application/json": {"schema": {"$ref": f"{REF}/schemas/Error"}, "example": body}
        },
    }
