"""Examining an uploaded file with ffprobe, and rejecting a file that cannot or must not be processed."""

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from django.conf import settings

from . import cage, tools
from .errors import LimitReached, Rejected
from .ffprobe import Report, Stream
from .formats import AUDIO_CODECS, CONTAINERS, VIDEO_CODECS, untrusted_input
from .languages import language_of
from .timing import Timing, measure, ratio

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
INTERLACED = {"tt", "bb", "tb", "bt"}  # ffprobe's orders of the two fields
# Only the entries that are read below, because other tags can hold megabytes and the owner's position.
ENTRIES = (
    "format=format_name,duration,start_time:"
    "stream=index,codec_type,codec_name,width,height,sample_aspect_ratio,r_frame_rate,"
    "avg_frame_rate,nb_frames,duration,field_order,color_transfer,color_space,"
    "channels:stream_disposition=default,attached_pic,timed_thumbnails:"
    "stream_tags=language,title:stream_side_data=rotation"
)


@dataclass(frozen=True)
class AudioTrack:
    """One sound track of a source.

    ``index`` is the number of its stream in the source, ``language`` an ISO 639-1 code or "und".
    ``title`` may be empty, and has only characters that are safe in a playlist.
    """

    index: int
    codec: str
    language: str
    title: str
    channels: int


