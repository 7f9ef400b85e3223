"""Small files that ask for much: each ends at once, with a reason, and within the limits."""

import struct
import time
from fractions import Fraction

import pytest

from videos.processing import packager
from videos.processing.encode import Encoded, seconds_allowed
from videos.processing.errors import LimitReached, Rejected, ToolFailed
from videos.processing.ladder import ladder
from videos.processing.pipeline import transcode
from videos.processing.probe import AudioTrack, probe
from videos.services.failures import Ending, failure_of

from .media import ffmpeg, h264, make_clip, picture, tone

pytestmark = [pytest.mark.usefixtures("media"), pytest.mark.long]
TWO_FRAMES = ["-f", "lavfi", "-i", "color=size=64x64:rate=1:duration=2"]
DURATION = bytes.fromhex("4489")  # Matroska's element, with an eight-byte number


def apart(seconds: int) -> list[str]:
    """Return FFmpeg's options that set the second frame ``seconds`` after the first one."""
    return ["-vf", f"setpts=if(gte(N\\,1)\\,{seconds}/TB\\,0)", "-fps_mode", "passthrough"]


def far_apart(path, seconds=18_000):
    ffmpeg(*TWO_FRAMES, *apart(seconds), *h264(), path)
    return path


def short_on_paper(path):
    """Two frames five hours apart, in a file whose every header says two seconds."""
    content = bytearray(far_apart(path).read_bytes())
    for name, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"elst", 12)):
        at = content.index(name) + offset
        content[at : at + 4] = struct.pack(">I", 2000)
    at = content.index(b"mdhd") + 16
    scale = struct.unpack(">I", content[at : at + 4])[0]
    content[at + 4 : at + 8] = struct.pack(">I", 2 * scale)
    path.write_bytes(content)
    return path


def edited(path, edits=20_000):
    """A file of two seconds whose edit list repeats them 20,000 times: eleven hours in all."""
    ffmpeg(*picture(size="64x64"), *h264("-bf", "0"), path)
    content = bytearray(path.read_bytes())
    moov = content.index(b"moov") - 4
    size = struct.unpack(">I", content[moov : moov + 4])[0]
    assert moov + size <= len(content)
    elst = content.index(b"elst") - 4
    old = struct.unpack(">I", content[elst : elst + 4])[0]
    entries = struct.pack(">IiI", 2000, 0, 0x10000) * edits
    new = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, edits) + entries
    content[elst : elst + old] = new
    for name in (b"moov", b"trak", b"edts"):
        at = content.index(name) - 4
        grown = struct.unpack(">I", content[at : at + 4])[0] + len(new) - old
        content[at : at + 4] = struct.pack(">I", grown)
    path.write_bytes(content)
    return path


def vint(number: int) -> bytes:
    return bytes([1]) + number.to_bytes(7, "big")


def element(name: str, data: bytes) -> bytes:
    return bytes.fromhex(name) + vint(len(data)) + data


def with_attachments(path, count=10_000):
    ffmpeg(*picture(seconds=1, size="64x64"), *h264(), path)
    content = path.read_bytes()
    segment, cluster = (content.index(bytes.fromhex(name)) for name in ("18538067", "1F43B675"))
    files = b"".join(
        element(
            "61A7",
            element("466E", b"f%d" % number)
            + element("4660", b"font/ttf")
            + element("465C", b"x")
            + element("46AE", (number + 1).to_bytes(4, "big")),
        )
        for number in range(count)
    )
    unknown_size = b"\x01" + b"\xff" * 7
    body = content[segment + 12 : cluster] + element("1941A469", files) + content[cluster:]
    path.write_bytes(content[: segment + 4] + unknown_size + body)
    return path


def many_tracks(path, count=26):
    ffmpeg(
        *picture(size="64x64"), *tone(), "-map", "0", *(["-map", "1"] * count), *h264(),
        "-c:a", "aac", path,
    )  # fmt: skip
    return path


def fast(path):
    ffmpeg("-f", "lavfi", "-i", "color=size=64x64:rate=1000:duration=5", *h264(), path)
    return path


