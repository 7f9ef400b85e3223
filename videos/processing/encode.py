"""Encoding the renditions and sound tracks of a source, in as few FFmpeg processes as memory allows.

Every rendition and every sound track lasts exactly as long as the video (``timing``): where the source
has no picture, the one before it is held, and where it has no sound there is silence. A source whose
picture or sound changes its shape on the way is made even first (``evening``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from django.conf import settings

from config import processors

from . import cage, evening, tools
from .batches import batches, work
from .emptiness import Emptiness
from .errors import LimitReached, Rejected, ToolBroke, ToolFailed
from .evening import Opened, ShapeChanged
from .graphs import Part, audio_graph, rate_text, video_graph
from .ladder import AV1, Rendition
from .openings import first_picture
from .probe import AudioTrack, Probe

GOP_SECONDS = 2
# Players stall on a segment of one or two pictures, so no keyframe begins one so close to the end.
SHORTEST_SEGMENT_SECONDS = 0.5
AUDIO_BITRATE = 128_000
# With more threads FFmpeg needs more memory for each rendition and is no faster.
MOST_THREADS = 16
# The part of the packets that may be impossible to decode: a fiftieth, or half a second.
DAMAGED_SHARE = Fraction(1, 50)
DAMAGED_SECONDS = Fraction(1, 2)
EXCESS_SECONDS = 5  # by which FFmpeg's output may be ahead of the end of the video
FLOOR_SECONDS = 300  # that any encode may take
# FFmpeg's exit codes for a file that cannot be decoded. 183 is AVERROR_INVALIDDATA cut to a byte;
# 69 means that more frames failed than -max_error_rate allows.
DAMAGED_CODES = {183, 69}
# "Input stream #0:0 (video): 150 packets read (…); 150 frames decoded; 0 decode errors" by `-v verbose`.
_ACCOUNT = re.compile(
    r"Input stream #0:\d+ \((video|audio)\): (\d+) packets read .*; (\d+) decode errors"
)
LEAD_SECONDS = 2  # by which a part may be decoded too early, beside two keyframes
LEAD_PICTURES = 2  # that are decoded before a part: bwdif looks at the one before
TOLD_TO_STOP = 255  # FFmpeg's exit code after SIGTERM or SIGINT


class NotExact(Exception):
    """A part, encoded by itself, would not have the pictures that it has in the whole video."""


@dataclass(frozen=True)
class Encoded:
    """The encoded MP4 files, not packaged yet.

    There is one file for each rendition, the largest first, and one for each sound track. Each lasts
    ``frames`` pictures at ``frame_rate``. ``empty_seconds`` has how long the source's picture is black
    ("v") and each sound track is silent ("a0", "a1", …).
    """

    videos: tuple[tuple[Rendition, Path], ...]
    audios: tuple[tuple[AudioTrack, Path], ...]
    frames: int
    frame_rate: Fraction
    empty_seconds: Mapping[str, float] = field(default_factory=dict)


def encode(
    source: Path,
    video: Probe,
    renditions: tuple[Rendition, ...],
    folder: Path,
    *,
    on_percent: Callable[[int], None],
    container: Callable[[str], list[str]] | None = None,
) -> Encoded:
    """Encode ``source`` into the existing, empty ``folder``.

    ``on_percent`` is called with 0 to 100 about twice a second; an exception in it stops FFmpeg and is
    passed on. ``container(name)`` returns FFmpeg's arguments for one output; by default a plain MP4.
    Raises Rejected if the video is damaged or truncated, and ToolFailed if FFmpeg fails for
    another reason.
    """
    opened = evening.as_it_is(source, video)
    try:
        if video.timing.picture.aspects:
            raise ShapeChanged("The shape of the pixels changes.")
        empty = run(opened, renditions, folder, on_percent, container)
    except ShapeChanged:
        opened = evening.make_even(
            opened, folder, seconds=seconds_allowed(video), on_percent=lambda _: on_percent(0)
        )
        empty = run(opened, renditions, folder, on_percent, container)
        opened.path.unlink()
    return Encoded(
        videos=tuple((rendition, folder / video_name(rendition)) for rendition in renditions),
        audios=tuple(
            (track, folder / audio_name(number)) for number, track in enumerate(video.audio_tracks)
        ),
        frames=video.timing.frames,
        frame_rate=video.frame_rate,
        empty_seconds=empty.seconds,
    )


def run(
    opened: Opened,
    renditions: tuple[Rendition, ...],
    folder: Path,
    on_percent: Callable[[int], None],
    container: Callable[[str], list[str]] | None = None,
    part: Part | None = None,
    threads: int = 0,
) -> Emptiness:
    """Encode one batch of renditions after another; the first makes the sound as well.

    With ``part`` only its pictures are encoded; ``threads`` is as FFMPEG_THREADS, by default that.
    Raises what ``encode`` does, ShapeChanged, and NotExact.
    """
    whole, done = work(renditions), 0.0
    empty, current = None, opened
    for batch in batches(renditions):
        share = work(batch) / whole

        def report(percent: int, before: float = done, share: float = share) -> None:
            on_percent(int(before * 100 + share * percent))

        found = _run(current, batch, folder, report, container, part, threads)
        empty = empty or found
        done += share
        current = replace(opened, video=replace(opened.video, audio_tracks=()))
    if empty is None:
        raise ValueError("There are no renditions to encode.")
    return empty


def run_sound(opened: Opened, folder: Path, on_percent: Callable[[int], None]) -> Emptiness:
    """Encode only the sound tracks. Raises what ``encode`` does, and ShapeChanged."""
    return _run(opened, (), folder, on_percent, None, None)


def _run(
    opened: Opened,
    renditions: tuple[Rendition, ...],
    folder: Path,
    on_percent: Callable[[int], None],
    container: Callable[[str], list[str]] | None,
    part: Part | None,
    threads: int = 0,
) -> Emptiness:
    video = opened.video
    seconds = float(part.frames / video.frame_rate) if part else video.duration_seconds
    watch, empty = evening.Watch(), Emptiness()
    progress = _Progress(seconds)
    allowed = seconds_allowed(video, seconds)
    most = _largest_total(video, renditions, seconds)
    before = _size(folder)

    def listen(remark: str) -> None:
        watch(remark)
        empty.note(remark)

    def tick() -> None:
        ahead = progress.seconds > seconds + EXCESS_SECONDS
        if ahead or _size(folder) - before > most:
            raise too_much_output()
        on_percent(progress.percent)

    done = cage.run(
        command(opened, renditions, container, part, threads),
        reads=[opened.path],
        writes=[folder],
        cwd=folder,
        cpu_seconds=allowed * processors.count(),
        wall_seconds=allowed,
        stall_seconds=settings.FFMPEG_STALL_SECONDS,
        file_bytes=_largest_file(renditions, seconds),
        on_line=progress.note,
        on_remark=listen,
        processes=max(cage.PROCESSES, 128 + 12 * settings.FFMPEG_THREADS),
        on_tick=tick,
    )
    is_empty = bool(renditions) and not progress.frames
    if done.returncode in DAMAGED_CODES or (not done.returncode and is_empty):
        raise Rejected(
            "damaged",
            "The video is damaged and cannot be decoded. Export the video again and upload it.",
            said=done.stderr,
        )
    if done.returncode:
        raise _failure(done)
    if part:
        _refuse_inexact(video, part, done.stderr)
    else:
        _refuse_damage(video, done.stderr)
    return empty


def seconds_allowed(video: Probe, seconds: float | None = None) -> float:
    """Return how long the encode of the video, or of ``seconds`` of it, may take.

    That is PROCESSING_TIME_FACTOR seconds for each of a 1080p video, beside FLOOR_SECONDS.

    It is in proportion to the pixels a second: at least a quarter of that, because sound and decoding
    cost something in any size, and at most eight times, because no rendition is larger than 4K.
    """
    share = video.width * video.height * float(video.frame_rate) / (1920 * 1080 * 30)
    factor = settings.PROCESSING_TIME_FACTOR * min(8.0, max(0.25, share))
    return FLOOR_SECONDS + (video.duration_seconds if seconds is None else seconds) * factor


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def too_much_output() -> Rejected:
    return Rejected(
        "too_much_output",
        "The processed video became longer or larger than the file says that the video is. Export the "
        "video again and upload it.",
    )


def _failure(done: cage.Finished) -> ToolFailed:
    detail = f"FFmpeg ended with {done.returncode}. {done.stderr[-2000:]}"
    if done.ran_out_of_memory:
        return LimitReached("memory", detail)
    return ToolFailed(detail) if done.returncode == TOLD_TO_STOP else ToolBroke(detail)


def _refuse_damage(video: Probe, remarks: str) -> None:
    """Raise Rejected if too much of picture or sound could not be decoded, by FFmpeg's own account."""
    for kind, read, failed in _ACCOUNT.findall(remarks):
        read, failed = int(read), int(failed)
        packets_a_second = Fraction(read) / video.timing.duration
        if failed > max(read * DAMAGED_SHARE, packets_a_second * DAMAGED_SECONDS):
            what = "pictures" if kind == "video" else "pieces of sound"
            raise Rejected(
                "damaged",
                f"{failed} of {read} {what} are damaged and cannot be decoded. Export the video again "
                "and upload it.",
            )


