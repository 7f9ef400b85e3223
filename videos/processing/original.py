"""The rendition "original": the streams of a source that players can play as they are, copied.

Copying takes a thousandth of the time of the video. What fits is decided twice: by the header of the
source, and by the tables of the copy, which tell of each picture when it is displayed.
"""

import json
import logging
import re
import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import floor
from pathlib import Path
from typing import Any

from . import cage, packager, playlists, tools
from .encode import Encoded
from .errors import LimitReached, ToolBroke, ToolCrashed
from .formats import untrusted_input
from .ladder import Rendition
from .languages import language_of
from .pipeline import Output
from .posters import make_poster
from .probe import AudioTrack
from .tables import Samples, samples_of

logger = logging.getLogger(__name__)

NAME = "original"
CONTAINERS = {"mov", "matroska"}  # whose streams keep one set of parameters
HIGHEST_LEVEL = 42
PROFILES = {"Baseline", "Constrained Baseline", "Main", "High"}
SLOWEST_RATE, FASTEST_RATE = 5, 61  # pictures a second
LONGEST_SIDE = 4096
MOST_CHANNELS = 6
MOST_BITS_A_SECOND = 25_000_000
MOST_KEYFRAME_SECONDS = 10.0
MOST_PICTURE_SECONDS = 1.0  # for which one picture is shown
MOST_SOUND_SECONDS = 0.2  # from one piece of sound to the next
APART_SECONDS = 0.15  # by which picture and sound may begin or end apart
# Players stall on a last segment of one or two pictures.
SHORTEST_SEGMENT_SECONDS = 0.5
MOST_HALVES = 8  # by which segments are made longer so that no short one is left at the end
CPU_SECONDS, WALL_SECONDS = 60, 120
READ_BYTES = 10_000_000  # a second, at least
MOST_REMARKS = 16 * 1024 * 1024
ENTRIES = (
    "format=format_name,duration:"
    "stream=index,codec_type,codec_name,profile,level,pix_fmt,width,height,sample_aspect_ratio,"
    "field_order,color_space,color_transfer,channels,nb_frames:"
    "stream_disposition=default,attached_pic,timed_thumbnails:"
    "stream_tags=language:stream_side_data=rotation,side_data_type"
)
# The mark of x264's note about its own settings: the only note in a stream that is no metadata.
X264 = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
SEI, SPS = 6, 7  # kinds of units in an H.264 stream (ITU-T H.264, table 7-1)
USER_DATA_REGISTERED, USER_DATA, ORIENTATION = 4, 5, 47  # kinds of SEI (annex D)

Report = dict[str, Any]  # ffprobe's answer, read only in this module


class Unfit(Exception):
    """Notice that a source cannot be played as it is. The text says why, for the log."""


def copy(source: Path, work: Path, *, on_tick: Callable[[], None]) -> Output | None:
    """Make a version of ``source`` in ``work/out`` without encoding it; None if it does not fit.

    ``on_tick`` as in ``cage.run``. A tool that fails on the file makes it unfit; raises ToolMissing, and
    ToolFailed for a cause outside of the file.
    """
    try:
        report = _ask(source)
        picture, sounds = _streams(report, source.stat().st_size)
        folder, out = work / "copied", work / "out"
        for each in (folder, out):
            shutil.rmtree(each, ignore_errors=True)
            each.mkdir(parents=True)
        return _copy(source, folder, out, report, picture, sounds, on_tick)
    except (Unfit, ToolBroke, ToolCrashed, LimitReached) as reason:
        logger.info("The streams of %s are not copied: %s", source.parent.name, reason)
        return None


def _ask(source: Path) -> Report:
    argv = [str(tools.ffprobe()), "-v", "error", "-of", "json", "-show_entries", ENTRIES]
    done = cage.run(
        [*argv, *untrusted_input(source)],
        reads=[source],
        cpu_seconds=CPU_SECONDS,
        wall_seconds=WALL_SECONDS,
    )
    if done.returncode or '"format_name"' not in done.stdout:
        raise Unfit("ffprobe cannot read the file")
    report: Report = json.loads(done.stdout)
    return report


