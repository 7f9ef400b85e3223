"""The gate before publication: what is not as it should be is named, and not published."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest

from videos.processing import gate, pipeline
from videos.processing.encode import Encoded
from videos.processing.errors import ToolBroke
from videos.processing.gate import Faulty
from videos.processing.ladder import ladder
from videos.processing.probe import AudioTrack

from .media import ffmpeg, h264, make_clip, picture, tone

pytestmark = pytest.mark.usefixtures("media")
SOUND = ["-ac", "2", "-ar", "48000", "-c:a", "aac"]


@pytest.fixture
def encoded(tmp_path):
    """A function that returns two seconds of encoded picture and sound, made by FFmpeg's arguments."""

    def make(video=(), audio=(), *, rate=25, seconds=2) -> Encoded:
        picture_file, sound_file = tmp_path / "v-90p.mp4", tmp_path / "a-0.mp4"
        ffmpeg(*picture(size="160x90", rate=rate), *h264(), *video, picture_file)
        ffmpeg(*tone(seconds=seconds), *SOUND, *audio, sound_file)
        track = AudioTrack(1, "aac", "und", "", 2)
        return Encoded(
            ((ladder(160, 90)[0], picture_file),), ((track, sound_file),), 50, Fraction(25)
        )

    return make


def test_what_is_as_it_should_be_passes(encoded):
    gate.check(encoded(), seconds=60)


@pytest.mark.parametrize(
    ("video", "audio", "what"),
    [
        (["-frames:v", "49"], [], "v-90p.mp4 has 49 pictures instead of 50"),
        (["-vf", "setpts=PTS+0.2/TB"], [], "v-90p.mp4 begins at 0.200 s"),
        (["-vf", "setpts=PTS+gte(N\\,20)*0.2/TB", "-fps_mode", "vfr"], [], "skips a picture"),
        ([], ["-t", "1.5"], "a-0.mp4 lasts from 0.000 to 1.500 s instead of 2.000 s"),
        (["-vf", "drawbox=t=fill:color=black:enable='gte(t,0.5)'"], [], "v is black for 1"),
        ([], ["-af", "volume=0:enable='gte(t,0.5)'"], "a0 is silent for 1.5 s"),
        ([], ["-af", "apad=pad_dur=1"], "a-0.mp4 lasts from 0.000 to 3.000 s"),
    ],
)
def test_a_file_that_differs_is_named_with_the_difference(encoded, video, audio, what):
    with pytest.raises(Faulty, match=what.replace(".", r"\.")):
        gate.check(encoded(video, audio), seconds=60)


def test_what_is_black_and_silent_in_the_source_may_be_so(encoded):
    made = encoded(["-vf", "drawbox=t=fill:color=black"], ["-af", "volume=0"])

    gate.check(replace(made, empty_seconds={"v": 2.0, "a0": 2.0}), seconds=60)


def test_a_file_that_cannot_be_decoded_is_named(encoded):
    made = encoded()
    path = made.videos[0][1]
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)

    with pytest.raises(Faulty, match=r"v-90p\.mp4"):
        gate.check(made, seconds=60)


def test_a_faulty_rendition_is_encoded_again_once(tmp_path, monkeypatch):
    source = make_clip(tmp_path / "source", size="160x90")
    real, faults = gate.check, [Faulty("v-90p.mp4 has 49 pictures instead of 50.")]

    def check(encoded, **options):
        if faults:
            raise faults.pop()
        real(encoded, **options)

    monkeypatch.setattr(gate, "check", check)
    (tmp_path / "work").mkdir()
    told = []

    pipeline.transcode(
        source, tmp_path / "work", lambda step, percent: told.append((step, percent))
    )

    assert [step for step, _ in told].count("check") > 1
    assert all(later >= earlier for (_, earlier), (_, later) in pairwise(told))


def test_what_is_faulty_twice_fails_with_the_reason(tmp_path, monkeypatch):
    source = make_clip(tmp_path / "source", size="160x90")

    def check(encoded, **options):
        raise Faulty("v-90p.mp4 has 49 pictures instead of 50.")

    monkeypatch.setattr(gate, "check", check)
    (tmp_path / "work").mkdir()

    with pytest.raises(ToolBroke, match="49 pictures instead of 50"):
        pipeline.transcode(source, tmp_path / "work", lambda *_: None)

    assert not list((tmp_path / "work" / "out").iterdir())
