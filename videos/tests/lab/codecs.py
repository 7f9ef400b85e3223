"""Inputs in the codecs of phones, cameras, browsers, recorders, discs and old computers."""

from functools import partial
from pathlib import Path

from .make import AAC, TS, ffmpeg, h264, pictures, sound
from .truth import Cases, Pictures, Sound, Truth

case = Cases()
OPUS = ("-c:a", "libopus")
VP9 = ("-c:v", "libvpx-vp9", "-threads", 1, "-deadline", "realtime", "-cpu-used", 8, "-b:v", "2M")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:pools=1")
MP3 = ("-c:a", "libmp3lame")

# name: FFmpeg's encoders and container, the time that the codec of the sound adds or takes
ROWS: dict[str, tuple[tuple[object, ...], float]] = {
    "av1_in_webm": (
        ("-c:v", "libaom-av1", "-cpu-used", 8, "-usage", "realtime", "-b:v", "1M",
         *OPUS, "-f", "webm"),
        0.03,
    ),
    "av1_10_bit_in_mp4": (
        ("-c:v", "libsvtav1", "-preset", 12, "-svtav1-params", "lp=1",
         "-pix_fmt", "yuv420p10le", *AAC, "-f", "mp4"),
        0,
    ),
    "hevc_10_bit_in_mp4": ((*HEVC, "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1", *AAC, "-f", "mp4"), 0),
    "hevc_in_ts": ((*HEVC, "-pix_fmt", "yuv420p", *AAC, *TS), 0.1),
    "vp8_in_mkv": (("-c:v", "libvpx", "-b:v", "2M", "-cpu-used", 8, "-threads", 1,
                    "-deadline", "realtime",
                    "-c:a", "libvorbis", "-f", "matroska"), 0.03),
    "vp9_with_alpha": ((*VP9, "-pix_fmt", "yuva420p", *OPUS, "-f", "webm"), 0.03),
    "vp9_in_mp4": ((*VP9, *AAC, "-f", "mp4"), 0.03),
    "xvid_in_avi": (("-c:v", "libxvid", "-q:v", 3, *MP3, "-f", "avi"), 0.1),
    "mpeg4_with_b_frames_in_avi": (("-c:v", "mpeg4", "-q:v", 3, "-bf", 2, "-c:a", "ac3",
                                    "-f", "avi"), 0.1),
    "mpeg4_in_avi_with_pcm": (("-c:v", "mpeg4", "-q:v", 3, "-c:a", "pcm_s16le", "-f", "avi"), 0.03),
    "mjpeg_in_avi": (("-c:v", "mjpeg", "-q:v", 3, "-c:a", "pcm_u8", "-f", "avi"), 0.03),
    "mjpeg_in_mov": (("-c:v", "mjpeg", "-q:v", 3, "-c:a", "pcm_s16le", "-f", "mov"), 0.03),
    "theora_in_ogg": (("-c:v", "libtheora", "-q:v", 9, "-c:a", "libvorbis", "-f", "ogg"), 0.06),
    "prores_in_mov": (("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le", "-c:a", "pcm_s24le",
                       "-f", "mov"), 0),
    "dnxhr_in_mov": (("-c:v", "dnxhd", "-profile:v", "dnxhr_sq",
                      "-vf", "scale=out_color_matrix=bt709:out_range=tv", "-pix_fmt", "yuv422p",
                      "-c:a", "pcm_s16le", "-f", "mov"), 0),
    "mpeg1_in_mpg": (("-c:v", "mpeg1video", "-b:v", "2M", "-g", 12, "-bf", 2, "-pix_fmt", "yuv420p",
                      "-c:a", "mp2", "-f", "mpeg"), 0.12),
    "flv1_in_flv": (("-c:v", "flv", "-q:v", 3, *MP3, "-ar", 44_100, "-f", "flv"), 0.1),
    "h264_in_flv": ((*h264(bframes=2), *AAC, "-f", "flv"), 0.1),
    "wmv1_in_asf": (("-c:v", "wmv1", "-q:v", 3, "-c:a", "wmav1", "-f", "asf"), 0.12),
    "msmpeg4_in_avi": (("-c:v", "msmpeg4", "-q:v", 3, *MP3, "-f", "avi"), 0.1),
    "h264_4_4_4": ((*h264("-pix_fmt", "yuv444p"), *AAC, "-f", "mp4"), 0),
    "h264_rgb_in_mkv": (("-c:v", "libx264rgb", "-preset", "ultrafast", "-c:a", "flac",
                         "-f", "matroska"), 0),
    "h264_10_bit": ((*h264("-pix_fmt", "yuv420p10le"), *AAC, "-f", "mp4"), 0),
    "ffv1_in_mkv": (("-c:v", "ffv1", "-pix_fmt", "yuv420p", "-c:a", "flac", "-f", "matroska"), 0),
    "huffyuv_in_avi": (("-c:v", "huffyuv", "-c:a", "pcm_s16le", "-f", "avi"), 0.03),
    "raw_video_in_mov": (("-c:v", "rawvideo", "-pix_fmt", "uyvy422", "-c:a", "pcm_s16le",
                          "-f", "mov"), 0),
    "animation_in_mov": (("-c:v", "qtrle", "-c:a", "pcm_s16be", "-f", "mov"), 0),
    "png_in_mov": (("-c:v", "png", "-c:a", "pcm_s16be", "-f", "mov"), 0),
    "vvc_in_mp4": (("-c:v", "libvvenc", "-preset", "faster", "-qp", 20, "-pix_fmt", "yuv420p10le",
                    *AAC, "-f", "mp4"), 0.03),
    "b_pyramid_in_ts": ((*h264("-x264-params", "bframes=3:b-pyramid=2:b-adapt=0"), *AAC, *TS), 0.05),
    "mpeg2_in_mxf": (("-c:v", "mpeg2video", "-b:v", "8M", "-pix_fmt", "yuv420p",
                     "-c:a", "pcm_s16le", "-f", "mxf"), 0.03),
}  # fmt: skip


