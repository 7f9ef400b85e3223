"""Playing a finished version whole: every rendition and sound track, over HLS and over DASH.

The playlists are read here and not by FFmpeg, as a player would read them. FFmpeg decodes the
segments, joined behind their init segment.
"""

import hashlib
import re
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from . import make, pattern

MPD = "{urn:mpeg:dash:schema:mpd:2011}"


@dataclass(frozen=True)
class Listed:
    """One rendition or sound track as a playlist or manifest lists it; times in seconds."""

    name: str
    over: str  # "HLS" or "DASH"
    kind: str  # "video" or "audio"
    init: Path
    segments: tuple[Path, ...]
    durations: tuple[float, ...]
    start: float = 0  # of the first segment, as DASH says it


@dataclass(frozen=True)
class Decoded:
    """The joined segments of a track, decoded: (start, end) of each frame, and its content."""

    times: tuple[tuple[float, float], ...]
    width: int = 0
    height: int = 0
    aspect: float = 0  # of the displayed picture
    frames: tuple[memoryview, ...] = ()
    heard: pattern.Heard | None = None

    @property
    def start(self) -> float:
        return self.times[0][0] if self.times else 0

    @property
    def end(self) -> float:
        return max((end for _, end in self.times), default=0)

    @property
    def steps(self) -> list[float]:
        return [b[0] - a[0] for a, b in pairwise(self.times)]

    @property
    def rate(self) -> Fraction:
        """Return the pictures a second, by the times of the first and the last picture."""
        if len(self.times) < 2:
            return Fraction(1)
        span = self.times[-1][0] - self.times[0][0]
        return Fraction((len(self.times) - 1) / span).limit_denominator(1001)


@dataclass(frozen=True)
class Played:
    """All that a version holds: each listed track with its content, and what the manifest says."""

    videos: tuple[tuple[Listed, Decoded], ...]
    audios: tuple[tuple[Listed, Decoded], ...]
    manifest_seconds: float
    poster: bytes  # as pattern.read_picture reads it


def play(folder: Path) -> Played:
    """Decode everything in a version's folder. What HLS and DASH share is decoded once."""
    decoded: dict[str, Decoded] = {}
    found: dict[str, list[tuple[Listed, Decoded]]] = {"video": [], "audio": []}
    for listed in (*_hls(folder), *_dash(folder)):
        content = b"".join(path.read_bytes() for path in (listed.init, *listed.segments))
        key = hashlib.sha256(content).hexdigest()
        if key not in decoded:
            decoded[key] = decode(content, listed.kind)
        found[listed.kind].append((listed, decoded[key]))
    manifest = _manifest(folder)
    return Played(
        videos=tuple(found["video"]),
        audios=tuple(found["audio"]),
        manifest_seconds=_seconds(manifest.get("mediaPresentationDuration", "")),
        poster=_still(folder / "poster.jpg"),
    )


def _hls(folder: Path) -> Iterator[Listed]:
    """Yield what master.m3u8 names, the renditions first, without those of keyframes alone."""
    lines = (folder / "master.m3u8").read_text().splitlines()
    for line, following in pairwise([*lines, ""]):
        if line.startswith("#EXT-X-STREAM-INF:"):
            yield _playlist(folder / following, "video")
    for line in lines:
        if line.startswith("#EXT-X-MEDIA:") and "TYPE=AUDIO" in line:
            yield _playlist(folder / _attribute(line, "URI"), "audio")


def _playlist(path: Path, kind: str) -> Listed:
    text = path.read_text()
    assert "#EXT-X-ENDLIST" in text, f"{path.name} has no end."
    (mapped,) = re.findall("#EXT-X-MAP:.*", text)
    return Listed(
        name=path.stem,
        over="HLS",
        kind=kind,
        init=path.parent / _attribute(mapped, "URI"),
        segments=tuple(
            path.parent / line for line in text.splitlines() if line and not line.startswith("#")
        ),
        durations=tuple(map(float, re.findall(r"#EXTINF:([0-9.]+)", text))),
    )


def _attribute(line: str, name: str) -> str:
    return line.partition(f'{name}="')[2].partition('"')[0]


def _manifest(folder: Path) -> ElementTree.Element:
    return ElementTree.fromstring((folder / "manifest.mpd").read_text())  # noqa: S314 (our own)


