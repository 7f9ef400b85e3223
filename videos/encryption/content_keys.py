"""The keys of versions in common encryption (ISO/IEC 23001-7, scheme cbcs), and who gives them.

Each version has two: one for the picture in all its sizes, and one for the sound. Without KEY_PROVIDER
they are derived from the secret of the settings, as the keys of AES-128 are, and never stored. With it
they come from a function of the operator, which may ask the key server of a DRM vendor.
"""

import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.utils.module_loading import import_string

from videos.encryption import keys

TRACKS = ("video", "audio")
BYTES = 16
PSSH_MOST = 64 * 1024


class ContentKey(NamedTuple):
    """The key of a track, as packager and players know it.

    ``key_id`` (KID), ``key`` and ``iv`` have 16 bytes each; the IV is constant (cbcs). ``pssh`` is empty
    or one or more whole `pssh` boxes, for a vendor whose players need other ones than Shaka Packager
    makes of the key ids; then those of all tracks are used, and none is made.
    """

    key_id: bytes
    key: bytes
    iv: bytes
    pssh: bytes = b""


# KEY_PROVIDER names one: it is called with the id of the video, the name of the version and the names of
# the tracks, and returns a ContentKey for each. The same call must return the same keys again: posters,
# captions and `encrypt_videos` need them later.
Provider = Callable[[uuid.UUID, str, tuple[str, ...]], Mapping[str, ContentKey]]


class ProviderFailed(Exception):
    """KEY_PROVIDER cannot be used, or its answer cannot; the text says why, and shows no key."""

    def __init__(self, reason: str) -> None:
        self.detail = f"KEY_PROVIDER={settings.KEY_PROVIDER}: {reason}"
        super().__init__(self.detail)


def content_keys(video: uuid.UUID, version: str) -> dict[str, ContentKey]:
    """Return the keys of a version in common encryption by the names of its tracks.

    May ask another host, if there is a provider. Raises KeyUnknown and ProviderFailed.
    """
    if keys.is_derived(version):
        return {track: derived(video, version, track) for track in TRACKS}
    if not keys.is_known(version):
        raise keys.KeyUnknown(version)
    provider = load(settings.KEY_PROVIDER)
    try:
        given = provider(video, version, TRACKS)
    except Exception as error:
        raise ProviderFailed(f"it failed with {type(error).__name__}: {error}"[:500]) from error
    return _checked(given)


def derived(video: uuid.UUID, version: str, track: str) -> ContentKey:
    """Return the derived key of a track. Raises KeyUnknown without its secret."""
    found = [keys.derived(video, version, track, each) for each in ("kid", "key", "iv")]
    if None in found:
        raise keys.KeyUnknown(version)
    return ContentKey(*(each or b"" for each in found))


def are_given(version: str) -> bool:
    """Return whether players get the keys of a version from here: derived, and in no DRM."""
    return keys.is_derived(version) and keys.is_known(version) and not settings.LICENCE_SERVERS


def require() -> None:
    """Raise ProviderFailed unless new versions can have keys, as far as that shows without asking."""
    if settings.HLS_ENCRYPTION == "cbcs" and settings.KEY_PROVIDER:
        load(settings.KEY_PROVIDER)


@lru_cache(maxsize=4)
def load(path: str) -> Provider:
    """Return the provider at a dotted path; of a class, an instance. Raises ProviderFailed."""
    try:
        found = import_string(path)
        found = found() if isinstance(found, type) else found
    except Exception as error:
        raise ProviderFailed(f"it cannot be loaded ({type(error).__name__}: {error})") from error
    if not callable(found):
        raise ProviderFailed("it is neither a function nor a class whose instances can be called")
    provider: Provider = found
    return provider


def _checked(given: object) -> dict[str, ContentKey]:
    """Return a provider's answer with all that it must have. Raises ProviderFailed."""
    if not isinstance(given, Mapping) or not set(TRACKS) <= given.keys():
        raise ProviderFailed(f"its answer must be a mapping with {' and '.join(TRACKS)}")
    found = {}
    for track in TRACKS:
        try:
            made = ContentKey(*given[track])
        except TypeError:
            raise ProviderFailed(f"its answer for {track} is no ContentKey") from None
        for name in ("key_id", "key", "iv"):
            value = getattr(made, name)
            if not isinstance(value, bytes) or len(value) != BYTES:
                raise ProviderFailed(f"its {name} for {track} must be {BYTES} bytes")
        if not isinstance(made.pssh, bytes) or not _is_boxes(made.pssh):
            raise ProviderFailed(f"its pssh for {track} must be whole boxes of the type pssh")
        found[track] = made
    if len({each.key_id for each in found.values()}) < len(TRACKS):
        raise ProviderFailed("its tracks have one key_id; each key needs its own")
    return found


def _is_boxes(data: bytes) -> bool:
    """Return whether data are whole `pssh` boxes (ISO/IEC 23001-7, 8.1), or nothing."""
    if len(data) > PSSH_MOST:
        return False
    while data:
        size = int.from_bytes(data[:4], "big")
        if data[4:8] != b"pssh" or not 32 <= size <= len(data):
            return False
        data = data[size:]
    return True
