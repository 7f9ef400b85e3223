"""Clocks that restart or jump in containers other than a transport stream."""

from pathlib import Path

from .clocks import jumping
from .make import AAC, ffmpeg, h264, joined, pictures, sound
from .table import MEDIA_RECORDER
from .truth import Cases, Pictures, Sound, Truth

case = Cases()
TWICE = (Pictures(50), Pictures(50, at=2, first=50))


def boxes(data: bytes) -> list[tuple[str, bytes]]:
    """Return the name and the bytes of each box of an MP4 file."""
    found, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        found.append((data[at + 4 : at + 8].decode("latin-1"), data[at : at + size]))
        at += size
    return found


def fragments(to: Path, *more: object) -> tuple[bytes, list[bytes]]:
    """Write six seconds as fragments of a second, and return the beginning and the fragments."""
    ffmpeg(
        *pictures(150), *sound(6), *h264(), *AAC, *more, "-movflags",
        "frag_keyframe+delay_moov+default_base_moof", "-f", "mp4", to,
    )  # fmt: skip
    start, parts = b"", []
    for name, data in boxes(to.read_bytes()):
        if name == "moof":
            parts.append(data)
        elif parts and name == "mdat":
            parts[-1] += data
        elif name != "mfra":
            start += data
    return start, parts


@case
def fragments_are_missing(to: Path) -> Truth:
    """A saved live stream of which two segments were not there in time."""
    start, parts = fragments(to)
    to.write_bytes(start + b"".join(parts[:2] + parts[4:]))
    groups = (Pictures(50), Pictures(50, at=2, first=100))
    sounds = (Sound(2), Sound(2, at=2, first=4))
    late = (Pictures(50), Pictures(50, at=4, first=100))
    gap = Truth(6, late, ((Sound(2), Sound(2, at=4, first=4)),), slack=0.07)
    return Truth(4, groups, (sounds,), slack=0.07, also=(gap,))


@case
def fragments_begin_late(to: Path) -> Truth:
    """Somebody joined a live stream after four seconds, whose beginning was kept."""
    start, parts = fragments(to)
    to.write_bytes(start + b"".join(parts[3:]))
    return Truth(3, (Pictures(75, first=75),), ((Sound(3, first=3),),), slack=0.07)


@case
def fragments_of_a_clock_that_runs_for_an_hour(to: Path) -> Truth:
    start, parts = fragments(to, "-output_ts_offset", 3600)
    to.write_bytes(start + b"".join(parts))
    return Truth(6, (Pictures(150),), ((Sound(6),),), slack=0.05)


@case
def clock_restarts_in_vob(to: Path) -> Truth:
    """The files of a DVD, one after another."""
    parts = []
    for number in range(2):
        parts.append(to.with_name(f"{number}.vob"))
        ffmpeg(
            *pictures(50, size="720x576", first=50 * number, filters="setsar=64/45"),
            *sound(2, 2 * number), "-c:v", "mpeg2video", "-b:v", "4M", "-g", 12,
            "-pix_fmt", "yuv420p", "-c:a", "ac3", "-f", "dvd", parts[-1],
        )  # fmt: skip
    joined(to, *parts)
    sounds = (Sound(2), Sound(2, at=2, first=2))
    return Truth(4, TWICE, (sounds,), size=None, aspect=16 / 9, slack=0.15)


@case
def clock_jumps_20_s_ahead_in_mkv(to: Path) -> Truth:
    stream = to.with_name("stream")
    truth = jumping(stream, 20)
    ffmpeg("-copyts", "-i", stream, "-c", "copy", "-f", "matroska", to)
    held = (Pictures(50), Pictures(50, at=22, first=50))
    gap = Truth(24, held, ((Sound(2), Sound(2, at=22, first=2)),), slack=0.07)
    return Truth(4, truth.pictures, truth.sounds, slack=0.07, also=(gap,))


@case
def recording_and_its_continuation_in_one_webm(to: Path) -> Truth:
    """`cat a.webm b.webm`, as upload services do with the pieces of a recorder that restarted."""
    parts = []
    for number in range(2):
        parts.append(to.with_name(f"{number}.webm"))
        ffmpeg(
            *pictures(60, 30, first=60 * number), *sound(2, 2 * number),
            *MEDIA_RECORDER["vp8"], "-c:a", "libopus", "-f", "webm", "-live", 1, parts[-1],
        )  # fmt: skip
    joined(to, *parts)
    groups = (Pictures(60, 30), Pictures(60, 30, at=2, first=60))
    sounds = (Sound(2), Sound(2, at=2, first=2))
    return Truth(4, groups, (sounds,), rate=30, slack=0.06)
