"""Inputs of every shape, orientation, colour and number of pictures a second."""

from fractions import Fraction
from functools import partial
from pathlib import Path

from .make import AAC, ffmpeg, h264, pictures, sound
from .truth import Cases, Pictures, Sound, Truth

case = Cases()
TO_BT709 = "scale=out_color_matrix=bt709:out_range=tv"

# pictures a second of the source: those of the output
RATES: dict[str, str] = {
    "24000/1001": "24000/1001",
    "30000/1001": "30000/1001",
    "60000/1001": "60000/1001",
    "12": "12",
    "15": "15",
    "24": "24",
    "50": "50",
    "60": "60",
    "90": "45",
    "100": "50",
    "120": "60",
    "240": "60",
}


def at_rate(to: Path, rate: Fraction, out: Fraction) -> Truth:
    frames = round(4 * rate)
    seconds = float(frames / rate)
    ffmpeg(*pictures(frames, rate), *sound(seconds), *h264(bframes=2), *AAC, "-f", "mp4", to)
    return Truth(seconds, (Pictures(frames, rate),), ((Sound(seconds),),), rate=out)


for rate, out in RATES.items():
    case.add(
        f"{rate.replace('/', '_')}_pictures_a_second",
        partial(at_rate, rate=Fraction(rate), out=Fraction(out)),
        browser=rate == "60000/1001",
    )


@case
def phone_with_an_uneven_rate(to: Path) -> Truth:
    """A phone in the dark: around 30 pictures a second, each up to 8 ms late."""
    uneven = "settb=1/90000,setpts='90000*(N/30+0.008*random(0))'"
    ffmpeg(
        *pictures(120, 30, filters=uneven), *sound(4), *h264(), *AAC, "-fps_mode", "passthrough",
        "-enc_time_base", "1:90000", "-video_track_timescale", 90_000, "-f", "mp4", to,
    )  # fmt: skip
    return Truth(4, (Pictures(120, 30),), ((Sound(4),),), rate=30, slack=0.03)


@case
def phone_that_slows_down(to: Path) -> Truth:
    """Two seconds with 30 pictures a second, and two with 24."""
    slower = "settb=1/90000,setpts='90000*if(lt(N,60),N/30,2+(N-60)/24)'"
    ffmpeg(
        *pictures(108, 30, filters=slower), *sound(4), *h264(), *AAC, "-fps_mode", "passthrough",
        "-enc_time_base", "1:90000", "-video_track_timescale", 90_000, "-f", "mp4", to,
    )  # fmt: skip
    # The numbers tell a picture's own second at 30 a second, so only its place is compared.
    groups = (Pictures(60, 30), Pictures(48, 24, at=2, first=60))
    return Truth(4, groups, ((Sound(4),),), rate=None, slack=0.03)


ROTATIONS = {90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}


def turned(to: Path, degrees: int) -> Truth:
    """Write a picture that lies on its side; the container's matrix says how to turn it."""
    lying = to.with_name("lying.mp4")
    size = "320x180" if degrees == 180 else "180x320"
    ffmpeg(
        *pictures(50, size=size, filters=ROTATIONS[degrees]), *sound(2), *h264(), *AAC, lying
    )  # fmt: skip
    ffmpeg("-display_rotation", degrees, "-i", lying, "-c", "copy", "-f", "mp4", to)
    width, height = map(int, size.split("x"))
    return Truth(2, (Pictures(50),), ((Sound(2),),), size=(width, height))


def turned_in_the_stream(to: Path, degrees: int) -> Truth:
    size = "320x180" if degrees == 180 else "180x320"
    ffmpeg(
        *pictures(50, size=size, filters=ROTATIONS[degrees]), *h264(), "-bsf:v",
        f"h264_metadata=display_orientation=insert:rotate={degrees}", "-f", "mp4", to,
    )  # fmt: skip
    width, height = map(int, size.split("x"))
    return Truth(2, (Pictures(50),), size=(width, height))


for degrees in ROTATIONS:
    case.add(f"turned_by_{degrees}_degrees", partial(turned, degrees=degrees))
    case.add(
        f"turned_by_{degrees}_degrees_in_the_stream", partial(turned_in_the_stream, degrees=degrees)
    )


@case
def mirrored(to: Path) -> Truth:
    """A front camera: the matrix says that the picture is to be mirrored."""
    plain = to.with_name("plain.mp4")
    ffmpeg(*pictures(50, filters="hflip"), *h264(), plain)
    ffmpeg("-display_hflip", "-i", plain, "-c", "copy", "-f", "mp4", to)
    return Truth(2, (Pictures(50),))


