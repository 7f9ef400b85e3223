"""Inputs with every layout, rate and number of sound tracks."""

from functools import partial
from pathlib import Path

from .make import AAC, ffmpeg, h264, pictures, sound
from .truth import Cases, Pictures, Sound, Truth

case = Cases()
MOV, MKV, MP4 = ("-f", "mov"), ("-f", "matroska"), ("-f", "mp4")

# name: layout, samples a second, FFmpeg's encoder and container, slack
ROWS: dict[str, tuple[str, int, tuple[object, ...], float]] = {
    "mono_aac": ("mono", 48_000, (*AAC, *MP4), 0),
    "aac_5_1": ("5.1", 48_000, (*AAC, *MP4), 0),
    "aac_7_1": ("7.1", 48_000, (*AAC, *MP4), 0),
    "pcm_7_1_in_mov": ("7.1", 48_000, ("-c:a", "pcm_s16le", *MOV), 0),
    "pcm_of_16_channels_in_mov": ("hexadecagonal", 48_000, ("-c:a", "pcm_s16le", *MOV), 0),
    "opus_5_1_in_mkv": ("5.1", 48_000, ("-c:a", "libopus", *MKV), 0.03),
    "flac_of_96_khz": ("stereo", 96_000, ("-c:a", "flac", *MKV), 0),
    "aac_of_44_1_khz": ("stereo", 44_100, (*AAC, *MP4), 0.01),
    "aac_of_22_05_khz": ("mono", 22_050, (*AAC, *MP4), 0.01),
    "alac_in_mov": ("stereo", 44_100, ("-c:a", "alac", *MOV), 0.01),
    "mp3_in_mp4": ("stereo", 44_100, ("-c:a", "libmp3lame", *MP4), 0.06),
    "eac3_5_1_in_mp4": ("5.1", 48_000, ("-c:a", "eac3", *MP4), 0.03),
    "dts_in_mkv": ("5.1", 48_000, ("-strict", -2, "-c:a", "dca", *MKV), 0.05),
    "truehd_in_mkv": ("5.1", 48_000, ("-strict", -2, "-c:a", "truehd", *MKV), 0.05),
    "vorbis_in_mkv": ("stereo", 44_100, ("-c:a", "libvorbis", *MKV), 0.03),
    "mulaw_in_mov": ("mono", 8_000, ("-c:a", "pcm_mulaw", *MOV), 0.01),
    "speech_in_speex_like_opus": ("mono", 16_000, ("-c:a", "libopus", "-b:a", "24k", *MKV), 0.03),
}


def with_sound(
    to: Path, layout: str, rate: int, arguments: tuple[object, ...], slack: float
) -> Truth:
    ffmpeg(*pictures(75), *sound(3, rate=rate, layout=layout), *h264(), *arguments, to)
    return Truth(3, (Pictures(75),), ((Sound(3),),), slack=slack)


for name, (layout, rate, arguments, slack) in ROWS.items():
    case.add(
        name,
        partial(with_sound, layout=layout, rate=rate, arguments=arguments, slack=slack),
    )


@case
def channels_without_a_layout(to: Path) -> Truth:
    """Five channels of an audio interface, which are no loudspeakers."""
    ffmpeg(
        *pictures(75), *sound(3, layout="hexadecagonal", filters="aformat=channel_layouts=5c"),
        *h264(), "-c:a", "pcm_s16le", *MKV, to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),))


@case
def two_mono_tracks_in_mov(to: Path) -> Truth:
    """A camera's left and right microphone: two tracks, or one in stereo."""
    ffmpeg(
        *pictures(75), *sound(3, layout="mono"), "-map", 0, "-map", 1, "-map", 1, *h264(),
        "-c:a", "pcm_s16le", *MOV, to,
    )  # fmt: skip
    one, both = ((Sound(3),),), ((Sound(3),), (Sound(3),))
    return Truth(3, (Pictures(75),), one, also=(Truth(3, (Pictures(75),), both),))


@case(browser=True)
def three_languages(to: Path) -> Truth:
    ffmpeg(
        *pictures(75), *sound(3), "-map", 0, "-map", 1, "-map", 1, "-map", 1, *h264(),
        "-c:a", "flac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra",
        "-metadata:s:a:2", "language=deu", *MKV, to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),) * 3)


@case
def second_sound_track_starts_late(to: Path) -> Truth:
    ffmpeg(
        *pictures(100), *sound(4), *sound(2, offset=2), "-map", 0, "-map", 1, "-map", 2,
        *h264(), "-c:a", "flac", *MKV, to,
    )  # fmt: skip
    return Truth(4, (Pictures(100),), ((Sound(4),), (Sound(2, at=2),)))


@case
def silent_sound(to: Path) -> Truth:
    """A muted recording has a sound track without sound."""
    ffmpeg(*pictures(75), *sound(3, filters="volume=0"), *h264(), *AAC, *MP4, to)
    return Truth(3, (Pictures(75),), ((),))


@case
def sound_on_one_side(to: Path) -> Truth:
    """A microphone that is connected to the left channel only."""
    ffmpeg(
        *pictures(75), *sound(3, filters="pan=stereo|c0=c0|c1=0*c1"), *h264(), *AAC, *MP4, to
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),))


@case
def main_sound_is_not_the_first(to: Path) -> Truth:
    """The default track starts with the picture, and another one a second before both."""
    ffmpeg(
        *pictures(75, offset=1), *sound(4), *sound(3, offset=1), "-map", 0, "-map", 1, "-map", 2,
        *h264(), "-c:a", "flac", "-disposition:a:0", 0, "-disposition:a:1", "default", *MKV, to,
    )  # fmt: skip
    return Truth(
        3, (Pictures(75),), ((Sound(3),), (Sound(3, first=1),)), slack=0.01,
        also=(Truth(4, (Pictures(75, at=1),), ((Sound(3, at=1),), (Sound(4),))),),
    )  # fmt: skip
