"""AV1 beside H.264 (LADDER_CODECS=h264,av1)."""

import re
import xml.etree.ElementTree as ElementTree
from unittest import mock

import pytest
from django.test import override_settings

from videos.processing import batches, manifests
from videos.processing.batches import batches as divided
from videos.processing.ladder import ladder
from videos.processing.pipeline import transcode
from videos.processing.posters import poster_at

from .media import ffprobe, make_clip

pytestmark = pytest.mark.long

MPD = "{urn:mpeg:dash:schema:mpd:2011}"
BOTH = ("h264", "av1")


@pytest.mark.parametrize(("width", "height"), [(3840, 2160), (1080, 1920), (641, 361), (320, 180)])
def test_each_rendition_has_one_in_av1_of_its_size_before_it(width, height):
    made = ladder(width, height, 30, BOTH)

    assert tuple(each for each in made if each.codec == "h264") == ladder(width, height, 30)
    for av1, h264 in zip(made[::2], made[1::2], strict=True):
        assert (av1.name, av1.width, av1.height) == (f"{h264.name}-av1", h264.width, h264.height)
        assert av1.maxrate == pytest.approx(h264.maxrate * 2 / 3, abs=1000)
        assert av1.bufsize == 2 * av1.maxrate


def test_tiny_pictures_have_no_av1():
    assert [each.codec for each in ladder(62, 36, 30, BOTH)] == ["h264"]


@pytest.mark.parametrize("megabytes", [256, 2048, 4096, 65536])
def test_a_process_has_as_many_renditions_in_av1_as_memory_allows(settings, megabytes):
    settings.FFMPEG_MEMORY_MB = megabytes
    made = ladder(3840, 2160, 30, BOTH)

    first, *others = divided(made)

    assert first == ladder(3840, 2160, 30)
    assert [each for batch in others for each in batch] == [e for e in made if e.codec == "av1"]
    room = megabytes * 1024 * 1024 - batches.OF_PROCESS
    for batch in others:
        need = sum(batches.OF_ENCODER + batches.OF_PIXEL * e.width * e.height for e in batch)
        assert len(batch) == 1 or need <= room
    assert len(others) == {256: 7, 2048: 4, 4096: 2, 65536: 1}[megabytes]


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    folder = tmp_path_factory.mktemp("av1")
    source = make_clip(folder / "source", seconds=9.04, size="640x360")
    told: list[int] = []
    (folder / "work").mkdir()
    chosen = override_settings(LADDER_CODECS=BOTH, AV1_PRESET=12)
    # They need so much memory that each rendition in AV1 is made by a process of its own.
    with chosen, mock.patch.object(batches, "OF_ENCODER", 3_000_000_000):
        output = transcode(source, folder / "work", lambda step, percent: told.append(percent))
    return output, told


def packets(playlist):
    counted = ffprobe(playlist, "-count_packets", "-show_entries", "stream=nb_read_packets")
    return int(counted["streams"][0]["nb_read_packets"])


def test_a_version_has_both_codecs_at_the_same_times(version):
    output, told = version

    names = ["360p-av1", "360p", "240p-av1", "240p"]
    assert [made["name"] for made in output.renditions] == names
    codecs = [made["codecs"].partition(",")[0] for made in output.renditions]
    assert [codec[:4] for codec in codecs] == ["av01", "avc1", "av01", "avc1"]
    assert {packets(output.directory / f"{name}.m3u8") for name in names} == {226}
    lists = {name: (output.directory / f"{name}.m3u8").read_text() for name in names}
    lengths = {name: re.findall(r"#EXTINF:([0-9.]+)", text) for name, text in lists.items()}
    assert len(lengths["360p"]) == 3
    assert all(each == lengths["360p"] for each in lengths.values())
    assert told == sorted(told)
    assert told[-1] == 100


def test_both_manifests_offer_both_codecs(version):
    output, _ = version

    master = (output.directory / "master.m3u8").read_text()
    offered = re.findall(r'#EXT-X-STREAM-INF:.*CODECS="([^",]*).*\n(\S+)', master)
    assert {(codec[:4], address) for codec, address in offered} == {
        ("av01", "360p-av1.m3u8"),
        ("avc1", "360p.m3u8"),
        ("av01", "240p-av1.m3u8"),
        ("avc1", "240p.m3u8"),
    }
    manifest = ElementTree.parse(output.directory / "manifest.mpd")  # noqa: S314 - it is ours
    sets = manifest.iter(f"{MPD}AdaptationSet")
    found = [
        {each.get("codecs", "")[:4] for each in one.iter(f"{MPD}Representation")}
        for one in sets
        if one.get("contentType") == "video"
    ]
    assert sorted(found, key=min) == [{"av01"}, {"avc1"}]


def test_a_player_of_one_codec_gets_a_playlist_without_av1(version):
    output, _ = version
    folder = output.directory

    manifests.compose(folder, texts=[], sounds=manifests.sounds_of(folder), seconds=9.04)

    both = (folder / "master.m3u8").read_text().splitlines()
    one = (folder / "h264.m3u8").read_text().splitlines()
    assert [line for line in both if line not in one] == [
        line for line in both if "av01" in line or line.endswith("-av1.m3u8")
    ]
    assert [line for line in one if not line.startswith("#") and line] == ["360p.m3u8", "240p.m3u8"]
    assert len(both) - len(one) == 6  # two variants of two lines, and two for trick play


def test_a_poster_needs_no_decoder_for_av1(version, tmp_path):
    output, _ = version

    poster_at(output.directory, output.renditions, 4.5, tmp_path)

    of_h264 = (output.directory / "360p" / "init.mp4").read_bytes()
    assert (tmp_path / "segment.mp4").read_bytes().startswith(of_h264)
