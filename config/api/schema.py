"""The OpenAPI document: what drf-spectacular makes of the views, with every error and header.

All operations share one error body and one response for each status (`document_errors`). The codes
that an operation can answer with stand in its description and in its ``x-error-codes``.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_standardized_errors.openapi import AutoSchema as StandardizedErrorsSchema
from rest_framework import exceptions, serializers
from rest_framework.permissions import AllowAny, IsAuthenticated

from config.api import refusals
from config.api.pagination import InvalidCursor

Document = dict[str, Any]
REF = "#/components"


class AutoSchema(StandardizedErrorsSchema):
    """The generator of an operation's entry."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Document | None:
        operation: Document | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        codes = self._error_codes()
        operation["x-error-codes"] = sorted({code for names in codes.values() for code in names})
        operation["description"] = _described(operation.get("description", ""), codes)
        for status in sorted(codes):
            operation["responses"][str(status)] = {
                "$ref": f"{REF}/responses/{refusals.response_name(status)}"
            }
        return operation

    def get_auth(self) -> list[dict[str, Any]]:
        """Return the schemes as alternatives.

        The bearer token is documented under two names (accounts.schema). drf-spectacular would demand
        both of them at once.
        """
        return [
            requirement
            for requirements in super().get_auth()
            for requirement in ([{name: scopes} for name, scopes in requirements.items()] or [{}])
        ]

    def _process_override_parameters(self, direction: str = "request") -> Document:
        """Add the request headers that decorators of the view's method read (`reads_header`)."""
        parameters: Document = super()._process_override_parameters(direction)
        for header in getattr(self._view_method(), "request_headers", ()):
            parameters[header["name"], "header"] = {"in": "header", **header}
        return parameters

    def _get_response_headers_for_code(
        self, status_code: str, direction: str = "response"
    ) -> Document:
        """Name the headers that each answer has, and those of the view's method (`sends_header`)."""
        headers: Document = super()._get_response_headers_for_code(status_code, direction)
        for name in (*HEADERS_OF_ALL, *getattr(self._view_method(), "response_headers", ())):
            headers[name] = {"$ref": f"{REF}/headers/{name}"}
        return headers

    def _get_response_bodies(self, direction: str = "response") -> Document:
        """Return the answers without errors, which `get_operation` adds."""
        bodies: Document = SpectacularSchema._get_response_bodies(self, direction)
        for status, answer in bodies.items():
            answer["description"] = answer["description"] or ANSWERS[status]
            answer.setdefault("headers", self._get_response_headers_for_code(status, direction))
        return bodies

    def _map_basic_serializer(self, serializer: Any, direction: str) -> Document:
        """Mark the fields of an answer as always present, except its ``NOT_ALWAYS_SENT``.

        drf-spectacular takes a field that a request may leave out for one that an answer may lack.
        """
        schema: Document = super()._map_basic_serializer(serializer, direction)
        if direction == "response" and schema.get("properties"):
            sometimes = getattr(serializer, "NOT_ALWAYS_SENT", ())
            written = {
                name
                for name, field in serializer.fields.items()
                if isinstance(field, serializers.Field) and field.write_only
            }
            schema["required"] = sorted({*schema["properties"]} - written - {*sometimes})
            if not schema["required"]:
                del schema["required"]
        return schema

    # --- which errors -----------------------------------------------------------------------------

    def _view_method(self) -> Callable[..., Any] | None:
        action = getattr(self.view, "action", None) or self.method.lower()
        return getattr(self.view, action, None)

    def _error_codes(self) -> dict[int, set[str]]:
        """Return the error codes of the operation by status."""
        codes: dict[int, set[str]] = defaultdict(set)
        for status, names in self._general_codes():
            codes[status].update(names)
        for error in refusals.refusals_of(self._view_method()):
            codes[error.status_code].add(error.default_code)
        if self._should_add_validation_error_response():
            by_field = self._get_validation_error_codes_by_field(
                self._determine_fields_with_error_codes()
            )
            codes[400].update(code for names in by_field.values() for code in names)
        if self._has_filter_by_id():
            # django-filter's own field lists only `invalid_choice`.
            codes[400].update(("invalid", "null_characters_not_allowed"))
        return codes

    def _has_filter_by_id(self) -> bool:
        return any(
            parameter["in"] == "query" and parameter["schema"].get("format") == "uuid"
            for parameter in self._get_parameters()
        )

    def _general_codes(self) -> list[tuple[int, tuple[str, ...]]]:
        """Return the codes that follow from the kind of operation."""
        view = self.view
        permissions = view.get_permissions()
        codes = [*refusals.ALWAYS.items(), (406, (exceptions.NotAcceptable.default_code,))]
        if self.method in {"POST", "PUT", "PATCH"} and self.get_request_serializer():
            codes += refusals.WITH_BODY.items()
        for authenticator in view.get_authenticators():
            codes += refusals.codes_by_status(getattr(authenticator, "refusals", ()))
            if not any(isinstance(permission, AllowAny) for permission in permissions):
                codes.append((401, (exceptions.NotAuthenticated.default_code,)))
        if any(not isinstance(each, (AllowAny, IsAuthenticated)) for each in permissions):
            codes.append((403, (exceptions.PermissionDenied.default_code,)))
        if any(parameter["in"] == "path" for parameter in self._get_parameters()):
            codes.append((404, (exceptions.NotFound.default_code,)))
        if self._is_list_view() and self._get_paginator():
            codes.append((400, (InvalidCursor.default_code,)))
        return codes


