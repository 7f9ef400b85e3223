"""The ladder: the renditions for each size of video."""

from fractions import Fraction

import pytest

from videos.processing.ladder import ladder


def sizes(width, height):
    return [
        f"{rendition.name} {rendition.width}x{rendition.height}"
        for rendition in ladder(width, height)
    ]


FULL_HD_DOWN = ["720p 1280x720", "480p 768x432", "360p 640x360", "240p 416x234"]


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (
            7680,
            4320,
            ["2160p 3840x2160", "1440p 2560x1440", "1080p 1920x1080", *FULL_HD_DOWN],
        ),
        (3840, 2160, ["2160p 3840x2160", "1440p 2560x1440", "1080p 1920x1080", *FULL_HD_DOWN]),
        (2560, 1440, ["1440p 2560x1440", "1080p 1920x1080", *FULL_HD_DOWN]),
        (1920, 1080, ["1080p 1920x1080", *FULL_HD_DOWN]),
        (1280, 720, FULL_HD_DOWN),
        (1366, 768, FULL_HD_DOWN),
        # cinema: the short side decides
        (
            1920,
            800,
            ["720p 1728x720", "480p 1036x432", "360p 864x360", "240p 562x234"],
        ),
        # old television and its neighbours keep their own size
        (640, 480, ["480p 640x480", "360p 480x360", "240p 312x234"]),
        (854, 480, ["480p 854x480", "360p 640x360", "240p 416x234"]),
        (768, 432, ["480p 768x432", "360p 640x360", "240p 416x234"]),
        (427, 240, ["240p 426x240"]),
        (416, 234, ["240p 416x234"]),
        (1000, 900, ["720p 800x720", "480p 480x432", "360p 400x360", "240p 260x234"]),
        # portrait
        (
            1080,
            1920,
            ["1080p 1080x1920", "720p 720x1280", "480p 432x768", "360p 360x640", "240p 234x416"],
        ),
        # smaller than every nominal size: one rendition of its own size
        (400, 230, ["230p 400x230"]),
        (320, 180, ["180p 320x180"]),
        (101, 57, ["56p 100x56"]),
        # odd sizes lose a line and never gain one
        (322, 91, ["90p 322x90"]),
        (641, 361, ["360p 640x360", "240p 416x234"]),
        # extremely wide: reduced to a width that decoders support
        (16000, 2160, ["480p 3556x480", "360p 2666x360", "240p 1734x234"]),
    ],
)
def test_the_ladder_for_each_size(width, height, expected):
    assert sizes(width, height) == expected


@pytest.mark.parametrize("width", [16, 17, 233, 234, 431, 640, 1079, 1921, 4097, 8192])
@pytest.mark.parametrize("height", [16, 99, 235, 432, 719, 1080, 2161, 4352])
def test_every_rendition_is_even_and_never_larger_than_the_video(width, height):
    renditions = ladder(width, height)

    assert renditions
    assert len({rendition.name for rendition in renditions}) == len(renditions)
    for rendition in renditions:
        assert rendition.width % 2 == rendition.height % 2 == 0
        assert 2 <= rendition.width <= width
        assert 2 <= rendition.height <= height


def test_rates_fall_from_rendition_to_rendition_and_peaks_are_bounded():
    renditions = ladder(3840, 2160)

    rates = [rendition.maxrate for rendition in renditions]
    assert rates == sorted(rates, reverse=True)
    assert all(rendition.bufsize == 2 * rendition.maxrate for rendition in renditions)
    assert {rendition.name: (rendition.crf, rendition.maxrate) for rendition in renditions}[
        "1080p"
    ] == (21, 6_000_000)


def test_a_narrow_picture_gets_a_smaller_rate():
    (square, *_), (wide, *_) = ladder(720, 720), ladder(1280, 720)

    assert (square.maxrate, wide.maxrate) == (1_688_000, 3_000_000)


def test_fifty_frames_a_second_get_half_as_much_again():
    assert ladder(1280, 720, Fraction(50))[0].maxrate == 4_500_000
    assert ladder(1280, 720, Fraction(30000, 1001))[0].maxrate == 3_000_000
