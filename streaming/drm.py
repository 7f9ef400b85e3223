"""What the player of a session is told about keys: which key systems, and where their licences are."""

from collections.abc import Callable

from django.conf import settings

from streaming.delivery import licences
from streaming.models import PlaybackSession
from videos.encryption import content_keys, keys
from videos.encryption.common import CLEAR_KEY, FAIRPLAY

SCHEME = "cbcs"


def of_session(
    session: PlaybackSession, grant: str, folder: str, absolute: Callable[[str], str]
) -> dict[str, object] | None:
    """Return the encryption scheme and the key systems of a session; None if its version has none.

    ``folder`` is the path of the session's files. A licence server of a DRM vendor stands elsewhere: the
    places in its address are filled, so that it can ask here whether the grant still opens the video.
    """
    if not keys.is_common(session.version):
        return None
    if content_keys.are_given(session.version):
        found = [_system(CLEAR_KEY, absolute(f"{folder}/{licences.LICENCE}"))]
    else:
        places = {"video": str(session.video_id), "version": session.version, "grant": grant}
        found = [
            _system(
                system, _filled(address, places), settings.FAIRPLAY_CERTIFICATE_URL
                if system == FAIRPLAY else None,
            )
            for system, address in settings.LICENCE_SERVERS.items()
        ]  # fmt: skip
    return {"scheme": SCHEME, "systems": found}


def _system(name: str, licence_url: str, certificate_url: str | None = None) -> dict[str, object]:
    return {"key_system": name, "licence_url": licence_url, "certificate_url": certificate_url}


def _filled(address: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        address = address.replace(f"{{{name}}}", value)
    return address
