"""What an upload is, asked of ffprobe in the cage; refuses what we can't or won't process."""

import json
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from django.conf import settings

from . import cage, tools
from .errors import Rejected, ToolFailed
from .formats import AUDIO_CODECS, CONTAINERS, VIDEO_CODECS, untrusted_input
from .languages import language_of
from .timing import Timing, measure, ratio

CPU_SECONDS = 60
WALL_SECONDS = 120
SMALLEST_SIDE = 16
MOST_FRAMES_A_SECOND = 480  # beyond slow-motion cameras
HDR_TRANSFERS = {"smpte2084", "arib-std-b67"}
INTERLACED = {"tt", "bb", "tb", "bt"}
# Nothing but what is read below: tags can hold megabytes and the owner's position.
ENTRIES = (
    "format=format_name,duration,start_time:"
    "stream=index,codec_type,codec_name,width,height,sample_aspect_ratio,r_frame_rate,"
    "avg_frame_rate,nb_frames,duration,field_order,color_transfer,color_space,color_range,pix_fmt,"
    "channels:stream_disposition=default,attached_pic,timed_thumbnails:"
    "stream_tags=language,title:stream_side_data=rotation"
)


@dataclass(frozen=True)
class AudioTrack:
    """``index`` is the stream's in the source; ``language`` ISO 639-1 or "und"."""

    index: int
    codec: str
    language: str
    title: str
    channels: int


@dataclass(frozen=True)
class Probe:
    """What the pipeline needs to know. Sizes are as displayed: rotated, in square pixels."""

    container: str
    duration_seconds: float
    duration_of_picture: bool  # else the whole file's: its sound may outlast the picture
    size: int
    width: int
    height: int
    frame_rate: Fraction
    constant_frame_rate: bool
    frames_thinned: bool  # more of them in the source than the capped rate keeps
    interlaced: bool
    hdr: bool
    # Of an untagged video, what players assume; swscale would take every one for BT.601.
    color_matrix: str
    video_codec: str
    video_stream_index: int
    video_delay_seconds: float
    audio_tracks: tuple[AudioTrack, ...]


def probe(source: Path) -> Probe:
    """Describe the video at ``source``. Raises Rejected for what we don't take, else ToolFailed."""
    size = source.stat().st_size
    if size == 0:
        raise Rejected("not_a_video", "The file is empty.")
    found = _ask(source)
    container, streams = found["format"]["format_name"], found["streams"]
    if not set(container.split(",")) & set(CONTAINERS):
        raise Rejected("not_a_video", "This kind of file is not supported.")
    video = _video_stream(streams)
    width, height = _displayed_size(video)
    audio_tracks = _audio_tracks(streams)
    timing = measure(source, found["format"], video, _is_interlaced(video))
    _refuse_excess(video, timing)
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


def _ask(source: Path) -> dict:
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "json", "-show_entries", ENTRIES]
    done = cage.run(
        [*argv, *untrusted_input(source)],
        reads=[source],
        cpu_seconds=CPU_SECONDS,
        wall_seconds=WALL_SECONDS,
    )
    if "max_streams" in done.stderr:
        raise Rejected(
            "too_many_streams", f"The file has more than {settings.MAX_STREAMS} streams."
        )
    if "max pixel count" in done.stderr:
        raise Rejected("too_large", "The picture has too many pixels.")
    if done.ran_out_of_memory:
        raise ToolFailed(f"ffprobe ran out of memory. {done.stderr[-1000:]}")
    if done.returncode or '"format_name"' not in done.stdout:
        raise Rejected("not_a_video", "The file is not a video we can read.")
    found = json.loads(done.stdout)
    if len(found.get("streams", ())) > settings.MAX_STREAMS:
        raise Rejected(
            "too_many_streams", f"The file has more than {settings.MAX_STREAMS} streams."
        )
    return {"format": found["format"], "streams": found.get("streams", [])}


def _video_stream(streams: list[dict]) -> dict:
    """The first moving picture. Cover images are video streams to FFmpeg, not to us."""
    videos = [
        stream
        for stream in streams
        if stream.get("codec_type") == "video"
        and not stream.get("disposition", {}).get("attached_pic")
        and not stream.get("disposition", {}).get("timed_thumbnails")
    ]
    if not videos:
        raise Rejected("no_video_stream", "The file has no video in it.")
    known = [stream for stream in videos if stream.get("codec_name") in VIDEO_CODECS]
    if not known:
        codec = re.sub(r"\W", "", videos[0].get("codec_name", "")) or "unknown"
        raise Rejected("unsupported_codec", f"The video codec ({codec}) is not supported.")
    return max(known, key=lambda stream: stream["disposition"].get("default", 0))


def _displayed_size(video: dict) -> tuple[int, int]:
    width, height = video.get("width", 0), video.get("height", 0)
    # FFmpeg reports 0 x 0 for a picture over its pixel limit.
    if width * height == 0 or width * height > settings.MAX_PIXELS:
        raise Rejected("too_large", "The picture has too many pixels, or no size at all.")
    aspect = ratio(video.get("sample_aspect_ratio", "").replace(":", "/"))
    if aspect is not None and Fraction(1, 8) <= aspect <= 8:
        width = round(width * aspect)
    turns = [side["rotation"] for side in video.get("side_data_list", ()) if "rotation" in side]
    if turns and round(float(turns[0]) / 90) % 2:
        width, height = height, width
    if min(width, height) < SMALLEST_SIDE:
        raise Rejected("too_small", f"The picture is smaller than {SMALLEST_SIDE} pixels.")
    return width, height


def _is_interlaced(video: dict) -> bool:
    return video.get("field_order") in INTERLACED


def _color_matrix(video: dict) -> str:
    """The video's own matrix by swscale's name, or the one players assume for its size."""
    tagged = {"bt709": "bt709", "bt2020nc": "bt2020", "bt2020c": "bt2020", "fcc": "fcc"}
    tagged |= {"smpte170m": "bt601", "bt470bg": "bt601", "smpte240m": "smpte240m"}
    assumed = "bt709" if max(video["width"], video["height"]) >= 1280 else "bt601"
    return tagged.get(video.get("color_space", ""), assumed)


def _audio_tracks(streams: list[dict]) -> tuple[AudioTrack, ...]:
    """All sound we can decode, default track first. Refuses a video whose only sound we can't."""
    sounds = [stream for stream in streams if stream.get("codec_type") == "audio"]
    # Codecs of cameras' extra tracks (spatial sound) may be unknown: their plain track is enough.
    known = [stream for stream in sounds if stream.get("codec_name") in AUDIO_CODECS]
    if sounds and not known:
        raise Rejected("unsupported_codec", "The sound is in a codec that is not supported.")
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
    """Only letters, digits, spaces and hyphens: it ends up inside quotes in playlists."""
    return " ".join(re.sub(r"[^\w -]", " ", tag).split())[:40]


def _refuse_excess(video: dict, timing: Timing) -> None:
    if timing.duration_seconds > settings.MAX_DURATION_SECONDS:
        hours = settings.MAX_DURATION_SECONDS / 3600
        raise Rejected("too_long", f"The video is longer than {hours:g} hours.")
    frames = int(video.get("nb_frames") or 0)
    average = ratio(video.get("avg_frame_rate", "")) or 0
    if max(average, frames / timing.duration_seconds) > MOST_FRAMES_A_SECOND:
        raise Rejected("too_many_frames", "The video has an impossible number of frames.")
