"""Keys of encrypted segments (RFC 8216, section 4.3.2.4): 16 bytes, given after the check of any file.

``/media/<grant>/<video>/<version>/keys/<period>`` is no file: the key is derived for each request. A
player asks for the next one every two minutes, so that a session that has ended gets no further.
"""

import re
from collections.abc import Collection
from typing import NamedTuple
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


class Given(NamedTuple):
    """An answer with keys, and the segments that count as delivered with it."""

    body: bytes
    content_type: bytes = b"application/octet-stream"
    delivered: Collection[int] = ()


def is_common(match: re.Match[str]) -> bool:
    """Return whether a version in common encryption is asked for its keys (`licences`)."""
    return keys.is_common(match["version"])


def given(match: re.Match[str], part: Part | None, *, from_here: bool) -> Given:
    """Return the key of the period that was asked for, by a session or by a preview of a ``part``.

    A preview gets the keys of the segments that it opens. Where another host gives segments to everybody
    (not ``from_here``), it gets only keys that open nothing after its end, and that host does not tell
    what it sends: whoever has the key can have all of the period, so all of it counts as delivered.
    Raises Refusal: ``not_found`` if the version's secret is not known, ``preview_ended``.
    """
    period = keys.period(UUID(match["video"]), match["version"], int(match["period"]))
    if period is None:
        raise Refusal("not_found")
    if part is not None:
        first, last = period.segments[0], period.segments[-1]
        if part.last_segment < (first if from_here else last):
            raise Refusal(PreviewEnded.code)
    return Given(period.key, delivered=() if from_here else period.segments)


def headers(key: Given) -> Headers:
    """Return the headers of the answer with keys."""
    return [
        *answers.EVERYWHERE,
        (b"content-type", key.content_type),
        (b"content-length", b"%d" % len(key.body)),
        (b"cache-control", CACHE),
    ]