@dataclass(frozen=True)
class Probe:
    """The properties of a source that the pipeline needs.

    ``width`` and ``height`` are as displayed: rotated, and in square pixels. The other times and rates
    are explained at ``timing.Timing``.
    """

    container: str
    duration_seconds: float
    # False: it is the duration of the whole file, and the sound may last longer than the picture.
    duration_of_picture: bool
    size: int  # bytes
    width: int
    height: int
    frame_rate: Fraction
    constant_frame_rate: bool
    frames_thinned: bool  # the source has more frames than ``frame_rate`` keeps
    interlaced: bool
    hdr: bool
    color_matrix: str  # by the name that FFmpeg's scaler (swscale) uses
    video_codec: str
    video_stream_index: int
    video_delay_seconds: float
    audio_tracks: tuple[AudioTrack, ...]


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
        raise Rejected(
            "not_a_video",
            "Files of this kind are not supported. Upload an MP4, MOV, Matroska, WebM, MPEG, AVI, FLV "
            "or Ogg file.",
        )
    video = _video_stream(streams)
    width, height = _displayed_size(video)
    audio_tracks = _audio_tracks(streams)
    interlaced = video.get("field_order") in INTERLACED
    timing = measure(source, report["format"], video, interlaced)
    _refuse_excess(video, timing, size)
    return Probe(
        container=container.split(",")[0],
        duration_seconds=timing.duration_seconds,
        duration_of_picture=timing.of_picture,
        size=size,
        width=width,
        height=height,
        frame_rate=timing.frame_rate,
        constant_frame_rate=timing.constant,
        frames_thinned=timing.thinned,
        interlaced=timing.interlaced,
        hdr=video.get("color_transfer") in HDR_TRANSFERS,
        color_matrix=_color_matrix(video),
        video_codec=video["codec_name"],
        video_stream_index=video["index"],
        video_delay_seconds=timing.video_delay_seconds,
        audio_tracks=audio_tracks,
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
        raise _too_many_streams()
    if "max pixel count" in done.stderr:
        raise Rejected("too_large", TOO_MANY_PIXELS)
    if done.ran_out_of_memory:
        raise LimitReached("memory", f"ffprobe ran out of memory. {done.stderr[-1000:]}")
    if done.returncode or '"format_name"' not in done.stdout:
        raise Rejected(
            "not_a_video",
            "The file cannot be read as a video. Check that it plays elsewhere, and upload it again.",
        )
    answer = json.loads(done.stdout)
    report = Report(format=answer["format"], streams=answer.get("streams", []))
    # Counted as well, in case a demuxer of FFmpeg does not obey -max_streams.
    if len(report["streams"]) > settings.MAX_STREAMS:
        raise _too_many_streams()
    return report


def _too_many_streams() -> Rejected:
    return Rejected(
        "too_many_streams",
        f"The file has more than {settings.MAX_STREAMS} streams. Export it with fewer tracks.",
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


def _displayed_size(video: Stream) -> tuple[int, int]:
    """Return width and height as players display the picture. Raises Rejected outside of the limits."""
    width, height = video.get("width", 0), video.get("height", 0)
    # FFmpeg reports 0 x 0 for a picture with more pixels than -max_pixels.
    if width * height == 0 or width * height > settings.MAX_PIXELS:
        raise Rejected("too_large", TOO_MANY_PIXELS)
    aspect = ratio(video.get("sample_aspect_ratio", "").replace(":", "/"))
    if aspect is not None and Fraction(1, 8) <= aspect <= 8:
        width = round(width * aspect)
    turns = [side["rotation"] for side in video.get("side_data_list", ()) if "rotation" in side]
    if turns and round(float(turns[0]) / 90) % 2:
        width, height = height, width
    if min(width, height) < SMALLEST_SIDE:
        raise Rejected(
            "too_small",
            f"The picture is less than {SMALLEST_SIDE} pixels wide or high. Upload a larger version.",
        )
    return width, height


def _color_matrix(video: Stream) -> str:
    """Return the YUV matrix of the picture by swscale's name.

    An untagged video gets the matrix that players assume for its size: swscale would read all of them
    as BT.601.
    """
    tagged = {"bt709": "bt709", "bt2020nc": "bt2020", "bt2020c": "bt2020", "fcc": "fcc"}
    tagged |= {"smpte170m": "bt601", "bt470bg": "bt601", "smpte240m": "smpte240m"}
    assumed = "bt709" if max(video["width"], video["height"]) >= 1280 else "bt601"
    return tagged.get(video.get("color_space", ""), assumed)


def _audio_tracks(streams: list[Stream]) -> tuple[AudioTrack, ...]:
    """Return the sound tracks that can be decoded, the default track first.

    Raises Rejected if there is sound but no track can be decoded, or if there are too many tracks.
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
    return tuple(
        AudioTrack(
            index=stream["index"],
            codec=stream["codec_name"],
            language=language_of(stream.get("tags", {}).get("language", "")),
            title=_title(stream.get("tags", {}).get("title", "")),
            channels=stream.get("channels", 0),
        )
        for stream in known
        if stream.get("channels")
    )


def _title(tag: str) -> str:
    """Return at most 40 letters, digits, spaces and hyphens of ``tag``, safe in quotes in a playlist."""
    return " ".join(re.sub(r"[^\w -]", " ", tag).split())[:40]


def _refuse_excess(video: Stream, timing: Timing, size: int) -> None:
    """Raise Rejected for a video that is too long, also for its size, or has too many frames."""
    if timing.duration_seconds > settings.MAX_DURATION_SECONDS:
        hours = settings.MAX_DURATION_SECONDS / 3600
        raise Rejected(
            "too_long",
            f"The video is longer than {hours:g} hours. Split it into several videos.",
        )
    if timing.duration_seconds > SPARSE_SECONDS + size / SPARSE_BYTES:
        raise Rejected(
            "too_sparse",
            f"The file says that it lasts {timing.duration_seconds:.0f} s, but has only {size} bytes. "
            "Export the video again and upload it.",
        )
    frames = int(video.get("nb_frames") or 0)
    average = ratio(video.get("avg_frame_rate", "")) or 0
    if max(average, frames / timing.duration_seconds) > MOST_FRAMES_A_SECOND:
        raise Rejected(
            "too_many_frames",
            f"The video has more than {MOST_FRAMES_A_SECOND} frames per second. "
            "Export it at a lower frame rate.",
        )
