"""Every rendition of a video from one FFmpeg process: one decode, split into all rungs."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from django.conf import settings

from . import cage, tools
from .errors import Rejected, ToolFailed
from .formats import untrusted_input
from .ladder import Rung
from .probe import AudioTrack, Probe
from .timing import length_of

GOP_SECONDS = 2
AUDIO_RATE = 48_000
AUDIO_BITRATE = 128_000
# More threads cost memory for each rung and gain nothing.
MOST_THREADS = 16
# What is missing without a word: a fiftieth, or as much as streams' ends differ in short clips.
MISSING_SHARE = 0.02
MISSING_SECONDS = 0.5
# FFmpeg's exit code is its error, cut to a byte: invalid data, and too many frames undecodable.
VIDEO_CODES = {183, 69}
BT709 = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"


@dataclass(frozen=True)
class Encoded:
    """Plain MP4 files: one of each rung, in the ladder's order, one of each audio track."""

    videos: tuple[tuple[Rung, Path], ...]
    audios: tuple[tuple[AudioTrack, Path], ...]
    frames: int


def encode(
    source: Path,
    video: Probe,
    rungs: tuple[Rung, ...],
    folder: Path,
    *,
    on_percent: Callable[[int], None],
) -> Encoded:
    """Write all renditions of ``source`` to the existing, empty ``folder``.

    ``on_percent`` gets 0..100, about twice a second; what it raises stops FFmpeg and comes through.
    Raises Rejected if the video turns out damaged or truncated, ToolFailed otherwise.
    """
    progress = _Progress(video.duration_seconds)
    megapixels = video.width * video.height / 1e6 * float(video.frame_rate) / 30
    allowance = 600 + video.duration_seconds * (20 + 30 * megapixels)
    done = cage.run(
        command(source, video, rungs),
        reads=[source],
        writes=[folder],
        cwd=folder,
        cpu_seconds=allowance,
        wall_seconds=allowance,
        stall_seconds=settings.FFMPEG_STALL_SECONDS,
        file_bytes=_largest_file(video, rungs),
        on_line=progress.note,
        on_tick=lambda: on_percent(progress.percent),
    )
    if done.returncode in VIDEO_CODES or (not done.returncode and not progress.frames):
        raise Rejected("damaged", "The video is damaged and can't be decoded.")
    if done.returncode:
        raise ToolFailed(f"FFmpeg ended with {done.returncode}. {done.stderr[-2000:]}")
    encoded = Encoded(
        videos=tuple((rung, folder / _video_name(rung)) for rung in rungs),
        audios=tuple(
            (track, folder / _audio_name(number)) for number, track in enumerate(video.audio_tracks)
        ),
        frames=progress.frames,
    )
    _refuse_truncated(video, encoded)
    return encoded


def _refuse_truncated(video: Probe, encoded: Encoded) -> None:
    """FFmpeg stops at a file's end and calls it a success, wherever that is."""
    allowed = max(MISSING_SECONDS, video.duration_seconds * MISSING_SHARE)
    made = float(encoded.frames / video.frame_rate)
    if video.duration_seconds - made > allowed and not video.duration_of_picture:
        made = max(made, *(length_of(path) for _, path in encoded.audios), 0)
    if video.duration_seconds - made > allowed:
        raise Rejected(
            "truncated",
            f"The video should last {video.duration_seconds:.1f} s, but only {made:.1f} s are there.",
        )


def command(source: Path, video: Probe, rungs: tuple[Rung, ...]) -> list[str]:
    """FFmpeg's arguments; the outputs are names relative to its working directory."""
    threads = _threads()
    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    argv += ["-progress", "pipe:1", "-stats_period", "0.5", "-nostats"]
    longest = max(0.0, video.video_delay_seconds) + video.duration_seconds + 1
    argv += [*threads, "-t", f"{longest:.3f}", *untrusted_input(source)]
    argv += ["-filter_complex", video_graph(video, rungs)]
    for number, rung in enumerate(rungs):
        argv += ["-map", f"[v{number}]", *_video_encoder(rung, video.frame_rate), *threads]
        argv += _mp4(_video_name(rung))
    for number, track in enumerate(video.audio_tracks):
        argv += ["-map", f"0:{track.index}", *_audio_encoder(video), *_mp4(_audio_name(number))]
    return argv


