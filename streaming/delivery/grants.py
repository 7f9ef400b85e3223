"""Playback grants: 64 URL-safe characters that open one video's files during one session.

A grant is the unpadded URL-safe base64 (RFC 4648, section 5) of 48 bytes::

    session id 16 | expiry 4 | device tag 3 | network tag 3 | video tag 6 | MAC 16

* expiry: seconds since 1970, unsigned, big-endian;
* tags: HMAC-SHA256(key, label | value), truncated. Device = the user agent's first 500 characters,
  network = the address's prefix (IPv4 /24, IPv6 /48), video = the video's id;
* MAC: HMAC-SHA256(key, label | the 32 bytes before it), cut to 128 bits (RFC 2104, section 5).

The MAC covers a tag of the video, so that a genuine grant used for another video is refused with
another code than a damaged grant. 48 is a multiple of 3, so no character has unused bits and every
grant has exactly one spelling.

The grant of a preview has 72 characters, of 54 bytes, and labels of its own for tag and MAC. It opens
one version alone, as the lengths of segments differ between versions::

    session id 16 | expiry 4 | device tag 3 | network tag 3 | version tag 6 | last segment 3 | end 3
    | MAC 16

* version tag: that of the video's id and the version's name;
* last segment: the highest number of a segment that it opens, of every track; end: of the preview, in
  seconds of the video. Both are unsigned and big-endian.
"""

import hashlib
import ipaddress
import re
import time
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from functools import lru_cache
from hmac import compare_digest
from uuid import UUID

from django.conf import settings

from config import addresses

CHARACTERS = 64
SHAPE = re.compile(rf"[A-Za-z0-9_-]{{{CHARACTERS}}}")
PREVIEW_CHARACTERS = 72
PREVIEW_SHAPE = re.compile(rf"[A-Za-z0-9_-]{{{PREVIEW_CHARACTERS}}}")

_CACHED_TAGS = 4096  # Bounded, because clients choose the user agents that fill the cache.
_AGENT_CHARACTERS = 500  # A session's row keeps as many, and must give the same device tag.


class GrantRefused(Exception):
    """A refusal of a grant. Subclasses name its HTTP status, its stable code and its sentence."""

    status: int
    code: str
    detail: str

    def __init__(self) -> None:
        super().__init__(self.detail)


class GrantBroken(GrantRefused):
    """The text is no grant, or was not signed with this service's key."""

    status, code = 401, "grant_invalid"
    detail = "This playback grant is not valid. Start playback again."


class GrantExpired(GrantRefused):
    """The grant is genuine, but its time is over."""

    status, code = 401, "grant_expired"
    detail = "This playback grant has expired. Start playback again."


class WrongVideo(GrantRefused):
    """The grant is genuine, but for another video."""

    status, code = 403, "wrong_video"
    detail = "This playback grant is for another video. Start playback of this video."


class WrongDevice(GrantRefused):
    """The grant is genuine, but the binding mode refuses this device and network."""

    status, code = 403, "wrong_device"
    detail = "This playback grant belongs to another device. Start playback again on this one."


class PreviewEnded(GrantRefused):
    """The grant is genuine, but of a preview that does not reach so far."""

    status, code = 403, "preview_ended"
    detail = "The preview ends before this part of the video. Buy the video or subscribe to go on."


REFUSALS = (GrantBroken, GrantExpired, WrongVideo, WrongDevice, PreviewEnded)


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a version that a preview's grant opens: up to this segment, for this many seconds."""

    last_segment: int
    end_seconds: int