def _streams(report: Report, size: int) -> tuple[Report, list[Report]]:
    """Return the stream of the picture and those of the sound. Raises Unfit, by their headers."""
    names = set(report["format"]["format_name"].split(","))
    streams = report.get("streams", [])
    pictures = [s for s in streams if s.get("codec_type") == "video" and not _is_image(s)]
    sounds = [s for s in streams if s.get("codec_type") == "audio"]
    sounds.sort(key=lambda s: -s.get("disposition", {}).get("default", 0))
    if not names & CONTAINERS or len(pictures) != 1:
        raise Unfit("its container, or the number of its pictures")
    (picture,) = pictures
    if _of(picture, "codec_name") != "h264" or _of(picture, "profile") not in PROFILES:
        raise Unfit("its codec")
    if _of(picture, "pix_fmt") != "yuv420p" or not 0 < picture.get("level", 0) <= HIGHEST_LEVEL:
        raise Unfit("its pixels or its level")
    if _of(picture, "sample_aspect_ratio") not in ("", "1:1", "0:1", "N/A"):
        raise Unfit("its pixels are not square")
    if _of(picture, "field_order") != "progressive" or picture.get("side_data_list"):
        raise Unfit("it is interlaced or turned")
    if _of(picture, "color_transfer") in ("smpte2084", "arib-std-b67"):
        raise Unfit("its brightness is that of HDR")
    width, height = picture.get("width", 0), picture.get("height", 0)
    if (
        width % 2
        or height % 2
        or not 16 <= min(width, height) <= max(width, height) <= LONGEST_SIDE
    ):
        raise Unfit("its size")
    for sound in sounds:
        if _of(sound, "codec_name") != "aac" or _of(sound, "profile") not in ("LC", "HE-AAC"):
            raise Unfit("the codec of its sound")
        if not 0 < sound.get("channels", 0) <= MOST_CHANNELS:
            raise Unfit("the channels of its sound")
    duration = float(report["format"].get("duration", 0) or 0)
    if not duration or size * 8 / duration > MOST_BITS_A_SECOND:
        raise Unfit("its bit rate")
    return picture, sounds


def _is_image(stream: Report) -> bool:
    flags = stream.get("disposition", {})
    return bool(flags.get("attached_pic") or flags.get("timed_thumbnails"))


def _of(stream: Report, name: str) -> str:
    return str(stream.get(name, ""))


def _copy(
    source: Path,
    folder: Path,
    out: Path,
    report: Report,
    picture: Report,
    sounds: list[Report],
    on_tick: Callable[[], None],
) -> Output:
    _run_copy(source, folder, picture, sounds, on_tick)
    shown = samples_of(folder / "v.mp4")
    heard = [samples_of(folder / f"a-{number}.mp4") for number in range(len(sounds))]
    _refuse_times(shown, heard)
    _refuse_remarks((folder / "remarks.h264").read_bytes())
    video = folder / "v.mp4"
    rendition = Rendition(NAME, picture["width"], picture["height"], crf=0, maxrate=0, bufsize=0)
    tracks = [
        AudioTrack(
            index=sound["index"],
            codec="aac",
            language=language_of(sound.get("tags", {}).get("language", "")),
            title="",
            channels=sound["channels"],
        )
        for sound in sounds
    ]
    encoded = Encoded(
        videos=((rendition, video),),
        audios=tuple((track, folder / f"a-{n}.mp4") for n, track in enumerate(tracks)),
        frames=len(shown.times),
        frame_rate=Fraction(len(shown.times) / shown.end).limit_denominator(1001),
    )
    seconds = _segment_seconds(shown)
    packager.package(encoded, out, on_tick=on_tick, segment_seconds=seconds)
    make_poster(video, out, on_tick=on_tick)
    duration = round(max(shown.end, *(sound.end for sound in heard), 0), 3)
    result = Output(
        directory=out,
        duration_seconds=duration,
        width=rendition.width,
        height=rendition.height,
        frame_rate=len(shown.times) / shown.end,
        renditions=[
            {
                "name": NAME,
                "width": rendition.width,
                "height": rendition.height,
                "video_bitrate": round(video.stat().st_size * 8 / shown.end),
                "codecs": playlists.codecs_by_playlist(out / packager.MASTER)[f"{NAME}.m3u8"],
            }
        ],
        container=report["format"]["format_name"].split(",")[0],
        video_codec="h264",
        audio_codec="aac" if sounds else "",
        segment_seconds=seconds,
    )
    shutil.rmtree(folder)
    return result


