"""Examining an uploaded file with ffprobe, and rejecting a file that cannot or must not be processed."""

import json
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from django.conf import settings

from . import cage, tools
from .errors import LimitReached, Rejected
from .ffprobe import Report, Stream
from .formats import AUDIO_CODECS, CONTAINERS, MOST_STREAMS, VIDEO_CODECS, untrusted_input
from .languages import language_of
from .openings import Opening
from .packets import too_long
from .timing import Timing, measure

TOO_MANY_PIXELS = "The picture has too many pixels. Export the video in a smaller size."
CPU_SECONDS = 60
WALL_SECONDS = 120
SMALLEST_SIDE = 16
MOST_FRAMES_A_SECOND = 480  # more than slow-motion cameras record
# A file may be this much longer than a second for each SPARSE_BYTES of it: a still picture, encoded with
# one frame a second and without sound, has more bytes than that.
SPARSE_SECONDS = 600
SPARSE_BYTES = 20
HDR_TRANSFERS = {"smpte2084", "arib-std-b67"}  # PQ and HLG (ITU-R BT.2100)
# What people upload by mistake, by the bytes at the beginning: (offset, bytes), and what it is.
KINDS = (
    (((0, b"RIFF"), (8, b"WEBP")), "a WebP picture"),
    (((0, b"RIFF"), (8, b"WAVE")), "a WAV sound"),
    (((0, b"\x89PNG"),), "a PNG picture"),
    (((0, b"\xff\xd8\xff"),), "a JPEG picture"),
    (((4, b"ftyphei"),), "a HEIF picture"),
    (((4, b"ftypavif"),), "an AVIF picture"),
    (((0, b"ID3"),), "an MP3 sound"),
    (((0, b"fLaC"),), "a FLAC sound"),
    (((0, b".RMF"),), "a RealMedia file"),
    (((0, b"PK\x03\x04"),), "a ZIP archive"),
    (((0, b"Rar!"),), "a RAR archive"),
    (((0, b"%PDF"),), "a PDF document"),
)
# The channel layouts that FFmpeg's resampler mixes to stereo. Without a layout it guesses one up to 7.1.
_MIXABLE = """
mono stereo 2.1 3.0 3.0(back) 4.0 quad quad(side) 3.1 5.0 5.0(side) 4.1 5.1 5.1(side) 6.0 6.0(front)
hexagonal 6.1 6.1(back) 6.1(front) 7.0 7.0(front) 7.1 7.1(wide) 7.1(wide-side) octagonal downmix
"""
MIXABLE = frozenset(_MIXABLE.split())
# Only the entries that are read below, because other tags can hold megabytes and the owner's position.
ENTRIES = (
    "format=format_name,duration:"
    "stream=index,codec_type,codec_name,width,height,time_base,r_frame_rate,duration,nb_frames,channels,"
    "channel_layout:stream_disposition=default,attached_pic,timed_thumbnails,comment,dub,"
    "hearing_impaired,visual_impaired:"
    "stream_tags=language,title,DURATION"
)


@dataclass(frozen=True)
class AudioTrack:
    """One sound track of a source.

    ``index`` is the number of its stream in the source, ``language`` an ISO 639-1 code or "und".
    ``title`` may be empty, and has only characters that are safe in a playlist. ``other_index`` is the
    stream of the right channel, if the two channels are streams of their own. ``mixable`` tells whether
    FFmpeg knows how to mix its channels to stereo; otherwise the first ones are taken.
    """

    index: int
    codec: str
    language: str
    title: str
    channels: int
    mixable: bool = True
    other_index: int | None = None


@dataclass(frozen=True)
class Probe:
    """The properties of a source that the pipeline needs.

    ``width`` and ``height`` are as displayed: upright, and in square pixels. ``timing`` has all times.
    """

    container: str
    size: int  # bytes
    width: int
    height: int
    timing: Timing
    hdr: bool
    color_matrix: str  # by the name that FFmpeg's scaler (swscale) uses
    video_codec: str
    video_stream_index: int
    audio_tracks: tuple[AudioTrack, ...]

    @property
    def duration_seconds(self) -> float:
        return float(self.timing.duration)

    @property
    def frame_rate(self) -> Fraction:
        return self.timing.frame_rate


