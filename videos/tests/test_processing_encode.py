"""Renditions: every frame, at the right moment, and only picture and sound of the source."""

from itertools import pairwise

import pytest

from config.tests import cases
from videos.processing.encode import encode
from videos.processing.errors import Rejected
from videos.processing.ladder import ladder
from videos.processing.probe import probe

from .media import ffmpeg, ffprobe, frame_count, h264, keyframe_times, make_clip, picture, tone

pytestmark = pytest.mark.long


@pytest.fixture
def encoded(tmp_path):
    """A function that encodes a file as the pipeline does, and returns the result of ``encode``."""

    def run(source):
        video = probe(source)
        folder = tmp_path / "encoded"
        folder.mkdir()
        renditions = ladder(video.width, video.height, video.frame_rate)
        return encode(source, video, renditions, folder, on_percent=lambda percent: None)

    return run


def first_stream(path, entries):
    report = ffprobe(path, "-select_streams", "v:0", "-show_entries", f"stream={entries}")
    return report["streams"][0]


@cases.crossed(rate=["24000/1001", "25", "30000/1001", "30", "50"], extension=["mp4", "mkv", "ts"])
def test_a_constant_rate_keeps_every_frame_exactly_once(tmp_path, encoded, extension, rate):
    source = tmp_path / f"source.{extension}"
    ffmpeg(
        *picture(rate=rate, size="160x90"), *tone(), "-map", "0", "-map", "1",
        *h264("-bf", "2"), "-c:a", "aac", source,
    )  # fmt: skip

    result = encoded(source)

    ((_, path),) = result.videos
    assert frame_count(path) == frame_count(source) == result.frames
    assert first_stream(path, "start_time")["start_time"] == "0.000000"


def test_a_picture_that_begins_after_the_sound_is_held_from_the_start(tmp_path, encoded):
    source = tmp_path / "source.ts"
    ffmpeg(
        *picture(size="160x90"), *tone(offset=-3, seconds=5), "-map", "0", "-map", "1",
        *h264(), "-c:a", "aac", source,
    )  # fmt: skip
    assert frame_count(source) == 50

    # The sound of a transport stream begins with the encoder's 23 ms of silence.
    assert encoded(source).frames == pytest.approx(125, abs=1)


def test_keyframes_are_two_seconds_apart_and_at_the_same_times_in_every_rendition(
    tmp_path, encoded
):
    source = make_clip(tmp_path / "source", seconds=5, size="640x360", rate="30000/1001")

    result = encoded(source)

    assert [rendition.name for rendition, _ in result.videos] == ["360p", "240p"]
    high, low = (keyframe_times(path) for _, path in result.videos)
    assert high == low == pytest.approx([0, 2.002, 4.004], abs=0.001)


def test_a_variable_rate_becomes_constant(tmp_path, encoded):
    source = tmp_path / "source.mkv"
    ffmpeg(
        *picture(rate=30, size="160x90"), "-vf", "select='not(mod(n,3))+lt(n,20)'",
        "-fps_mode", "vfr", *h264(), source,
    )  # fmt: skip

    result = encoded(source)

    ((_, path),) = result.videos
    packets = ffprobe(path, "-show_entries", "packet=pts")["packets"]
    times = sorted(int(packet["pts"]) for packet in packets)
    assert len({later - earlier for earlier, later in pairwise(times)}) == 1
    assert frame_count(path) == pytest.approx(58, abs=1)


def test_a_rate_of_a_hundred_is_halved(tmp_path, encoded):
    result = encoded(make_clip(tmp_path / "source", seconds=1, size="160x90", rate=100))

    assert result.frames == 50


def test_a_turned_video_comes_out_upright(tmp_path, encoded):
    clip = make_clip(tmp_path / "clip.mp4", seconds=1)
    ffmpeg("-display_rotation", "90", "-i", clip, "-c", "copy", tmp_path / "turned.mp4")

    ((_, path),) = encoded(tmp_path / "turned.mp4").videos

    stream = first_stream(path, "width,height:stream_side_data=rotation")
    assert (stream["width"], stream["height"]) == (180, 320)
    assert not stream.get("side_data_list")


def test_odd_sizes_wide_pixels_and_full_chroma_are_normalised(tmp_path, encoded):
    source = tmp_path / "source.mkv"
    ffmpeg(
        *picture(seconds=0.5), "-vf", "format=yuv444p,scale=161:91,setsar=2/1",
        "-c:v", "libx264", "-preset", "ultrafast", source,
    )  # fmt: skip

    ((_, path),) = encoded(source).videos

    stream = first_stream(path, "width,height,pix_fmt,sample_aspect_ratio")
    assert (stream["width"], stream["height"]) == (322, 90)
    assert (stream["pix_fmt"], stream["sample_aspect_ratio"]) == ("yuv420p", "1:1")