@case
def turned_and_anamorphic(to: Path) -> Truth:
    lying = to.with_name("lying.mp4")
    ffmpeg(
        *pictures(50, size="180x320", filters="transpose=clock,scale=160:180,setsar=2"),
        *h264(), lying,
    )  # fmt: skip
    ffmpeg("-display_rotation", 90, "-i", lying, "-c", "copy", "-f", "mp4", to)
    return Truth(2, (Pictures(50),), size=(180, 320))


# name: size as coded, filters, size as displayed
SHAPES: dict[str, tuple[str, str, tuple[int, int]]] = {
    "odd_641x361": ("641x361", "null", (640, 360)),
    "twice_as_wide_pixels": ("320x180", "scale=160:180,setsar=2", (320, 180)),
    "half_as_wide_pixels": ("320x180", "scale=640:180,setsar=1/2", (640, 360)),
    "very_wide": ("1600x96", "null", (1600, 96)),
    "very_high": ("96x1600", "null", (96, 1600)),
    "square": ("240x240", "null", (240, 240)),
    "of_a_phone_upright": ("720x1280", "null", (720, 1280)),
}


def shaped(to: Path, size: str, filters: str, shown: tuple[int, int]) -> Truth:
    own = "yuv444p" if size == "641x361" else "yuv420p"
    if max(shown) >= 1280:  # untagged pictures of this size are BT.709
        filters = TO_BT709
    ffmpeg(
        *pictures(50, size=size, filters=filters), *sound(2), *h264("-pix_fmt", own), *AAC,
        "-f", "mp4", to,
    )  # fmt: skip
    return Truth(2, (Pictures(50),), ((Sound(2),),), size=shown, aspect=None)


for name, (size, filters, shown) in SHAPES.items():
    case.add(
        f"shape_{name}",
        partial(shaped, size=size, filters=filters, shown=shown),
    )


@case
def sixteen_by_sixteen(to: Path) -> Truth:
    ffmpeg(*pictures(50, size="16x16"), *h264(), "-f", "mp4", to)
    return Truth(2, (Pictures(50),), size=(16, 16), readable=False)


@case
def eight_by_eight_is_too_small(to: Path) -> Truth:
    ffmpeg(*pictures(25, size="8x8"), "-c:v", "ffv1", "-f", "matroska", to)
    return Truth(0, refused="too_small")


TO_FULL = "scale=out_range=pc"
TAGGED_709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
# name: size, filters, what the stream says of its colours
COLORS: dict[str, tuple[str, str, tuple[object, ...]]] = {
    "full_range": ("320x180", TO_FULL, ("-color_range", "pc", "-pix_fmt", "yuvj420p")),
    "bt601_without_a_tag": ("320x180", "null", ()),
    "bt709_without_a_tag": ("1280x720", TO_BT709 + ",setparams=colorspace=unknown", ()),
    "bt709_with_a_tag": ("320x180", TO_BT709, TAGGED_709),
    "bt601_with_a_tag": ("1280x720", "scale=out_color_matrix=bt601:out_range=tv",
                         ("-colorspace", "smpte170m", "-color_primaries", "smpte170m")),
}  # fmt: skip


def colored(to: Path, size: str, filters: str, tags: tuple[object, ...]) -> Truth:
    ffmpeg(*pictures(25, size=size, filters=filters), *h264(*tags), "-f", "mp4", to)
    width, height = map(int, size.split("x"))
    return Truth(1, (Pictures(25),), size=(width, height))


for name, (size, filters, tags) in COLORS.items():
    case.add(
        f"colors_{name}",
        partial(colored, size=size, filters=filters, tags=tags),
    )


def high_dynamic_range(to: Path, transfer: str) -> Truth:
    """Write a picture that is only tagged: its colours are mapped, and not compared."""
    ffmpeg(
        *pictures(50, filters="scale=out_color_matrix=bt2020:out_range=tv"),
        "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le",
        "-x265-params", "log-level=error:pools=1",
        "-colorspace", "bt2020nc", "-color_primaries", "bt2020", "-color_trc", transfer,
        "-tag:v", "hvc1", "-f", "mp4", to,
    )  # fmt: skip
    return Truth(2, (Pictures(50),), red=False)


for name, transfer in (("hlg", "arib-std-b67"), ("pq", "smpte2084")):
    case.add(f"colors_{name}", partial(high_dynamic_range, transfer=transfer))


@case
def gray_camera(to: Path) -> Truth:
    ffmpeg(*pictures(50), "-c:v", "ffv1", "-pix_fmt", "gray", "-f", "matroska", to)
    return Truth(2, (Pictures(50),), readable=False)
