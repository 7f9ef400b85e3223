"""The truth about an input of the lab: what a viewer must see and hear."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from .pattern import FLASH, WHOLE, Box, flashes


@dataclass(frozen=True)
class Pictures:
    """Numbered pictures that are shown one after another from ``at``, at a constant rate.

    The last one is held until the next ``Pictures`` or the end. ``box`` is where they lie in the
    output, if it has another shape.
    """

    frames: int
    rate: Fraction | float = 25
    at: float = 0
    first: int = 0
    box: Box = WHOLE


@dataclass(frozen=True)
class Sound:
    """Sound from ``at`` for ``seconds``, from ``first`` of its own clock."""

    seconds: float
    at: float = 0
    first: float = 0


@dataclass(frozen=True)
class Truth:
    """What must come out. Before the first pictures their first one is shown, or black.

    ``slack`` is how far duration and times may be off, in seconds, because the input itself does not
    say it exactly. With 0, pictures and sound must be exact: the same number of pictures, and each
    beep within 5 ms of its flash.
    """

    seconds: float
    pictures: tuple[Pictures, ...] = ()
    # For each sound track; an empty track is silent all the time.
    sounds: tuple[tuple[Sound, ...], ...] = ()
    rate: Fraction | float | None = 25  # of the output, where it is certain
    size: tuple[int, int] | None = (320, 180)  # as displayed, of the largest rendition
    aspect: float | None = None  # instead of a size
    slack: float = 0
    red: bool = True  # the red corner is as red as it was
    # Pictures may be missing or unreadable, as far as this share of them.
    damage: float = 0
    hums: bool = True  # False: the codec of the sound takes soft hum for noise
    readable: bool = True  # False: too small, or in other colours: only counted
    refused: str = ""  # the code of the refusal; nothing else is asked then
    also: tuple[
        "Truth", ...
    ] = ()  # what may come out instead, where the input can be read in two ways

    def shown(self) -> list[tuple[float, int, Pictures]]:
        """Return (start, number, its group) of each picture, by time."""
        return [
            (float(group.at + index / Fraction(group.rate)), group.first + index, group)
            for group in self.pictures
            for index in range(group.frames)
        ]

    def flash_times(self) -> list[float]:
        """Return the times at which a flash begins."""
        times, before = [], False
        for start, number, group in self.shown():
            now = flashes(number, Fraction(group.rate))
            if now and not before:
                times.append(start)
            before = now
        return times

    def beep_times(self, track: int = 0) -> list[float]:
        times = []
        for part in self.sounds[track]:
            second = int(part.first) if part.first % 1 <= FLASH[0] else int(part.first) + 1
            while (own := second + FLASH[0]) < part.first + part.seconds - 0.02:
                times.append(part.at + own - part.first)
                second += 1
        return times


class Timeline:
    """Which pictures may be on the screen at a time."""

    def __init__(self, truth: Truth):
        self._shown = truth.shown()
        self._starts = [start for start, _, _ in self._shown]

    def between(self, start: float, end: float) -> list[tuple[int, Pictures]]:
        """Return the pictures that are shown at any time from ``start`` to ``end``."""
        first = max(0, bisect_right(self._starts, start) - 1)
        last = max(first + 1, bisect_right(self._starts, end))
        return [(number, group) for _, number, group in self._shown[first:last]]


@dataclass(frozen=True)
class Case:
    """One input: ``make`` writes it to the path that it is given, and returns the truth about it."""

    name: str
    make: Callable[[Path], Truth]
    quick: bool = False  # part of `make test`; the others are in `make lab` alone
    browser: bool = False  # also played in a browser


@dataclass
class Cases:
    """All inputs of one kind, in the order of their definition."""

    all: list[Case] = field(default_factory=list)

    def __call__(
        self, make: Callable[[Path], Truth] | None = None, /, *, quick=False, browser=False
    ):
        """Register a function as a case: ``@case`` or ``@case(quick=True)``."""

        def register(function: Callable[[Path], Truth]) -> Callable[[Path], Truth]:
            self.add(function.__name__, function, quick=quick, browser=browser)
            return function

        return register(make) if make else register

    def add(
        self,
        name: str,
        make: Callable[[Path], Truth],
        *,
        quick: bool = False,
        browser: bool = False,
    ) -> None:
        self.all.append(Case(name, make, quick, browser))
