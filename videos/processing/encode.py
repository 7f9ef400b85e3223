"""Encoding all renditions and sound tracks of a source: in H.264 with one FFmpeg process.

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

from . import cage, emptiness, evening, tools
from .batches import batches, work
from .emptiness import Emptiness
from .errors import LimitReached, Rejected, ToolBroke, ToolFailed
from .evening import Opened, ShapeChanged
from .ladder import AV1, Rendition
from .probe import AudioTrack, Probe

GOP_SECONDS = 2
# Players stall on a segment of one or two pictures, so no keyframe begins one so close to the end.
SHORTEST_SEGMENT_SECONDS = 0.5
AUDIO_RATE = 48_000
AUDIO_BITRATE = 128_000
AAC_FRAME = 1024  # samples
SOUND_JITTER = 0.015  # seconds by which the times of sound may be wrong without being put right
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
TOLD_TO_STOP = 255  # FFmpeg's exit code after SIGTERM or SIGINT
BT709 = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


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
        empty = _run_all(opened, renditions, folder, on_percent, container)
    except ShapeChanged:
        opened = evening.make_even(
            opened, folder, seconds=seconds_allowed(video), on_percent=lambda _: on_percent(0)
        )
        empty = _run_all(opened, renditions, folder, on_percent, container)
        opened.path.unlink()
    return Encoded(
        videos=tuple((rendition, folder / _video_name(rendition)) for rendition in renditions),
        audios=tuple(
            (track, folder / _audio_name(number)) for number, track in enumerate(video.audio_tracks)
        ),
        frames=video.timing.frames,
        frame_rate=video.frame_rate,
        empty_seconds=empty.seconds,
    )


def _run_all(
    opened: Opened,
    renditions: tuple[Rendition, ...],
    folder: Path,
    on_percent: Callable[[int], None],
    container: Callable[[str], list[str]] | None,
) -> Emptiness:
    """Encode one batch of renditions after another; the first makes the sound as well."""
    whole, done = work(renditions), 0.0
    empty, current = None, opened
    for batch in batches(renditions):
        share = work(batch) / whole

        def report(percent: int, before: float = done, share: float = share) -> None:
            on_percent(int(before * 100 + share * percent))

        found = _run(current, batch, folder, report, container)
        empty = empty or found
        done += share
        current = replace(opened, video=replace(opened.video, audio_tracks=()))
    if empty is None:
        raise ValueError("There are no renditions to encode.")
    return empty


def _run(
    opened: Opened,
    renditions: tuple[Rendition, ...],
    folder: Path,
    on_percent: Callable[[int], None],
    container: Callable[[str], list[str]] | None,
) -> Emptiness:
    video = opened.video
    watch, empty = evening.Watch(), Emptiness()
    progress = _Progress(video.duration_seconds)
    allowed = seconds_allowed(video)
    most = _largest_total(video, renditions)
    before = _size(folder)

    def listen(remark: str) -> None:
        watch(remark)
        empty.note(remark)

    def tick() -> None:
        ahead = progress.seconds > video.duration_seconds + EXCESS_SECONDS
        if ahead or _size(folder) - before > most:
            raise too_much_output()
        on_percent(progress.percent)

    done = cage.run(
        command(opened, renditions, container),
        reads=[opened.path],
        writes=[folder],
        cwd=folder,
        cpu_seconds=allowed * processors.count(),
        wall_seconds=allowed,
        stall_seconds=settings.FFMPEG_STALL_SECONDS,
        file_bytes=_largest_file(video, renditions),
        on_line=progress.note,
        on_remark=listen,
        processes=max(cage.PROCESSES, 128 + 12 * settings.FFMPEG_THREADS),
        on_tick=tick,
    )
    if done.returncode in DAMAGED_CODES or (not done.returncode and not progress.frames):
        raise Rejected(
            "damaged",
            "The video is damaged and cannot be decoded. Export the video again and upload it.",
            said=done.stderr,
        )
    if done.returncode:
        raise _failure(done)
    _refuse_damage(video, done.stderr)
    return empty


def seconds_allowed(video: Probe) -> float:
    """Return how long the encode may take: PROCESSING_TIME_FACTOR seconds for each of a 1080p video.

    It is in proportion to the pixels a second: at least a quarter of that, because sound and decoding
    cost something in any size, and at most eight times, because no rendition is larger than 4K.
    """
    share = video.width * video.height * float(video.frame_rate) / (1920 * 1080 * 30)
    factor = settings.PROCESSING_TIME_FACTOR * min(8.0, max(0.25, share))
    return FLOOR_SECONDS + video.duration_seconds * factor


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


def command(
    opened: Opened,
    renditions: tuple[Rendition, ...],
    container: Callable[[str], list[str]] | None = None,
) -> list[str]:
    """Return FFmpeg's arguments. The outputs are relative to its working directory."""
    video, threads, container = opened.video, _threads(), container or _mp4
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "verbose", "-y"]
    argv += ["-progress", "pipe:1", "-stats_period", "0.5", "-nostats"]
    argv += [*threads, *opened.arguments]
    argv += ["-filter_complex", video_graph(video, renditions)]
    for number, track in enumerate(video.audio_tracks):
        argv += ["-filter_complex", audio_graph(video, track, number)]
    for number, rendition in enumerate(renditions):
        argv += ["-map", f"[v{number}]", *_video_encoder(rendition, video), *threads]
        argv += container(_video_name(rendition))
    for number in range(len(video.audio_tracks)):
        argv += ["-map", f"[a{number}]", "-c:a", "aac", "-b:a", str(AUDIO_BITRATE)]
        argv += container(_audio_name(number))
    return argv


