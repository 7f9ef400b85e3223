"""Encoding all renditions and sound tracks of a source with one FFmpeg process, decoding it once."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from django.conf import settings

from config import processors

from . import cage, tools
from .errors import LimitReached, Rejected, ToolBroke, ToolFailed
from .formats import untrusted_input
from .ladder import Rendition
from .probe import AudioTrack, Probe
from .timing import length_of

GOP_SECONDS = 2
AUDIO_RATE = 48_000
AUDIO_BITRATE = 128_000
# With more threads FFmpeg needs more memory for each rendition and is no faster.
MOST_THREADS = 16
# The part of a video that may be missing: a fiftieth, and in short videos half a second, because
# picture and sound of a complete video need not end at the same time.
MISSING_SHARE = 0.02
MISSING_SECONDS = 0.5
EXCESS_SECONDS = 5  # by which an encoded file may be longer than the source says
FLOOR_SECONDS = 300  # that any encode may take
# FFmpeg's exit codes for a file that cannot be decoded. 183 is AVERROR_INVALIDDATA cut to a byte;
# 69 means that more frames failed than -max_error_rate allows.
DAMAGED_CODES = {183, 69}
TOLD_TO_STOP = 255  # FFmpeg's exit code after SIGTERM or SIGINT
BT709 = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


@dataclass(frozen=True)
class Encoded:
    """The encoded MP4 files, not packaged yet.

    There is one file for each rendition, the largest first, and one for each sound track. ``frames``
    is the number of pictures in each rendition.
    """

    videos: tuple[tuple[Rendition, Path], ...]
    audios: tuple[tuple[AudioTrack, Path], ...]
    frames: int


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
    progress = _Progress(video.duration_seconds)
    allowed = seconds_allowed(video)
    most = _largest_total(video, renditions)

    def tick() -> None:
        _refuse_output(progress, folder, most)
        on_percent(progress.percent)

    done = cage.run(
        command(source, video, renditions, container),
        reads=[source],
        writes=[folder],
        cwd=folder,
        cpu_seconds=allowed * processors.count(),
        wall_seconds=allowed,
        stall_seconds=settings.FFMPEG_STALL_SECONDS,
        file_bytes=_largest_file(video, renditions),
        on_line=progress.note,
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
    encoded = Encoded(
        videos=tuple((rendition, folder / _video_name(rendition)) for rendition in renditions),
        audios=tuple(
            (track, folder / _audio_name(number)) for number, track in enumerate(video.audio_tracks)
        ),
        frames=progress.frames,
    )
    _refuse_truncated(video, encoded)
    _refuse_output(progress, folder, most)
    for _, path in (*encoded.videos, *encoded.audios):
        if length_of(path) > video.duration_seconds + EXCESS_SECONDS:
            raise too_much_output()
    return encoded


def seconds_allowed(video: Probe) -> float:
    """Return how long the encode may take: PROCESSING_TIME_FACTOR seconds for each of a 1080p video.

    It is in proportion to the pixels a second: at least a quarter of that, because sound and decoding
    cost something in any size, and at most eight times, because no rendition is larger than 4K.
    """
    share = video.width * video.height * float(video.frame_rate) / (1920 * 1080 * 30)
    factor = settings.PROCESSING_TIME_FACTOR * min(8.0, max(0.25, share))
    return FLOOR_SECONDS + video.duration_seconds * factor


def _refuse_output(progress: "_Progress", folder: Path, most: int) -> None:
    """Raise Rejected if the encoded files are longer or larger than those of the video can be."""
    written = sum(file.stat().st_size for file in folder.iterdir())
    if progress.seconds > progress.duration_seconds + EXCESS_SECONDS or written > most:
        raise too_much_output()


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


def _refuse_truncated(video: Probe, encoded: Encoded) -> None:
    """Raise Rejected if the encoded files are clearly shorter than the source should be.

    FFmpeg reports success at the end of a file even if the file was cut off.
    """
    allowed = max(MISSING_SECONDS, video.duration_seconds * MISSING_SHARE)
    made = float(encoded.frames / video.frame_rate)
    if video.duration_seconds - made > allowed and not video.duration_of_picture:
        made = max(made, *(length_of(path) for _, path in encoded.audios), 0)
    if video.duration_seconds - made > allowed:
        raise Rejected(
            "truncated",
            f"The video should last {video.duration_seconds:.1f} s, but its file ends after "
            f"{made:.1f} s. Upload the complete file.",
        )


def command(
    source: Path,
    video: Probe,
    renditions: tuple[Rendition, ...],
    container: Callable[[str], list[str]] | None = None,
) -> list[str]:
    """Return FFmpeg's arguments. The outputs are relative to its working directory."""
    threads, container = _threads(), container or _mp4
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    argv += ["-progress", "pipe:1", "-stats_period", "0.5", "-nostats"]
    longest = max(0.0, video.video_delay_seconds) + video.duration_seconds + 1
    # At the output, too, because a filter may fill a gap between timestamps with pictures or silence.
    at_most = ["-t", f"{video.duration_seconds + 1:.3f}"]
    argv += [*threads, "-t", f"{longest:.3f}", *untrusted_input(source)]
    argv += ["-filter_complex", video_graph(video, renditions)]
    for number, rendition in enumerate(renditions):
        argv += ["-map", f"[v{number}]", *_video_encoder(rendition, video.frame_rate), *threads]
        argv += [*at_most, *container(_video_name(rendition))]
    for number, track in enumerate(video.audio_tracks):
        argv += ["-map", f"0:{track.index}", *_audio_encoder(video), *at_most]
        argv += container(_audio_name(number))
    return argv


