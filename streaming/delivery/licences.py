"""Keys of versions in common encryption, given after the check of any file, if no DRM server has them.

``/media/<grant>/<video>/<version>/licence`` is a licence server for ClearKey (W3C, Encrypted Media
Extensions, section 9.1): a POST with the ids of keys is answered with a JSON Web Key Set.
``…/keys/video`` and ``…/keys/audio`` give the 16 bytes to players that ask as HLS says (4.3.2.4).
One key opens a whole version, so both are refused as soon as the session has ended.
"""

import asyncio
import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from config import ids
from streaming.delivery import answers
from streaming.delivery.answers import Refusal
from streaming.delivery.messages import Headers, Receive
from videos.encryption import content_keys, keys

LICENCE = "licence"
PATH = rf"/(?P<version>{keys.COMMON_VERSION})/(?:{keys.FOLDER}/(?P<track>video|audio)|{LICENCE})"
ASKED = re.compile(rf"(?P<video>{ids.FORM}){PATH}")
METHODS = b"POST, OPTIONS"
MOST_BYTES = 4096  # of a request, which names two keys
_MOST_KEYS = 64
_BODY_SECONDS = 10
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", METHODS),
    (b"access-control-allow-headers", b"Content-Type, X-Request-ID"),
    (b"access-control-max-age", b"86400"),
    (b"allow", METHODS),
]


class Turns:
    """Counts what each session has asked for in this minute, in this process."""

    def __init__(self, most: int) -> None:
        """``most``: requests of a session in a minute; 0 for no limit."""
        self._most = most
        self._minute = 0
        self._taken: dict[bytes, int] = {}

    def take(self, session: bytes) -> None:
        """Count a request. Raises Refusal ``throttled``."""
        minute, second = divmod(int(time.time()), 60)
        if minute != self._minute:
            self._minute, self._taken = minute, {}
        taken = self._taken[session] = self._taken.get(session, 0) + 1
        if self._most and taken > self._most:
            raise Refusal("throttled", headers=[(b"retry-after", b"%d" % (60 - second))])


def is_licence(path: str) -> bool:
    """Return whether a path is that of a licence, for which clients POST and never GET."""
    return path.endswith(f"/{LICENCE}")


def preflight() -> Headers:
    """Return the headers of the answer to OPTIONS, without those that depend on the origin."""
    return [*answers.EVERYWHERE, *_PREFLIGHT]


def require_method(method: str, path: str) -> None:
    """Raise Refusal ``method_not_allowed`` for a method that the path does not have."""
    if is_licence(path) and method != "POST":
        raise Refusal("method_not_allowed", headers=[(b"allow", METHODS)])
    if not is_licence(path) and method not in {"GET", "HEAD"}:
        raise Refusal("method_not_allowed")


async def given(match: re.Match[str], receive: Receive) -> tuple[bytes, bytes]:
    """Return the body and the content type of an answer with keys, to a session that may have them.

    Raises Refusal: ``not_found`` if the keys are not given here or the version has none of those that
    are asked for, ``invalid`` and ``too_large`` for a request that is none of ClearKey.
    """
    video, version, track = UUID(match["video"]), match["version"], match["track"]
    if not content_keys.are_given(version):
        raise Refusal("not_found")
    if track:
        return content_keys.derived(video, version, track).key, b"application/octet-stream"
    wanted = _wanted(await _body(receive))
    known = content_keys.content_keys(video, version).values()
    found = [each for each in known if each.key_id in wanted]
    if not found:
        raise Refusal("not_found")
    made = [{"kty": "oct", "kid": _text(each.key_id), "k": _text(each.key)} for each in found]
    return json.dumps({"keys": made, "type": "temporary"}).encode(), b"application/json"


def _wanted(body: bytes) -> set[bytes]:
    """Return the ids of a licence request (section 9.1.3). Raises Refusal ``invalid``."""
    try:
        asked = json.loads(body)
        wanted, kind = asked["kids"], asked.get("type", "temporary")
        is_right = (
            isinstance(wanted, list) and 0 < len(wanted) <= _MOST_KEYS and kind == "temporary"
        )
        return {_bytes(each) for each in wanted} if is_right else _invalid()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _invalid()


def _invalid() -> set[bytes]:
    raise Refusal("invalid")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(data: bytes) -> str:
    """Return base64url without padding, as a JSON Web Key has it (RFC 7517)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


async def _body(receive: Receive) -> bytes:
    """Return a request's body. Raises Refusal: ``too_large``, ``invalid`` if it does not arrive."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > MOST_BYTES:
                    raise Refusal("too_large")
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise Refusal("invalid") from None