def _refuse_inexact(video: Probe, part: Part, remarks: str) -> None:
    """Raise NotExact unless the pictures of ``part`` are those that the whole encode would have.

    The first picture that was decoded completely must be shown before the part begins, and must have the
    shape of the video's first one. It must not be shown long before, or each part would be decoded from
    the beginning. A part without damage is needed, because decoders repair damage with pictures from
    before.
    """
    if any(int(failed) for _, _, failed in _ACCOUNT.findall(remarks)):
        raise NotExact("There is damage in it.")
    found, first = first_picture(remarks), video.timing.picture
    if found is None:
        raise NotExact("No keyframe was decoded.")
    before = video.timing.start + part.first / video.frame_rate - found.at
    if part.first and before < 0:
        raise NotExact(f"It begins at {float(found.at):.3f} s, after its first picture.")
    if part.first and before > 2 * video.timing.keyframe_gap + LEAD_SECONDS:
        raise NotExact(
            f"FFmpeg came only to {float(found.at):.3f} s, and not near to its beginning."
        )
    if (found.width, found.height, found.aspect) != (first.width, first.height, first.aspect):
        raise NotExact("The shape of the picture has changed.")


def _seek(video: Probe, part: Part | None) -> list[str]:
    """Return FFmpeg's input arguments to begin at a keyframe well before the part."""
    if not part or part.first <= LEAD_PICTURES:
        return []
    at = video.timing.start + (part.first - LEAD_PICTURES) / video.frame_rate
    return ["-noaccurate_seek", "-seek_timestamp", "1", "-ss", f"{float(at):.6f}"]


