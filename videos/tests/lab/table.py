"""The faults that were seen, each with its smallest input (issue 11)."""

from fractions import Fraction
from functools import partial
from pathlib import Path

from .make import AAC, TS, concat, ffmpeg, h264, joined, patched, pictures, sound, voided
from .truth import Cases, Pictures, Sound, Truth

case = Cases()
SMALL, LARGE, PORTRAIT = "320x180", "640x360", "180x320"


def ts(to: Path, *, frames: int = 50, size: str = SMALL, first: int = 0, at: float = 0) -> Path:
    """Write a transport stream with sound, of pictures from number ``first``, that begins at ``at``."""
    ffmpeg(
        *pictures(frames, 25, size, first), *sound(frames / 25, first / 25),
        *h264(), *AAC, "-output_ts_offset", at, *TS, to,
    )  # fmt: skip
    return to


def sized(to: Path, sizes: list[str]) -> None:
    """Write pieces of two seconds, in these sizes, as one transport stream."""
    parts = [
        ts(to.with_name(f"{n}.ts"), size=size, first=50 * n, at=10 + 2 * n)
        for n, size in enumerate(sizes)
    ]
    joined(to, *parts)


@case(quick=True, browser=True)
def size_grows_in_ts(to: Path) -> Truth:
    sized(to, [SMALL, LARGE])
    return Truth(4, (Pictures(100),), ((Sound(4),),), aspect=16 / 9, slack=0.05)


@case
def size_shrinks_in_ts(to: Path) -> Truth:
    sized(to, [LARGE, SMALL])
    return Truth(4, (Pictures(100),), ((Sound(4),),), aspect=16 / 9, slack=0.05)


def webm_sizes(to: Path, encoder: tuple[object, ...]) -> Truth:
    parts = []
    for number, size in enumerate((SMALL, LARGE, SMALL)):
        parts.append(to.with_name(f"{number}.webm"))
        ffmpeg(
            *pictures(50, 25, size, 50 * number), *encoder, "-b:v", "2M", "-g", 25,
            "-f", "webm", parts[-1],
        )  # fmt: skip
    concat(to, parts, "-f", "webm")
    return Truth(6, (Pictures(150),), aspect=16 / 9)


@case(quick=True)
def size_changes_twice_in_webm_vp8(to: Path) -> Truth:
    """A canvas that was recorded by Chromium."""
    return webm_sizes(
        to, ("-c:v", "libvpx", "-threads", 1, "-deadline", "realtime", "-cpu-used", 8)
    )


@case
def size_changes_twice_in_webm_vp9(to: Path) -> Truth:
    return webm_sizes(
        to, ("-c:v", "libvpx-vp9", "-threads", 1, "-deadline", "realtime", "-cpu-used", 8)
    )


def still(to: Path, *container: object) -> Truth:
    ffmpeg(*pictures(1), *sound(6), *h264(), *AAC, *container, to)
    return Truth(6, (Pictures(1),), ((Sound(6),),), rate=None, slack=0.03)


@case(quick=True, browser=True)
def still_picture_and_sound_in_mp4(to: Path) -> Truth:
    return still(to, "-f", "mp4")


@case
def still_picture_and_sound_in_mkv(to: Path) -> Truth:
    return still(to, "-f", "matroska")


@case(quick=True)
def picture_starts_late_in_mkv(to: Path) -> Truth:
    ffmpeg(
        *pictures(75, offset=3), *sound(6), "-map", 0, "-map", 1, *h264(),
        "-c:a", "flac", "-f", "matroska", to,
    )  # fmt: skip
    return Truth(6, (Pictures(75, at=3),), ((Sound(6),),))


@case(quick=True, browser=True)
def sound_ends_early(to: Path) -> Truth:
    ffmpeg(*pictures(150), *sound(2), *h264(), *AAC, "-f", "mp4", to)
    return Truth(6, (Pictures(150),), ((Sound(2),),))


@case(quick=True, browser=True)
def ac3_changes_its_layout_in_ts(to: Path) -> Truth:
    """Television: stereo news, a film in 5.1, stereo again."""
    parts = []
    for number, layout in enumerate(("stereo", "5.1", "stereo")):
        parts.append(to.with_name(f"{number}.ts"))
        ffmpeg(
            *pictures(48, first=48 * number), *sound(1.92, 1.92 * number, layout=layout),
            *h264(gop=24), "-c:a", "ac3", "-b:a", "256k",
            "-output_ts_offset", 10 + 1.92 * number, *TS, parts[-1],
        )  # fmt: skip
    joined(to, *parts)
    return Truth(5.76, (Pictures(144),), ((Sound(5.76),),), slack=0.05)


