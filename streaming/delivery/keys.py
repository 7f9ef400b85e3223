"""Keys of encrypted segments (RFC 8216, section 4.3.2.4): 16 bytes, given after the check of any file.

``/media/<grant>/<video>/<version>/keys/<period>`` is no file: the key is derived for each request. A
player asks for the next one every two minutes, so that a session that has ended gets no further.
"""

import re
from collections.abc import Iterable
from uuid import UUID

from config import ids
from streaming.delivery import answers
from streaming.delivery.answers import Refusal
from streaming.delivery.grants import Part, PreviewEnded
from streaming.delivery.messages import Headers
from videos.encryption import keys

PERIOD_DIGITS = 3  # six hours have 180 periods
PATH = rf"/(?P<version>{keys.VERSION})/{keys.FOLDER}/(?P<period>[0-9]{{1,{PERIOD_DIGITS}}})"
ASKED = re.compile(rf"(?P<video>{ids.FORM}){PATH}")
CACHE = b"no-store"


def file_of(match: re.Match[str]) -> str:
    """Return the file without which a version has no keys: it was removed, or never was."""
    return f"{match['video'].lower()}/{match['version']}/master.m3u8"


def period_of(match: re.Match[str], part: Part | None, *, from_here: bool) -> keys.Period:
    """Return the period that was asked for, by a session or by a preview of a ``part``.

    A preview gets the keys of the segments that it opens. Where another host gives segments to everybody
    (not ``from_here``), it gets only keys that open nothing after its end. Raises Refusal: ``not_found``
    if the version's secret is not known, ``preview_ended``.
    """
    period = keys.period(UUID(match["video"]), match["version"], int(match["period"]))
    if period is None:
        raise Refusal("not_found")
    if part is not None:
        first, last = period.segments[0], period.segments[-1]
        if part.last_segment < (first if from_here else last):
            raise Refusal(PreviewEnded.code)
    return period


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
