"""From an upload to a folder that players can play."""

import array
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from videos.processing import cage, tools
from videos.processing.errors import Rejected
from videos.processing.pipeline import transcode

from .media import ffmpeg, frame_count, h264, make_clip, picture, tone

MPD = "{urn:mpeg:dash:schema:mpd:2011}"


def run(source, work, on_progress=lambda step, percent: None):
    work.mkdir(exist_ok=True)
    return transcode(source, work, on_progress)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """One video with sound: (source, output, everything the progress callback was told)."""
    folder = tmp_path_factory.mktemp("video")
    source = make_clip(folder / "source", seconds=5, size="640x360", rate="30000/1001")
    told = []
    output = run(source, folder / "work", lambda step, percent: told.append((step, percent)))
    return source, output, told


def texts(output):
    return {path.name: path.read_text() for path in output.directory.iterdir() if path.is_file()
            and path.suffix in (".m3u8", ".mpd")}  # fmt: skip


def addresses(text):
    named = re.findall(r'(?:URI|initialization|media)="([^"]*)"', text)
    if not text.startswith("#EXTM3U"):
        return named
    return named + [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_output_describes_the_version(video):
    _, output, _ = video

    assert output.directory.name == "out"
    assert (output.width, output.height, output.container) == (640, 360, "mov")
    assert (output.video_codec, output.audio_codec) == ("h264", "aac")
    assert output.frame_rate == pytest.approx(29.97, abs=0.001)
    assert output.duration_seconds == pytest.approx(5, abs=0.05)
    names = [(made["name"], made["width"], made["height"]) for made in output.renditions]
    assert names == [("360p", 640, 360), ("240p", 416, 234)]
    for made in output.renditions:
        assert re.fullmatch(r"avc1\.[0-9a-f]{6},mp4a\.40\.2", made["codecs"])
    high, low = (made["video_bitrate"] for made in output.renditions)
    size = sum(path.stat().st_size for path in (output.directory / "360p").glob("*.m4s"))
    assert high == pytest.approx(size * 8 / output.duration_seconds, rel=0.02)
    assert high > low > 0


def test_progress_never_falls_and_ends_at_a_hundred(video):
    _, _, told = video

    percents = [percent for _, percent in told]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    steps = ["probe", "encode", "check", "package", "poster"]
    assert list(dict.fromkeys(step for step, _ in told)) == steps


def test_only_the_files_to_publish_are_left(video):
    source, output, _ = video

    assert source.exists()
    assert {path.name for path in output.directory.parent.iterdir()} == {"out"}
    assert {path.name for path in output.directory.iterdir()} == {
        "master.m3u8", "manifest.mpd", "poster.jpg", "360p", "240p", "360p.m3u8", "240p.m3u8",
        "360p-iframe.m3u8", "240p-iframe.m3u8", "audio-1-und", "audio-1-und.m3u8",
        "extras.json", "storyboard",
    }  # fmt: skip
    for directory in ("360p", "240p", "audio-1-und"):
        names = {path.name for path in (output.directory / directory).iterdir()}
        assert names == {"init.mp4", "1.m4s", "2.m4s"}


def test_every_address_is_relative_and_exists(video):
    _, output, _ = video

    playlists = texts(output)
    assert len(playlists) == 7
    for text in playlists.values():
        assert str(output.directory.parent) not in text
        for address in addresses(text):
            assert not address.startswith(("/", "http", "file", ".."))
            assert (output.directory / address.replace("$Number$", "1")).is_file()


def test_hls_plays_to_the_end_with_every_frame(video):
    source, output, _ = video

    for rendition in output.renditions:
        playlist = output.directory / f"{rendition['name']}.m3u8"
        assert frame_count(playlist) == frame_count(source)
    assert frame_count(output.directory / "master.m3u8") == frame_count(source)
    assert "#EXT-X-ENDLIST" in (output.directory / "360p.m3u8").read_text()


def test_dash_plays_to_the_end_with_every_frame(video, tmp_path):
    source, output, _ = video
    manifest = ElementTree.fromstring((output.directory / "manifest.mpd").read_text())  # noqa: S314 (our own)

    assert manifest.get("type") == "static"
    videos = manifest.findall(f".//{MPD}AdaptationSet[@contentType='video']/{MPD}Representation")
    assert len(videos) == 2
    for video in videos:
        template = video.find(f"{MPD}SegmentTemplate")
        joined = tmp_path / "joined.mp4"
        content = (output.directory / template.get("initialization")).read_bytes()
        entries = template.findall(f"{MPD}SegmentTimeline/{MPD}S")
        for number in range(1, sum(1 + int(entry.get("r", 0)) for entry in entries) + 1):
            address = template.get("media").replace("$Number$", str(number))
            content += (output.directory / address).read_bytes()
        joined.write_bytes(content)
        assert frame_count(joined) == frame_count(source)


def test_the_poster_is_a_picture_of_the_video(video):
    _, output, _ = video

    content = (output.directory / "poster.jpg").read_bytes()
    assert content.startswith(b"\xff\xd8\xff")
    assert 2_000 < len(content) < 500_000


def test_the_poster_is_not_the_black_beginning(tmp_path):
    source = tmp_path / "source.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", "color=black:size=160x90:rate=25:duration=8",
        "-f", "lavfi", "-i", "color=white:size=160x90:rate=25:duration=3",
        "-filter_complex", "[0][1]concat", *h264(), source,
    )  # fmt: skip

    output = run(source, tmp_path / "work")

    gray = brightness(output.directory / "poster.jpg")
    assert gray[0] > 200