class KeyedHash:
    """HMAC-SHA256 with a fixed key and label; the key is hashed once (RFC 2104, section 4).

    A call returns the same bytes as ``hmac.digest(key, label + message, "sha256")``, in less than half
    the time.
    """

    def __init__(self, key: bytes, label: bytes):
        block = hashlib.sha256(key).digest() if len(key) > 64 else key
        block = block.ljust(64, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + label)
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def __call__(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class Grants:
    """Mints and checks grants with one key and one binding mode.

    * ``device``: the device *or* the network tag must match. A phone that changes networks keeps its
      user agent; an app and its native player share the network, but not the user agent.
    * ``network``: both tags must match.
    * ``none``: neither is compared.
    """

    def __init__(self, key: bytes, mode: str):
        if mode not in {"device", "network", "none"}:
            raise ValueError(f"unknown binding mode {mode!r}")
        self._mode = mode
        self._mac = KeyedHash(key, b"grant\0")
        self._preview_mac = KeyedHash(key, b"preview\0")
        device, network = KeyedHash(key, b"device\0"), KeyedHash(key, b"network\0")
        video, version = KeyedHash(key, b"video\0"), KeyedHash(key, b"version\0")
        cached = lru_cache(maxsize=_CACHED_TAGS)
        self._device_tag = cached(lambda agent: device(_bytes(agent[:_AGENT_CHARACTERS]))[:3])
        self._network_tag = cached(lambda address: network(_bytes(network_of(address)))[:3])
        self._video_tag = cached(lambda video_id: video(video_id)[:6])
        self._version_tag = cached(lambda video_id, name: version(video_id + _bytes(name))[:6])
        self._read = cached(self._verified)
        self._read_preview = cached(self._verified_preview)

    def mint(
        self, session: bytes, video: bytes, expires_at: int, user_agent: str, address: str
    ) -> str:
        """Return the grant of a session and a video (16 bytes each) for a client.

        It expires at ``expires_at``, in seconds since 1970.
        """
        payload = self._payload(session, expires_at, user_agent, address) + self._video_tag(video)
        return _spelled(payload + self._mac(payload)[:16])

    def mint_preview(
        self,
        session: bytes,
        video: bytes,
        version: str,
        part: Part,
        expires_at: int,
        user_agent: str,
        address: str,
    ) -> str:
        """Return the grant of a preview of one version, as ``mint`` does that of a whole video."""
        payload = self._payload(session, expires_at, user_agent, address)
        payload += self._version_tag(video, version)
        payload += part.last_segment.to_bytes(3, "big") + part.end_seconds.to_bytes(3, "big")
        return _spelled(payload + self._preview_mac(payload)[:16])

    def _payload(self, session: bytes, expires_at: int, user_agent: str, address: str) -> bytes:
        return b"".join(
            (
                session,
                expires_at.to_bytes(4, "big"),
                self._device_tag(user_agent),
                self._network_tag(address),
            )
        )

    def check(
        self, grant: str, video: bytes | None, user_agent: str, address: str, now: float
    ) -> bytes:
        """Return the 16 bytes of the grant's session id, or raise the first refusal that applies.

        In this order: GrantBroken, GrantExpired (``now`` is in seconds since 1970), WrongVideo (not
        checked when ``video`` is None), WrongDevice. The MAC is checked before any field of the grant
        is read.
        """
        session, expires_at, refusal = self._read(grant, video, user_agent, address)
        if now >= expires_at:
            raise GrantExpired
        if refusal is not None:
            raise refusal
        return session

    def check_preview(
        self,
        grant: str,
        video: bytes | None,
        version: str,
        user_agent: str,
        address: str,
        now: float,
    ) -> tuple[bytes, Part]:
        """Return the session's id and the part of a preview's grant, or refuse as ``check`` does.

        Refuses another version of the video with WrongVideo. The caller must ask whether the file is in
        the part (`streaming.delivery.previews`).
        """
        session, expires_at, part, refusal = self._read_preview(
            grant, video, version, user_agent, address
        )
        if now >= expires_at:
            raise GrantExpired
        if refusal is not None:
            raise refusal
        return session, part

    def _verified(
        self, grant: str, video: bytes | None, user_agent: str, address: str
    ) -> tuple[bytes, int, type[GrantRefused] | None]:
        """Return a genuine grant's session and expiry, and what else refuses this video and client.

        Depends on nothing but the arguments, so that the answers can be kept. Raises GrantBroken.
        """
        if not SHAPE.fullmatch(grant):
            raise GrantBroken
        raw = a2b_base64(grant.replace("-", "+").replace("_", "/"))
        payload = raw[:32]
        if not compare_digest(self._mac(payload)[:16], raw[32:]):
            raise GrantBroken
        refusal: type[GrantRefused] | None = None
        if video is not None and not compare_digest(payload[26:32], self._video_tag(video)):
            refusal = WrongVideo
        elif self._mode != "none" and not self._matches_client(payload, user_agent, address):
            refusal = WrongDevice
        return payload[:16], int.from_bytes(payload[16:20], "big"), refusal

    def _verified_preview(
        self, grant: str, video: bytes | None, version: str, user_agent: str, address: str
    ) -> tuple[bytes, int, Part, type[GrantRefused] | None]:
        """Do for the grant of a preview what ``_verified`` does for that of a video."""
        if not PREVIEW_SHAPE.fullmatch(grant):
            raise GrantBroken
        raw = a2b_base64(grant.replace("-", "+").replace("_", "/"))
        payload = raw[:38]
        if not compare_digest(self._preview_mac(payload)[:16], raw[38:]):
            raise GrantBroken
        refusal: type[GrantRefused] | None = None
        if video is not None and not compare_digest(
            payload[26:32], self._version_tag(video, version)
        ):
            refusal = WrongVideo
        elif self._mode != "none" and not self._matches_client(payload, user_agent, address):
            refusal = WrongDevice
        part = Part(int.from_bytes(payload[32:35], "big"), int.from_bytes(payload[35:], "big"))
        return payload[:16], int.from_bytes(payload[16:20], "big"), part, refusal

    def _matches_client(self, payload: bytes, user_agent: str, address: str) -> bool:
        """Whether the modes ``device`` and ``network`` accept this client."""
        same_device = compare_digest(payload[20:23], self._device_tag(user_agent))
        if same_device and self._mode == "device":
            return True
        same_network = compare_digest(payload[23:26], self._network_tag(address))
        return same_network and (same_device or self._mode == "device")


def network_of(address: str) -> str:
    """Return the first address of the network that holds ``address``: IPv4 /24, IPv6 /48.

    An IPv4-mapped IPv6 address counts as its IPv4 address. Text that is no address is returned as it
    is.

    >>> network_of("203.0.113.77"), network_of("::ffff:203.0.113.9"), network_of("2001:db8:1:2::3")
    ('203.0.113.0', '203.0.113.0', '2001:db8:1::')
    """
    ip = addresses.parse(address)
    if ip is None:
        return address
    length = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network((ip.packed, length), strict=False).network_address)