def video_graph(video: Probe, renditions: tuple[Rendition, ...]) -> str:
    """Return FFmpeg's filter graph from the decoded picture to one output for each rendition.

    Deinterlacing and the pictures' times are done once for all renditions, then each is scaled. FFmpeg
    itself turns pictures upright before the first filter.
    """
    timing = video.timing
    shared = ["bwdif=mode=send_frame:deint=interlaced"] if timing.picture.interlaced else []
    shared += [
        f"setpts=PTS-({float(timing.start):.9f})/TB",
        f"fps=fps={_text(timing.frame_rate)}:start_time=0",
        "tpad=stop=-1:stop_mode=clone",
        f"trim=end_frame={timing.frames}",
    ]
    outputs = "".join(f"[s{number}]" for number in range(len(renditions)))
    graph = [
        f"[0:{video.video_stream_index}]{','.join(shared)},split={len(renditions)}{outputs}",
        *(
            f"[s{number}]{_scale(video, rendition)},setsar=1,format=yuv420p,{BT709}"
            f"{',' + emptiness.black('v') if rendition is renditions[-1] else ''}[v{number}]"
            for number, rendition in enumerate(renditions)
        ),
    ]
    return ";".join(graph)


def audio_graph(video: Probe, track: AudioTrack, number: int) -> str:
    """Return FFmpeg's filter graph of a sound track: stereo that lasts as long as the video.

    It ends with the last whole frame of AAC that fits.
    """
    mix = evening.stereo(track)
    place = f"asetpts=PTS-({float(video.timing.start):.9f})/TB"
    fill = f"aresample={AUDIO_RATE}:async=1:first_pts=0:min_hard_comp={SOUND_JITTER}"
    # Whole frames of AAC: dash.js pauses before the end if sound outlasts what the manifest states.
    samples = int(video.timing.duration * AUDIO_RATE) // AAC_FRAME * AAC_FRAME
    last = f"apad=whole_len={samples},atrim=end_sample={samples},{emptiness.silence(f'a{number}')}"
    last += f"[a{number}]"
    if track.other_index is None:
        return f"[0:{track.index}]{mix},{place},{fill},{last}"
    left = f"[0:{track.index}]{place},{fill},apad=whole_len={samples}[l]"
    right = f"[0:{track.other_index}]{place},{fill},apad=whole_len={samples}[r]"
    return f"{left};{right};[l][r]join=inputs=2:channel_layout=stereo,{last}"


def _text(rate: Fraction) -> str:
    return f"{rate.numerator}/{rate.denominator}"


def _scale(video: Probe, rendition: Rendition) -> str:
    size = f"{rendition.width}:{rendition.height}"
    scale = f"scale={size}:flags=bicubic:out_color_matrix=bt709:out_range=tv"
    if video.hdr:  # for tone mapping, swscale needs the complete target
        return f"{scale}:out_primaries=bt709:out_transfer=bt709:intent=perceptual"
    return f"{scale}:in_color_matrix={video.color_matrix}"


def _video_encoder(rendition: Rendition, video: Probe) -> list[str]:
    last = video.duration_seconds - SHORTEST_SEGMENT_SECONDS
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
        *("-force_key_frames", f"expr:gte(t,n_forced*{GOP_SECONDS})*lte(t,{last:.6f})+eq(n,0)"),
        *("-fps_mode", "cfr", "-r", _text(video.frame_rate)),
    ]


def _mp4(name: str) -> list[str]:
    """Return the arguments for a plain MP4 without metadata.

    It is not fragmented, because a fragmented MP4 loses the edit list with the encoder's delay.
    """
    clean = ["-dn", "-sn", "-map_metadata", "-1", "-map_chapters", "-1"]
    return [*clean, "-movflags", "+faststart", "-f", "mp4", name]


def _threads() -> list[str]:
    """Return the argument for FFMPEG_THREADS; 0 leaves the choice to FFmpeg, up to MOST_THREADS."""
    count = settings.FFMPEG_THREADS
    if not count and processors.count() > MOST_THREADS:
        count = MOST_THREADS
    return ["-threads", str(count)] if count else []


def _largest_file(video: Probe, renditions: tuple[Rendition, ...]) -> int:
    """Return the number of bytes that no encoded file may exceed.

    It is half as much again as the largest rendition has at its maximum rate, and 64 MiB.
    """
    maxrate = max(rendition.maxrate for rendition in renditions)
    return int(video.duration_seconds * maxrate / 8 * 1.5) + 64 * 1024 * 1024


def _largest_total(video: Probe, renditions: tuple[Rendition, ...]) -> int:
    """Return the number of bytes that all encoded files together may not exceed, as _largest_file."""
    rates = sum(rendition.maxrate for rendition in renditions)
    rates += AUDIO_BITRATE * len(video.audio_tracks)
    return int(video.duration_seconds * rates / 8 * 1.5) + 64 * 1024 * 1024


def _video_name(rendition: Rendition) -> str:
    return f"v-{rendition.name}.mp4"


def _audio_name(number: int) -> str:
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
