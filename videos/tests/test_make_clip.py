"""manage.py make_clip: a video for trying the service."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from .media import ffprobe


@pytest.mark.programs
def test_it_writes_a_video_of_twelve_seconds_with_sound(tmp_path):
    path, said = tmp_path / "clip.mp4", StringIO()

    call_command("make_clip", str(path), stdout=said)

    report = ffprobe(path, "-show_format", "-show_streams")
    assert [stream["codec_type"] for stream in report["streams"]] == ["video", "audio"]
    assert (report["streams"][0]["width"], report["streams"][0]["height"]) == (1280, 720)
    assert float(report["format"]["duration"]) == pytest.approx(12, abs=0.1)
    assert said.getvalue().startswith(f"{path}: 12 s, 1280x720, ")


@pytest.mark.parametrize("path", ["no/clip.mp4", "."])
def test_a_path_that_cannot_be_written_is_refused(tmp_path, path):
    with pytest.raises(CommandError, match="is not the path of a file in a folder that exists"):
        call_command("make_clip", str(tmp_path / path))

    assert list(tmp_path.iterdir()) == []
