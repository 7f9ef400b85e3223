"""The delivery's responses: headers, refusals, byte ranges and conditions (RFC 9110)."""

import itertools
import json
import os
import re

from streaming.delivery import grants
from streaming.delivery.files import OpenFile
from streaming.delivery.messages import Headers

METHODS = b"GET, HEAD, OPTIONS"
EVERYWHERE: Headers = [
    (b"referrer-policy", b"no-referrer"),  # A referrer would pass on the grant in the path.
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),  # Players of other sites fetch the files.
    # A browser that opens a file itself may play it, and runs nothing.
    (b"content-security-policy", b"default-src 'none'; media-src 'self'; frame-ancestors 'none'"),
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
# Segments never change, but a grant opens them for one viewer only: no shared cache may keep it.
SEGMENT_CACHE = b"private, max-age=31536000, immutable"
CHANGING_CACHE = b"private, max-age=2"
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._:\-]{8,128}")
_RANGE = re.compile(rb"bytes=([0-9]{0,400})-([0-9]{0,400})", re.IGNORECASE)


_NOT_FOUND = "There is no file at this address. Start playback again to get current addresses."
_READ_ONLY = "Media files can only be read. Use GET, HEAD or OPTIONS."
_ENDED = "This playback session has ended. Start playback again."
_CHANGED = "The file is no longer the one that If-Match names. Request it without If-Match."
_OUTSIDE = "The requested range lies outside the file. Content-Range tells the file's size."
_NO_LICENCE = "A licence request is JSON with `kids`, and the `type` temporary (ClearKey, W3C)."
_LONG = "A licence request names the keys of one video. Send less."
_OFTEN = "This session has asked for keys too often. Try again after Retry-After seconds."
_BUSY = "The server cannot check or open this file right now. Try again in a few seconds."


def _challenge(error: type[grants.GrantRefused]) -> Headers:
    """Return the challenge that a 401 must have (RFC 9110, 15.5.2); the token is the grant."""
    if error.status != 401:
        return []
    return [(b"www-authenticate", b'Bearer realm="playback", error="invalid_token"')]


# Each code, with its status, its sentence and the headers that only this refusal carries.
_REFUSALS: dict[str, tuple[int, str, Headers]] = {
    "not_found": (404, _NOT_FOUND, []),
    "method_not_allowed": (405, _READ_ONLY, [(b"allow", METHODS)]),
    "invalid": (400, _NO_LICENCE, []),
    "too_large": (413, _LONG, []),
    "throttled": (429, _OFTEN, []),
    "session_ended": (410, _ENDED, []),
    "precondition_failed": (412, _CHANGED, []),
    "range_not_satisfiable": (416, _OUTSIDE, []),
    **{error.code: (error.status, error.detail, _challenge(error)) for error in grants.REFUSALS},
    "unavailable": (503, _BUSY, [(b"retry-after", b"2")]),
}


class Refusal(Exception):
    """A response instead of the file. ``code`` is one of _REFUSALS; ``headers`` are added to it."""

    def __init__(self, code: str, *, headers: Headers | None = None):
        self.code = code
        self.status, self.detail, more = _REFUSALS[code]
        given = {name for name, _ in headers or []}
        self.headers = [each for each in more if each[0] not in given] + (headers or [])
        super().__init__(self.detail)

    def body(self) -> bytes:
        """Return the error as JSON, in the same form as the API's errors."""
        kind = "server_error" if self.status >= 500 else "client_error"
        error = {"code": self.code, "detail": self.detail, "attr": None}
        return json.dumps({"type": kind, "errors": [error]}).encode()


def table() -> dict[str, dict[str, object]]:
    """Return every answer without a file by its code, as another server sends it.

    Each has ``status``, ``body`` (a text) and ``headers``, without those of EVERYWHERE and of CORS.
    """
    given: dict[str, tuple[int, str, Headers]] = {
        "not_modified": (304, "", []),
        "preflight": (204, "", [*_PREFLIGHT, (b"allow", METHODS)]),
    }
    for code in _REFUSALS:
        refusal = Refusal(code)
        headers = [(b"cache-control", b"no-store"), *refusal.headers]
        given[code] = refusal.status, refusal.body().decode(), headers
    return {
        code: {
            "status": status,
            "body": body,
            "headers": {name.decode().title(): value.decode() for name, value in headers},
        }
        for code, (status, body, headers) in given.items()
    }