def probe(source: Path) -> Probe:
    """Return the properties of the file at ``source``.

    Raises Rejected if the file is no video or exceeds a limit, and ToolFailed if ffprobe fails for
    a reason that is not the file's fault.
    """
    size = source.stat().st_size
    if size == 0:
        raise Rejected("not_a_video", "The file is empty. Upload a file that holds a video.")
    report = _ask(source)
    container, streams = report["format"]["format_name"], report["streams"]
    if not set(container.split(",")) & set(CONTAINERS):
        raise _not_a_video(source)
    video, sounds = _video_stream(streams), _sound_streams(streams)
    timing = measure(source, report["format"], video, sounds)
    width, height = _displayed_size(timing.picture)
    _refuse_excess(timing, size)
    return Probe(
        container=container.split(",")[0],
        size=size,
        width=width,
        height=height,
        timing=timing,
        hdr=timing.picture.color_transfer in HDR_TRANSFERS,
        color_matrix=_color_matrix(timing.picture),
        video_codec=video["codec_name"],
        video_stream_index=video["index"],
        audio_tracks=_audio_tracks([each for each in sounds if timing.has(each["index"])]),
    )


def _ask(source: Path) -> Report:
    """Return ffprobe's report about ``source``. Raises Rejected and ToolFailed as ``probe`` does."""
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "json", "-show_entries", ENTRIES]
    done = cage.run(
        [*argv, *untrusted_input(source)],
        reads=[source],
        cpu_seconds=CPU_SECONDS,
        wall_seconds=WALL_SECONDS,
    )
    if "max_streams" in done.stderr:
        raise _too_many_streams(MOST_STREAMS)
    if "max pixel count" in done.stderr:
        raise Rejected("too_large", TOO_MANY_PIXELS)
    if done.ran_out_of_memory:
        raise LimitReached("memory", f"ffprobe ran out of memory. {done.stderr[-1000:]}")
    if done.returncode or '"format_name"' not in done.stdout:
        raise _not_a_video(source)
    answer = json.loads(done.stdout)
    report = Report(format=answer["format"], streams=answer.get("streams", []))
    kinds = [stream.get("codec_type") for stream in report["streams"]]
    if kinds.count("video") + kinds.count("audio") > settings.MAX_STREAMS:
        raise _too_many_streams(settings.MAX_STREAMS)
    if len(kinds) > MOST_STREAMS:  # in case a demuxer of FFmpeg does not obey -max_streams
        raise _too_many_streams(MOST_STREAMS)
    return report


def _not_a_video(source: Path) -> Rejected:
    """Return the refusal of a file, which names its kind where that is well known."""
    with source.open("rb") as file:
        head = file.read(16)
    kind = next(
        (kind for marks, kind in KINDS if all(head[at:].startswith(m) for at, m in marks)), ""
    )
    what = f"This is {kind}." if kind else "The file cannot be read as a video."
    return Rejected(
        "not_a_video",
        f"{what} Upload an MP4, MOV, Matroska, WebM, MPEG, AVI, FLV, ASF (WMV), GIF, DV, MXF or Ogg "
        "file that plays elsewhere.",
    )


def _too_many_streams(most: int) -> Rejected:
    return Rejected(
        "too_many_streams",
        f"The file has more than {most} streams. Export it with fewer tracks.",
    )


def _video_stream(streams: list[Stream]) -> Stream:
    """Return the default video stream, or the first one. Raises Rejected if there is none to decode.

    Cover images and thumbnails, which FFmpeg reports as video streams, are passed over.
    """
    videos = [
        stream
        for stream in streams
        if stream.get("codec_type") == "video"
        and not stream.get("disposition", {}).get("attached_pic")
        and not stream.get("disposition", {}).get("timed_thumbnails")
    ]
    if not videos:
        raise Rejected(
            "no_video_stream",
            "The file has no moving pictures. Upload a file with a video track.",
        )
    known = [stream for stream in videos if stream.get("codec_name") in VIDEO_CODECS]
    if not known:
        codec = re.sub(r"\W", "", videos[0].get("codec_name", "")) or "unknown"
        raise Rejected(
            "unsupported_codec",
            f"The video codec ({codec}) is not supported. Export the video as H.264.",
        )
    return max(known, key=lambda stream: stream["disposition"].get("default", 0))