def video_graph(video: Probe, rungs: tuple[Rung, ...]) -> str:
    """Decode → once for all rungs: deinterlace, begin at 0 → split → scale each.

    FFmpeg turns rotated pictures upright before the first filter.
    """
    shared = ["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []
    shared += ["setpts=PTS-STARTPTS"]
    if video.frames_thinned:  # before they are scaled
        shared.append(f"fps=fps={video.frame_rate.numerator}/{video.frame_rate.denominator}")
    outputs = "".join(f"[s{number}]" for number in range(len(rungs)))
    graph = [
        f"[0:{video.video_stream_index}]{','.join(shared)},split={len(rungs)}{outputs}",
        *(
            f"[s{number}]{_scale(video, rung)},setsar=1,format=yuv420p,{BT709}[v{number}]"
            for number, rung in enumerate(rungs)
        ),
    ]
    return ";".join(graph)


def _scale(video: Probe, rung: Rung) -> str:
    scale = f"scale={rung.width}:{rung.height}:flags=bicubic:out_color_matrix=bt709:out_range=tv"
    if video.hdr:  # tone mapping: swscale needs to know all of the target
        return f"{scale}:out_primaries=bt709:out_transfer=bt709:intent=perceptual"
    return f"{scale}:in_color_matrix={video.color_matrix}"


def _video_encoder(rung: Rung, rate: Fraction) -> list[str]:
    return [
        *("-c:v", "libx264", "-preset", settings.FFMPEG_PRESET, "-profile:v", "high"),
        *("-crf", str(rung.crf), "-maxrate", str(rung.maxrate), "-bufsize", str(rung.bufsize)),
        # Keyframes only where they are forced: at the same moments in every rung.
        *("-x264-params", "scenecut=0:open_gop=0:keyint=600:min-keyint=1"),
        *("-force_key_frames", f"expr:gte(t,n_forced*{GOP_SECONDS})"),
        # Even timestamps. Jitter of less than a frame is rounded away (containers keep
        # milliseconds), so that a constant rate keeps every frame, exactly once.
        *("-fps_mode", "cfr", "-r", f"{rate.numerator}/{rate.denominator}"),
    ]


def _audio_encoder(video: Probe) -> list[str]:
    """Sound on the picture's clock: cut or padded at the start so that both begin together."""
    align = f"asetpts=PTS-({video.video_delay_seconds:.6f})/TB,aresample=async=1:first_pts=0"
    return [
        *("-af", align, "-c:a", "aac", "-b:a", str(AUDIO_BITRATE)),
        *("-ac", "2", "-ar", str(AUDIO_RATE)),
    ]


def _mp4(name: str) -> list[str]:
    """A plain MP4: its edit list carries the encoder delay, which a fragmented one loses."""
    clean = ["-dn", "-sn", "-map_metadata", "-1", "-map_chapters", "-1"]
    return [*clean, "-movflags", "+faststart", "-f", "mp4", name]


def _threads() -> list[str]:
    count = settings.FFMPEG_THREADS
    if not count and (os.cpu_count() or 1) > MOST_THREADS:
        count = MOST_THREADS
    return ["-threads", str(count)] if count else []


def _largest_file(video: Probe, rungs: tuple[Rung, ...]) -> int:
    """What the largest rendition can have at its maximum rate, and plenty on top."""
    derived = int(video.duration_seconds * max(rung.maxrate for rung in rungs) / 8 * 1.5)
    wanted = getattr(settings, "MAX_OUTPUT_BYTES", 0)
    return min(filter(None, (wanted, derived + 64 * 1024 * 1024)))


def _video_name(rung: Rung) -> str:
    return f"v-{rung.name}.mp4"


def _audio_name(number: int) -> str:
    return f"a-{number}.mp4"


class _Progress:
    """FFmpeg's ``-progress`` lines as percent of the video and a count of frames."""

    def __init__(self, duration_seconds: float):
        self.duration_seconds = duration_seconds
        self.percent = 0
        self.frames = 0
        self._seen: dict[str, str] = {}

    def note(self, line: str) -> bool:
        """Take in one line; True if it shows that work went on since the last of its kind."""
        key, _, value = line.strip().partition("=")
        if key not in ("frame", "out_time_us", "total_size") or self._seen.get(key) == value:
            return False
        self._seen[key] = value
        if key == "frame":
            self.frames = int(value)
        if key == "out_time_us" and value.lstrip("-").isdigit():
            share = int(value) / 1e6 / self.duration_seconds
            self.percent = max(self.percent, min(100, int(share * 100)))
        return True
