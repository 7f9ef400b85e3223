"""What a preview's grant opens: the first segments of each track, and texts that end with them.

Segment n of every track of a version begins after ``(n - 1) * segment_seconds``, and before
``n * segment_seconds`` (`videos.processing.packager`, `videos.processing.original`). So one number
bounds them all: a preview reaches to its end in every track, and at most one segment beyond.
"""

import hashlib
import logging
import math
import os
import re
from collections import OrderedDict
from decimal import Decimal
from xml.etree import ElementTree as ET  # reads only manifests that we have written

from streaming.delivery.answers import Refusal
from streaming.delivery.files import PART as NAME
from streaming.delivery.files import SEGMENT_DIGITS, Files, Identity, OpenFile
from streaming.delivery.grants import Part
from videos.presentation import cues
from videos.processing.posters import POSTER
from videos.processing.storyboards import FOLDER as STORYBOARD

logger = logging.getLogger(__name__)

_KEPT = 128  # texts; a caption may have a megabyte
# The same number could be written with zeros before it, and name another file.
_SEGMENT = re.compile(rf"(?:{NAME}/)*([1-9][0-9]{{0,{SEGMENT_DIGITS - 1}}})\.m4s")
_LENGTH = re.compile(r"^#EXTINF:([0-9.]+)")
_END = "#EXT-X-ENDLIST"
_MPD = "urn:mpeg:dash:schema:mpd:2011"
_TIMES = ("mediaPresentationDuration", "duration")


def part_of(preview_seconds: float, segment_seconds: float) -> Part:
    """Return the part of a preview of a version whose segments have this average length."""
    return Part(max(1, math.ceil(preview_seconds / segment_seconds)), math.ceil(preview_seconds))


def is_open(path: str, extension: str, part: Part) -> bool:
    """Whether a preview opens a file. ``path`` begins with the version's name.

    It opens the segments of its beginning, the header of every track, the poster, and every text but the
    storyboard's, whose pictures are of the whole video. The texts must be sent as ``cut`` returns them.
    """
    _, _, name = path.partition("/")
    if extension == "m4s":
        match = _SEGMENT.fullmatch(name)
        return match is not None and int(match[1]) <= part.last_segment
    if extension == "mp4":
        return name.endswith("/init.mp4")
    if extension == "jpg":
        return name == POSTER
    return not name.startswith(f"{STORYBOARD}/")


def cut(extension: str, content: bytes, part: Part) -> bytes:
    """Return a text as a preview gets it. Raises ValueError for one that none of ours is like."""
    if extension == "mpd":
        return _cut_manifest(content, part)
    text = content.decode()
    if extension == "vtt":
        return cues.cut(text, part.end_seconds).encode()
    return _cut_playlist(text, part).encode()


def _cut_playlist(text: str, part: Part) -> str:
    """Return a media playlist (RFC 8216, 4.3.3) that ends with the part; a master playlist as it is.

    The playlist of a version that is still being made grows, until it has the last segment.
    """
    kept: list[str] = []
    waiting: list[str] = []  # the tags of the next segment
    ends = False
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            waiting.append(line)
            continue
        # An address on another host (CDN_URL) has the name after its host.
        segment = _SEGMENT.fullmatch(line.partition("://")[2].partition("/")[2] or line)
        if segment and int(segment[1]) >= part.last_segment:
            ends = True
        if segment and int(segment[1]) > part.last_segment:
            waiting = []
            continue
        if line.endswith(".vtt"):
            waiting = [_shortened(each, part.end_seconds) for each in waiting]
        kept += [*waiting, line]
        waiting = []
    if ends and _END not in waiting:
        waiting.append(_END)
    return "\n".join([*kept, *waiting, ""])


def _shortened(tag: str, seconds: int) -> str:
    """Return the tag of a text's only segment, which lasts as long as the video."""
    match = _LENGTH.match(tag)
    return f"#EXTINF:{min(float(match[1]), seconds):.3f}," if match else tag


def _cut_manifest(content: bytes, part: Part) -> bytes:
    """Return an MPD whose timelines and whose durations end with the part (ISO/IEC 23009-1, 5.3.9.6)."""
    ET.register_namespace("", _MPD)
    ET.register_namespace("xsi", "http://www.w3.org/2001/XMLSchema-instance")
    ET.register_namespace("cenc", "urn:mpeg:cenc:2013")
    try:
        root = ET.fromstring(content)  # noqa: S314 - of our own making
    except ET.ParseError as error:
        raise ValueError("This is no MPD.") from error
    ends = [
        _cut_timeline(template, part.last_segment)
        for template in root.iter(f"{{{_MPD}}}SegmentTemplate")
        if template.find(f"{{{_MPD}}}SegmentTimeline") is not None
    ]
    end = max(ends, default=Decimal(part.end_seconds))
    for each in (root, *root.iter(f"{{{_MPD}}}Period")):
        for name in _TIMES:
            if name in each.attrib:
                each.set(name, f"PT{end.normalize():f}S")
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _cut_timeline(template: ET.Element, last: int) -> Decimal:
    """Cut a track's timeline after a segment's number; return the second at which it ends then."""
    timeline = template.find(f"{{{_MPD}}}SegmentTimeline")
    left = max(0, last - int(template.get("startNumber", "1")) + 1)
    at = 0
    for each in list(timeline if timeline is not None else ()):
        count = max(0, int(each.get("r", "0"))) + 1
        kept = min(count, left)
        if not kept:
            timeline.remove(each)  # type: ignore[union-attr]  # there is one, as it has children
            continue
        left -= kept
        at = int(each.get("t", at)) + kept * int(each.get("d", "0"))
        if kept < count:
            each.set("r", str(kept - 1))
    at -= int(template.get("presentationTimeOffset", "0"))
    seconds = Decimal(at) / Decimal(template.get("timescale", "1"))
    return seconds.quantize(Decimal("0.001"))


class CutFile(OpenFile):
    """A text as a preview gets it, which has no file of its own."""

    __slots__ = ()

    def __init__(self, content: bytes, like: OpenFile):
        self.fd, self.identity, self.mapping, self.nowait = -1, like.identity, None, False
        self.segment, self.may_change = None, True
        self.content, self.size = content, len(content)
        self.tag = b'"%x-%s"' % (self.size, hashlib.sha256(content).hexdigest()[:16].encode())
        self.content_type, self.checked_at = like.content_type, like.checked_at
        self.validator_headers = self.whole_headers = self.whole_lines = None

    def __del__(self) -> None:
        """There is no descriptor to close."""


class CutFiles:
    """The texts of previews of one process: each is cut once for each preview, as long as it is kept."""

    def __init__(self, files: Files):
        self._files = files
        self._kept: OrderedDict[tuple[str, Identity, Part], CutFile] = OrderedDict()

    async def of(self, name: str, file: OpenFile, extension: str, part: Part) -> CutFile:
        """Return the text ``file`` as a preview gets it.

        Raises Refusal: ``unavailable`` if the file cannot be read or cut, which is logged. A thread
        cuts it, because a long one takes a good part of a second.
        """
        key = name, file.identity, part
        known = self._kept.get(key)
        if known is None:
            try:
                known = await self._files.in_thread(_cut_file, file, extension, part)
            except (OSError, ValueError) as error:
                logger.exception("A text cannot be cut for a preview")
                raise Refusal("unavailable") from error
            self._kept[key] = known
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return known


def _cut_file(file: OpenFile, extension: str, part: Part) -> CutFile:
    content = os.pread(file.fd, file.size, 0) if file.content is None else file.content
    return CutFile(cut(extension, content, part), file)
