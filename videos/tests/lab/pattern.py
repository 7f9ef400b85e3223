"""The picture and the sound of the lab's inputs. Both tell their own time, after any encoding.

The picture is drawn in shares of its width and height, so that it can be read at any size:

* corners: blue (top left), green (top right) and red (bottom left) on grey tell which side is up;
* a row of black and white cells in the middle is the picture's number, the lowest bit first;
* the bottom right quarter flashes in each second of the picture's own clock, from 0.5 s to 0.6 s.

The sound hums softly, so that silence can be told from it, and beeps while the picture flashes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

BITS = 12
FLASH = (0.5, 0.6)  # within each second
CORNERS = {"blue": (0x00, 0x00, 0xFF), "green": (0x00, 0xFF, 0x00), "red": (0xFF, 0x00, 0x00)}
UPRIGHT = ("blue", "green", "red")  # top left, top right, bottom left
# A decoded picture is scaled to this before it is read.
READ_WIDTH, READ_HEIGHT = 192, 96
SAMPLE_RATE = 48_000
BEEP_GAP = 0.3  # seconds; a louder sample after so much time is a new beep
_NUMBER_TOP, _NUMBER_HEIGHT = 3 / 8, 1 / 4
Box = tuple[float, float, float, float]  # left, top, width, height, in shares of the whole picture
WHOLE: Box = (0, 0, 1, 1)


def picture(
    frames: int, rate: Fraction | float | str = 25, size: str = "320x180", first: int = 0
) -> str:
    """Return a filter graph of FFmpeg that draws ``frames`` pictures, numbered from ``first``."""
    fps = Fraction(str(rate))
    number = f"(n+{first})"
    second = f"mod({number}*{fps.denominator}/{fps.numerator}+0.0005,1)"
    drawn = [
        _filled("0", "0", "iw/8", "ih/4", "0x0000ff"),
        _filled("iw*7/8", "0", "iw/8", "ih/4", "0x00ff00"),
        _filled("0", "ih*3/4", "iw/8", "ih/4", "0xff0000"),
        _filled("iw/2", "ih*3/4", "iw/2", "ih/4", "black"),
        _filled("iw/2", "ih*3/4", "iw/2", "ih/4", "white", f"between({second},{FLASH[0]},0.5999)"),
    ]
    for bit in range(BITS):
        cell = (f"iw*{bit}/{BITS}", f"ih*{_NUMBER_TOP}", f"iw/{BITS}", f"ih*{_NUMBER_HEIGHT}")
        drawn.append(_filled(*cell, "black"))
        drawn.append(_filled(*cell, "white", f"bitand(trunc({number}/pow(2,{bit})),1)"))
    source = f"color=0x606060:size={size}:rate={fps}:duration={float(frames / fps) + 1}"
    return f"{source},format=yuv444p,{','.join(drawn)},trim=end_frame={frames}"


def _filled(x: str, y: str, width: str, height: str, color: str, enable: str = "1") -> str:
    return f"drawbox=x={x}:y={y}:w={width}:h={height}:t=fill:color={color}:enable='{enable}'"


def sound(
    seconds: float, first: float = 0, *, rate: int = SAMPLE_RATE, layout: str = "stereo"
) -> str:
    """Return a filter graph that hums and beeps in all channels; its own clock begins at ``first``."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8, "quad": 4, "hexadecagonal": 16}
    beep = f"0.5*sin(2*PI*1000*t)*between(mod(t+{first}+0.00001,1),{FLASH[0]},{FLASH[1]})"
    wave = "|".join([f"0.06*sin(2*PI*330*t)+{beep}"] * channels[layout])
    return f"aevalsrc='{wave}':s={rate}:d={seconds}:c={layout}"


def flashes(number: int, rate: Fraction) -> bool:
    """Return whether the picture of this number flashes."""
    return FLASH[0] <= (number / float(rate) + 0.0005) % 1 <= 0.5999