def _displayed_size(picture: Opening) -> tuple[int, int]:
    """Return width and height as players display the picture. Raises Rejected outside of the limits."""
    width, height = picture.width, picture.height
    if width * height > settings.MAX_PIXELS:
        raise Rejected("too_large", TOO_MANY_PIXELS)
    if Fraction(3, 4) <= picture.aspect <= 8:
        width = round(width * picture.aspect)
    elif Fraction(1, 8) <= picture.aspect:  # a wide picture that was turned: no column is lost
        height = round(height / picture.aspect)
    if min(width, height) < SMALLEST_SIDE:
        raise Rejected(
            "too_small",
            f"The picture is less than {SMALLEST_SIDE} pixels wide or high. Upload a larger version.",
        )
    return width, height


def _color_matrix(picture: Opening) -> str:
    """Return the YUV matrix of the picture by swscale's name.

    An untagged video gets the matrix that players assume for its size: swscale would read all of them
    as BT.601.
    """
    tagged = {"bt709": "bt709", "bt2020nc": "bt2020", "bt2020c": "bt2020", "fcc": "fcc"}
    tagged |= {"smpte170m": "bt601", "bt470bg": "bt601", "smpte240m": "smpte240m"}
    assumed = "bt709" if max(picture.width, picture.height) >= 1280 else "bt601"
    return tagged.get(picture.color_matrix, assumed)


def _sound_streams(streams: list[Stream]) -> list[Stream]:
    """Return the sound streams that can be decoded, the default one first.

    Raises Rejected if there is sound but no stream can be decoded, or if there are too many.
    """
    sounds = [stream for stream in streams if stream.get("codec_type") == "audio"]
    # Cameras record extra tracks (spatial sound) in other codecs; their plain track is enough.
    known = [stream for stream in sounds if stream.get("codec_name") in AUDIO_CODECS]
    if sounds and not known:
        raise Rejected(
            "unsupported_codec",
            "The codec of the sound is not supported. Export the video with AAC sound.",
        )
    if len(known) > settings.MAX_AUDIO_TRACKS:
        raise Rejected(
            "too_many_audio_tracks",
            f"The video has {len(known)} sound tracks, and {settings.MAX_AUDIO_TRACKS} are possible. "
            "Export it with fewer.",
        )
    known.sort(key=lambda stream: -stream.get("disposition", {}).get("default", 0))
    return known


def _audio_tracks(sounds: list[Stream]) -> tuple[AudioTrack, ...]:
    """Return the sound tracks. Two mono streams that nothing tells apart are one track in stereo."""
    tracks = tuple(
        AudioTrack(
            index=stream["index"],
            codec=stream["codec_name"],
            language=language_of(stream.get("tags", {}).get("language", "")),
            title=_title(stream.get("tags", {}).get("title", "")),
            channels=stream.get("channels", 0),
            mixable=stream.get("channel_layout", "") in MIXABLE,
        )
        for stream in sounds
    )
    if len(tracks) == 2 and replace(tracks[1], index=tracks[0].index) == tracks[0]:
        left, right = tracks
        if left.channels == 1 and not left.title and not any(map(_has_purpose, sounds)):
            return (replace(left, channels=2, other_index=right.index),)
    return tracks


def _has_purpose(sound: Stream) -> bool:
    """Return whether a sound stream is for a purpose of its own, such as an audio description."""
    purposes = ("comment", "dub", "hearing_impaired", "visual_impaired")
    return any(sound.get("disposition", {}).get(purpose) for purpose in purposes)


def _title(tag: str) -> str:
    """Return at most 40 letters, digits, spaces and hyphens of ``tag``, safe in quotes in a playlist."""
    return " ".join(re.sub(r"[^\w -]", " ", tag).split())[:40]


def _refuse_excess(timing: Timing, size: int) -> None:
    """Raise Rejected for a video that is too long, also for its size, or has too many frames."""
    duration = float(timing.duration)
    if duration > settings.MAX_DURATION_SECONDS:
        raise too_long()
    if duration > SPARSE_SECONDS + size / SPARSE_BYTES:
        raise Rejected(
            "too_sparse",
            f"The file says that it lasts {duration:.0f} s, but has only {size} bytes. "
            "Export the video again and upload it.",
        )
    if timing.packets / duration > MOST_FRAMES_A_SECOND:
        raise Rejected(
            "too_many_frames",
            f"The video has more than {MOST_FRAMES_A_SECOND} frames per second. "
            "Export it at a lower frame rate.",
        )