def command(
    opened: Opened,
    renditions: tuple[Rendition, ...],
    container: Callable[[str], list[str]] | None = None,
    part: Part | None = None,
    threads: int = 0,
) -> list[str]:
    """Return FFmpeg's arguments. The outputs are relative to its working directory."""
    video, container = opened.video, container or _mp4
    limit = _threads(threads or settings.FFMPEG_THREADS)
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "verbose", "-y"]
    argv += ["-progress", "pipe:1", "-stats_period", "0.5", "-nostats"]
    argv += [*limit, *_seek(video, part), *opened.arguments]
    if renditions:
        argv += ["-filter_complex", video_graph(video, renditions, part)]
    for number, track in enumerate(video.audio_tracks):
        argv += ["-filter_complex", audio_graph(video, track, number)]
    for number, rendition in enumerate(renditions):
        argv += ["-map", f"[v{number}]", *video_encoder(rendition, video, part), *limit]
        argv += container(video_name(rendition))
    for number in range(len(video.audio_tracks)):
        argv += ["-map", f"[a{number}]", "-c:a", "aac", "-b:a", str(AUDIO_BITRATE)]
        argv += container(audio_name(number))
    return argv


def video_encoder(rendition: Rendition, video: Probe, part: Part | None = None) -> list[str]:
    """Return FFmpeg's arguments to encode one rendition, with the keyframes of the whole video."""
    last = video.duration_seconds - SHORTEST_SEGMENT_SECONDS
    now, forced = "t", "n_forced"
    if part and part.first:
        # A whole encode would have forced one for each GOP before; the slack is for rounding.
        begins = part.first / video.frame_rate
        now, forced = f"(t+{float(begins):.6f}+0.0001)", f"(n_forced+{begins // GOP_SECONDS})"
    # Keyframes only where they are forced, which is at the same times in all renditions.
    if rendition.codec == AV1:
        codec = ["-c:v", "libsvtav1", "-preset", str(settings.AV1_PRESET)]
        codec += ["-svtav1-params", "keyint=-1:scd=0:force-key-frames=1:lp=1"]
    else:
        codec = ["-c:v", "libx264", "-preset", settings.FFMPEG_PRESET, "-profile:v", "high"]
        codec += ["-x264-params", "scenecut=0:open_gop=0:keyint=infinite:min-keyint=1"]
    return [
        *codec,
        *("-crf", str(rendition.crf), "-maxrate", str(rendition.maxrate)),
        *("-bufsize", str(rendition.bufsize)),
        *(
            "-force_key_frames",
            f"expr:gte({now},{forced}*{GOP_SECONDS})*lte({now},{last:.6f})+eq(n,0)",
        ),
        *("-fps_mode", "cfr", "-r", rate_text(video.frame_rate)),
    ]


