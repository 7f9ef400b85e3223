"""The ladder: the list of renditions into which a source is encoded.

Pure arithmetic. The table in ``tests/test_processing_ladder.py`` is its specification.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from fractions import Fraction

# The largest width of H.264 level 5.2, which televisions and phones decode in hardware.
LONGEST_SIDE = 4096
H264, AV1 = "h264", "av1"
CODECS = (H264, AV1)
AV1_SHORTEST_SIDE = 64  # SVT-AV1 cannot encode the smallest pictures, and nobody needs it to
AV1_RATE = Fraction(2, 3)  # of H.264's maximum rate, for the same quality


@dataclass(frozen=True)
class Rendition:
    """One encoding of a video: even sizes in square pixels, ``maxrate`` in bits per second.

    ``crf`` is the constant quality of the encoder of its ``codec``, "h264" or "av1" (lower is better),
    ``bufsize`` the encoder's rate buffer in bits.
    """

    name: str
    width: int
    height: int
    crf: int
    maxrate: int
    bufsize: int
    codec: str = H264


@dataclass(frozen=True)
class _Nominal:
    """One row of the table below: a rendition of a 16:9 video at 30 frames per second.

    ``number`` gives the rendition its name ("720p"), ``side`` is the length of its short side.
    """

    number: int
    side: int
    width: int
    crf: int
    av1_crf: int
    maxrate: int


# Maximum rates after Apple's "HLS Authoring Specification for Apple Devices", used as capped CRF. With
# its av1_crf a rendition in AV1 has the VMAF of that in H.264 (benchmarks/av1.py).
NOMINAL = (
    _Nominal(2160, 2160, 3840, 21, 34, 16_000_000),
    _Nominal(1440, 1440, 2560, 21, 34, 9_000_000),
    _Nominal(1080, 1080, 1920, 21, 34, 6_000_000),
    _Nominal(720, 720, 1280, 22, 34, 3_000_000),
    _Nominal(480, 432, 768, 23, 43, 1_100_000),  # 854x480 would not be 16:9
    _Nominal(360, 360, 640, 24, 47, 800_000),
    _Nominal(240, 234, 416, 25, 48, 200_000),
)


def ladder(
    width: int,
    height: int,
    frame_rate: Fraction | float = 30,
    codecs: Collection[str] = (H264,),
) -> tuple[Rendition, ...]:
    """Return the renditions for a video displayed at ``width`` x ``height``, largest first.

    There is at least one, and none is larger than the video. The largest keeps the video's own size if
    its short side is at most the nominal ``number``. A video smaller than all nominal sizes gets one
    rendition of its own size. The shape of the picture is kept as far as even sizes allow; if its long
    side is over LONGEST_SIDE, all renditions are smaller in proportion.

    All are in H.264, which every device plays. With "av1" among the ``codecs`` each has one in AV1 of
    the same size before it, because a player changes sizes within one codec; tiny ones have not.
    """
    shrink = min(Fraction(1), Fraction(LONGEST_SIDE, max(width, height)))
    short = int(min(width, height) * shrink)
    eligible = [nominal for nominal in NOMINAL if nominal.side <= short]
    if not eligible:
        side = max(2, short - short % 2)
        smallest = NOMINAL[-1]
        width_of_side = _even(Fraction(side * 16, 9))
        eligible = [replace(smallest, number=side, side=side, width=width_of_side)]
    sides = [min(short, eligible[0].number), *(nominal.side for nominal in eligible[1:])]
    made = []
    for nominal, side in zip(eligible, sides, strict=True):
        rendition = _rendition(nominal, width, height, side, frame_rate)
        if AV1 in codecs and min(rendition.width, rendition.height) >= AV1_SHORTEST_SIDE:
            made.append(_in_av1(rendition, nominal.av1_crf))
        made.append(rendition)
    return tuple(made)


def _in_av1(rendition: Rendition, crf: int) -> Rendition:
    """Return the same rendition in AV1."""
    maxrate = round(rendition.maxrate * AV1_RATE / 1000) * 1000
    return replace(
        rendition,
        name=f"{rendition.name}-av1",
        codec=AV1,
        crf=crf,
        maxrate=maxrate,
        bufsize=2 * maxrate,
    )


def _rendition(
    nominal: _Nominal, width: int, height: int, side: int, frame_rate: Fraction | float
) -> Rendition:
    """Return the rendition in which the short side of a ``width`` x ``height`` video is ``side``."""
    short = min(width, height)
    own_size = side >= short - 1  # at most an odd line is cut off

    def scaled(length: int) -> int:
        even = length - length % 2 if own_size else _even(Fraction(length * side, short))
        return max(2, even)

    maxrate = _rate(nominal, scaled(width) * scaled(height), frame_rate)
    return Rendition(
        name=f"{nominal.number}p",
        width=scaled(width),
        height=scaled(height),
        crf=nominal.crf,
        maxrate=maxrate,
        bufsize=2 * maxrate,
    )


def _rate(nominal: _Nominal, pixels: int, frame_rate: Fraction | float) -> int:
    """Return the maximum rate in bits per second, rounded to thousands, at least 64 000.

    It is the nominal rate, in proportion to the number of pixels if that differs from the nominal
    size by more than a tenth, and half as much again above 32 frames per second.
    """
    ratio = Fraction(pixels, nominal.width * nominal.side)
    if Fraction(9, 10) <= ratio <= Fraction(11, 10):
        ratio = Fraction(1)
    if frame_rate > 32:
        ratio *= Fraction(3, 2)
    return max(64_000, round(nominal.maxrate * ratio / 1000) * 1000)


def _even(size: Fraction | int) -> int:
    return 2 * round(Fraction(size) / 2)