@case(quick=True, browser=True)
def clock_restarts_in_ts(to: Path) -> Truth:
    one = ts(to.with_name("one.ts"), frames=75)
    joined(to, one, one)
    return Truth(
        6,
        (Pictures(75), Pictures(75, at=3)),
        ((Sound(3), Sound(3, at=3)),),
        slack=0.06,
    )


@case(quick=True)
def ts_is_cut_in_a_group_of_pictures(to: Path) -> Truth:
    """The sound is there from the cut on; the picture from its next keyframe on."""
    whole = ts(to.with_name("whole.ts"), frames=150)
    before = ts(to.with_name("before.ts"), frames=60)  # keyframes after 2 s and 3 s
    to.write_bytes(whole.read_bytes()[before.stat().st_size - 777 :])
    # How much of the cut half second is left depends on how the streams are woven together.
    return Truth(3.5, (Pictures(75, at=0.5, first=75),), ((Sound(3.5, first=2.5),),), slack=0.3)


@case(quick=True, browser=True)
def one_picture_more_than_4_seconds(to: Path) -> Truth:
    ffmpeg(*pictures(101), *sound(4.04), *h264(), *AAC, "-f", "mp4", to)
    return Truth(4.04, (Pictures(101),), ((Sound(4.04),),))


def slow(to: Path, frames: int, rate: Fraction) -> Truth:
    seconds = float(frames / rate)
    ffmpeg(*pictures(frames, rate), *sound(seconds), *h264(), *AAC, "-f", "mp4", to)
    return Truth(seconds, (Pictures(frames, rate),), ((Sound(seconds),),), rate=None)


for name, frames, rate in (
    ("1_picture_in_5_seconds", 2, "1/5"),
    ("1_picture_a_second", 6, "1"),
    ("2_pictures_a_second", 12, "2"),
    ("5_pictures_a_second", 30, "5"),
    ("7_5_pictures_a_second", 45, "15/2"),
):
    case.add(
        name,
        partial(slow, frames=frames, rate=Fraction(rate)),
        quick=rate == "1/5",
        browser=rate in ("1/5", "2"),
    )

MEDIA_RECORDER = {
    "vp8": ("-c:v", "libvpx", "-threads", 1, "-deadline", "realtime", "-cpu-used", 8, "-b:v", "1M"),
    "vp9": (
        "-c:v",
        "libvpx-vp9",
        "-threads",
        1,
        "-deadline",
        "realtime",
        "-cpu-used",
        8,
        "-b:v",
        "1M",
    ),
    "h264": (*h264(),),
}


# A busy computer: pictures are up to 12 ms late, and one in seventeen is left out.
UNEVEN = "select='mod(n,17)-9',settb=1/1000,setpts='(PTS+12*random(0))'"


def recorder(to: Path, encoder: tuple[object, ...]) -> Truth:
    """Write what MediaRecorder writes: milliseconds, no rate, no duration, no index."""
    ffmpeg(
        *pictures(120, 30, filters=UNEVEN), *sound(4), *encoder, "-c:a", "libopus",
        "-fps_mode", "passthrough", "-enc_time_base", "1:1000", "-f", "matroska",
        "-live", 1, to,
    )  # fmt: skip
    to.write_bytes(voided(voided(to.read_bytes(), "23E383"), "4489"))
    return Truth(4, (Pictures(120, 30),), ((Sound(4),),), rate=30, slack=0.04, damage=0.07)


for name, encoder in MEDIA_RECORDER.items():
    case.add(
        f"recorder_without_a_rate_{name}",
        partial(recorder, encoder=encoder),
        quick=name == "vp8",
        browser=name == "vp9",
    )


@case(quick=True)
def track_without_packets(to: Path) -> Truth:
    ffmpeg(
        *pictures(75), *sound(3), *sound(3), "-map", 0, "-map", 1, "-map", 2, *h264(),
        "-c:a", "libopus", "-bsf:a:1", "noise=drop=1", "-f", "matroska", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),), slack=0.03)