def test_interlaced_video_comes_out_progressive(tmp_path, encoded):
    source = tmp_path / "source.ts"
    ffmpeg(
        *picture(rate=50, size="160x96"), "-vf", "interlace=scan=tff",
        *h264("-flags", "+ildct+ilme", "-x264-params", "tff=1"), source,
    )  # fmt: skip

    result = encoded(source)

    ((_, path),) = result.videos
    assert result.frames == frame_count(source) == 50
    assert first_stream(path, "field_order")["field_order"] == "progressive"


def test_high_dynamic_range_becomes_standard(tmp_path, encoded):
    source = tmp_path / "source.mp4"
    ffmpeg(
        *picture(seconds=0.2, size="160x90"), "-c:v", "libx265", "-preset", "ultrafast",
        "-pix_fmt", "yuv420p10le", "-x265-params",
        "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc", source,
    )  # fmt: skip

    ((_, path),) = encoded(source).videos

    stream = first_stream(path, "pix_fmt,color_space,color_transfer,color_primaries")
    assert set(stream.values()) == {"yuv420p", "bt709"}


def test_metadata_position_and_chapters_are_removed(tmp_path, encoded):
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=900\ntitle=secretchapter\n"
    )
    source = tmp_path / "source.mp4"
    ffmpeg(
        *picture(seconds=1), *tone(seconds=1), "-i", chapters, "-map", "0", "-map", "1",
        "-map_metadata", 2, "-metadata", "location=+48.8577+002.295/",
        "-metadata", "artist=secretartist", "-metadata", "comment=secretcomment",
        "-metadata:s:a:0", "title=secrettitle", "-metadata:s:v:0", "handler_name=secrethandler",
        "-metadata:s:a:0", "language=fra",
        *h264(), "-c:a", "aac", "-movflags", "+use_metadata_tags", source,
    )  # fmt: skip
    assert b"secretartist" in source.read_bytes()

    result = encoded(source)

    for _, path in (*result.videos, *result.audios):
        content = path.read_bytes()
        assert b"secret" not in content
        assert b"+48.8577" not in content
        assert ffprobe(path, "-show_chapters")["chapters"] == []


def test_sound_is_stereo_at_48_kilohertz(tmp_path, encoded):
    source = tmp_path / "source.mkv"
    sound = ["-f", "lavfi", "-i", "sine=sample_rate=22050:duration=1"]
    ffmpeg(*picture(seconds=1, size="160x90"), *sound, "-c:a", "pcm_s16le", *h264(), source)

    ((_, path),) = encoded(source).audios

    report = ffprobe(path, "-show_entries", "stream=codec_name,profile,sample_rate,channels")
    assert report["streams"] == [
        {"codec_name": "aac", "profile": "LC", "sample_rate": "48000", "channels": 2}
    ]


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_video_cut_off_in_the_middle_is_truncated(tmp_path, encoded, kept):
    source = make_clip(tmp_path / "source", seconds=10, size="160x90")
    content = source.read_bytes()
    source.write_bytes(content[: int(len(content) * kept)])

    with pytest.raises(Rejected) as caught:
        encoded(source)

    assert caught.value.code == "truncated"


def test_a_matroska_video_cut_off_in_the_middle_is_truncated(tmp_path, encoded):
    source = tmp_path / "source.mkv"
    ffmpeg(*picture(seconds=6, size="160x90"), *tone(seconds=6), *h264(), "-c:a", "aac", source)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])

    with pytest.raises(Rejected) as caught:
        encoded(source)

    assert caught.value.code == "truncated"


def test_the_last_picture_is_held_until_the_sound_ends(tmp_path, encoded):
    source = tmp_path / "source.mkv"
    ffmpeg(
        *picture(seconds=1, size="160x90"), *tone(seconds=3), "-map", "0", "-map", "1",
        *h264(), "-c:a", "aac", source,
    )  # fmt: skip

    assert encoded(source).frames == 75


def test_damage_in_the_middle_costs_pictures_and_not_the_video(tmp_path, encoded):
    source = make_clip(tmp_path / "source", seconds=4, size="160x90")
    content = bytearray(source.read_bytes())
    start = content.index(b"mdat")
    middle = start + (len(content) - start) // 2
    content[middle : middle + 2000] = bytes(2000)
    source.write_bytes(content)

    assert encoded(source).frames == pytest.approx(100, abs=5)