@dataclass(frozen=True)
class Seen:
    """What one decoded picture shows.

    ``number`` is None if there are no cells to read, ``corners`` the nearest colours of three corners.
    """

    number: int | None
    flash: bool
    corners: tuple[str, str, str]


def read_picture(pixels: memoryview, box: Box = WHOLE) -> Seen:
    """Read a picture of READ_WIDTH x READ_HEIGHT pixels of three bytes, within ``box``."""

    def at(x: float, y: float) -> tuple[int, int, int]:
        column = min(READ_WIDTH - 1, int((box[0] + x * box[2]) * READ_WIDTH))
        row = min(READ_HEIGHT - 1, int((box[1] + y * box[3]) * READ_HEIGHT))
        start = 3 * (row * READ_WIDTH + column)
        return pixels[start], pixels[start + 1], pixels[start + 2]

    cells = [sum(at((bit + 0.5) / BITS, 0.5)) / 3 for bit in range(BITS)]
    corners = tuple(
        _name(at(x, y)) for x, y in ((1 / 16, 1 / 8), (15 / 16, 1 / 8), (1 / 16, 7 / 8))
    )
    number = sum(1 << bit for bit, cell in enumerate(cells) if cell > 128)
    black = corners == ("black", "black", "black")
    return Seen(None if black else number, sum(at(0.75, 0.9)) > 3 * 128, corners)  # type: ignore[arg-type]  # three of three


def color_at_red(pixels: memoryview) -> tuple[int, int, int]:
    """Return the colour in the middle of the red corner of an upright picture."""
    start = 3 * (READ_HEIGHT * 7 // 8 * READ_WIDTH + READ_WIDTH // 16)
    return pixels[start], pixels[start + 1], pixels[start + 2]


def _name(color: tuple[int, int, int]) -> str:
    known = {**CORNERS, "grey": (0x60, 0x60, 0x60), "black": (0, 0, 0), "white": (255, 255, 255)}
    return min(known, key=lambda name: math.dist(known[name], color))


@dataclass(frozen=True)
class Heard:
    """What a decoded sound track holds: the starts of its beeps, and the loudness of each 10 ms."""

    beeps: tuple[float, ...]
    loudness: tuple[float, ...]  # the peak in shares of the loudest sample of the track

    def is_silent(self, start: float, end: float) -> bool:
        part = self._part(start, end)
        return not part or max(part) < 0.04

    def is_heard(self, start: float, end: float) -> bool:
        """Return whether there is sound all the time from ``start`` to ``end``.

        Where two recordings meet, the decoder of the second one may need two hundredths to be heard.
        """
        part = self._part(start, end)
        return bool(part) and all(max(part[at : at + 3]) > 0.04 for at in range(len(part) - 2))

    @property
    def seconds_heard(self) -> float:
        return sum(peak > 0.04 for peak in self.loudness) / 100

    def _part(self, start: float, end: float) -> tuple[float, ...]:
        return self.loudness[math.ceil(start * 100) : math.floor(end * 100)]


def read_sound(samples: memoryview) -> Heard:
    """Read the 16-bit samples of one channel at SAMPLE_RATE."""
    step = SAMPLE_RATE // 1000
    peaks = [
        max(max(part), -min(part))
        for part in (samples[at : at + step] for at in range(0, len(samples), step))
    ]
    loudest = max(1, *peaks) if peaks else 1
    if loudest < 300:  # below -40 dB all is silence, and not the loudest part of a sound
        return Heard((), tuple(0.0 for _ in peaks[::10]))
    tens = tuple(max(peaks[at : at + 10]) / loudest for at in range(0, len(peaks), 10))
    # The hum of a sound that never beeps is the loudest that it has.
    return Heard(tuple(_starts(peaks, max(loudest, 9000))), tens)


def _starts(peaks: list[int], loudest: int) -> Iterator[float]:
    quiet_since = -1.0
    for millisecond, peak in enumerate(peaks):
        if peak > 0.4 * loudest:
            if millisecond / 1000 - quiet_since > BEEP_GAP or quiet_since < 0:
                yield millisecond / 1000
            quiet_since = millisecond / 1000
