"""The ladder: the list of renditions into which a source is encoded.

Pure arithmetic. The table in ``tests/test_processing_ladder.py`` is its specification.
"""

from dataclasses import dataclass
from fractions import Fraction

# The largest width of H.264 level 5.2, which televisions and phones decode in hardware.
LONGEST_SIDE = 4096


@dataclass(frozen=True)
class Rendition:
    """One encoding of a video: even sizes in square pixels, ``maxrate`` in bits per second.

    ``crf`` is x264's constant quality (lower is better), ``bufsize`` its rate buffer in bits.
    """

    name: str
    width: int
    height: int
    crf: int
    maxrate: int
    bufsize: int


@dataclass(frozen=True)
class _Nominal:
    """One row of the table below: a rendition of a 16:9 video at 30 frames per second.

    ``number`` gives the rendition its name ("720p"), ``side`` is the length of its short side.
    """

    number: int
    side: int
    width: int
    crf: int
    maxrate: int


# Maximum rates after Apple's "HLS Authoring Specification for Apple Devices", used as capped CRF.
NOMINAL = (
    _Nominal(2160, 2160, 3840, 21, 16_000_000),
    _Nominal(1440, 1440, 2560, 21, 9_000_000),
    _Nominal(1080, 1080, 1920, 21, 6_000_000),
    _Nominal(720, 720, 1280, 22, 3_000_000),
    _Nominal(480, 432, 768, 23, 1_100_000),  # 854x480 would not be 16:9
    _Nominal(360, 360, 640, 24, 800_000),
    _Nominal(240, 234, 416, 25, 200_000),
)


def ladder(width: int, height: int, frame_rate: Fraction | float = 30) -> tuple[Rendition, ...]:
    """Return the renditions for a video displayed at ``width`` x ``height``, largest first.

    There is at least one, and none is larger than the video. The largest keeps the video's own size
    if its short side is at most the nominal ``number``. A video smaller than all nominal sizes gets
    one rendition of its own size. The shape of the picture is kept as far as even sizes allow; if its
    long side is over LONGEST_SIDE, all renditions are smaller in proportion.
    """
    shrink = min(Fraction(1), Fraction(LONGEST_SIDE, max(width, height)))
    short = int(min(width, height) * shrink)
    eligible = [nominal for nominal in NOMINAL if nominal.side <= short]
    if not eligible:
        side = max(2, short - short % 2)
        nominal = _Nominal(side, side, _even(Fraction(side * 16, 9)), 25, NOMINAL[-1].maxrate)
        return (_rendition(nominal, width, height, side, frame_rate),)
    top, *others = eligible
    return (
        _rendition(top, width, height, min(short, top.number), frame_rate),
        *(_rendition(nominal, width, height, nominal.side, frame_rate) for nominal in others),
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