def _spelled(content: bytes) -> str:
    text = b2a_base64(content, newline=False).decode()
    return text.replace("+", "-").replace("/", "_")


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")


@lru_cache(maxsize=8)
def grants_for(key: bytes, mode: str) -> Grants:
    """Return the Grants of this key and mode, the same object for each call."""
    return Grants(key, mode)


def mint(session_id: UUID, video_id: UUID, expires_at: int, user_agent: str, address: str) -> str:
    """Return a grant under the project's settings (GRANT_KEY, BIND_PLAYBACK); see Grants.mint."""
    grants = grants_for(settings.GRANT_KEY, settings.BIND_PLAYBACK)
    return grants.mint(session_id.bytes, video_id.bytes, expires_at, user_agent, address)


def mint_preview(
    session_id: UUID,
    video_id: UUID,
    version: str,
    part: Part,
    expires_at: int,
    user_agent: str,
    address: str,
) -> str:
    """Return the grant of a preview under the project's settings; see Grants.mint_preview."""
    grants = grants_for(settings.GRANT_KEY, settings.BIND_PLAYBACK)
    return grants.mint_preview(
        session_id.bytes, video_id.bytes, version, part, expires_at, user_agent, address
    )


def verify(
    grant: str,
    *,
    video_id: UUID | None,
    user_agent: str,
    address: str,
    now: float | None = None,
    version: str = "",
) -> UUID:
    """Return the id of the grant's session, or raise a GrantRefused; see Grants.check.

    With ``video_id=None`` a grant of any video is accepted. That of a preview needs the ``version``,
    too. Does not check whether the session has ended.
    """
    grants = grants_for(settings.GRANT_KEY, settings.BIND_PLAYBACK)
    video = None if video_id is None else video_id.bytes
    now = time.time() if now is None else now
    if len(grant) == PREVIEW_CHARACTERS:
        session, _ = grants.check_preview(grant, video, version, user_agent, address, now)
        return UUID(bytes=session)
    return UUID(bytes=grants.check(grant, video, user_agent, address, now))
