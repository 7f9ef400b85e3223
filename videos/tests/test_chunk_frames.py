"""A video encoded in chunks has exactly the pictures, times and keyframes of the whole encode."""

import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from config.tests import cases
from videos.processing import cutting, tools
from videos.processing.encode import NotExact, encode
from videos.processing.graphs import Part
from videos.processing.ladder import ladder
from videos.processing.probe import probe

from .lab import pattern
from .media import ffmpeg, ffprobe, h264, picture

pytestmark = pytest.mark.long

SECONDS = 2  # of a chunk


@pytest.fixture(autouse=True)
def short_chunks(settings):
    settings.CHUNK_SECONDS, settings.CHUNKS_FROM_SECONDS = SECONDS, 3
    settings.FFMPEG_PRESET = "ultrafast"


def drawn(frames, rate=25, first=0):
    return ["-f", "lavfi", "-i", pattern.picture(frames, rate, "160x90", first)]


def heard(seconds):
    return ["-f", "lavfi", "-i", pattern.sound(seconds)]


def b_frames(path):
    """MP4 with B-frames: an edit list takes their delay off."""
    ffmpeg(*drawn(225), *heard(9), *h264("-bf", "3", "-g", "40"), "-c:a", "aac", path)


def open_gops(path):
    """Pictures that are decoded after a keyframe, but shown before it."""
    ffmpeg(*drawn(225), *h264("-bf", "3", "-g", "30", "-x264-params", "open-gop=1"), path)


def television_rate(path):
    ffmpeg(*drawn(200, "30000/1001"), *h264("-bf", "2", "-g", "30"), path)


def held_pictures(path):
    """A clock of milliseconds, and pictures that are held for 1.6 seconds, across chunks."""
    skipped = "select='not(between(n,40,80)+between(n,130,131)+between(n,170,200))'"
    ffmpeg(
        *drawn(225), "-vf", skipped, "-fps_mode", "vfr", *h264("-g", "4"), "-f", "matroska", path
    )


def late_picture(path):
    """The sound begins a second and a half before the picture, and ends two seconds after it."""
    ffmpeg(
        *heard(9), "-itsoffset", "1.52", *drawn(140), "-map", "1:v", "-map", "0:a",
        *h264("-bf", "2", "-g", "25"), "-c:a", "libopus", "-f", "matroska", path,
    )  # fmt: skip


def webm(path):
    ffmpeg(*drawn(225), *heard(9), "-c:v", "libvpx", "-deadline", "realtime", "-g", "25",
           "-c:a", "libopus", "-f", "webm", path)  # fmt: skip


def live_matroska(path):
    """A recording of a browser: without an index of its keyframes."""
    ffmpeg(*drawn(225), *h264("-bf", "2", "-g", "30"), "-f", "matroska", "-live", "1", path)


def fragments(path):
    ffmpeg(
        *drawn(225), *h264("-bf", "2", "-g", "30"), "-movflags", "frag_keyframe+delay_moov", path
    )


def interlaced(path):
    fields = ("-flags", "+ildct+ilme", "-x264opts", "tff=1:bff=0", "-g", "30")
    ffmpeg(*drawn(225), *h264(*fields), "-vf", "setfield=tff", path)


SOURCES = [
    b_frames, open_gops, television_rate, held_pictures, late_picture, webm, live_matroska, fragments,
    interlaced,
]  # fmt: skip


def in_chunks(source, video, renditions, folder):
    plan = cutting.plan(source, video, renditions)
    assert plan is not None
    assert len(plan.parts) > 2
    parts: list[tuple[Part, Path]] = []
    for number, part in reversed(list(enumerate(plan.parts))):
        (folder / str(number)).mkdir(parents=True)
        cutting.encode_part(source, video, renditions, part, folder / str(number), print)
        parts.insert(0, (part, folder / str(number)))
    sound = None
    if video.audio_tracks:
        sound = folder / "sound"
        sound.mkdir()
        cutting.encode_sound(source, video, sound, print)
    (folder / "joined").mkdir()
    return cutting.join(
        video, renditions, parts, sound, folder / "joined", empty_seconds={}, on_tick=print
    )


def packets(path):
    """Return (time shown, length, whether it is a keyframe) of each picture, in the order of time."""
    entries = ("-show_entries", "packet=pts,duration,flags:stream=time_base")
    report = ffprobe(path, "-select_streams", "0", *entries)
    tick = Fraction(report["streams"][0]["time_base"])
    return sorted(
        (packet["pts"] * tick, packet["duration"] * tick, "K" in packet["flags"])
        for packet in report["packets"]
    )


def numbers(path):
    """Return the numbers that the pictures show, one after another."""
    size = f"{pattern.READ_WIDTH}x{pattern.READ_HEIGHT}"
    shown = subprocess.run(
        [str(tools.ffmpeg()), "-v", "error", "-i", str(path), "-s", size, "-pix_fmt", "rgb24",
         "-fps_mode", "passthrough", "-f", "rawvideo", "-"], check=True, capture_output=True,
    ).stdout  # fmt: skip
    length = pattern.READ_WIDTH * pattern.READ_HEIGHT * 3
    pictures = (memoryview(shown[at : at + length]) for at in range(0, len(shown), length))
    return [pattern.read_picture(each).number for each in pictures]


