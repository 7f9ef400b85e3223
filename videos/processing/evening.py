"""Making a source even whose picture or sound changes its shape on the way.

Meeting recorders change the size of the picture, and television the layout of the sound. FFmpeg then
builds its filters anew, which forget what they have seen. So such a source is decoded once into a file
whose picture has one size, fitted into that of the beginning, and whose sound is stereo throughout. The
times of picture and sound stay. Only sources that need it pay for it: the encode finds out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from config import processors

from . import cage, tools
from .clock import Clock
from .errors import LimitReached, Rejected, ToolBroke
from .formats import untrusted_input
from .openings import clock_arguments
from .probe import AudioTrack, Probe

EVEN = "even.nut"
AUDIO_RATE = 48_000
# The time in the even file at which the video starts: sound may begin a little earlier, and NUT has no
# times below zero.
START = Fraction(10)
MOST_BITS_A_PIXEL = 4  # of a picture in the even file
# Lossless to the eye and quick: the file is read once and removed.
ENCODER = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "8", "-bf", "0", "-g", "50")


_SCALED = re.compile(r"\[Parsed_scale_(\d+) @ \S+\] w:\d+ h:\d+ .*?sar:(\d+/\d+) -> ")


class ShapeChanged(Exception):
    """The picture's size or format, or the sound's layout, has changed in mid-stream."""


@dataclass(frozen=True)
class Opened:
    """A file and FFmpeg's arguments to read it, with the properties by which to encode it."""

    path: Path
    arguments: tuple[str, ...]
    video: Probe


def as_it_is(source: Path, video: Probe) -> Opened:
    """Return the source itself, read by its one clock."""
    arguments = [*clock_arguments(video.timing.clock), *untrusted_input(source)]
    return Opened(source, tuple(arguments), video)


class Watch:
    """Reads what FFmpeg says while it encodes, and raises ShapeChanged if a shape changes.

    FFmpeg builds its filters anew for another size, format or layout. For pixels of another shape only
    the scaler does, and says what it gets.
    """

    def __init__(self) -> None:
        self._scaled: dict[str, str] = {}

    def __call__(self, remark: str) -> None:
        if "Reconfiguring filter graph" in remark:
            raise ShapeChanged(remark)
        if match := _SCALED.search(remark):
            scaler, pixels = match.groups()
            if self._scaled.setdefault(scaler, pixels) != pixels:
                raise ShapeChanged(remark)


def stereo(track: AudioTrack) -> str:
    """Return FFmpeg's filter that makes stereo of a sound track."""
    if track.mixable or track.channels == 2:
        return "aformat=channel_layouts=stereo"
    right = 0 if track.channels == 1 else 1
    return f"pan=stereo|c0=c0|c1=c{right}"


def make_even(
    opened: Opened, folder: Path, *, seconds: float, on_percent: Callable[[int], None]
) -> Opened:
    """Decode the source once into a file in ``folder``, whose picture and sound have one shape.

    ``seconds`` is how long that may take. Raises Rejected and ToolFailed as ``encode`` does.
    """
    video = opened.video
    done = cage.run(
        _command(opened),
        reads=[opened.path],
        writes=[folder],
        cwd=folder,
        cpu_seconds=seconds * processors.count(),
        wall_seconds=seconds,
        file_bytes=_most_bytes(video),
        on_line=lambda line: True,
        on_tick=lambda: on_percent(0),
    )
    if done.ran_out_of_memory:
        raise LimitReached("memory", done.stderr[-2000:])
    if done.returncode:
        raise ToolBroke(f"FFmpeg ended with {done.returncode}. {done.stderr[-2000:]}")
    path = folder / EVEN
    if not path.stat().st_size:
        raise Rejected("damaged", "The video cannot be decoded. Export the video again.")
    tracks = tuple(
        replace(track, index=number, channels=2, mixable=True, other_index=None)
        for number, track in enumerate(video.audio_tracks, 1)
    )
    picture = replace(video.timing.picture, interlaced=False)
    timing = replace(video.timing, clock=Clock(()), start=START, picture=picture)
    even = replace(
        video,
        timing=timing,
        hdr=False,
        color_matrix="bt709",
        video_stream_index=0,
        audio_tracks=tracks,
    )
    arguments = ("-copyts", "-f", "nut", "-protocol_whitelist", "file", "-i", f"file:{path}")
    return Opened(path, arguments, even)


def _command(opened: Opened) -> list[str]:
    video, start = opened.video, f"({float(opened.video.timing.start - START):.9f})/TB"
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    argv += ["-progress", "pipe:1", "-nostats", *opened.arguments]
    argv += ["-filter_complex", f"[0:{video.video_stream_index}]{_fit(video, start)}[v]"]
    maps = ["-map", "[v]"]
    for number, track in enumerate(video.audio_tracks):
        sound = f"asetpts=PTS-{start},{stereo(track)},aresample={AUDIO_RATE}"
        if track.other_index is None:
            graph = f"[0:{track.index}]{sound}[a{number}]"
        else:
            both = f"[0:{track.index}][0:{track.other_index}]join=inputs=2:channel_layout=stereo"
            graph = f"{both},{sound}[a{number}]"
        argv += ["-filter_complex", graph]
        maps += ["-map", f"[a{number}]"]
    argv += [*maps, *ENCODER, "-c:a", "pcm_s16le", "-fps_mode", "passthrough"]
    argv += ["-enc_time_base:v", "1:90000", "-map_metadata", "-1", "-map_chapters", "-1"]
    return [*argv, "-avoid_negative_ts", "disabled", "-f", "nut", EVEN]


def _fit(video: Probe, start: str) -> str:
    """Return the filters that fit any picture into the size of the first one, with black bars."""
    width, height = (side - side % 2 for side in (video.width, video.height))
    shape = f"(iw/ih*{_aspect(video)})"  # of the picture as it is shown
    fitted = f"w='2*trunc(min({width},{height}*{shape})/2)'"
    fitted += f":h='2*trunc(min({height},{width}/({shape}))/2)'"
    target = "out_color_matrix=bt709:out_range=tv"
    if video.hdr:
        target += ":out_primaries=bt709:out_transfer=bt709:intent=perceptual"
    elif video.timing.picture.color_matrix in {"unknown", "unspecified"}:
        target += f":in_color_matrix={video.color_matrix}"
    filters = ["bwdif=mode=send_frame:deint=interlaced"] if video.timing.picture.interlaced else []
    return ",".join(
        [
            *filters,
            f"setpts=PTS-{start}",
            f"scale={fitted}:eval=frame:flags=bicubic:{target}",
            "format=yuv420p",
            f"pad={width}:{height}:(ow-iw)/2:(oh-ih)/2:eval=frame",
            "setsar=1",
        ]
    )


def _aspect(video: Probe) -> str:
    """Return FFmpeg's expression for how many times as wide as high a pixel is, at the time ``t``."""
    expression = "if(sar,sar,1)"
    start = video.timing.start - START
    for number, (time, aspect) in enumerate(video.timing.picture.aspects):
        value = f"{float(aspect):.6f}"
        expression = (
            f"if(gte(t,{float(time - start):.6f}),{value},{expression})" if number else value
        )
    return expression


def _most_bytes(video: Probe) -> int:
    """Return the number of bytes that the even file may have."""
    pixels = video.width * video.height * video.timing.packets
    sound = video.duration_seconds * AUDIO_RATE * 4 * len(video.audio_tracks)
    return int(pixels * MOST_BITS_A_PIXEL / 8 + sound * 1.1) + 64 * 1024 * 1024