def _described(text: str, codes: dict[int, set[str]]) -> str:
    """Return an operation's description with its own error codes, without those of all operations."""
    common = {(status, code) for status, names in refusals.ALWAYS.items() for code in names}
    lines = []
    for status, names in sorted(codes.items()):
        own = sorted(name for name in names if (status, name) not in common)
        if own:
            lines.append(f"{status} " + ", ".join(f"`{name}`" for name in own))
    errors = "Errors: " + "; ".join(lines) + "." if lines else ""
    return "\n\n".join(part for part in (text.strip(), errors) if part)


# --- shared parts of the document -----------------------------------------------------------------

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
    "WWW-Authenticate": ("string", "The scheme of the access token: `Bearer`."),
    "Idempotent-Replayed": (
        "string",
        "`true` if this is the stored answer of an earlier request with the same `Idempotency-Key`.",
    ),
    "ETag": ("string", "The version of the file, for `If-None-Match`."),
    "Cache-Control": ("string", "How long the answer may be kept (RFC 9111)."),
    "Content-Disposition": ("string", "The name under which to save the file."),
    "Location": ("string", "The address to go on to."),
}
ANSWERS = {  # the description of an answer that has none
    "200": "The request was carried out.",
    "201": "It was created.",
    "202": "It was accepted, and is not finished yet.",
    "204": "The request was carried out. There is nothing to say about it.",
}
HEADERS_OF_ALL = ("X-Request-ID", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
HEADERS_OF_STATUS = {
    # The answers that `payments.idempotency` stores and repeats.
    **dict.fromkeys((400, 402, 403, 404, 422), ("Idempotent-Replayed",)),
    401: ("WWW-Authenticate",),
    409: ("Idempotent-Replayed", "Retry-After"),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
ERROR_KINDS = ["validation_error", "client_error", "server_error"]
MORE_OF_AN_ERROR = {  # the extra members that some errors have (DomainError.extra)
    "decline_code": ("card_declined", "The bank's reason."),
    "current_amount": ("price_changed", "The amount that the video costs now."),
    "currency": ("price_changed, earlier_period_open", "The currency of the amount or month."),
    "period": ("earlier_period_open", "The month that must be closed first, as YYYY-MM."),
}
ERROR_DETAIL = {
    "type": "object",
    "required": ["code", "detail", "attr"],
    "properties": {
        "code": {
            "type": "string",
            "description": "What went wrong, for programs. Each operation lists its codes.",
            "example": "not_found",
        },
        "detail": {
            "type": "string",
            "description": "What went wrong and what to do, for people. The text may change.",
            "example": "There is nothing at this address.",
        },
        "attr": {
            "type": "string",
            "nullable": True,
            "description": "The field or parameter that is wrong, such as `price` or `tags.0`.",
            "example": None,
        },
        **{
            name: {"type": "string", "description": f"With `{codes}`: {text}"}
            for name, (codes, text) in MORE_OF_AN_ERROR.items()
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


def classes_without_description() -> list[type]:
    """Return the base classes whose docstrings are for developers and not for the document.

    drf-spectacular describes an operation by the docstring of its view or of the nearest base class.
    """
    from config.api import views  # imported late: REST framework's settings name this module

    excludes = get_lib_doc_excludes()  # type: ignore[no-untyped-call]  # has no annotations
    return [*excludes, views.APIView, views.GenericAPIView, views.GenericViewSet]