@pytest.mark.parametrize("make", cases.some(5, SOURCES))
def test_chunks_are_the_whole_encode(tmp_path, make):
    source = tmp_path / "source"
    make(path := tmp_path / f"{make.__name__}.mp4")
    path.rename(source)
    video = probe(source)
    renditions = ladder(video.width, video.height, video.frame_rate)
    (tmp_path / "whole").mkdir()
    whole = encode(source, video, renditions, tmp_path / "whole", on_percent=print)

    joined = in_chunks(source, video, renditions, tmp_path / "chunks")

    assert (joined.frames, joined.frame_rate) == (whole.frames, whole.frame_rate)
    assert len(joined.videos) == len(whole.videos)
    for (_, one), (_, other) in zip(whole.videos, joined.videos, strict=True):
        assert len(packets(one)) == whole.frames
        assert packets(one) == packets(other)
        assert numbers(one) == numbers(other)
        assert len(set(numbers(other))) > whole.frames / 2  # it can tell one picture from the next
    assert len(joined.audios) == len(whole.audios)
    for (_, one), (_, other) in zip(whole.audios, joined.audios, strict=True):
        assert packets(one) == packets(other)


def test_av1_is_cut_as_h264_is(tmp_path):
    source = tmp_path / "source"
    b_frames(path := tmp_path / "a.mp4")
    path.rename(source)
    video = probe(source)
    renditions = ladder(video.width, video.height, video.frame_rate, ["h264", "av1"])
    assert {each.codec for each in renditions} == {"h264", "av1"}
    (tmp_path / "whole").mkdir()
    whole = encode(source, video, renditions, tmp_path / "whole", on_percent=print)

    joined = in_chunks(source, video, renditions, tmp_path / "chunks")

    for (_, one), (_, other) in zip(whole.videos, joined.videos, strict=True):
        assert packets(one) == packets(other)
        assert numbers(one) == numbers(other)


@pytest.fixture
def plan_of(tmp_path):
    def make(*arguments, name="source.mp4"):
        ffmpeg(*arguments, tmp_path / name)
        video = probe(tmp_path / name)
        return cutting.plan(
            tmp_path / name, video, ladder(video.width, video.height, video.frame_rate)
        )

    return make


def test_what_cannot_be_cut_exactly_is_encoded_whole(plan_of, settings):
    clip = (*picture(seconds=6, size="160x90"), *h264("-g", "25"))
    assert plan_of(*clip) is not None
    assert plan_of(*clip, name="source.ts") is None  # without an index of its keyframes
    few = (*picture(seconds=6, size="160x90"), *h264("-g", "500"))
    assert plan_of(*few) is None  # each part would be decoded from the beginning
    settings.CHUNKS_FROM_SECONDS = 7
    assert plan_of(*clip) is None
    settings.CHUNKS_FROM_SECONDS, settings.CHUNK_SECONDS = 3, 0
    assert plan_of(*clip) is None


def test_a_video_has_a_bounded_number_of_chunks(plan_of, monkeypatch):
    monkeypatch.setattr(cutting, "MOST_PARTS", 2)
    plan = plan_of(*picture(seconds=6, size="160x90"), *h264("-g", "25"))
    assert plan.parts == (Part(0, 100), Part(100, 50))


def test_another_setting_of_the_encoder_is_another_plan(plan_of, settings):
    clip = (*picture(seconds=6, size="160x90"), *h264("-g", "25"))
    first, again = plan_of(*clip, name="a.mp4"), plan_of(*clip, name="b.mp4")
    assert first.parts == again.parts == (Part(0, 50), Part(50, 50), Part(100, 50))
    assert first.signature != again.signature  # another file
    settings.FFMPEG_PRESET = "superfast"
    assert plan_of(*clip, name="b.mp4").signature != again.signature


def test_a_part_without_a_keyframe_before_it_is_refused(tmp_path):
    """The index of the file names a picture as a keyframe that is none."""
    source = tmp_path / "source"
    ffmpeg(
        *drawn(200), *h264("-g", "60", "-bf", "0", "-sc_threshold", "0"), path := tmp_path / "a.mp4"
    )
    data = bytearray(path.read_bytes())
    table = data.index(b"stss") + 8
    assert struct.unpack_from(">5I", data, table) == (4, 1, 61, 121, 181)
    struct.pack_into(">I", data, table + 8, 81)
    source.write_bytes(data)
    video = probe(source)
    renditions = ladder(video.width, video.height, video.frame_rate)

    with pytest.raises(NotExact, match="after its first picture"):
        cutting.encode_part(source, video, renditions, Part(100, 50), tmp_path, print)


def test_a_part_of_another_shape_is_refused(tmp_path):
    """Each part has one shape, so FFmpeg does not notice that it is not that of the beginning."""
    for name, size in (("a", "160x90"), ("b", "320x180")):
        ffmpeg(
            *picture(seconds=4, size=size), *h264("-g", "25", "-bf", "0"), tmp_path / f"{name}.mkv"
        )
    (tmp_path / "list.txt").write_text("file a.mkv\nfile b.mkv\n")
    source = tmp_path / "source.mkv"
    ffmpeg(
        "-f", "concat", "-i", tmp_path / "list.txt", "-c", "copy", "-bsf:v", "dump_extra", source
    )
    video = probe(source)
    renditions = ladder(video.width, video.height, video.frame_rate)
    plan = cutting.plan(source, video, renditions)
    assert plan is not None

    with pytest.raises(NotExact, match="shape"):
        cutting.encode_part(source, video, renditions, plan.parts[-1], tmp_path, print)
