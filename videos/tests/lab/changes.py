"""Inputs in which the picture or the sound becomes another one in mid-stream."""

from functools import partial
from pathlib import Path

from .make import AAC, TS, concat, ffmpeg, h264, joined, pictures, sound
from .table import LARGE, PORTRAIT, SMALL, sized
from .truth import Cases, Pictures, Sound, Truth

case = Cases()
PAL = "scale=out_color_matrix={}:out_range=tv"


def pieces(
    to: Path, *encoders: list[object], rate: int = 25, layouts: tuple[str, ...] = ()
) -> Path:
    """Write a piece of two seconds with each encoder, with sound, as one transport stream.

    The clock goes on through all pieces, as do the numbers of the pictures.
    """
    parts = []
    for number, encoder in enumerate(encoders):
        parts.append(to.with_name(f"{number}.ts"))
        layout = layouts[number] if layouts else "stereo"
        ffmpeg(
            *pictures(2 * rate, rate, first=2 * rate * number),
            *sound(2, 2 * number, layout=layout), *encoder,
            "-output_ts_offset", 10 + 2 * number, *TS, parts[-1],
        )  # fmt: skip
    joined(to, *parts)
    return to


def whole(pieces: int, **more) -> Truth:
    seconds = 2 * pieces
    return Truth(seconds, (Pictures(25 * seconds),), ((Sound(seconds),),), slack=0.05, **more)


@case
def size_turns_to_portrait_in_ts(to: Path) -> Truth:
    """The phone is turned: the upright picture is fitted into the shape of the beginning."""
    sized(to, [LARGE, LARGE, "360x640"])
    share = (360 / 640) * (360 / 640)
    fitted = ((1 - share) / 2, 0, share, 1)
    groups = (Pictures(100), Pictures(50, at=4, first=100, box=fitted))
    return Truth(6, groups, ((Sound(6),),), size=(640, 360), slack=0.05)


@case
def size_changes_three_times_in_ts(to: Path) -> Truth:
    sized(to, [SMALL, LARGE, SMALL, LARGE])
    return whole(4, aspect=16 / 9)


@case
def size_grows_in_mkv(to: Path) -> Truth:
    """The second size is in the stream alone, and not in the header."""
    sized(to.with_name("both.ts"), [SMALL, LARGE])
    ffmpeg("-i", to.with_name("both.ts"), "-c", "copy", "-f", "matroska", to)
    return whole(2, aspect=16 / 9)


@case
def sample_aspect_ratio_changes_in_ts(to: Path) -> Truth:
    """Television: 16:9, and the same number of pixels as 4:3, fitted between two bars."""
    pieces(
        to,
        [*h264(), *AAC, "-aspect", "16:9"],
        [*h264(), *AAC, "-aspect", "16:9"],
        [*h264(), *AAC, "-aspect", "4:3"],
    )
    groups = (Pictures(100), Pictures(50, at=4, first=100, box=(1 / 8, 0, 3 / 4, 1)))
    return Truth(6, groups, ((Sound(6),),), slack=0.05)


@case
def color_description_changes_in_ts(to: Path) -> Truth:
    described = [
        [*h264(), *AAC, "-vf", PAL.format(matrix), "-colorspace", tag, "-color_primaries", tag]
        for matrix, tag in (("bt601", "bt470bg"), ("bt709", "bt709"))
    ]
    pieces(to, *described)
    return whole(2)


@case
def pixel_format_changes_in_ts(to: Path) -> Truth:
    pieces(to, [*h264(), *AAC], [*h264("-pix_fmt", "yuv422p"), *AAC])
    return whole(2)


@case
def sample_rate_changes_in_ts(to: Path) -> Truth:
    pieces(to, [*h264(), *AAC], [*h264(), *AAC, "-ar", 44_100], [*h264(), *AAC])
    return whole(3)


for name, encoder in (
    ("aac", AAC),
    ("mp2", ("-c:a", "mp2", "-b:a", "192k")),
    ("ac3", ("-c:a", "ac3", "-b:a", "192k")),
):

    def mono_then_stereo(to: Path, encoder: tuple[object, ...]) -> Truth:
        pieces(to, *[[*h264(), *encoder]] * 3, layouts=("mono", "stereo", "mono"))
        return whole(3)

    case.add(f"mono_becomes_stereo_in_ts_{name}", partial(mono_then_stereo, encoder=encoder))


@case
def aac_becomes_5_1_in_ts(to: Path) -> Truth:
    pieces(to, *[[*h264(), *AAC]] * 3, layouts=("stereo", "5.1", "stereo"))
    return whole(3)


@case
def mp2_changes_its_rate_in_ts(to: Path) -> Truth:
    mp2 = ("-c:a", "mp2", "-b:a", "192k")
    pieces(to, [*h264(), *mp2], [*h264(), *mp2, "-ar", 44_100])
    return whole(2)


@case
def picture_rate_doubles_in_ts(to: Path) -> Truth:
    one, two = to.with_name("one.ts"), to.with_name("two.ts")
    ffmpeg(*pictures(50), *sound(2), *h264(), *AAC, "-output_ts_offset", 10, *TS, one)
    ffmpeg(
        *pictures(100, 50, first=100), *sound(2, 2), *h264(), *AAC,
        "-output_ts_offset", 12, *TS, two,
    )  # fmt: skip
    joined(to, one, two)
    groups = (Pictures(50), Pictures(100, 50, at=2, first=100))
    return Truth(4, groups, ((Sound(4),),), rate=None, slack=0.05)


@case
def interlaced_begins_in_ts(to: Path) -> Truth:
    """A progressive trailer before an interlaced programme."""
    mp2 = ("-c:a", "mp2", "-b:a", "192k")
    mpeg2 = ["-c:v", "mpeg2video", "-b:v", "4M", "-g", 12, "-pix_fmt", "yuv420p"]
    fields = ["-flags", "+ilme+ildct", "-vf", "setfield=tff"]
    pieces(to, [*mpeg2, *mp2], [*mpeg2, *fields, *mp2])
    return whole(2)


@case
def portrait_phone_with_changing_size_in_webm(to: Path) -> Truth:
    """A call: the sender lowers its picture's size when the network is slow."""
    parts = []
    for number, size in enumerate(("360x640", PORTRAIT, "360x640")):
        parts.append(to.with_name(f"{number}.webm"))
        ffmpeg(
            *pictures(60, 30, size, 60 * number), *sound(2, 2 * number), "-c:v", "libvpx",
            "-threads", 1, "-deadline", "realtime", "-cpu-used", 8, "-b:v", "2M", "-c:a", "libopus",
            "-f", "webm", parts[-1],
        )  # fmt: skip
    concat(to, parts, "-f", "webm")
    return Truth(6, (Pictures(180, 30),), ((Sound(6),),), rate=30, aspect=9 / 16, slack=0.05)