@case
def only_sound_track_without_packets(to: Path) -> Truth:
    ffmpeg(
        *pictures(75), *sound(3), *h264(), "-c:a", "libopus", "-bsf:a", "noise=drop=1",
        "-f", "matroska", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),))


@case(quick=True)
def orientation_in_the_bitstream(to: Path) -> Truth:
    """The picture lies on its side; the SEI message says how players turn it upright."""
    ffmpeg(
        *pictures(75, size=PORTRAIT, filters="transpose=clock"), *h264(),
        "-bsf:v", "h264_metadata=display_orientation=insert:rotate=90", "-f", "matroska", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), size=(180, 320))


@case(quick=True)
def track_header_states_a_thirtieth_of_the_duration(to: Path) -> Truth:
    ffmpeg(*pictures(100), *sound(4), *h264(), *AAC, "-f", "mp4", to)
    data = to.read_bytes()
    right = data.index(b"mdhd") + 4 + 16
    wrong = int.from_bytes(data[right : right + 4]) // 30
    to.write_bytes(patched(data, "mdhd", 16, wrong.to_bytes(4)))
    return Truth(4, (Pictures(100),), ((Sound(4),),))


@case(quick=True)
def ambisonic_opus(to: Path) -> Truth:
    """A camera for all directions: four channels that are no loudspeakers."""
    ffmpeg(
        *pictures(75),
        *sound(3, layout="quad", filters="channelmap=0|1|2|3:channel_layout=ambisonic 1"),
        *h264(), "-c:a", "libopus", "-mapping_family", 2, "-f", "mp4", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),), slack=0.03)


@case(quick=True, browser=True)
def av1_in_mp4(to: Path) -> Truth:
    ffmpeg(
        *pictures(75), *sound(3), "-c:v", "libsvtav1", "-preset", 10, "-crf", 20,
        "-svtav1-params", "lp=1", *AAC, "-f", "mp4", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),))


@case
def latm_aac_in_ts(to: Path) -> Truth:
    ffmpeg(
        *pictures(75), *sound(3), *h264(), *AAC, "-mpegts_flags", "latm", *TS, to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),), slack=0.05)


@case(quick=True)
def wmv(to: Path) -> Truth:
    ffmpeg(
        *pictures(75), *sound(3), "-c:v", "wmv2", "-b:v", "2M", "-c:a", "wmav2", "-f", "asf", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),), slack=0.06)


@case(quick=True)
def animated_gif(to: Path) -> Truth:
    ffmpeg(*pictures(60, 20), "-f", "gif", to)
    return Truth(3, (Pictures(60, 20),), rate=20)


@case
def animated_webp(to: Path) -> Truth:
    """ffprobe has no reader for it, so that it is refused by its name."""
    ffmpeg(*pictures(60, 20), "-c:v", "libwebp_anim", "-f", "webp", to)
    return Truth(0, refused="not_a_video")


@case(quick=True)
def forty_attached_fonts(to: Path) -> Truth:
    font = to.with_name("font.ttf")
    font.write_bytes(bytes(2000))
    fonts = [word for _ in range(40) for word in ("-attach", font)]
    ffmpeg(
        *pictures(75), *sound(3), *h264(), "-c:a", "flac", *fonts,
        "-metadata:s:t", "mimetype=application/x-truetype-font", "-f", "matroska", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),))


@case(quick=True)
def bt709_poster(to: Path) -> Truth:
    ffmpeg(
        *pictures(50, size="1280x720", filters="scale=out_color_matrix=bt709:out_range=tv"),
        *h264("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
        "-f", "mp4", to,
    )  # fmt: skip
    return Truth(2, (Pictures(50),), size=(1280, 720))


def fragmented(to: Path, bframes: int, flags: str) -> Truth:
    ffmpeg(
        *pictures(150), *sound(6), *h264(bframes=bframes), *AAC,
        "-movflags", f"frag_keyframe+{flags}", "-f", "mp4", to,
    )  # fmt: skip
    return Truth(6, (Pictures(150),), ((Sound(6),),))


for name, bframes, flags in (
    ("without_b_frames", 0, "empty_moov"),
    ("with_b_frames", 2, "empty_moov"),
    ("with_b_frames_and_edit_list", 2, "delay_moov"),
):
    case.add(
        f"fragmented_mp4_{name}",
        partial(fragmented, bframes=bframes, flags=flags),
        quick=name == "without_b_frames",
        browser=name == "without_b_frames",
    )
