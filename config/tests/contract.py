"""Each answer that the test client gets from the API is compared with the OpenAPI document.

A status, an error code, a field or a header that the document does not declare fails the test that
received it. A field that the document promises and the answer lacks does so too.
"""

import json
import os
import re
from functools import cache, cached_property
from typing import Any
from unittest.mock import patch

import jsonschema_rs
import pytest
from django.test import Client

from config.tests.openapi import document

PREFIX = "/api/v1/"
# Headers of HTTP itself, of tus (in every answer to it, refusals included) and of the middleware for
# browsers; they say nothing about an operation.
UNDECLARED = {
    "access-control-allow-credentials",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "allow",
    "content-language",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "last-modified",
    "permissions-policy",
    "referrer-policy",
    "strict-transport-security",
    "tus-resumable",
    "tus-version",
    "vary",
    "x-content-type-options",
    "x-frame-options",
}


class Undeclared(AssertionError):
    """An answer differs from the OpenAPI document."""


class Operation:
    """One operation of the document, and the check of its answers."""

    def __init__(self, name: str, entry: dict[str, Any]) -> None:
        self.name, self.entry = name, entry
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    @cached_property
    def codes(self) -> set[str]:
        return set(self.entry["x-error-codes"])

    def check(self, response: Any) -> None:
        """Raise Undeclared with every difference between the answer and the document."""
        status = str(response.status_code)
        if status not in self.entry["responses"]:
            raise Undeclared(f"{self.name}: the status {status} is not declared.")
        declared = _resolved(self.entry["responses"][status])
        faults = [*self._headers(response, declared), *self._body(response, declared, status)]
        if faults:
            raise Undeclared(f"{self.name}, {status}: " + "; ".join(faults))

    def _headers(self, response: Any, declared: dict[str, Any]) -> list[str]:
        names = {name.lower() for name in declared.get("headers", {})}
        sent = {name.lower() for name in response.headers}
        return [f"the header {name} is not declared" for name in sent - names - UNDECLARED]

    def _body(self, response: Any, declared: dict[str, Any], status: str) -> list[str]:
        contents = declared.get("content", {})
        kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if not contents:
            empty = response.streaming or not response.content
            return [] if empty else ["it has a body, and none is declared"]
        if kind not in contents:
            return [f"the media type {kind!r} is not declared"]
        if kind != "application/json" or response.streaming:
            return []
        body = json.loads(response.content)
        if status not in self._validators:
            self._validators[status] = validator(contents[kind]["schema"])
        faults = [
            f"{'.'.join(map(str, error.instance_path)) or 'the body'}: {error.message[:300]}"
            for error in self._validators[status].iter_errors(body)
        ]
        if response.status_code >= 400 and not faults:
            codes = {error["code"] for error in body["errors"]}
            faults += [f"the code {code} is not declared" for code in codes - self.codes]
        return faults


def _resolved(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry that a ``$ref`` names, or the entry itself."""
    while "$ref" in entry:
        target: Any = document()
        for part in entry["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        entry = target
    return entry


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """Return the validator of a schema, with the components that it refers to."""
    everything, used, waiting = _strict_components()["schemas"], {}, [_strict(schema)]
    while waiting:
        for name in re.findall(r"#/components/schemas/([^'\"]+)", str(waiting.pop())):
            if name not in used:
                used[name] = everything[name]
                waiting.append(everything[name])
    return jsonschema_rs.validator_for({**_strict(schema), "components": {"schemas": used}})


@cache
def _strict_components() -> dict[str, Any]:
    schemas = document()["components"]["schemas"]
    return {"schemas": {name: _strict(schema) for name, schema in schemas.items()}}


def _strict(schema: Any) -> Any:
    """Return a schema that allows no undeclared field.

    The members of an ``allOf`` are left open, because each describes a part of the same object.
    """
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(value) for name, value in schema.items() if name != "example"}
    if isinstance(schema.get("properties"), dict):
        strict.setdefault("additionalProperties", False)
    return strict


@cache
def operations() -> list[tuple[re.Pattern[str], dict[str, Operation]]]:
    """Return the operations of each path, as (pattern of the path, {method: operation})."""
    found = []
    # Paths without parameters come first: `creator/balance` is not the balance of a `{id}`.
    for path, item in sorted(document()["paths"].items(), key=lambda pair: pair[0].count("{")):
        pattern = re.sub(r"\\\{[^}]+\\\}", "[^/]+", re.escape(path.rstrip("/")))
        methods = {
            method.upper(): Operation(f"{method.upper()} {path}", entry)
            for method, entry in item.items()
            if isinstance(entry, dict)
        }
        found.append((re.compile(pattern + "/?"), methods))
    return found


def check(method: str, path: str, response: Any) -> None:
    """Raise Undeclared if the answer of a documented operation differs from the document."""
    if not path.startswith(PREFIX) or method in {"HEAD", "OPTIONS"}:
        return
    for pattern, methods in operations():
        if pattern.fullmatch(path):
            if method in methods:
                methods[method].check(response)
            return


@pytest.fixture(scope="session", autouse=True)
def _answers_match_the_document():
    """Check each answer of the test client, in every test."""
    operations()  # made now, so that no test waits for it
    request_of = Client.request
    record = os.environ.get(
        "CONTRACT_RECORD"
    )  # a file: write the differences down, and fail nothing

    def request(self, **environ):
        response = request_of(self, **environ)
        try:
            check(environ["REQUEST_METHOD"], environ["PATH_INFO"], response)
        except Undeclared as fault:
            if not record:
                raise
            with open(record, "a", encoding="utf-8") as file:
                file.write(f"{fault}\n")
        return response

    with patch.object(Client, "request", request):
        yield
