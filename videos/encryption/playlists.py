"""The playlists of an encrypted version, made from those of the clear one, which are kept, too."""

import re
import uuid
from pathlib import PurePosixPath

from videos.encryption import keys

CLEAR = "clear"  # the folder of the clear version's playlists and manifest, inside the version's
_EXTINF = "#EXTINF:"
_URI = re.compile(r'URI="([^"]+)"')


def is_media(text: str) -> bool:
    """Return whether a text is a media playlist of whole segments, and no other playlist."""
    return "#EXT-X-MAP:" in text and "#EXT-X-I-FRAMES-ONLY" not in text


def segments_of(text: str) -> list[str]:
    """Return the addresses of a clear media playlist's segments, in their order."""
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def inits_of(text: str) -> list[str]:
    """Return the addresses of a media playlist's init segments."""
    lines = [line for line in text.splitlines() if line.startswith("#EXT-X-MAP:")]
    return [match[1] for line in lines if (match := _URI.search(line))]


def number_of(segment: str) -> int:
    """Return the number of a segment from its address, such as 7 for ``1080p/7.m4s``."""
    return int(PurePosixPath(segment).stem)


def encrypted(text: str, *, video: uuid.UUID, version: str, place: str) -> str:
    """Return the media playlist of encrypted segments for a clear one (RFC 8216, 4.3.2.4).

    Each period begins with its key, after the init segment, which is clear. ``place`` is the address of
    the folder of all videos on the host of segments (CDN_URL); "" leaves them beside the playlist. Keys
    are always asked beside the playlist. Raises KeyUnknown.
    """
    base = f"{place}/{video}/{version}/" if place else ""
    made: list[str] = []
    head: list[str] = []  # the lines that belong to the next segment
    current = -1
    for line in text.splitlines():
        if line.startswith("#EXT-X-MAP:"):
            made.append(_URI.sub(lambda match: f'URI="{base}{match[1]}"', line))
        elif line.startswith(_EXTINF) or (head and line.startswith("#")):
            head.append(line)
        elif line.strip() and not line.startswith("#"):
            number = keys.period_of(version, number_of(line))
            if number != current:
                made.append(_key(video, version, PurePosixPath(line).parts[0], number))
                current = number
            made += [*head, f"{base}{line.strip()}"]
            head = []
        else:
            made.append(line)
    return "\n".join([*made, *head, ""])


def without_iframes(master: str) -> str:
    """Return a master playlist without I-frame playlists.

    They name parts of segments, and a part of what was encrypted as a whole cannot be decrypted.
    """
    kept = [
        line for line in master.splitlines() if not line.startswith("#EXT-X-I-FRAME-STREAM-INF")
    ]
    return "\n".join([*kept, ""])


def _key(video: uuid.UUID, version: str, rendition: str, number: int) -> str:
    vector = keys.initialization_vector(video, version, rendition, number).hex()
    return f'#EXT-X-KEY:METHOD=AES-128,URI="{keys.FOLDER}/{number}",IV=0x{vector}'
