"""Inputs whose clocks have gaps, jumps and restarts, and streams that were damaged on their way."""

import random
from functools import partial
from pathlib import Path

from .make import AAC, TS, ffmpeg, h264, joined, pictures, sound
from .table import ts
from .truth import Cases, Pictures, Sound, Truth

case = Cases()
WRAP = 2**33 / 90_000  # seconds, at which the clock of a transport stream begins again
# A test tone without packets between 2 s and 4 s of its clock.
GAP = "aselect='not(between(t,2,3.999))'"
CONTAINERS = {"mkv": ("-f", "matroska"), "ts": TS}
SLACK = {"mkv": 0.03, "ts": 0.06}


def without_picture(to: Path, kind: str) -> Truth:
    """Write six seconds of which the picture from 2 s to 4 s is missing."""
    ffmpeg(
        *pictures(150, filters="select='not(between(n,50,99))'"), *sound(6),
        *h264(), *AAC, "-fps_mode", "passthrough", *CONTAINERS[kind], to,
    )  # fmt: skip
    groups = (Pictures(50), Pictures(50, at=4, first=100))
    return Truth(6, groups, ((Sound(6),),), slack=SLACK[kind])


def without_sound(to: Path, kind: str) -> Truth:
    """Write six seconds of which the sound from 2 s to 4 s is missing."""
    ffmpeg(*pictures(150), *sound(6, filters=GAP), *h264(), *AAC, *CONTAINERS[kind], to)
    parts = (Sound(2), Sound(2, at=4, first=4))
    return Truth(6, (Pictures(150),), (parts,), slack=SLACK[kind] + 0.02)


for kind in CONTAINERS:
    case.add(f"gap_in_picture_in_{kind}", partial(without_picture, kind=kind))
    case.add(f"gap_in_sound_in_{kind}", partial(without_sound, kind=kind))


def jumping(to: Path, by: float) -> Truth:
    """Write two pieces of two seconds; both tracks' clocks jump ``by`` seconds between them."""
    joined(
        to,
        ts(to.with_name("one.ts"), at=7200),
        ts(to.with_name("two.ts"), first=50, at=7202 + by),
    )
    return Truth(4, (Pictures(100),), ((Sound(4),),), slack=0.07)


for name, by in (
    ("1_s_ahead", 1),
    ("20_s_ahead", 20),
    ("1_h_ahead", 3600),
    ("1_s_back", -1),
    ("20_s_back", -20),
    ("1_h_back", -3600),
):
    case.add(f"clock_jumps_{name}", partial(jumping, by=by))


def jumping_silently(to: Path, by: float) -> Truth:
    """Write two pieces without sound; a short gap may also be a picture that stood still."""
    parts = []
    for number in range(2):
        parts.append(to.with_name(f"{number}.ts"))
        ffmpeg(
            *pictures(50, first=50 * number), *h264(),
            "-output_ts_offset", 7200 + number * (2 + by), *TS, parts[-1],
        )  # fmt: skip
    joined(to, *parts)
    removed = Truth(4, (Pictures(100),), slack=0.07)
    groups = (Pictures(50), Pictures(50, at=2 + by, first=50))
    held = (Truth(4 + by, groups, slack=0.07),) if 0 < by < 60 else ()
    return Truth(4, (Pictures(100),), slack=removed.slack, also=held)


for name, by in (
    ("1_s_ahead", 1),
    ("20_s_ahead", 20),
    ("1_h_ahead", 3600),
    ("1_s_back", -1),
    ("1_h_back", -3600),
):
    case.add(f"clock_jumps_without_sound_{name}", partial(jumping_silently, by=by))


@case
def clock_restarts_twice(to: Path) -> Truth:
    one = ts(to.with_name("one.ts"), at=50)
    joined(to, one, one, one)
    return Truth(
        6,
        tuple(Pictures(50, at=2 * number) for number in range(3)),
        (tuple(Sound(2, at=2 * number) for number in range(3)),),
        slack=0.1,
    )


@case
def clock_restarts_without_sound(to: Path) -> Truth:
    one = to.with_name("one.ts")
    ffmpeg(*pictures(75), *h264(), *TS, one)
    joined(to, one, one)
    return Truth(6, (Pictures(75), Pictures(75, at=3)), slack=0.05)


@case
def clock_wraps_around(to: Path) -> Truth:
    """A transport stream's clock begins again after 26.5 hours."""
    ts(to, frames=100, at=WRAP - 2)
    return Truth(4, (Pictures(100),), ((Sound(4),),), slack=0.05)


@case
def packets_are_lost(to: Path) -> Truth:
    """One packet in forty of a broadcast has not arrived."""
    whole = ts(to.with_name("whole.ts"), frames=150).read_bytes()
    lost = random.Random(11)  # noqa: S311 (the same packets each time)
    packets = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    kept = packets[:60] + [packet for packet in packets[60:] if lost.random() > 0.025]
    to.write_bytes(b"".join(kept))
    return Truth(6, (Pictures(150),), ((Sound(6),),), slack=0.12, damage=0.7, red=False)


def cut_before(to: Path, bytes_: int) -> Truth:
    """Cut bytes off the beginning of six seconds, so that no packet is whole at first."""
    whole = ts(to.with_name("whole.ts"), frames=150)
    before = ts(to.with_name("before.ts"), frames=35)  # keyframes after 1 s and 2 s
    to.write_bytes(whole.read_bytes()[before.stat().st_size + bytes_ :])
    return Truth(4.6, (Pictures(100, at=0.6, first=50),), ((Sound(4.6, first=1.4),),), slack=0.3)


for bytes_ in (1, 95, 187):
    case.add(f"ts_is_cut_{bytes_}_bytes_into_a_packet", partial(cut_before, bytes_=bytes_))


@case
def ts_is_cut_at_its_end(to: Path) -> Truth:
    """A transport stream promises no duration: what is there is the whole video."""
    whole = ts(to.with_name("whole.ts"), frames=150).read_bytes()
    shorter = ts(to.with_name("shorter.ts"), frames=100).stat().st_size
    to.write_bytes(whole[: shorter + 100])
    return Truth(4, (Pictures(100),), ((Sound(4),),), slack=0.35)


@case
def open_group_of_pictures_at_the_start(to: Path) -> Truth:
    """The first pictures depend on a keyframe that is not there; the sound begins 0.16 s before."""
    whole = to.with_name("whole.ts")
    ffmpeg(
        *pictures(150), *sound(6),
        *h264("-x264-params", "open-gop=1:bframes=2:b-adapt=0:keyint=25:min-keyint=25"),
        *AAC, *TS, whole,
    )  # fmt: skip
    ffmpeg("-ss", 2.02, "-i", whole, "-c", "copy", *TS, to)
    sounds = ((Sound(4.16, first=1.84),),)
    return Truth(4.16, (Pictures(100, at=0.16, first=50),), sounds, slack=0.15)


@case
def sound_clock_runs_a_second_before_the_picture(to: Path) -> Truth:
    """The tracks of a capture card do not start together."""
    ffmpeg(*pictures(100, offset=1), *sound(5), *h264(), *AAC, *TS, to)
    return Truth(5, (Pictures(100, at=1),), ((Sound(5),),), slack=0.05)


@case
def both_tracks_start_at_an_hour_in_mkv(to: Path) -> Truth:
    ffmpeg(
        *pictures(75, offset=3600), *sound(3, offset=3600), *h264(), "-c:a", "flac",
        "-f", "matroska", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),))