def _mp4(name: str) -> list[str]:
    """Return the arguments for a plain MP4 without metadata.

    It is not fragmented, because a fragmented MP4 loses the edit list with the encoder's delay.
    """
    clean = ["-dn", "-sn", "-map_metadata", "-1", "-map_chapters", "-1"]
    return [*clean, "-movflags", "+faststart", "-f", "mp4", name]


def _threads(count: int) -> list[str]:
    """Return the argument for so many threads; 0 leaves the choice to FFmpeg, up to MOST_THREADS."""
    if not count and processors.count() > MOST_THREADS:
        count = MOST_THREADS
    return ["-threads", str(count)] if count else []


def _largest_file(renditions: tuple[Rendition, ...], seconds: float) -> int:
    """Return the number of bytes that no encoded file may exceed.

    It is half as much again as the largest rendition has at its maximum rate, and 64 MiB.
    """
    maxrate = max((rendition.maxrate for rendition in renditions), default=AUDIO_BITRATE)
    return int(seconds * maxrate / 8 * 1.5) + 64 * 1024 * 1024


def _largest_total(video: Probe, renditions: tuple[Rendition, ...], seconds: float) -> int:
    """Return the number of bytes that all encoded files together may not exceed, as _largest_file."""
    rates = sum(rendition.maxrate for rendition in renditions)
    rates += AUDIO_BITRATE * len(video.audio_tracks)
    return int(seconds * rates / 8 * 1.5) + 64 * 1024 * 1024


def video_name(rendition: Rendition) -> str:
    return f"v-{rendition.name}.mp4"


def audio_name(number: int) -> str:
    return f"a-{number}.mp4"


class _Progress:
    """The progress of FFmpeg, read from its ``-progress`` lines: percent of the video, and frames."""

    def __init__(self, duration_seconds: float):
        self.duration_seconds = duration_seconds
        self.percent = 0
        self.frames = 0
        self.seconds = 0.0  # of output
        self._seen: dict[str, str] = {}

    def note(self, line: str) -> bool:
        """Read one line. Return whether it shows progress since the last line with the same key."""
        key, _, value = line.strip().partition("=")
        if key not in ("frame", "out_time_us", "total_size") or self._seen.get(key) == value:
            return False
        self._seen[key] = value
        if key == "frame":
            self.frames = int(value)
        if key == "out_time_us" and value.lstrip("-").isdigit():
            self.seconds = int(value) / 1e6
            share = self.seconds / self.duration_seconds
            self.percent = max(self.percent, min(100, int(share * 100)))
        return True
