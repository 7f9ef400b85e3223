"""Inputs whose tracks begin or end at different times, and lengths around the segments' own."""

from functools import partial
from pathlib import Path

from .make import AAC, TS, ffmpeg, h264, pictures, sound
from .truth import Cases, Pictures, Sound, Truth

case = Cases()


def of_length(to: Path, frames: int, sound_off: float) -> Truth:
    """Write ``frames`` at 25 a second, and sound that is so much longer or shorter."""
    seconds = round(frames / 25, 3)
    of_sound = round(seconds + sound_off, 3)
    ffmpeg(*pictures(frames), *sound(of_sound), *h264(), *AAC, "-f", "mp4", to)
    slack = 0.03 if sound_off else 0
    return Truth(max(seconds, of_sound), (Pictures(frames),), ((Sound(of_sound),),), slack=slack)


for frames in (99, 100, 101, 110, 201):
    for off in (0, 0.1, -0.1, 0.7):
        length = f"{frames / 25:g}".replace(".", "_")
        more = f"{abs(off):g}_s".replace(".", "_") + (" longer" if off > 0 else " shorter")
        name = f"{length}_s with sound " + (more if off else "as long")
        case.add(
            name.replace(" ", "_"),
            partial(of_length, frames=frames, sound_off=off),
            browser=(frames, off) == (100, 0.1),
        )


@case
def sound_starts_late_in_mp4(to: Path) -> Truth:
    ffmpeg(*pictures(125), *sound(3, offset=2), *h264(), *AAC, "-f", "mp4", to)
    return Truth(5, (Pictures(125),), ((Sound(3, at=2),),), slack=0.03)


@case
def sound_starts_late_in_mkv(to: Path) -> Truth:
    ffmpeg(*pictures(125), *sound(3, offset=2), *h264(), "-c:a", "flac", "-f", "matroska", to)
    return Truth(5, (Pictures(125),), ((Sound(3, at=2),),))


@case
def sound_is_at_the_end_only(to: Path) -> Truth:
    ffmpeg(*pictures(200), *sound(0.6, 0.2, offset=7.4), *h264(), "-c:a", "flac",
        "-f", "matroska", to)  # fmt: skip
    return Truth(8, (Pictures(200),), ((Sound(0.6, at=7.4, first=0.2),),))


@case
def picture_starts_late_in_mp4(to: Path) -> Truth:
    """An empty edit stands for the time without a picture."""
    ffmpeg(*pictures(75, offset=1), *sound(4), *h264(), *AAC, "-f", "mp4", to)
    return Truth(4, (Pictures(75, at=1),), ((Sound(4),),), slack=0.03)


@case
def picture_ends_early_in_mp4(to: Path) -> Truth:
    ffmpeg(*pictures(50), *sound(6), *h264(), *AAC, "-f", "mp4", to)
    return Truth(6, (Pictures(50),), ((Sound(6),),), slack=0.03)


@case
def picture_ends_early_in_mkv(to: Path) -> Truth:
    ffmpeg(*pictures(50), *sound(6), *h264(), "-c:a", "flac", "-f", "matroska", to)
    return Truth(6, (Pictures(50),), ((Sound(6),),))


@case
def picture_ends_early_in_ts(to: Path) -> Truth:
    ffmpeg(*pictures(50), *sound(6), *h264(), *AAC, *TS, to)
    return Truth(6, (Pictures(50),), ((Sound(6),),), slack=0.05)


@case
def sound_ends_early_in_ts(to: Path) -> Truth:
    ffmpeg(*pictures(150), *sound(2), *h264(), *AAC, *TS, to)
    return Truth(6, (Pictures(150),), ((Sound(2),),), slack=0.05)


@case
def second_sound_track_ends_early(to: Path) -> Truth:
    ffmpeg(
        *pictures(150), *sound(6), *sound(2), "-map", 0, "-map", 1, "-map", 2, *h264(), *AAC,
        "-f", "mp4", to,
    )  # fmt: skip
    return Truth(6, (Pictures(150),), ((Sound(6),), (Sound(2),)))


@case
def one_picture_without_sound(to: Path) -> Truth:
    ffmpeg(*pictures(1), *h264(), "-f", "mp4", to)
    return Truth(0.04, (Pictures(1),), rate=None)


@case
def a_quarter_of_a_second(to: Path) -> Truth:
    ffmpeg(*pictures(6), *sound(0.24), *h264(), *AAC, "-f", "mp4", to)
    return Truth(0.24, (Pictures(6),), ((Sound(0.24),),))


@case
def still_picture_in_the_middle(to: Path) -> Truth:
    """A recorded presentation: no new picture for four seconds, and no sound at all."""
    ffmpeg(
        *pictures(150, filters="select='not(between(n,25,124))'"), *h264(),
        "-fps_mode", "passthrough", "-f", "mp4", to,
    )  # fmt: skip
    return Truth(6, (Pictures(25), Pictures(25, at=5, first=125)), rate=None, slack=0.04)
