"""The lab notices what it promises to notice, in a good version beside wrong truths, or changed."""

from dataclasses import replace

import pytest

from .lab import checks, played
from .lab.make import AAC, ffmpeg, h264, pictures, sound
from .lab.pattern import Heard
from .lab.truth import Pictures, Sound, Truth
from .test_lab import process

RIGHT = Truth(4, (Pictures(100),), ((Sound(4),),), red=False)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """An ordinary video's version, played, and what the pipeline says of it."""
    folder = tmp_path_factory.mktemp("version")
    ffmpeg(*pictures(100), *sound(4), *h264(), *AAC, "-f", "mp4", folder / "source")
    output, refusal = process(folder / "source", folder / "work")
    assert output, refusal
    return played.play(output.directory), output


def test_a_good_version_has_no_faults(version):
    shown, output = version

    assert checks.faults(shown, RIGHT, output) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seconds": 4.1}, "It lasts 4.000 s instead of 4.100 s."),
        ({"rate": 30}, "It has 25.000 pictures a second instead of 30.000."),
        ({"size": (320, 240)}, "It is 320x180 instead of 320x240."),
        ({"aspect": 4 / 3}, "is shown 1.778:1, not 1.333:1."),
        ({"pictures": (Pictures(100, first=1),)}, "100 of 100 pictures are wrong"),
        ({"pictures": (Pictures(101),)}, "1 of 101 source pictures are missing: 100."),
        ({"pictures": (Pictures(99),)}, "1 of 100 pictures are wrong, the first at 3.960 s"),
        ({"pictures": (Pictures(100, at=0.04),)}, "pictures are wrong"),
        ({"sounds": ()}, "HLS has 1 sound tracks instead of 0."),
        ({"sounds": ((Sound(4, first=0.02),),)}, "It beeps at"),
        ({"sounds": ((Sound(2),),)}, "There is sound between 2.00 and 4.00 s"),
        ({"sounds": ((Sound(2, at=2),),)}, "There is sound between 0.00 and 2.00 s"),
    ],
)
def test_a_wrong_truth_is_noticed(version, wrong, said):
    shown, output = version

    faults = checks.faults(shown, replace(RIGHT, **wrong), output)

    assert any(said in fault for fault in faults), faults


def changed(shown: played.Played, kind: str, *, listed=None, decoded=None) -> played.Played:
    """Return the version with its first rendition or sound track changed."""
    tracks = list(getattr(shown, kind))
    tracks[0] = (replace(tracks[0][0], **(listed or {})), replace(tracks[0][1], **(decoded or {})))
    return replace(shown, **{kind: tuple(tracks)})  # type: ignore[arg-type]  # a field of tracks


def test_a_changed_version_is_noticed(version):
    shown, output = version
    picture, hum = shown.videos[0][1], shown.audios[0][1]
    silent = Heard(hum.heard.beeps, tuple(0.0 for _ in hum.heard.loudness))
    late = Heard(tuple(beep + 0.01 for beep in hum.heard.beeps), hum.heard.loudness)
    uneven = ((0.0, 0.03), *picture.times[1:50], (2.005, 2.04), *picture.times[51:])

    for changes, said in (
        (changed(shown, "videos", listed={"durations": (3.96, 0.04)}), "segment has 0.040 s."),
        (changed(shown, "videos", listed={"durations": (3.5,)}), "HLS states 3.500 s"),
        (changed(shown, "videos", decoded={"times": uneven}), "unevenly"),
        (changed(shown, "videos", decoded={"times": picture.times[:90]}), "It lasts 3.600 s"),
        (changed(shown, "videos", decoded={"frames": picture.frames[::-1]}), "pictures are wrong"),
        (changed(shown, "audios", listed={"start": 0.5}), "It starts at"),
        (changed(shown, "audios", decoded={"times": hum.times[:100]}), "and the video 4.000 s."),
        (changed(shown, "audios", decoded={"heard": silent}), "There is silence"),
        (changed(shown, "audios", decoded={"heard": late}), "+10 ms away."),
        (replace(shown, manifest_seconds=5.0), "DASH says 5.000 s"),
        (replace(shown, manifest_seconds=3.99), "after the end that DASH states."),
        (replace(shown, videos=shown.videos[:1]), "DASH has 0 of 1 renditions."),
    ):
        faults = checks.faults(changes, RIGHT, output)
        assert any(said in fault for fault in faults), (said, faults)
