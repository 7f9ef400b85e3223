"""What the delivery answers: headers, refusals, ranges and conditions (RFC 9110)."""

import itertools
import json
import os
import re

from streaming.delivery import grants
from streaming.delivery.files import OpenFile

Headers = list[tuple[bytes, bytes]]

METHODS = b"GET, HEAD, OPTIONS"
_EVERYWHERE: Headers = [
    (b"referrer-policy", b"no-referrer"),  # the path holds the grant
    (b"x-content-type-options", b"nosniff"),
    (
        b"access-control-expose-headers",
        b"Content-Length, Content-Range, ETag, Accept-Ranges, Retry-After, X-Request-ID",
    ),
]
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", METHODS),
    (b"access-control-allow-headers", b"Range, If-Match, If-None-Match, If-Range, X-Request-ID"),
    (b"access-control-max-age", b"86400"),
]
# A version is immutable, but the right to it is one person's: never in a shared cache.
_SEGMENT_CACHE = b"private, max-age=31536000, immutable"
_PLAYLIST_CACHE = b"private, max-age=2"
_SANE_ID = re.compile(rb"[A-Za-z0-9._:\-]{8,128}")
_RANGE = re.compile(rb"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


_NOT_FOUND = "There is no file at this address. Start playback again to get current addresses."
_READ_ONLY = "Media files can only be read. Use GET, HEAD or OPTIONS."
_ENDED = "This playback session has ended. Start playback again."
_CHANGED = "The file is no longer the one that If-Match names. Request it without If-Match."
_OUTSIDE = "The requested range lies outside the file. Content-Range tells the file's size."
_BUSY = "The server cannot check or open this file right now. Try again in a few seconds."

# Each code, with its status, its sentence and the headers that only this refusal carries.
_REFUSALS: dict[str, tuple[int, str, Headers]] = {
    "not_found": (404, _NOT_FOUND, []),
    "method_not_allowed": (405, _READ_ONLY, [(b"allow", METHODS)]),
    "session_ended": (410, _ENDED, []),
    "precondition_failed": (412, _CHANGED, []),
    "range_not_satisfiable": (416, _OUTSIDE, []),
    **{error.code: (error.status, error.detail, []) for error in grants.REFUSALS},
    "unavailable": (503, _BUSY, [(b"retry-after", b"2")]),
}


class Refusal(Exception):
    """An answer without the file: a status, a stable code, a sentence, perhaps headers."""

    def __init__(self, code: str, *, headers: Headers | None = None):
        self.code = code
        self.status, self.detail, more = _REFUSALS[code]
        self.headers = more + (headers or [])
        super().__init__(self.detail)

    def body(self) -> bytes:
        """The project's one error body."""
        kind = "server_error" if self.status >= 500 else "client_error"
        error = {"code": self.code, "detail": self.detail, "attr": None}
        return json.dumps({"type": kind, "errors": [error]}).encode()


class Cors:
    """Who may read the answers from another origin. Never with credentials, never ``null``."""

    def __init__(self, origins: list[str]):
        self._any = "*" in origins
        self._allowed = {origin.encode() for origin in origins} - {b"null"}

    def headers(self, origin: bytes | None) -> Headers:
        if self._any:
            return [(b"access-control-allow-origin", b"*")]
        if origin in self._allowed:
            return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return [(b"vary", b"Origin")]


class RequestIds:
    """Ids for requests: the client's own when it is a sane one, as the API does."""

    def __init__(self):
        self._prefix = os.urandom(10).hex().encode()
        self._count = itertools.count()

    def take(self, given: bytes | None) -> bytes:
        if given is not None and _SANE_ID.fullmatch(given.strip()):
            return given.strip()
        return b"%b%012x" % (self._prefix, next(self._count))


def lines(headers: Headers) -> bytes:
    """The headers as they stand in a message."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


def file_headers(file: OpenFile) -> Headers:
    """What every answer about a file says, 304 included (RFC 9110, section 15.4.5)."""
    headers = file.variants.get("validators")
    if headers is None:
        cache = _PLAYLIST_CACHE if file.is_playlist else _SEGMENT_CACHE
        headers = file.variants["validators"] = [
            *_EVERYWHERE,
            (b"etag", file.tag),
            (b"cache-control", cache),
            (b"accept-ranges", b"bytes"),
        ]
    return headers


def whole(file: OpenFile) -> Headers:
    headers = file.variants.get("whole")
    if headers is None:
        headers = file.variants["whole"] = [
            *file_headers(file),
            (b"content-type", file.content_type),
            (b"content-length", b"%d" % file.size),
        ]
    return headers


def part(file: OpenFile, start: int, length: int) -> Headers:
    return [
        *file_headers(file),
        (b"content-type", file.content_type),
        (b"content-length", b"%d" % length),
        (b"content-range", b"bytes %d-%d/%d" % (start, start + length - 1, file.size)),
    ]


def refused(refusal: Refusal, body: bytes) -> Headers:
    return [
        *_EVERYWHERE,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *refusal.headers,
    ]


def preflight() -> Headers:
    return [*_EVERYWHERE, *_PREFLIGHT, (b"allow", METHODS)]


def is_unmodified(tag: bytes, if_none_match: bytes) -> bool:
    """If-None-Match holds the tag, compared weakly (RFC 9110, sections 8.8.3.2 and 13.1.2)."""
    return any(
        candidate.strip().removeprefix(b"W/") in (tag, b"*")
        for candidate in if_none_match.split(b",")
    )


def is_match(tag: bytes, if_match: bytes) -> bool:
    """If-Match holds the tag, compared strongly (RFC 9110, section 13.1.1)."""
    return any(candidate.strip() in (tag, b"*") for candidate in if_match.split(b","))


def requested_range(header: bytes, size: int) -> tuple[int, int] | None:
    """(start, length) of a single byte range; None when the whole is to be sent.

    What is not a valid single range is ignored, several ranges are too (RFC 9110, section 14.2).
    Raises a Refusal (416) when the range lies outside the file (section 15.5.17).
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0][6:] == b"-":
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    else:
        start, end = max(size - int(last), 0), size - 1
    if start >= size:
        whole_range = (b"content-range", b"bytes */%d" % size)
        raise Refusal("range_not_satisfiable", headers=[whole_range])
    return start, end - start + 1