def _run_copy(
    source: Path,
    folder: Path,
    picture: Report,
    sounds: list[Report],
    on_tick: Callable[[], None],
) -> None:
    """Copy each stream into an MP4 without metadata, and the keyframes' remarks into a file."""
    clean = ["-map_metadata", "-1", "-map_chapters", "-1", "-c", "copy"]
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y", "-xerror"]
    argv += untrusted_input(source)
    argv += ["-map", f"0:{picture['index']}", *clean, "-f", "mp4", "v.mp4"]
    for number, sound in enumerate(sounds):
        argv += ["-map", f"0:{sound['index']}", *clean, "-f", "mp4", f"a-{number}.mp4"]
    argv += ["-map", f"0:{picture['index']}", *clean]
    argv += ["-bsf:v", f"noise=drop=not(key),h264_mp4toannexb,filter_units=pass_types={SEI}-{SPS}"]
    argv += ["-f", "h264", "remarks.h264"]
    size = source.stat().st_size
    allowed = WALL_SECONDS + size / READ_BYTES
    done = cage.run(
        argv,
        reads=[source],
        writes=[folder],
        cwd=folder,
        cpu_seconds=allowed,
        wall_seconds=allowed,
        file_bytes=size + 1_000_000,
        on_tick=on_tick,
    )
    if done.returncode or done.stderr.strip():
        raise Unfit(f"FFmpeg cannot copy it: {done.stderr[-300:]}")
    if (folder / "remarks.h264").stat().st_size > MOST_REMARKS:
        raise Unfit("it has too many remarks")


def _refuse_times(shown: Samples, heard: list[Samples]) -> None:
    """Raise Unfit unless one clock runs evenly from the beginning to the end of all tracks."""
    rate = len(shown.times) / max(shown.end, 0.001)
    if not SLOWEST_RATE <= rate <= FASTEST_RATE:
        raise Unfit("its frame rate")
    if abs(shown.times[0]) > 0.001 or _longest_step(shown.times, shown.end) > MOST_PICTURE_SECONDS:
        raise Unfit("its picture begins late, is cut at the start, or has a gap")
    if shown.keyframes[:1] != shown.times[:1]:
        raise Unfit("it does not begin with a keyframe")
    if _longest_step(shown.keyframes, shown.end) > MOST_KEYFRAME_SECONDS + 0.001:
        raise Unfit("its keyframes are too far apart")
    for sound in heard:
        if not -APART_SECONDS <= sound.times[0] <= APART_SECONDS:
            raise Unfit("its sound begins at another time than its picture")
        if abs(sound.end - shown.end) > APART_SECONDS:
            raise Unfit("its sound ends at another time than its picture")
        if _longest_step(sound.times, sound.end) > MOST_SOUND_SECONDS:
            raise Unfit("its sound has a gap")


def _longest_step(times: list[float], end: float) -> float:
    return max(b - a for a, b in pairwise([*times, end]))


def _refuse_remarks(stream: bytes) -> None:
    """Raise Unfit if the picture changes its shape, is turned, or carries notes of its camera."""
    units = [unit for unit in re.split(rb"\x00\x00\x00?\x01", stream) if unit]
    if len({unit.rstrip(b"\0") for unit in units if unit[0] & 31 == SPS}) != 1:
        raise Unfit("its picture changes its shape")
    for unit in units:
        for kind, content in _messages(unit) if unit[0] & 31 == SEI else ():
            if kind in (USER_DATA_REGISTERED, ORIENTATION):
                raise Unfit("its picture is turned, or has captions in it")
            if kind == USER_DATA and not content.startswith(X264):
                raise Unfit("its picture carries metadata")


def _messages(unit: bytes) -> list[tuple[int, bytes]]:
    """Return kind and content of each message of an SEI unit (ITU-T H.264, 7.3.2.3)."""
    data = unit[1:].replace(b"\0\0\3", b"\0\0")
    found, position = [], 0
    while position + 2 < len(data):
        numbers = []
        for _ in range(2):
            number = 0
            while position < len(data) and data[position] == 255:
                number, position = number + 255, position + 1
            number += data[position] if position < len(data) else 0
            position += 1
            numbers.append(number)
        kind, size = numbers
        found.append((kind, data[position : position + size]))
        position += size
    return found


def _segment_seconds(shown: Samples) -> float:
    """Return the length of segments with which the last one is not too short to be played.

    It is at least the longest time between two keyframes, so that the segments with one number are of
    one time in picture and sound: what was delivered to a viewer is counted by these numbers.
    """
    longest = _longest_step(shown.keyframes, shown.end)
    least = max(float(packager.SEGMENT_SECONDS), floor(longest * 1000) / 1000)
    for half in range(MOST_HALVES):
        seconds = least + half / 2
        begins = [b for a, b in pairwise(shown.keyframes) if a // seconds != b // seconds]
        rest = shown.end - max(begins, default=0.0)
        if rest >= SHORTEST_SEGMENT_SECONDS or shown.end < seconds:
            return seconds
    raise Unfit("its last segment would be too short")
