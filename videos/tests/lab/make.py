"""Making the lab's inputs with FFmpeg's command line, and changing bytes that FFmpeg would not."""

import subprocess
from fractions import Fraction
from functools import cache
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]  # it ships no types

from . import pattern


@cache
def program() -> str:
    """Return FFmpeg with all the encoders that inputs need: AV1, VP8 and VP9, Opus, WebP, GIF, …"""
    return imageio_ffmpeg.get_ffmpeg_exe()


def ffmpeg(*arguments: object, cwd: Path | None = None) -> bytes:
    """Run FFmpeg and return its output. Raises AssertionError with FFmpeg's words if it fails."""
    argv = [program(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, cwd=cwd, check=False)
    assert done.returncode == 0, f"{' '.join(argv)}\n{done.stderr.decode(errors='replace')}"
    return done.stdout


def pictures(
    frames: int,
    rate: Fraction | float | str = 25,
    size: str = "320x180",
    first: int = 0,
    filters: str = "",
    offset: float = 0,
) -> list[object]:
    """Return the input arguments for numbered pictures, changed by ``filters``."""
    graph = pattern.picture(frames, rate, size, first) + (f",{filters}" if filters else "")
    return ["-itsoffset", offset, "-f", "lavfi", "-i", graph]


def sound(
    seconds: float,
    first: float = 0,
    *,
    rate: int = pattern.SAMPLE_RATE,
    layout: str = "stereo",
    filters: str = "",
    offset: float = 0,
) -> list[object]:
    """Return the input arguments for a humming and beeping sound."""
    graph = pattern.sound(seconds, first, rate=rate, layout=layout)
    graph += f",{filters}" if filters else ""
    return ["-itsoffset", offset, "-f", "lavfi", "-i", graph]


def h264(*more: object, gop: int = 25, bframes: int = 0) -> list[object]:
    """Return the arguments of a quick H.264 encoder that keeps the picture readable."""
    return [
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", 20, "-pix_fmt", "yuv420p"),
        *("-g", gop, "-bf", bframes, "-sc_threshold", 0, "-threads", 1, *more),
    ]


AAC = ("-c:a", "aac", "-b:a", "128k")
TS = ("-muxdelay", 0, "-muxpreload", 0, "-f", "mpegts")


def joined(to: Path, *parts: Path) -> None:
    """Write the bytes of all parts one after another, as ``cat`` would."""
    to.write_bytes(b"".join(part.read_bytes() for part in parts))


def concat(to: Path, parts: list[Path], *arguments: object) -> None:
    """Join files of the same codecs, without encoding them again."""
    listed = to.with_name("list.txt")
    listed.write_text("".join(f"file '{part}'\n" for part in parts))
    ffmpeg("-f", "concat", "-safe", 0, "-i", listed, "-map", 0, "-c", "copy", *arguments, to)


def voided(data: bytes, element: str) -> bytes:
    """Return a Matroska file in which the elements of this identifier are Void elements.

    ``element`` is in hexadecimal; the elements must be shorter than 127 bytes.
    """
    identifier = bytes.fromhex(element)
    at = data.find(identifier)
    while at != -1 and at < 20_000:  # the header; the same bytes may stand in a picture
        length = data[at + len(identifier)] & 0x7F
        whole = len(identifier) + 1 + length
        data = data[:at] + bytes([0xEC, 0x80 | (whole - 2)]) + bytes(whole - 2) + data[at + whole :]
        at = data.find(identifier, at + whole)
    return data


def patched(data: bytes, box: str, offset: int, value: bytes, *, number: int = 0) -> bytes:
    """Return an MP4 file with ``value`` at ``offset`` behind the name of the given box.

    ``number`` chooses among several boxes of that name.
    """
    at = -1
    for _ in range(number + 1):
        at = data.index(box.encode(), at + 1)
    at += 4 + offset
    return data[:at] + value + data[at + len(value) :]
