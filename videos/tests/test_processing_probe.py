"""Describing an uploaded file, and rejecting files that are not accepted."""

import struct
import zipfile
from fractions import Fraction

import pytest

from videos.processing import tools
from videos.processing.errors import Rejected, ToolFailed, ToolMissing
from videos.processing.probe import probe

from .media import ffmpeg, h264, make_clip, picture, tone


def refusal(path) -> str:
    with pytest.raises(Rejected) as caught:
        probe(path)
    assert str(path) not in caught.value.detail
    return caught.value.code


def test_a_plain_video_is_described(tmp_path):
    path = make_clip(tmp_path / "source", size="640x360", rate="30000/1001")

    video = probe(path)

    assert (video.container, video.video_codec, video.width, video.height) == (
        "mov",
        "h264",
        640,
        360,
    )
    assert video.frame_rate == Fraction(30000, 1001)
    assert video.timing.constant
    assert not video.timing.picture.interlaced
    assert not video.hdr
    assert video.duration_seconds == pytest.approx(2, abs=0.05)
    assert video.size == path.stat().st_size
    assert [(track.codec, track.language) for track in video.audio_tracks] == [("aac", "und")]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"just some words\n" * 200,
        b"<!doctype html><html><body><video src='x.mp4'></video></body></html>" * 20,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0" + bytes(600),
        b"#!AMR\n" + bytes(4000),
        b"RIFF" + bytes(4) + b"WAVEfmt " + bytes(4000),
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    ],
    ids=["empty", "one byte", "text", "html", "png", "amr", "wav", "sdp", "svg"],
)
@pytest.mark.parametrize("name", ["source", "video.mp4"])
def test_files_of_other_kinds_are_not_a_video(tmp_path, content, name):
    path = tmp_path / name
    path.write_bytes(content)

    assert refusal(path) == "not_a_video"


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"RIFF\x10\0\0\0WEBPVP8X", "a WebP picture"),
        (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b".RMF\0\0\0\x12", "a RealMedia file"),
    ],
)
def test_a_file_of_a_known_kind_is_named(tmp_path, head, what):
    (tmp_path / "source").write_bytes(head + bytes(4000))

    with pytest.raises(Rejected, match=f"This is {what}. Upload an MP4"):
        probe(tmp_path / "source")


def test_an_archive_is_not_a_video(tmp_path):
    path = tmp_path / "video.mp4"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("video.mp4", bytes(5000))

    assert refusal(path) == "not_a_video"


@pytest.mark.parametrize(
    "name", ["source", "video.mp4", "video.m3u8", "video.ffconcat", "video.mpd"]
)
@pytest.mark.parametrize("kind", ["hls", "hls absolute", "ffconcat", "dash"])
def test_a_playlist_that_names_another_file_is_not_a_video(tmp_path, name, kind):
    victim = make_clip(tmp_path / "victim.ts", seconds=1, size="64x64")
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    text = {
        "hls": playlist.format(victim.name),
        "hls absolute": playlist.format(f"file:{victim}"),
        "ffconcat": f"ffconcat version 1.0\nfile {victim.name}\n",
        "dash": "<MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period>"
        f"<BaseURL>{victim.name}</BaseURL></Period></MPD>",
    }[kind]
    path = tmp_path / name
    path.write_text(text)

    assert refusal(path) == "not_a_video"


def borrowing(path, victim):
    """A video without any picture of its own, which says that its pictures lie in ``victim``.

    The reference is an "alis" record with an absolute path, the only kind that FFmpeg follows.
    """
    content = bytearray(victim.read_bytes())
    assert content.index(b"mdat") < content.index(b"moov")  # else the places of the pictures move
    name = str(victim).encode()
    record = struct.pack(">I4sI", 0, b"alis", 0) + bytes(10)  # size, type, flags; then the volume
    record += b"\x01x" + bytes(26) + bytes(12) + b"\x01y" + bytes(62) + bytes(36)
    record += struct.pack(">hH", 2, len(name)) + name + bytes(len(name) % 2)
    record += struct.pack(">hH", -1, 0)
    record = struct.pack(">I", len(record)) + record[4:]
    new = struct.pack(">I4sII", 16 + len(record), b"dref", 0, 1) + record
    at = content.index(b"dref") - 4
    old = struct.unpack(">I", content[at : at + 4])[0]
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        start = content.index(box) - 4
        grown = struct.unpack(">I", content[start : start + 4])[0] + len(new) - old
        content[start : start + 4] = struct.pack(">I", grown)
    content[at : at + old] = new
    start = content.index(b"mdat")
    size = struct.unpack(">I", content[start - 4 : start])[0]
    content[start + 4 : start - 4 + size] = bytes(size - 8)
    path.write_bytes(content)
    return path


