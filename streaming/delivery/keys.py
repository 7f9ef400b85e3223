"""Keys of encrypted segments (RFC 8216, section 4.3.2.4): 16 bytes, given after the check of any file.

``/media/<grant>/<video>/<version>/keys/<period>`` is no file: the key is derived for each request. A
player asks for the next one every two minutes, so that a session that has ended gets no further.
"""

import re
from collections.abc import Iterable
from uuid import UUID

from config import ids
from streaming.delivery import answers
from streaming.delivery.messages import Headers
from videos.encryption import keys

PERIOD_DIGITS = 3  # six hours have 180 periods
PATH = rf"/(?P<version>{keys.VERSION})/{keys.FOLDER}/(?P<period>[0-9]{{1,{PERIOD_DIGITS}}})"
ASKED = re.compile(rf"(?P<video>{ids.FORM}){PATH}")
CACHE = b"no-store"


def file_of(match: re.Match[str]) -> str:
    """Return the file without which a version has no keys: it was removed, or never was."""
    return f"{match['video'].lower()}/{match['version']}/master.m3u8"


def period_of(match: re.Match[str]) -> keys.Period | None:
    """Return the period that was asked for; None if the version's secret is not known."""
    return keys.period(UUID(match["video"]), match["version"], int(match["period"]))


def headers(key: bytes) -> Headers:
    """Return the headers of the answer with a key."""
    return [
        *answers.EVERYWHERE,
        (b"content-type", b"application/octet-stream"),
        (b"content-length", b"%d" % len(key)),
        (b"cache-control", CACHE),
    ]


def delivered(period: keys.Period, *, from_here: bool) -> Iterable[int]:
    """Return the segments that were delivered with a key: none if they are sent ``from_here``.

    Another host (CDN_URL) does not tell what it sends. Whoever has the key can have all of the period.
    """
    return () if from_here else period.segments