def encoded(to: Path, arguments: tuple[object, ...], slack: float) -> Truth:
    ffmpeg(*pictures(75), *sound(3), *arguments, to)
    return Truth(3, (Pictures(75),), ((Sound(3),),), slack=slack)


for name, (arguments, slack) in ROWS.items():
    case.add(
        name,
        partial(encoded, arguments=arguments, slack=slack),
        browser=name == "hevc_10_bit_in_mp4",
    )


@case
def dvd(to: Path) -> Truth:
    """PAL in widescreen: interlaced, and its pixels are wider than they are high."""
    ffmpeg(
        *pictures(75, size="720x576", filters="setsar=64/45,setfield=tff"), *sound(3, layout="5.1"),
        "-c:v", "mpeg2video", "-b:v", "6M", "-g", 12, "-bf", 2, "-pix_fmt", "yuv420p",
        "-flags", "+ilme+ildct", "-c:a", "ac3", "-f", "dvd", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),), size=None, aspect=16 / 9, slack=0.15)


@case
def dv_camcorder(to: Path) -> Truth:
    ffmpeg(
        *pictures(75, size="720x576", filters="setsar=16/15"), *sound(3), "-c:v", "dvvideo",
        "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", "-f", "avi", to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),), size=None, aspect=4 / 3, slack=0.03, red=False)


@case
def old_phone_3gp(to: Path) -> Truth:
    """H.263 and AMR, which has 8,000 samples a second."""
    ffmpeg(
        *pictures(45, 15, size="176x144"), *sound(3, rate=8000, layout="mono"), "-c:v", "h263",
        "-q:v", 3, "-c:a", "libopencore_amrnb", "-f", "3gp", to,
    )  # fmt: skip
    return Truth(
        3, (Pictures(45, 15),), ((Sound(3),),), rate=15, size=(176, 144), slack=0.06, red=False,
        hums=False,
    )  # fmt: skip


@case
def interlaced_broadcast(to: Path) -> Truth:
    ffmpeg(
        *pictures(75, size="720x576", filters="setsar=64/45"), *sound(3),
        *h264("-flags", "+ilme+ildct", "-x264-params", "tff=1"), "-c:a", "mp2", *TS, to,
    )  # fmt: skip
    return Truth(3, (Pictures(75),), ((Sound(3),),), size=None, aspect=16 / 9, slack=0.1)


@case
def gif_with_uneven_delays(to: Path) -> Truth:
    """An animation: the first picture stands for two seconds, and the others follow quickly."""
    ffmpeg(
        *pictures(40, 20, filters="setpts='if(eq(N,0),0,2/TB+(N-1)/20/TB)'"),
        "-fps_mode", "passthrough", "-f", "gif", to,
    )  # fmt: skip
    groups = (Pictures(1, 20), Pictures(39, 20, at=2, first=1))
    return Truth(3.95, groups, rate=None, slack=0.06)
