"""Synthetic videos for demonstrations and tests: a moving test picture with a tone, and a harbour."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from . import cage, tools
from .errors import ToolFailed

# The sky over a harbour at dusk and its reflection in the water, both seen through moving haze. The
# picture is drawn small and enlarged: it has no sharp edges, and this is ten times as fast.
HARBOUR_SECONDS = 12
HARBOUR_SIZE = "1280x720"
_SKY = (
    "gradients=size=320x180:rate=25:nb_colors=4:c0=0x07142b:c1=0x1b4b78:c2=0xc9785a:c3=0xf6c07a"
    ":x0=160:y0=0:x1=160:y1=179:speed=0.00001:seed=1"
)
_HAZE = (
    "perlin=size=160x90:rate=25:octaves=4:xscale=2:yscale=12:tscale=0.35"
    ":random_mode=seed:random_seed=7,scale=320:180:flags=bicubic"
)
_MIRRORED = (
    "[0]format=gbrp,split[upper][lower];[upper]crop=320:110:0:0[sky];"
    "[lower]vflip,eq=brightness=-0.1,crop=320:70:0:70,format=gbrp[water];[sky][water]vstack[view];"
    "[1]format=gray,format=gbrp[haze];[view][haze]blend=all_mode=softlight:all_opacity=0.9,"
    f"scale={HARBOUR_SIZE.replace('x', ':')}:flags=bicubic,format=yuv420p[picture]"
)
# Four notes of a chord, three of which swell and fade at different speeds.
_CHORD = (
    "aevalsrc='0.12*sin(2*PI*110*t)+0.09*sin(2*PI*164.81*t)*(0.6+0.4*sin(2*PI*0.25*t))"
    "+0.07*sin(2*PI*220*t)*(0.6+0.4*sin(2*PI*0.17*t+1))"
    "+0.05*sin(2*PI*277.18*t)*(0.6+0.4*sin(2*PI*0.31*t+2))':sample_rate=48000,"
    f"afade=t=in:d=1,afade=t=out:st={HARBOUR_SECONDS - 1.5}:d=1.5"
)


def synthesise(
    path: Path,
    *,
    seconds: float,
    size: str = "1920x1080",
    rate: Fraction | float | str = 30,
    audio: bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> Path:
    """Write an H.264 and AAC video of ``seconds`` as MP4 to ``path``, and return ``path``.

    ``rate`` is in frames per second, and may be text like "30000/1001". ``on_progress`` is called with
    0 to 100 percent about twice a second. Raises ToolFailed.
    """
    sources = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]
    if audio:
        sources += ["-f", "lavfi", "-i", f"sine=frequency=440:beep_factor=4:duration={seconds}"]
        sources += ["-c:a", "aac", "-b:a", "96k"]
    _encode(path, [*sources, "-preset", "ultrafast", "-crf", "20"], seconds, on_progress)
    return path


def synthesise_harbour(path: Path, *, on_progress: Callable[[int], None] | None = None) -> Path:
    """Write a picture of a harbour at dusk with a slow chord as MP4 to ``path``, and return ``path``.

    It has HARBOUR_SECONDS and HARBOUR_SIZE. ``on_progress`` is called as by ``synthesise``. Raises
    ToolFailed.
    """
    sources = [word for source in (_SKY, _HAZE, _CHORD) for word in ("-f", "lavfi", "-i", source)]
    sources += ["-filter_complex", _MIRRORED, "-map", "[picture]", "-map", "2:a"]
    sources += ["-t", str(HARBOUR_SECONDS), "-c:a", "aac", "-b:a", "128k"]
    _encode(path, [*sources, "-preset", "superfast", "-crf", "24"], HARBOUR_SECONDS, on_progress)
    return path


def _encode(
    path: Path,
    arguments: list[str],
    seconds: float,
    on_progress: Callable[[int], None] | None,
) -> None:
    """Run FFmpeg with its inputs and the options of an H.264 file of ``seconds`` at ``path``.

    Raises ToolFailed.
    """
    percent = 0

    def note(line: str) -> bool:
        nonlocal percent
        key, _, value = line.partition("=")
        if key == "out_time_us" and value.isdigit():
            percent = min(100, int(int(value) / 1e4 / seconds))
        return True

    argv = [str(tools.ffmpeg()), "-nostdin", "-hide_banner", "-v", "error", "-y"]
    argv += ["-progress", "pipe:1", "-stats_period", "0.5", "-nostats", *arguments]
    argv += ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]
    done = cage.run(
        [*argv, f"file:{path.absolute()}"],
        writes=[path.parent],
        cpu_seconds=600 + 60 * seconds,
        wall_seconds=600 + 60 * seconds,
        file_bytes=int(64_000_000 + seconds * 5_000_000),
        on_line=note,
        on_tick=(lambda: on_progress(percent)) if on_progress else None,
    )
    if done.returncode:
        raise ToolFailed(f"FFmpeg wrote no video ({done.returncode}). {done.stderr[-1000:]}")
