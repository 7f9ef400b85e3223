"""The headers of tus 1.0.0 (https://tus.io/protocols/resumable-upload), read and written."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.utils.http import http_date

from config import ids
from videos.errors import InvalidHeader, TusVersion
from videos.uploads.models import Upload

VERSION = "1.0.0"
EXTENSIONS = ",".join((
    "creation", "creation-with-upload", "creation-defer-length", "checksum", "expiration", "termination",
    "concatenation",
))  # fmt: skip
ALGORITHMS = ("sha1", "sha256", "md5")
CONTENT_TYPE = "application/offset+octet-stream"
PATH = "/api/v1/uploads/"
METADATA_MAX = 8192  # characters
PARTS_MAX = 100
_PART = re.compile(rf"{PATH}({ids.FORM})/?")


@dataclass(frozen=True)
class Checksum:
    """What Upload-Checksum says about the bytes of one request."""

    algorithm: str
    digest: bytes

    def new(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)


@dataclass(frozen=True)
class Wanted:
    """What the headers of a creation ask for. ``values`` is the metadata, decoded."""

    kind: str
    length: int | None
    metadata: str = ""
    concat: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[UUID, ...] = ()


def require_version(headers: Mapping[str, str]) -> None:
    """Raise TusVersion unless the request speaks this version."""
    if headers.get("Tus-Resumable") != VERSION:
        raise TusVersion()


def wanted(headers: Mapping[str, str]) -> Wanted:
    """Return what a creation asks for. Raises InvalidHeader."""
    concat = headers.get("Upload-Concat", "")
    metadata = headers.get("Upload-Metadata", "")
    values = metadata_of(metadata)
    if concat.startswith("final;"):
        if "Upload-Length" in headers or "Upload-Defer-Length" in headers:
            raise InvalidHeader(
                "Upload-Length", "must be left out: it is that of all parts together."
            )
        kind = Upload.Kind.JOINED
        return Wanted(kind, None, metadata, concat, values, _parts_of(concat))
    if concat not in {"", "partial"}:
        raise InvalidHeader("Upload-Concat", "must be 'partial' or 'final;' with addresses.")
    kind = Upload.Kind.PART if concat else Upload.Kind.WHOLE
    length = number(headers, "Upload-Length")
    if deferred := headers.get("Upload-Defer-Length"):
        if deferred != "1":
            raise InvalidHeader("Upload-Defer-Length", "must be 1.")
        if length is not None:
            raise InvalidHeader("Upload-Defer-Length", "must be left out with Upload-Length.")
    elif length is None:
        raise InvalidHeader("Upload-Length", "is missing. Send it, or Upload-Defer-Length: 1.")
    return Wanted(kind, length, metadata, concat, values)


def metadata_of(text: str) -> dict[str, str]:
    """Return Upload-Metadata decoded: keys with base64 values, separated by commas."""
    if len(text) > METADATA_MAX or not (text.isascii() and text.isprintable()):
        raise InvalidHeader(
            "Upload-Metadata", f"must be ASCII of at most {METADATA_MAX} characters."
        )
    found: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in text.split(","))):
        key, _, value = pair.partition(" ")
        if key in found:
            raise InvalidHeader("Upload-Metadata", f"has {key!r} twice.")
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError):
            raise InvalidHeader("Upload-Metadata", f"has no base64 of UTF-8 for {key!r}.") from None
    return found


def number(headers: Mapping[str, str], name: str) -> int | None:
    """Return the whole number in a header, or None without the header. Raises InvalidHeader."""
    text = headers.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise InvalidHeader(name, "must be a whole number of bytes.")
    return int(text)


def offset(headers: Mapping[str, str]) -> int:
    found = number(headers, "Upload-Offset")
    if found is None:
        raise InvalidHeader("Upload-Offset", "is missing.")
    return found


def checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Return Upload-Checksum, or None without it. Raises InvalidHeader."""
    text = headers.get("Upload-Checksum")
    if text is None:
        return None
    algorithm, _, value = text.partition(" ")
    if algorithm not in ALGORITHMS:
        raise InvalidHeader("Upload-Checksum", f"must begin with one of {', '.join(ALGORITHMS)}.")
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise InvalidHeader("Upload-Checksum", f"has no {algorithm} in base64.")
    return Checksum(algorithm, digest)


def capabilities() -> dict[str, str]:
    """Return the headers that tell a client what is spoken here."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(settings.UPLOAD_MAX_BYTES),
        "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
    }


def headers_of(upload: Upload) -> dict[str, str]:
    """Return the headers that describe an upload. A joined one has no offset before it is joined."""
    headers = {}
    if upload.kind != Upload.Kind.JOINED or upload.state == Upload.State.DONE:
        headers["Upload-Offset"] = str(upload.offset)
    if upload.length is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.length)
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    if upload.concat:
        headers["Upload-Concat"] = upload.concat
    if upload.video_id:
        headers["Video-Id"] = str(upload.video_id)
    if upload.state == Upload.State.OPEN:
        headers["Upload-Expires"] = http_date(upload.expires_at.timestamp())
    return headers


def _parts_of(concat: str) -> tuple[UUID, ...]:
    addresses = concat.removeprefix("final;").split()
    if not 1 <= len(addresses) <= PARTS_MAX:
        raise InvalidHeader("Upload-Concat", f"must name 1 to {PARTS_MAX} partial uploads.")
    found = []
    for address in addresses:
        try:
            match = _PART.fullmatch(urlsplit(address).path) if concat.isascii() else None
        except ValueError:
            match = None
        if match is None:
            raise InvalidHeader("Upload-Concat", f"names {address[:100]!r}, which is no upload.")
        found.append(UUID(match[1]))
    if len({*found}) < len(found):
        raise InvalidHeader("Upload-Concat", "names an upload twice.")
    return tuple(found)