def test_a_video_that_says_its_pictures_are_in_another_file_does_not_get_them(tmp_path, settings):
    """Without the cage, so that only FFmpeg's own options stand between the two files."""
    settings.FFMPEG_SANDBOX = "limits"
    victim = tmp_path / "victim.mp4"
    ffmpeg(*picture(seconds=1), *h264(), victim)
    assert probe(victim).video_codec == "h264"

    assert refusal(borrowing(tmp_path / "source", victim)) == "damaged"


@pytest.mark.parametrize("name", ["-i", "%03d.mp4", "http:x.mp4", "a'b,c;d\n.mp4", "concat:x|y"])
def test_an_odd_name_is_just_a_name(tmp_path, name):
    path = make_clip(tmp_path / "source", seconds=1)
    path = path.rename(tmp_path / name)

    assert probe(path).video_codec == "h264"


def test_sound_alone_has_no_video(tmp_path):
    ffmpeg(*tone(), "-c:a", "aac", tmp_path / "a.m4a")

    assert refusal(tmp_path / "a.m4a") == "no_video_stream"


def test_a_cover_image_is_not_a_video(tmp_path):
    ffmpeg(*picture(seconds=0.04), "-frames:v", 1, tmp_path / "cover.jpg")
    ffmpeg(
        *tone(),
        *("-i", tmp_path / "cover.jpg", "-map", "0", "-map", "1", "-c:a", "aac", "-c:v", "copy"),
        *("-disposition:v:0", "attached_pic", tmp_path / "a.mp4"),
    )

    assert refusal(tmp_path / "a.mp4") == "no_video_stream"