def test_a_video_that_is_black_throughout_still_has_a_poster(tmp_path):
    source = tmp_path / "source.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=black:size=160x90:rate=25:duration=1", *h264(), source)

    output = run(source, tmp_path / "work")

    assert (output.directory / "poster.jpg").stat().st_size > 0


def test_a_silent_video_has_no_audio_group(tmp_path):
    output = run(make_clip(tmp_path / "source", audio=False), tmp_path / "work")

    master = texts(output)["master.m3u8"]
    assert "TYPE=AUDIO" not in master
    assert output.audio_codec == ""
    assert output.renditions[0]["codecs"].startswith("avc1.")
    assert "mp4a" not in output.renditions[0]["codecs"]


def test_every_language_is_a_choice_and_the_default_comes_first(tmp_path):
    source = tmp_path / "source.mkv"
    ffmpeg(
        *picture(size="160x90"), *tone(), *tone(frequency=880), *tone(frequency=220),
        "-map", "0", "-map", "1", "-map", "2", "-map", "3", *h264(), "-c:a", "aac",
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fre",
        "-metadata:s:a:2", "language=fre", "-metadata:s:a:2", "title=Commentary, \"cut\"",
        "-disposition:a:0", "0", "-disposition:a:1", "default", source,
    )  # fmt: skip

    output = run(source, tmp_path / "work")

    playlists = texts(output)
    tracks = [line for line in playlists["master.m3u8"].splitlines() if "TYPE=AUDIO" in line]
    seen = {line.partition('NAME="')[2].partition('"')[0]: line for line in tracks}
    assert set(seen) == {"en", "fr", "Commentary cut"}
    assert 'LANGUAGE="fr"' in seen["fr"]
    assert "DEFAULT=YES" in seen["fr"]
    assert 'LANGUAGE="en"' in seen["en"]
    assert "DEFAULT=NO" in seen["en"]
    assert {"audio-1-fr", "audio-2-en", "audio-3-fr"} <= {
        path.name for path in output.directory.iterdir()
    }
    assert set(re.findall('lang="([^"]*)"', playlists["manifest.mpd"])) == {"en", "fr"}