def _dash(folder: Path) -> Iterator[Listed]:
    for group in _manifest(folder).iter(f"{MPD}AdaptationSet"):
        for representation in group.findall(f"{MPD}Representation"):
            kind = group.get("contentType") or representation.get("mimeType", "").split("/")[0]
            if kind in ("video", "audio"):
                yield _representation(folder, representation, kind)


def _representation(folder: Path, element: ElementTree.Element, kind: str) -> Listed:
    template = element.find(f"{MPD}SegmentTemplate")
    assert template is not None
    scale = int(template.get("timescale", "1"))
    offset = int(template.get("presentationTimeOffset", "0"))
    starts: list[int] = []
    lengths: list[int] = []
    for entry in template.findall(f"{MPD}SegmentTimeline/{MPD}S"):
        length = int(entry.get("d", "0"))
        for _ in range(1 + int(entry.get("r", "0"))):
            at = int(entry.get("t", "0")) if not starts else starts[-1] + lengths[-1]
            starts.append(at)
            lengths.append(length)
    first = int(template.get("startNumber", "1"))
    media = template.get("media", "")
    init = folder / template.get("initialization", "")
    return Listed(
        name=init.parent.name,
        over="DASH",
        kind=kind,
        init=init,
        segments=tuple(
            folder / media.replace("$Number$", str(first + index)) for index in range(len(starts))
        ),
        durations=tuple(length / scale for length in lengths),
        start=(starts[0] - offset) / scale if starts else 0,
    )


def _seconds(text: str) -> float:
    """Return the seconds of an XML Schema duration like PT1M4.5S."""
    parts = {unit: float(value) for value, unit in re.findall(r"([0-9.]+)([HMS])", text)}
    return parts.get("H", 0) * 3600 + parts.get("M", 0) * 60 + parts.get("S", 0)


def decode(content: bytes, kind: str) -> Decoded:
    """Decode a file and return its frames."""
    with tempfile.TemporaryDirectory() as folder:
        file, times = Path(folder, "joined.mp4"), Path(folder, "times")
        file.write_bytes(content)
        if kind == "audio":
            return _decode_sound(file, times)
        size = f"{pattern.READ_WIDTH}:{pattern.READ_HEIGHT}"
        passed = ("-fps_mode", "passthrough", "-enc_time_base", "demux")
        raw = make.ffmpeg(
            *("-copyts", "-i", file, "-filter_complex"),
            f"[0:v]split[a][b];[b]scale={size}:flags=area,format=rgb24[small]",
            *("-map", "[a]", *passed, "-f", "framecrc", times),
            *("-map", "[small]", *passed, "-f", "rawvideo", "-"),
        )
        shown, header = _times(times)
    width, height = map(int, header["dimensions"].split("x"))
    sar = Fraction(header.get("sar", "1/1").replace("0/1", "1/1"))
    length = pattern.READ_WIDTH * pattern.READ_HEIGHT * 3
    frames = [memoryview(raw)[at : at + length] for at in range(0, len(raw), length)]
    return Decoded(shown, width, height, float(width * sar / height), tuple(frames))


def _decode_sound(file: Path, times: Path) -> Decoded:
    rate = pattern.SAMPLE_RATE
    raw = make.ffmpeg(
        *("-copyts", "-i", file, "-map", "0:a", "-c:a", "pcm_s16le", "-f", "framecrc", times),
        *("-map", "0:a", "-ac", 1, "-ar", rate, "-f", "s16le", "-"),
    )
    shown, _ = _times(times)
    samples = memoryview(raw).cast("h")
    return Decoded(shown, heard=pattern.read_sound(samples))


def _times(file: Path) -> tuple[tuple[tuple[float, float], ...], dict[str, str]]:
    """Read FFmpeg's framecrc: the times of all frames, and its header."""
    header: dict[str, str] = {}
    rows: list[tuple[int, int]] = []
    for line in file.read_text().splitlines():
        if line.startswith("#"):
            key, _, value = line[1:].partition(" 0: ")
            header[key] = value
        else:
            _, _, start, length, *_ = line.split(",")
            rows.append((int(start), int(start) + int(length)))
    base = Fraction(header["tb"]) if rows else Fraction(1)
    return tuple((float(start * base), float(end * base)) for start, end in rows), header


def _still(poster: Path) -> bytes:
    size = f"{pattern.READ_WIDTH}:{pattern.READ_HEIGHT}"
    scaled = f"scale={size}:flags=area,format=rgb24"
    return make.ffmpeg("-i", poster, "-vf", scaled, "-frames:v", 1, "-f", "rawvideo", "-")