def video_graph(video: Probe, renditions: tuple[Rendition, ...]) -> str:
    """Return FFmpeg's filter graph from the decoded picture to one output for each rendition.

    Deinterlacing and starting at time 0 are done once for all renditions, then each is scaled. FFmpeg
    itself turns rotated pictures upright before the first filter.
    """
    shared = ["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []
    shared += ["setpts=PTS-STARTPTS"]
    if video.frames_thinned:  # here, so that only the frames that are kept are scaled
        shared.append(f"fps=fps={video.frame_rate.numerator}/{video.frame_rate.denominator}")
    outputs = "".join(f"[s{number}]" for number in range(len(renditions)))
    graph = [
        f"[0:{video.video_stream_index}]{','.join(shared)},split={len(renditions)}{outputs}",
        *(
            f"[s{number}]{_scale(video, rendition)},setsar=1,format=yuv420p,{BT709}[v{number}]"
            for number, rendition in enumerate(renditions)
        ),
    ]
    return ";".join(graph)


def _scale(video: Probe, rendition: Rendition) -> str:
    size = f"{rendition.width}:{rendition.height}"
    scale = f"scale={size}:flags=bicubic:out_color_matrix=bt709:out_range=tv"
    if video.hdr:  # for tone mapping, swscale needs the complete target
        return f"{scale}:out_primaries=bt709:out_transfer=bt709:intent=perceptual"
    return f"{scale}:in_color_matrix={video.color_matrix}"


def _video_encoder(rendition: Rendition, rate: Fraction) -> list[str]:
    return [
        *("-c:v", "libx264", "-preset", settings.FFMPEG_PRESET, "-profile:v", "high"),
        *("-crf", str(rendition.crf), "-maxrate", str(rendition.maxrate)),
        *("-bufsize", str(rendition.bufsize)),
        # Keyframes only where they are forced, which is at the same times in all renditions.
        *("-x264-params", "scenecut=0:open_gop=0:keyint=600:min-keyint=1"),
        *("-force_key_frames", f"expr:gte(t,n_forced*{GOP_SECONDS})"),
        # Even timestamps. Jitter of less than a frame is rounded away (containers keep
        # milliseconds), so that a constant rate keeps every frame, exactly once.
        *("-fps_mode", "cfr", "-r", f"{rate.numerator}/{rate.denominator}"),
    ]


def _audio_encoder(video: Probe) -> list[str]:
    """Return the arguments of a sound track: stereo AAC that begins together with the picture.

    Sound that starts earlier or later than the picture is cut, or padded with silence.
    """
    align = f"asetpts=PTS-({video.video_delay_seconds:.6f})/TB,aresample=async=1:first_pts=0"
    return [
        *("-af", align, "-c:a", "aac", "-b:a", str(AUDIO_BITRATE)),
        *("-ac", "2", "-ar", str(AUDIO_RATE)),
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
