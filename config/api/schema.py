"""The OpenAPI document: what drf-spectacular makes of the views, with every error and header.

All operations share one error body and one response for each status (`config.api.components`). The codes
that an operation can answer with stand in its description and in its ``x-error-codes``.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.plumbing import get_lib_doc_excludes, is_serializer
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import Direction
from drf_standardized_errors.openapi import AutoSchema as StandardizedErrorsSchema
from drf_standardized_errors.openapi_utils import (
    InputDataField,
    get_flat_serializer_fields,
    get_serializer_fields_with_error_codes,
)
from rest_framework import exceptions
from rest_framework.permissions import AllowAny, IsAuthenticated

from config.api import refusals
from config.api.components import ANSWERS, HEADERS_OF_ALL, REF, REQUEST_ID, Document
from config.api.introduction import tag_of
from config.api.pagination import InvalidCursor

# Otherwise it would look for the libraries of GeoDjango, and start gcc and ldconfig for that.
DjangoFilterExtension._has_gis = False  # type: ignore[attr-defined]  # it sets this by its search
WITH_BODY = {"POST", "PUT", "PATCH"}


class AutoSchema(StandardizedErrorsSchema):
    """The generator of an operation's entry."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Document | None:
        operation: Document | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        codes = self._error_codes()
        operation["x-error-codes"] = sorted({code for names in codes.values() for code in names})
        operation.setdefault("security", [])
        operation["description"] = _described(operation.get("description", ""), codes)
        for authenticator in self.view.get_authenticators():
            if hasattr(authenticator, "scope_of"):  # of an API key (accounts.authentication)
                scope = authenticator.scope_of(self.method, re.sub(r"\{[^}]*\}", "*", self.path))
                operation["x-api-key-scope"] = scope
                operation["description"] += (
                    f"\n\nAn API key needs the scope `{scope}`."
                    if scope
                    else "\n\nNot for API keys."
                )
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

    def get_tags(self) -> list[str]:
        return [tag_of(self.path)]

    def _process_override_parameters(
        self, direction: str = "request"
    ) -> dict[tuple[str, str], Document]:
        """Add the request headers that decorators of the view's method read (`reads_header`)."""
        parameters: dict[tuple[str, str], Document] = super()._process_override_parameters(
            direction
        )  # type: ignore[no-untyped-call]  # has no annotations
        for header in getattr(self._view_method(), "request_headers", ()):
            parameters[header["name"], "header"] = {"in": "header", **header}
        if self._has_several_bodies():
            # openapi-python-client 0.29 (its issue 1451) makes a module that cannot be imported if an
            # operation with several kinds of bodies has no optional parameter.
            parameters[REQUEST_ID["name"], "header"] = REQUEST_ID
        return parameters

    def _takes_body(self) -> bool:
        return self.method in WITH_BODY or getattr(self._view_method(), "takes_body", False)

    def _get_request_body(self, direction: Direction = "request") -> Document | None:
        """Describe the body of a DELETE that needs one (`takes_body`), as that of a POST."""
        method = self.method
        try:
            self.method = "POST" if self._takes_body() and method == "DELETE" else method
            body: Document | None = super()._get_request_body(direction)  # type: ignore[no-untyped-call]  # has no annotations
        finally:
            self.method = method
        return body

    def _has_several_bodies(self) -> bool:
        body = self.get_request_serializer() if self._takes_body() else None
        return isinstance(body, dict) and len(body) > 1

    def _get_response_headers_for_code(
        self, status_code: str, direction: str = "response"
    ) -> Document:
        """Name the headers that each answer has, and those of the view's method (`sends_headers`)."""
        headers: Document = super()._get_response_headers_for_code(status_code, direction)
        for name in (*HEADERS_OF_ALL, *getattr(self._view_method(), "response_headers", ())):
            headers[name] = {"$ref": f"{REF}/headers/{name}"}
        return headers

    def _get_response_bodies(self, direction: Direction = "response") -> Document:
        """Return the answers without errors, which `get_operation` adds."""
        bodies: Document = SpectacularSchema._get_response_bodies(self, direction)
        for status, answer in bodies.items():
            if answer["description"] in {"", "No response body"}:  # drf-spectacular's own
                answer["description"] = ANSWERS[status]
            answer.setdefault("headers", self._get_response_headers_for_code(status, direction))
        return bodies

    def _map_basic_serializer(self, serializer: Any, direction: str) -> Document:
        """Mark the fields of an answer as always present, except its ``NOT_ALWAYS_SENT``.

        drf-spectacular takes a field that a request may leave out for one that an answer may lack.
        """
        schema: Document = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]  # has no annotations
        if direction == "response" and schema.get("properties"):
            sometimes = getattr(serializer, "NOT_ALWAYS_SENT", ())
            schema["required"] = sorted({*schema["properties"]} - {*sometimes})
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

    def _determine_fields_with_error_codes(self) -> list[InputDataField]:
        """Return the fields of the body and of the query, each with its error codes."""
        inputs: list[Any] = [each for each in self.get_override_parameters() if is_serializer(each)]
        if self._takes_body():
            body = self.get_request_serializer()
            bodies: list[Any] = [*body.values()] if isinstance(body, dict) else [body]
            inputs += [each for each in bodies if each is not OpenApiTypes.BINARY]
            fields: list[InputDataField] = []
        else:
            fields = super()._determine_fields_with_error_codes()
        for serializer in inputs:
            fields += get_serializer_fields_with_error_codes(get_flat_serializer_fields(serializer))
        return fields

    def _general_codes(self) -> list[tuple[int, tuple[str, ...]]]:
        """Return the codes that follow from the kind of operation."""
        view = self.view
        permissions = view.get_permissions()
        codes = list(refusals.ALWAYS.items())
        if self._takes_body() and self.get_request_serializer():
            codes += refusals.WITH_BODY.items()
        for authenticator in view.get_authenticators():
            if refusals_at := getattr(authenticator, "refusals_at", None):
                codes += refusals.codes_by_status(refusals_at(view))
            if not any(isinstance(permission, AllowAny) for permission in permissions):
                codes.append((401, (exceptions.NotAuthenticated.default_code,)))
        if any(not isinstance(each, (AllowAny, IsAuthenticated)) for each in permissions):
            codes.append((403, (exceptions.PermissionDenied.default_code,)))
        if any(parameter["in"] == "path" for parameter in self._get_parameters()):
            codes.append((404, (exceptions.NotFound.default_code,)))
        if self._is_list_view() and getattr(view, "pagination_class", None):
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


def classes_without_description() -> list[type]:
    """Return the base classes whose docstrings are for developers and not for the document.

    drf-spectacular describes an operation by the docstring of its view or of the nearest base class.
    """
    from config.api import views  # imported late: REST framework's settings name this module

    excludes = get_lib_doc_excludes()  # type: ignore[no-untyped-call]  # has no annotations
    return [*excludes, views.APIView, views.GenericAPIView, views.GenericViewSet]