def test_a_cover_image_is_not_taken_for_the_video(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4")
    ffmpeg(*picture(seconds=0.04, size="64x64"), "-frames:v", 1, tmp_path / "cover.jpg")
    ffmpeg(
        *("-i", tmp_path / "cover.jpg", "-i", clip, "-map", "0", "-map", "1", "-c", "copy"),
        *("-disposition:v:0", "attached_pic", tmp_path / "a.mp4"),
    )

    video = probe(tmp_path / "a.mp4")

    assert (video.width, video.height, video.video_codec) == (320, 180, "h264")


def test_a_codec_outside_the_list_is_named(tmp_path):
    ffmpeg(*picture(seconds=1), "-c:v", "snow", "-strict", "-2", tmp_path / "a.avi")

    with pytest.raises(Rejected, match="snow") as caught:
        probe(tmp_path / "a.avi")
    assert caught.value.code == "unsupported_codec"


def test_too_long_too_large_too_small_and_too_many_streams(tmp_path, settings):
    path = make_clip(tmp_path / "source")

    settings.MAX_DURATION_SECONDS = 1
    assert refusal(path) == "too_long"
    settings.MAX_DURATION_SECONDS = 60
    settings.MAX_PIXELS = 320 * 180 - 1
    assert refusal(path) == "too_large"
    settings.MAX_PIXELS = 320 * 180
    settings.MAX_STREAMS = 1
    assert refusal(path) == "too_many_streams"
    settings.MAX_STREAMS = 2
    assert probe(path).width == 320
    assert refusal(make_clip(tmp_path / "small", size="64x8")) == "too_small"


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_forty_streams_are_too_many(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    ffmpeg(
        *picture(seconds=0.2), *tone(seconds=0.2), "-map", "0", *["-map", "1"] * 40,
        "-c:a", "aac", *h264(), path,
    )  # fmt: skip

    assert refusal(path) == "too_many_streams"


def test_a_picture_beyond_all_limits_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "a.avi"
    ffmpeg(
        "-f", "lavfi", "-i", "color=size=12000x12000:rate=1:duration=1", "-frames:v", 1,
        "-c:v", "mjpeg", "-q:v", 31, path,
    )  # fmt: skip

    assert refusal(path) == "too_large"


def test_two_frames_a_hundred_hours_apart_are_too_long(tmp_path):
    path = tmp_path / "a.mkv"
    ffmpeg(
        *picture(seconds=0.08), "-vf", "setpts=N*360000/TB", *h264("-bf", "0"),
        "-fps_mode", "passthrough", path,
    )  # fmt: skip

    assert refusal(path) == "too_long"


def test_an_impossible_number_of_frames_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg(*picture(seconds=0.5, size="32x32", rate=2000), *h264(), path)

    assert refusal(path) == "too_many_frames"


def test_a_video_without_one_whole_picture_is_damaged(tmp_path):
    path = make_clip(tmp_path / "source")
    content = path.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(len(content) - start))

    assert refusal(path) == "damaged"


def test_a_rotated_recording_is_described_upright(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", size="640x360")
    ffmpeg("-display_rotation", "90", "-i", clip, "-c", "copy", tmp_path / "turned.mp4")

    video = probe(tmp_path / "turned.mp4")

    assert (video.width, video.height) == (360, 640)


def test_wide_pixels_are_counted_as_they_are_shown(tmp_path):
    ffmpeg(*picture(size="720x576"), "-vf", "setsar=64/45", *h264(), tmp_path / "a.mp4")

    video = probe(tmp_path / "a.mp4")

    assert (video.width, video.height) == (1024, 576)


def test_high_dynamic_range_is_recognised(tmp_path):
    ffmpeg(
        *picture(seconds=0.4), "-c:v", "libx265", "-preset", "ultrafast",
        "-pix_fmt", "yuv420p10le", "-x265-params",
        "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc",
        tmp_path / "a.mp4",
    )  # fmt: skip

    assert probe(tmp_path / "a.mp4").hdr


def test_interlaced_video_is_counted_in_frames_and_not_in_fields(tmp_path):
    path = tmp_path / "a.ts"
    ffmpeg(
        *picture(rate=50), "-vf", "interlace=scan=tff",
        *h264("-flags", "+ildct+ilme", "-x264-params", "tff=1"), path,
    )  # fmt: skip

    video = probe(path)

    assert video.timing.picture.interlaced
    assert video.frame_rate == 25


@pytest.mark.parametrize("rate", ["60000/1001", "30000/1001", "24000/1001", "25", "17"])
def test_a_rate_is_exact_though_the_container_counts_milliseconds(tmp_path, rate):
    path = tmp_path / "a.mkv"
    ffmpeg(*picture(rate=rate, seconds=3), *h264("-bf", "2"), path)

    assert probe(path).frame_rate == Fraction(rate)


@pytest.mark.parametrize(("rate", "expected"), [(120, 60), (100, 50), (90, 45), ("60000/1001", 0)])
def test_rates_beyond_sixty_are_divided(tmp_path, rate, expected):
    path = make_clip(tmp_path / "source", seconds=1, size="64x64", rate=rate)

    assert probe(path).frame_rate == (expected or Fraction(60000, 1001))


def test_a_variable_rate_is_told_from_a_constant_one(tmp_path):
    path = tmp_path / "a.mkv"
    ffmpeg(
        *picture(rate=30), "-vf", "select='not(mod(n,3))+lt(n,20)'", "-fps_mode", "vfr",
        *h264(), path,
    )  # fmt: skip

    video = probe(path)

    assert not video.timing.constant
    assert video.frame_rate <= 60


def test_a_recording_that_does_not_say_how_long_it_is_gets_measured(tmp_path):
    path = tmp_path / "a.webm"
    ffmpeg(
        *picture(seconds=1), *tone(seconds=1), "-c:v", "libvpx", "-deadline", "realtime",
        "-cpu-used", "8", "-c:a", "libopus", "-live", "1", "-f", "webm", path,
    )  # fmt: skip

    assert probe(path).duration_seconds == pytest.approx(1, abs=0.05)


def test_languages_and_titles_are_cleaned(tmp_path):
    path = tmp_path / "a.mkv"
    ffmpeg(
        *picture(seconds=1), *tone(seconds=1), "-map", "0", "-map", "1", "-map", "1", "-map", "1",
        "-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=x\"y,z",
        "-metadata:s:a:1", "title=A \"B\",C=D\n#EXT", "-metadata:s:a:2", "language=pt-BR",
        *h264(), path,
    )  # fmt: skip

    tracks = probe(path).audio_tracks

    assert [track.language for track in tracks] == ["de", "und", "pt"]
    assert tracks[1].title == "A B C D EXT"


def test_a_missing_tool_names_its_setting(tmp_path, settings):
    path = make_clip(tmp_path / "source", seconds=1)
    settings.FFPROBE_PATH = str(tmp_path / "nowhere")

    with pytest.raises(ToolMissing, match="FFPROBE_PATH"):
        probe(path)


def test_a_tool_that_does_not_work_is_not_the_videos_fault(tmp_path, settings):
    path = make_clip(tmp_path / "source", seconds=1)
    settings.FFMPEG_MEMORY_MB = 16

    with pytest.raises(ToolFailed):
        probe(path)


def test_the_tools_say_their_versions():
    assert set(tools.versions()) == {"ffmpeg", "ffprobe", "packager"}
