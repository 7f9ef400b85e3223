"""An example for each body in the OpenAPI document that has none of its own.

It is made from the schema: the type's format, the field's own example, or a value for fields of that
name. `config/tests/test_schema.py` checks every example against its schema.
"""

from collections.abc import Mapping
from typing import Any

from config.api.components import Document

ID = "01a21882-4f6c-7b21-9d0e-5c3a8f1e7b44"
BY_FORMAT: dict[str, object] = {
    "uuid": ID,
    "date-time": "2026-11-26T15:38:55.752537Z",
    "date": "2026-11-26",
    "email": "ann@example.com",
    "uri": "https://vod.example.com/",
    "decimal": "19.99",
    "binary": "(the bytes of the file)",
    "double": 12.5,
}
BY_NAME: dict[str, object] = {
    "access_token": "eyJhbGciOiJIUzI1NiIs…",
    "amount": "19.99",
    "category": "documentary",
    "codecs": "avc1.64001f,mp4a.40.2",
    "country": "NL",
    "currency": "USD",
    "description": "Twelve minutes of fog and lights.",
    "display_name": "Ann",
    "duration_seconds": 720.0,
    "expires_in": 900,
    "expires_in_seconds": 60,
    "file": "(the bytes of the file)",
    "filename": "harbour.mp4",
    "checksum": "sha256:9f86d081884c7d659a2feaa0c55ad015",
    "container": "mov,mp4",
    "audio_codec": "aac",
    "totp": "492039",
    "video_codec": "h264",
    "hash": "9f86d081884c7d659a2feaa0c55ad015",
    "from": "2026-11-01T00:00:00Z",
    "gateway": "sandbox",
    "height": 720,
    "ip": "203.0.113.7",
    "language": "en",
    "method": "POST",
    "name": "720p",
    "new_password": "another long pass phrase",
    "next": None,
    "password": "a long pass phrase",
    "current_password": "a long pass phrase",
    "path": "/api/v1/videos/",
    "percent": 74,
    "period": "2026-11",
    "plan": "monthly",
    "position_seconds": 10.0,
    "previous": None,
    "reason": "It stutters.",
    "request_id": "0199f3c2a8d57a11b2c4",
    "refresh_token": "eyJhbGciOiJIUzI1NiIs…",
    "status": 200,
    "step": "encode",
    "stream_url": "/api/v1/stream/play/AaIYg7fTc-mf9C3X",
    "stream_token": "AaIYg7fTc-mf9C3X",
    "grant": "AaIYg7fTc-mf9C3X",
    "target_id": ID,
    "target_type": "video",
    "token_type": "bearer",
    "email": "ann@example.com",
    "label": "English",
    "tags": ["fog", "harbour"],
    "title": "The harbour at night",
    "user_agent": "Mozilla/5.0",
    "username": "ann@example.com",
    "width": 1280,
}
TYPES: dict[str, type | tuple[type, ...]] = {
    "array": list,
    "boolean": bool,
    "integer": int,
    "null": type(None),
    "number": (int, float),
    "string": str,
}
MEDIA_TYPES = {"application/json", "application/x-www-form-urlencoded", "multipart/form-data"}


def add_examples(result: Document, generator: Any, request: Any, public: bool) -> Document:
    """Give each body of a request and of a 2xx answer an example; a hook of drf-spectacular."""
    schemas = result["components"]["schemas"]
    for item in result["paths"].values():
        for operation in item.values():
            for content in _bodies(operation):
                for media_type, body in content.items():
                    if media_type in MEDIA_TYPES and not {"example", "examples"} & body.keys():
                        body["example"] = example_of(body["schema"], schemas)
    return result


def _bodies(operation: Document) -> list[Document]:
    """Return the contents of the request and of the answers that are not errors."""
    answers = [
        answer for status, answer in operation["responses"].items() if status.startswith("2")
    ]
    return [
        body["content"]
        for body in (operation.get("requestBody"), *answers)
        if body and "content" in body
    ]


def example_of(schema: Document, schemas: Mapping[str, Document], name: str = "") -> object:
    """Return a value that fits the schema; ``name`` is that of the field that holds it."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rsplit("/", 1)[1]], schemas, name)
    if "example" in schema:
        return schema["example"]
    if "examples" in schema:
        return schema["examples"][0]
    for members in (schema.get("allOf"), schema.get("oneOf"), schema.get("anyOf")):
        if members:
            return example_of(members[0], schemas, name)
    if "enum" in schema:
        return schema.get("default", schema["enum"][0])
    kinds = _kinds(schema)
    if "object" in kinds:
        return {
            field: example_of(part, schemas, field)
            for field, part in schema.get("properties", {}).items()
        }
    if name in BY_NAME and any(isinstance(BY_NAME[name], TYPES[kind]) for kind in kinds):
        return BY_NAME[name]
    if "array" in kinds:
        return [example_of(schema["items"], schemas, name)] * schema.get("minItems", 1)
    return _scalar(schema, kinds)


def _kinds(schema: Document) -> list[str]:
    kind = schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def _scalar(schema: Document, kinds: list[str]) -> object:
    if schema.get("format") in BY_FORMAT:
        return BY_FORMAT[schema["format"]]
    if "default" in schema:
        return schema["default"]
    if "boolean" in kinds:
        return True
    if {"integer", "number"} & set(kinds):
        return max(schema.get("minimum", 0), 1)
    return "text"
