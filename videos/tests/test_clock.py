"""One clock out of the packets of a source: which steps are jumps, and which are gaps."""

from fractions import Fraction

import pytest

from videos.processing.clock import one_clock
from videos.processing.packets import Packets

TICK = Fraction(1, 1000)
PICTURE, SOUND = 40, 20  # milliseconds of a packet


def streams(*runs: tuple[str, int, int], sizes: dict[str, int] | None = None) -> list[Packets]:
    """Return the packets of a file: each run is (kind, first millisecond, number of packets).

    Runs of different kinds that follow each other are interleaved by time, as muxers do it.
    """
    sizes = sizes or {"v": PICTURE, "a": SOUND}
    found = {kind: Packets(number, TICK) for number, kind in enumerate(sizes)}
    at = 0
    waiting: list[tuple[int, str]] = []

    def write() -> None:
        nonlocal at
        for time, kind in sorted(waiting, key=lambda pair: pair[0]):
            found[kind].note(at, time, time, sizes[kind], "K__")
            at += 1
        waiting.clear()

    for kind, start, count in runs:
        if kind in {other for _, other in waiting}:
            write()
        waiting += [(start + number * sizes[kind], kind) for number in range(count)]
    write()
    return [each for each in found.values() if each.pieces]


def lasts(clock, index: int = 0) -> float:
    return float(clock.end(index) - clock.start(index))


def test_a_plain_recording_is_left_alone():
    clock = one_clock(streams(("v", 500, 75), ("a", 480, 151)), "mov")

    assert clock.shifts(0) == clock.shifts(1) == [(0, 0)]
    assert lasts(clock) == 3


@pytest.mark.parametrize("second", [0, 500, -7000, 2000, 50_000, 3_600_000])
@pytest.mark.parametrize("sound", [150, 151, 149, 0])
def test_a_clock_that_jumps_loses_and_adds_nothing(second, sound):
    """Two recordings of 3 s in a transport stream, the second one anywhere on the clock."""
    runs = [
        ("v", 1000, 75),
        ("a", 1000, sound),
        ("v", 1000 + second, 75),
        ("a", 1000 + second, sound),
    ]
    if second == 2000:
        runs[2:] = [("v", 4000, 75), ("a", 4000, sound)]

    clock = one_clock(streams(*runs), "mpegts")

    assert lasts(clock) == pytest.approx(6, abs=0.02)
    if sound:
        assert lasts(clock, 1) == pytest.approx(6, abs=0.05)


def test_sound_stays_with_its_picture_after_a_jump():
    runs = [("v", 0, 75), ("a", 0, 150), ("v", 90_000, 75), ("a", 90_400, 130)]

    clock = one_clock(streams(*runs), "mpegts")

    assert [float(shift) for _, shift in clock.shifts(0)] == [0, -87.0]
    assert clock.shifts(1)[1] == (150, clock.shifts(0)[1][1])


@pytest.mark.parametrize("container", ["mov", "matroska", "mpegts"])
def test_where_one_stream_goes_on_the_other_has_a_gap(container):
    runs = [("v", 0, 25), ("a", 0, 3000), ("v", 31_000, 25)]

    clock = one_clock(streams(*runs), container)

    assert clock.shifts(0) == [(0, 0)]
    assert lasts(clock) == 32


def test_a_picture_every_thirty_seconds_is_no_jump():
    clock = one_clock(streams(*(("v", 30_000 * n, 1) for n in range(10))), "matroska")

    assert lasts(clock) == pytest.approx(270, abs=0.1)


def test_a_file_with_steps_without_end_is_still_read():
    noise = streams(*(("v", 7000 * (n * 7919 % 5), 2) for n in range(3000)))

    assert len(noise[0].pieces) <= 1000
    assert one_clock(noise, "mpegts").end(0) > 0