class Cors:
    """The CORS headers (Fetch standard) for a list of allowed origins; ``*`` allows all.

    Credentials are never allowed, and neither is the origin ``null``.
    """

    def __init__(self, origins: list[str]):
        self._any = "*" in origins
        self._allowed = {origin.encode() for origin in origins} - {b"null"}

    def headers(self, origin: bytes | None) -> Headers:
        """Return the headers for a request with this Origin header (None: without one)."""
        if self._any:
            return [(b"access-control-allow-origin", b"*")]
        if origin is not None and origin in self._allowed:
            return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return [(b"vary", b"Origin")]


class RequestIds:
    """The X-Request-ID of responses, by the same rule as in the API."""

    def __init__(self) -> None:
        self._prefix = os.urandom(10).hex().encode()
        self._count = itertools.count()

    def take(self, given: bytes | None) -> bytes:
        """Return the client's own id if it is well-formed, else a new one of 32 characters."""
        if given is not None and _ACCEPTED_ID.fullmatch(given.strip()):
            return given.strip()
        return b"%b%012x" % (self._prefix, next(self._count))


def lines(headers: Headers) -> bytes:
    """Return the headers as lines of an HTTP/1.1 message."""
    return b"".join(b"%b: %b\r\n" % header for header in headers)


def file_headers(file: OpenFile) -> Headers:
    """Return the headers of every response about the file, also of a 304 (RFC 9110, 15.4.5).

    Computed once for each open file: do not change the list.
    """
    if file.validator_headers is None:
        cache = CHANGING_CACHE if file.may_change else SEGMENT_CACHE
        file.validator_headers = [
            *EVERYWHERE,
            (b"etag", file.tag),
            (b"cache-control", cache),
            (b"accept-ranges", b"bytes"),
        ]
    return file.validator_headers


def whole(file: OpenFile) -> Headers:
    """Return the headers of a 200 with the whole file.

    Computed once for each open file: do not change the list.
    """
    if file.whole_headers is None:
        file.whole_headers = [
            *file_headers(file),
            (b"content-type", file.content_type),
            (b"content-length", b"%d" % file.size),
        ]
    return file.whole_headers


def part(file: OpenFile, start: int, length: int) -> Headers:
    """Return the headers of a 206 with ``length`` bytes from ``start`` on."""
    return [
        *file_headers(file),
        (b"content-type", file.content_type),
        (b"content-length", b"%d" % length),
        (b"content-range", b"bytes %d-%d/%d" % (start, start + length - 1, file.size)),
    ]


def refused(refusal: Refusal, body: bytes) -> Headers:
    """Return the headers of a refusal with this body."""
    return [
        *EVERYWHERE,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        *refusal.headers,
    ]


def preflight() -> Headers:
    """Return the headers of the answer to OPTIONS, without those that depend on the origin."""
    return [*EVERYWHERE, *_PREFLIGHT, (b"allow", METHODS)]


def is_unmodified(tag: bytes, if_none_match: bytes) -> bool:
    """Whether If-None-Match holds the tag, compared weakly (RFC 9110, 8.8.3.2 and 13.1.2)."""
    return any(
        candidate.strip().removeprefix(b"W/") in (tag, b"*")
        for candidate in if_none_match.split(b",")
    )


def is_match(tag: bytes, if_match: bytes) -> bool:
    """Whether If-Match holds the tag, compared strongly (RFC 9110, 13.1.1)."""
    return any(candidate.strip() in (tag, b"*") for candidate in if_match.split(b","))


def requested_range(header: bytes, size: int) -> tuple[int, int] | None:
    """Return (start, length) of a Range header with one byte range; None to send the whole file.

    A malformed header and several ranges are ignored, as RFC 9110, 14.2 allows. Raises Refusal
    ``range_not_satisfiable`` when the range lies outside the file (15.5.17).
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
        size_header = (b"content-range", b"bytes */%d" % size)
        raise Refusal("range_not_satisfiable", headers=[size_header])
    return start, end - start + 1