def test_picture_and_sound_stay_together(tmp_path):
    """A flash and a beep each second, the sound starting 0.4 s early, and the video with it."""
    source = tmp_path / "source.mkv"
    flash = "drawbox=color=white:t=fill:enable='eq(mod(n,25),12)'"
    beep = "if(gte(mod(t,1),0.88)*lt(mod(t,1),0.92),cos(2*PI*1000*t),0)"
    ffmpeg(
        "-f", "lavfi", "-i", f"color=black:size=160x90:rate=25:duration=4,{flash}",
        "-itsoffset", "-0.4", "-f", "lavfi", "-i", f"aevalsrc='{beep}':s=48000:d=4",
        "-map", "0", "-map", "1", *h264(), "-c:a", "pcm_s16le", source,
    )  # fmt: skip

    output = run(source, tmp_path / "work")

    grays = [0, *brightness(output.directory / "master.m3u8")]
    flashes = [n / 25 for n, (old, new) in enumerate(pairwise(grays)) if new > 128 >= old]
    beeps = sound_starts(output.directory / "master.m3u8")
    assert flashes == pytest.approx([0.88, 1.88, 2.88, 3.88], abs=0.001)
    assert beeps == pytest.approx(flashes, abs=0.005)


def decoded(path, *arguments):
    return subprocess.run(
        [str(tools.ffmpeg()), "-v", "error", "-i", str(path), *arguments, "-"],
        check=True,
        capture_output=True,
    ).stdout


def brightness(path):
    """Return the mean brightness of each frame, 0 to 255."""
    return list(decoded(path, "-vf", "scale=1:1,format=gray", "-f", "rawvideo"))


def sound_starts(path):
    """Return the times at which sound follows silence, in seconds of the video."""
    samples = array.array("h", decoded(path, "-ac", "1", "-ar", "48000", "-f", "s16le"))
    starts, quiet_until = [], 0
    for number, sample in enumerate(samples):
        if abs(sample) > 2000:
            if number >= quiet_until:
                starts.append(number / 48000)
            quiet_until = number + 4800
    return starts


def test_the_packager_never_reads_the_source(tmp_path, monkeypatch):
    """Nor a link to it: FFmpeg reads it, and the packager reads what FFmpeg has written."""
    source, calls, run_in_cage = make_clip(tmp_path / "source"), [], cage.run

    def note(argv, *, reads=(), **more):
        calls.append((Path(argv[0]).name, {Path(path).resolve() for path in reads}))
        return run_in_cage(argv, reads=reads, **more)

    monkeypatch.setattr(cage, "run", note)
    run(source, tmp_path / "work")

    readers = {program for program, reads in calls if source.resolve() in reads}
    assert readers == {tools.ffmpeg().name, tools.ffprobe().name}
    packager = [reads for program, reads in calls if program == tools.packager().name]
    assert packager
    assert all(path.is_relative_to(tmp_path / "work/encoded") for path in packager[0])


class LeaseLost(Exception):
    pass


@pytest.mark.parametrize("step", ["encode", "package", "poster"])
def test_a_callback_that_raises_stops_everything(tmp_path, step):
    source = make_clip(tmp_path / "source", seconds=4, size="640x360")
    calls = []

    def lose(at, percent):
        calls.append(at)
        if calls.count(step) == 2:  # the second call comes while the tool is running
            raise LeaseLost

    with pytest.raises(LeaseLost):
        run(source, tmp_path / "work", lose)

    assert processes_about(tmp_path) == []


def processes_about(folder):
    """Return the descendants of this process that have the folder in their arguments."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and str(folder) in " ".join(child.cmdline())
    ]


def test_leftovers_of_an_earlier_attempt_do_not_matter(tmp_path):
    source = make_clip(tmp_path / "source", seconds=1)
    stale = tmp_path / "work" / "out" / "999p"
    stale.mkdir(parents=True)
    (stale / "1.m4s").write_bytes(b"old")

    output = run(source, tmp_path / "work")

    assert not (output.directory / "999p").exists()


def test_a_refused_file_publishes_nothing(tmp_path):
    (tmp_path / "source").write_text("not a video")

    with pytest.raises(Rejected):
        run(tmp_path / "source", tmp_path / "work")

    assert list((tmp_path / "work" / "out").iterdir()) == []


def test_resource_limits_alone_make_the_same_video(tmp_path, settings):
    settings.FFMPEG_SANDBOX = "limits"

    output = run(make_clip(tmp_path / "source"), tmp_path / "work")

    assert frame_count(output.directory / "master.m3u8") == 50
