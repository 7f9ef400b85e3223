"""Which renditions a video gets. Pure arithmetic; the table test is its specification."""

from dataclasses import dataclass
from fractions import Fraction

# H.264 level 5.2, what televisions and phones decode in hardware, ends at this width.
LONGEST_SIDE = 4096


@dataclass(frozen=True)
class Rung:
    """One rendition: even sizes in square pixels, rates in bits per second."""

    name: str
    width: int
    height: int
    crf: int
    maxrate: int
    bufsize: int


@dataclass(frozen=True)
class _Nominal:
    """A step of the ladder: its short side, exactly 16:9 with the size its rate is meant for."""

    number: int
    side: int
    width: int
    crf: int
    maxrate: int


# Rates after Apple's HLS authoring specification, as capped CRF.
NOMINAL = (
    _Nominal(2160, 2160, 3840, 21, 16_000_000),
    _Nominal(1440, 1440, 2560, 21, 9_000_000),
    _Nominal(1080, 1080, 1920, 21, 6_000_000),
    _Nominal(720, 720, 1280, 22, 3_000_000),
    _Nominal(480, 432, 768, 23, 1_100_000),  # 854x480 would not be 16:9
    _Nominal(360, 360, 640, 24, 800_000),
    _Nominal(240, 234, 416, 25, 200_000),
)


def ladder(width: int, height: int, frame_rate: Fraction | float = 30) -> tuple[Rung, ...]:
    """The rungs for a video shown at ``width`` x ``height``, largest first, at least one.

    Nothing is scaled up. The largest rung keeps the video's own size where that is not beyond its
    nominal one; a video smaller than every rung gets a single rung of its own size. The shape of
    the picture is kept, as far as even sizes allow, unless its long side is over LONGEST_SIDE.
    """
    shrink = min(Fraction(1), Fraction(LONGEST_SIDE, max(width, height)))
    short = int(min(width, height) * shrink)
    eligible = [nominal for nominal in NOMINAL if nominal.side <= short]
    if not eligible:
        side = max(2, short - short % 2)
        nominal = _Nominal(side, side, _even(Fraction(side * 16, 9)), 25, NOMINAL[-1].maxrate)
        return (_rung(nominal, width, height, side, frame_rate),)
    top, *others = eligible
    return (
        _rung(top, width, height, min(short, top.number), frame_rate),
        *(_rung(nominal, width, height, nominal.side, frame_rate) for nominal in others),
    )


def _rung(
    nominal: _Nominal, width: int, height: int, side: int, frame_rate: Fraction | float
) -> Rung:
    short = min(width, height)
    own = side >= short - 1  # the video's own size, but for an odd line
    sizes = [
        size - size % 2 if own else _even(Fraction(size * side, short)) for size in (width, height)
    ]
    sizes = [max(2, size) for size in sizes]
    maxrate = _rate(nominal, sizes[0] * sizes[1], frame_rate)
    return Rung(f"{nominal.number}p", *sizes, nominal.crf, maxrate, 2 * maxrate)


def _rate(nominal: _Nominal, pixels: int, frame_rate: Fraction | float) -> int:
    """The nominal rate, scaled where the picture has clearly more or fewer pixels than 16:9."""
    ratio = Fraction(pixels, nominal.width * nominal.side)
    if Fraction(9, 10) <= ratio <= Fraction(11, 10):
        ratio = Fraction(1)
    if frame_rate > 32:
        ratio *= Fraction(3, 2)
    return max(64_000, round(nominal.maxrate * ratio / 1000) * 1000)


def _even(size: Fraction | int) -> int:
    return 2 * round(Fraction(size) / 2)