def long_title(path):
    text = path.with_suffix(".txt")
    text.write_text(";FFMETADATA1\n[STREAM]\ntitle=" + "y" * 9_000_000 + "\n")
    ffmpeg(
        *picture(seconds=1, size="64x64"), "-i", text, "-map", "0",
        "-map_metadata:s:v:0", "1:s:0", *h264(), path,
    )  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("make", "name", "code"),
    [
        (far_apart, "a.mkv", "too_sparse"),
        (far_apart, "a.mp4", "too_sparse"),
        (lambda path: far_apart(path, 42_000), "b.mkv", "too_long"),
        (short_on_paper, "a.mp4", "too_sparse"),
        (edited, "a.mp4", "too_long"),
        (with_attachments, "a.mkv", "too_many_streams"),
        (many_tracks, "a.mkv", "too_many_audio_tracks"),
        (lambda path: many_tracks(path, 40), "b.mkv", "too_many_streams"),
        (fast, "a.mkv", "too_many_frames"),
        (long_title, "a.mkv", "too_complex"),
    ],
)
def test_a_bomb_ends_at_once_with_a_reason(tmp_path, make, name, code):
    source = make(tmp_path / name)
    work = tmp_path / "work"
    work.mkdir()

    begun = time.monotonic()
    with pytest.raises((Rejected, LimitReached)) as caught:
        transcode(source, work, lambda *_: None)

    failure = failure_of(caught.value, strikes=0)
    assert (failure.ending, failure.code) == (Ending.GIVE_UP, code)
    assert "/" not in failure.detail
    assert time.monotonic() - begun < 60
    assert sum(file.stat().st_size for file in work.rglob("*") if file.is_file()) < 80_000_000


def test_sixteen_sound_tracks_and_all_renditions_fit_into_the_packager(tmp_path, settings):
    """Seen: with 20 files Shaka Packager aborted, because each kept 64 MB of address space."""
    settings.FFMPEG_MEMORY_MB = 4096
    video, sound = tmp_path / "v.mp4", tmp_path / "a.mp4"
    ffmpeg(*picture(size="64x64"), *h264(), video)
    ffmpeg(*tone(), "-c:a", "aac", sound)
    videos = []
    for rendition in ladder(3840, 2160):
        path = tmp_path / f"v-{rendition.name}.mp4"
        path.write_bytes(video.read_bytes())
        videos.append((rendition, path))
    sounds = []
    for number in range(24):  # the most that the setting allows
        path = tmp_path / f"a-{number}.mp4"
        path.write_bytes(sound.read_bytes())
        sounds.append((AudioTrack(number, "aac", "und", "", 2), path))
    out = tmp_path / "out"
    out.mkdir()

    packager.package(Encoded(tuple(videos), tuple(sounds), 50, Fraction(25)), out)

    assert len(list(out.glob("*/init.mp4"))) == 31


def test_names_of_sound_tracks_never_collide():
    tracks = [AudioTrack(n, "aac", "und", title, 2) for n, title in enumerate(("A 3", "A", "A"))]

    names = packager.audio_names(tracks)

    assert len(set(names)) == 3


def test_the_time_allowed_follows_length_and_size(tmp_path, settings):
    settings.PROCESSING_TIME_FACTOR = 10
    small = probe(make_clip(tmp_path / "a.mp4", seconds=2, size="64x64"))
    large = probe(make_clip(tmp_path / "b.mp4", seconds=2, size="1920x1080", rate=30))

    assert seconds_allowed(small) == pytest.approx(300 + 2 * 2.5, abs=0.5)
    assert seconds_allowed(large) == pytest.approx(300 + 2 * 10, abs=0.5)


def test_a_video_that_outlasts_its_time_fails_for_good_with_a_sentence(
    tmp_path, settings, monkeypatch
):
    monkeypatch.setattr("videos.processing.encode.FLOOR_SECONDS", 1)
    settings.PROCESSING_TIME_FACTOR, settings.FFMPEG_PRESET = 1, "slow"
    source = make_clip(tmp_path / "source", seconds=4, size="1280x720", rate=60)
    work = tmp_path / "work"
    work.mkdir()

    with pytest.raises(LimitReached, match="did not end") as caught:
        transcode(source, work, lambda *_: None)

    failure = failure_of(caught.value, strikes=0)
    assert (failure.ending, failure.code) == (Ending.GIVE_UP, "too_slow")
    assert "longer than the" in failure.detail


def test_a_source_that_changes_while_it_is_read_is_read_again(tmp_path):
    source = make_clip(tmp_path / "source", size="64x64")
    work = tmp_path / "work"
    work.mkdir()

    def change(step, percent):
        if step == "package":
            source.write_bytes(source.read_bytes() + b"more")

    with pytest.raises(ToolFailed, match="has changed") as caught:
        transcode(source, work, change)

    assert failure_of(caught.value, strikes=0).ending is Ending.STRIKE
