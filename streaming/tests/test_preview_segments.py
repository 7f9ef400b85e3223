"""The rule on which previews rest, on versions that are really made: copied, encoded and growing."""

import re
from pathlib import Path

import pytest

from streaming.delivery.previews import cut, is_open, part_of
from videos.processing import early, growing, original, packager, pipeline
from videos.tests.media import ffmpeg, h264, picture, tone

pytestmark = pytest.mark.programs
SECONDS = 24
FRAME = 0.05  # a picture, or a frame of sound


def source(path: Path, *video: str, rate: object = "30000/1001") -> Path:
    ffmpeg(
        *picture(seconds=SECONDS, rate=rate), *tone(seconds=SECONDS), *(video or h264()),
        "-c:a", "aac", "-t", SECONDS, path,
    )  # fmt: skip
    return path


def copied(tmp_path, monkeypatch):
    keyframes = h264("-force_key_frames", "0,3,7.5,9,16,17,21.2", "-g", "1000")
    made = original.copy(
        source(tmp_path / "s.mp4", *keyframes), tmp_path / "w", on_tick=lambda: None
    )
    assert made is not None
    assert made.segment_seconds > 4
    return made.directory, made.segment_seconds


def encoded(tmp_path, monkeypatch):
    made = pipeline.transcode(
        source(tmp_path / "s.mkv", "-c:v", "mpeg4"), tmp_path / "w", lambda *_: None
    )
    return made.directory, made.segment_seconds


def grown(tmp_path, monkeypatch):
    monkeypatch.setattr(growing, "SOON_SECONDS", -1.0)
    served = tmp_path / "served"

    def begin(output):
        output.directory.rename(served)
        return served

    path = source(tmp_path / "s.mkv", "-c:v", "mpeg4")
    # On a busy machine the encode may end before FFmpeg has told of its beginning.
    for attempt in range(10):
        work = tmp_path / f"w-{attempt}"
        work.mkdir()
        early.first_rendition(path, work, lambda *_: None, begin)
        if served.exists():
            break
    return served, packager.SEGMENT_SECONDS


@pytest.mark.long
@pytest.mark.parametrize("make", [copied, encoded, grown])
def test_previews_reach_to_their_end_and_at_most_one_segment_beyond(make, tmp_path, monkeypatch):
    (tmp_path / "w").mkdir()
    folder, length = make(tmp_path, monkeypatch)
    tracks = {
        path.name: path.read_text() for path in folder.glob("*.m3u8") if ".m4s" in path.read_text()
    }
    assert len(tracks) >= 2  # picture and sound, and the pictures of a fast search
    for preview in range(1, SECONDS + 1):
        part = part_of(preview, length)
        for name, text in tracks.items():
            ends = 0.0
            begins: dict[str, float] = {}
            for seconds, file in re.findall(r"#EXTINF:([0-9.]+),\n(?:#.*\n)*(\S+)\n", text):
                begins.setdefault(file, ends)
                ends += float(seconds)
            opened = [file for file in begins if is_open(f"v/{file}", "m4s", part)]
            assert begins[opened[-1]] < preview + length + FRAME
            shown = cut("m3u8", text.encode(), part).decode()
            total = sum(map(float, re.findall(r"#EXTINF:([0-9.]+)", shown)))
            assert total >= min(preview, ends) - FRAME, name
            assert total <= preview + 2 * length + FRAME
            assert shown.endswith("#EXT-X-ENDLIST\n")
