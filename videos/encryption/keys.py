"""The names of encrypted versions, and their keys: derived, never stored.

The name of an encrypted version says all that is needed to derive its keys from the secrets of the
settings (HLS_KEYS)::

    k | first 8 hexadecimal digits of the secret's id | segments of a period, 2 digits | 12 random ones

A period is a run of segments that share a key: two minutes, rounded down to whole segments. Segments of
one number belong to one period in all renditions.

The name of a version in common encryption (cbcs) says whose keys it has (`content_keys`)::

    cs | first 8 digits of the secret's id            | 12 random ones: derived here
    cp | first 8 digits of the hash of KEY_PROVIDER   | 12 random ones: of the provider

It does not begin with MARK, because what does may lie in a public place (docs/operations.md), and one
key opens all of such a version. The first ones were called ``ks`` and ``kp``; `encrypt_videos` makes
them anew.
"""

import hashlib
import re
import uuid
from functools import lru_cache
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PERIOD_SECONDS = 120
KEY_BYTES = 16
MARK = "k"  # begins the names of versions in AES-128: no other name of a new version does
FOLDER = "keys"  # of the addresses of keys, inside the version's; no file is there
_MOST_SEGMENTS = 99
VERSION = r"k[0-9a-f]{8}[0-9]{2}[0-9a-f]{12}"
_VERSION = re.compile(r"k(?P<secret>[0-9a-f]{8})(?P<segments>[0-9]{2})[0-9a-f]{12}")
COMMON_VERSION = r"[ck][ps][0-9a-f]{20}"
_COMMON = re.compile(r"[ck](?P<by>[ps])(?P<secret>[0-9a-f]{8})[0-9a-f]{12}")


class Period(NamedTuple):
    """A period of a version: its key, and the numbers of the segments that the key opens."""

    key: bytes
    segments: range


def is_on() -> bool:
    """Return whether new versions are encrypted."""
    return bool(settings.HLS_ENCRYPTION != "none")


def is_encrypted(version: str) -> bool:
    """Return whether this is the name of an encrypted version, in whichever way."""
    return _VERSION.fullmatch(version) is not None or is_common(version)


def is_common(version: str) -> bool:
    """Return whether a version is in common encryption: samples, not segments, are encrypted."""
    return _COMMON.fullmatch(version) is not None


def is_derived(version: str) -> bool:
    """Return whether a version is in common encryption with keys that are derived here."""
    match = _COMMON.fullmatch(version)
    return match is not None and match["by"] == "s"


def is_current(version: str) -> bool:
    """Return whether a version is encrypted as HLS_ENCRYPTION says, with the keys that new ones have."""
    if settings.HLS_ENCRYPTION == "cbcs":
        return is_common(version) and version[:10] == _common_head()
    match = _VERSION.fullmatch(version)
    return match is not None and match["secret"] == secret_id(settings.HLS_KEYS[0])


def is_wanted(version: str) -> bool:
    """Return whether a version is encrypted as HLS_ENCRYPTION says, also with an earlier secret.

    One in common encryption whose name lets it lie in a public place is not.
    """
    is_right = is_common(version) == (settings.HLS_ENCRYPTION == "cbcs")
    is_public = is_common(version) and version.startswith(MARK)
    return is_encrypted(version) and is_right and not is_public and version[:2] != _other_giver()


def is_known(version: str) -> bool:
    """Return whether the keys of an encrypted version can be had: from a secret or the provider."""
    match = _COMMON.fullmatch(version)
    if match is not None and match["by"] == "p":
        return bool(settings.KEY_PROVIDER) and match["secret"] == _provider_id()
    return _secret_of(version) is not None


def new_version(segment_seconds: float) -> str:
    """Return a name for a version that is encrypted as HLS_ENCRYPTION says."""
    if settings.HLS_ENCRYPTION == "cbcs":
        return f"{_common_head()}{uuid.uuid4().hex[:12]}"
    segments = min(max(1, int(PERIOD_SECONDS / segment_seconds)), _MOST_SEGMENTS)
    return f"k{secret_id(settings.HLS_KEYS[0])}{segments:02d}{uuid.uuid4().hex[:12]}"


def period_of(version: str, segment: int) -> int:
    """Return the number of the period, from 0, of a segment, from 1."""
    return (segment - 1) // _segments_of(version)


def period(video: uuid.UUID, version: str, number: int) -> Period | None:
    """Return a period of a version; None if it is not encrypted, or its secret is not known."""
    secret = _secret_of(version)
    if secret is None:
        return None
    count = _segments_of(version)
    return Period(
        _derived(secret, f"key|{video}|{version}|{number}"),
        range(number * count + 1, (number + 1) * count + 1),
    )


def initialization_vector(video: uuid.UUID, version: str, rendition: str, number: int) -> bytes:
    """Return the IV of a rendition's segments in a period. It is no secret. Raises KeyUnknown."""
    secret = _secret_of(version)
    if secret is None:
        raise KeyUnknown(version)
    return _derived(secret, f"iv|{video}|{version}|{rendition}|{number}")


@lru_cache(maxsize=64)
def secret_id(secret: bytes) -> str:
    """Return the id of a secret, as names of versions have it. The secret cannot be told from it."""
    return _derived(secret, "id").hex()[:8]


class KeyUnknown(Exception):
    """An encrypted version was made with a secret that the settings do not have."""

    def __init__(self, version: str) -> None:
        super().__init__(
            f"The version {version} was encrypted with another HLS_KEY_SECRET or KEY_PROVIDER. "
            "Put the old secret into HLS_KEY_SECRET_FALLBACKS, or name the old provider."
        )


def derived(video: uuid.UUID, version: str, track: str, purpose: str) -> bytes | None:
    """Return 16 bytes for a track of a version with derived keys; None if its secret is not known."""
    secret = _secret_of(version) if is_derived(version) else None
    return secret and _derived(secret, f"cbcs-{purpose}|{video}|{version}|{track}")


def _other_giver() -> str:
    """Return the beginning of names whose keys the settings do not want: derived, or of a provider."""
    return "cs" if settings.KEY_PROVIDER else "cp"


def _common_head() -> str:
    if settings.KEY_PROVIDER:
        return f"cp{_provider_id()}"
    return f"cs{secret_id(settings.HLS_KEYS[0])}"


def _provider_id() -> str:
    return hashlib.sha256(settings.KEY_PROVIDER.encode()).hexdigest()[:8]


def _segments_of(version: str) -> int:
    match = _VERSION.fullmatch(version)
    return max(1, int(match["segments"])) if match else 1


def _secret_of(version: str) -> bytes | None:
    match = _VERSION.fullmatch(version) or _COMMON.fullmatch(version)
    secrets: list[bytes] = settings.HLS_KEYS
    return next((each for each in secrets if match and secret_id(each) == match["secret"]), None)


@lru_cache(maxsize=4096)
def _derived(secret: bytes, info: str) -> bytes:
    """Return 16 bytes for one purpose (HKDF with SHA-256, RFC 5869). Another text gives other bytes."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=b"hls|" + info.encode())
    derived: bytes = kdf.derive(secret)
    return derived
