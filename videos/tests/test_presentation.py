"""The files beside a version's segments: they follow the database, and segments stay as they are."""

import re
import threading
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from django.db import connections

from videos.models import Video
from videos.presentation import cues, refreshing
from videos.presentation.models import Caption, CaptionWord, Presentation
from videos.processing import extras, manifests
from videos.processing.encode import Encoded
from videos.services import catalogue, sources
from videos.tests.media import ffmpeg, h264, picture, tone

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("encoded_once")]
VTT = "WEBVTT\n\n00:00.500 --> 00:01.500\nHello\n"
SRT = "1\n00:00:00,500 --> 00:00:01,500\n<i>%s</i>\n"
MPD = "{urn:mpeg:dash:schema:mpd:2011}"
CHAPTERS = (
    ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=One & <two>\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=Three\n"
)


@pytest.fixture
def rich_clip(tmp_path):
    """An MKV with two sound tracks, a text track in German and in English, one of pictures, chapters."""
    for name in ("de", "en", "pgs"):
        (tmp_path / f"{name}.srt").write_text(SRT % name)
    (tmp_path / "chapters.txt").write_text(CHAPTERS)
    path = tmp_path / "rich.mkv"
    ffmpeg(
        *picture(), *tone(), *tone(frequency=880),
        *("-i", "de.srt", "-i", "en.srt", "-i", "pgs.srt", "-i", "chapters.txt"),
        *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "4", "-map", "5"),
        *("-map_metadata", "6", "-map_chapters", "6"), *h264(), "-c:a", "aac", "-c:s", "srt",
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=eng"),
        *("-disposition:a:0", "default", "-disposition:a:1", "visual_impaired"),
        *("-metadata:s:s:0", "language=ger", "-disposition:s:0", "forced"),
        *("-metadata:s:s:1", "language=eng", "-metadata:s:s:1", "title=English (SDH)"),
        *("-disposition:s:1", "default+hearing_impaired", "-metadata:s:s:2", "language=fre"),
        path, cwd=tmp_path,
    )  # fmt: skip
    data = path.read_bytes()
    assert data.count(b"S_TEXT/UTF8") == 3
    head, _, tail = data.rpartition(b"S_TEXT/UTF8")
    path.write_bytes(head + b"S_HDMV/PGS\0" + tail)
    return path


def reprocess(video, process_next) -> None:
    """Process the same source again, as `manage.py reprocess` does."""
    Video.objects.filter(pk=video.pk).update(status=Video.Status.FAILED)
    sources.retry_processing(video=Video.objects.get(pk=video.pk), actor=video.creator)
    process_next()
    video.refresh_from_db()
    assert video.status == Video.Status.READY


def media_lines(video, kind="SUBTITLES") -> list[dict[str, str]]:
    text = (video.version_folder / "master.m3u8").read_text()
    lines = [line for line in text.splitlines() if line.startswith(f"#EXT-X-MEDIA:TYPE={kind}")]
    return [
        {name: value.strip('"') for name, value in re.findall(r'([A-Z-]+)=("[^"]*"|[^,]*)', line)}
        for line in lines
    ]


def adaptations(video, kind: str) -> list[ET.Element]:
    root = ET.fromstring((video.version_folder / "manifest.mpd").read_text())  # noqa: S314 - our own
    return [each for each in root.iter(f"{MPD}AdaptationSet") if each.get("contentType") == kind]


def add(client_for, video, **fields):
    path = f"/api/v1/videos/{video.pk}/captions/"
    body = {"language": "de", "text": VTT, **fields}
    answer = client_for(video.creator).post(path, body, format="json")
    assert answer.status_code == 201, answer.content
    return answer.json()


def segments(video) -> dict[str, tuple[int, int]]:
    return {
        path.as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in video.version_folder.rglob("*.m[4p][s4]")
    }


def test_manifests_follow_the_captions_and_segments_stay(publish, client_for):
    video = publish()
    folder, before = video.version_folder, segments(video)
    plain = (folder / "master.m3u8").read_text()
    assert "SUBTITLES" not in plain

    caption = add(client_for, video, label='Say "hi"', is_default=True, is_sdh=True)
    add(client_for, video, label='Say "hi"', is_forced=True)
    first, second = media_lines(video)
    assert (first["NAME"], second["NAME"]) == ("Say 'hi'", "Say 'hi' 2")
    assert (first["LANGUAGE"], first["DEFAULT"], first["FORCED"]) == ("de", "YES", "NO")
    assert (second["DEFAULT"], second["FORCED"]) == ("NO", "YES")
    assert "describes-music-and-sound" in first["CHARACTERISTICS"]
    playlist = (folder / first["URI"]).read_text()
    assert playlist.endswith(f"#EXTINF:2.000,\n{caption['id']}.vtt\n#EXT-X-ENDLIST\n")
    assert "Hello" in (folder / "text" / f"{caption['id']}.vtt").read_text()
    text, _ = adaptations(video, "text")
    assert text.findtext(f"{MPD}Representation/{MPD}BaseURL") == f"text/{caption['id']}.vtt"
    assert (text.get("lang"), text.findtext(f"{MPD}Label")) == ("de", 'Say "hi"')

    path = f"/api/v1/videos/{video.pk}/captions/{caption['id']}"
    assert client_for(video.creator).patch(path, {"label": "Deutsch"}).status_code == 200
    assert [line["NAME"] for line in media_lines(video)] == ["Deutsch", "Say 'hi'"]
    for each in Caption.objects.all():
        path = f"/api/v1/videos/{video.pk}/captions/{each.pk}"
        assert client_for(video.creator).delete(path).status_code == 204
    assert (folder / "master.m3u8").read_text() == plain
    assert list((folder / "text").iterdir()) == []
    assert segments(video) == before


def test_a_refresh_changes_nothing_that_is_up_to_date(publish, client_for):
    video = publish()
    add(client_for, video)
    files = [*video.version_folder.glob("*.m*"), *(video.version_folder / "text").iterdir()]
    before = {path: path.stat().st_ino for path in files}
    Presentation.objects.update(written=0)

    refreshing.refresh(video.pk)

    assert {path: path.stat().st_ino for path in before} == before
    assert Presentation.objects.get().written == Presentation.objects.get().changed


def test_a_worker_mends_what_a_killed_process_left(publish, client_for, monkeypatch):
    video = publish()
    with monkeypatch.context() as patched:
        patched.setattr(refreshing, "refresh", lambda video_id: 1 / 0)
        add(client_for, video)
    assert media_lines(video) == []

    refreshing.mend()

    assert [line["LANGUAGE"] for line in media_lines(video)] == ["de"]
    assert not Presentation.objects.filter(written=0).exists()


@pytest.mark.long
def test_an_older_state_never_overwrites_a_newer_one(publish, client_for, monkeypatch):
    """A process has read one caption, and dies after it has written it, late; meanwhile another one
    adds a caption. They take turns, so that the late one is not the last.
    """
    video = publish()
    compose, slow, done = manifests.compose, threading.Event(), threading.Event()

    def compose_late_and_die(folder, *, texts, **others):
        if slow.is_set():
            compose(folder, texts=texts, **others)
            return
        slow.set()
        done.wait(5)  # without turns, the other one is done by then
        compose(folder, texts=texts, **others)
        raise RuntimeError("killed")

    monkeypatch.setattr(manifests, "compose", compose_late_and_die)

    def add_in_thread(language: str) -> None:
        add(client_for, video, language=language)
        connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(add_in_thread, "de")
        assert slow.wait(30)
        second = threads.submit(add_in_thread, "en")
        second.add_done_callback(lambda _: done.set())
        first.result()
        second.result()

    assert {line["LANGUAGE"] for line in media_lines(video)} == {"de", "en"}
    row = Presentation.objects.get()
    assert row.written == row.changed


def test_the_next_version_has_the_captions_of_the_one_before(publish, client_for, clip):
    video = publish()
    first = video.version_folder
    add(client_for, video)
    publish(clip, video)
    assert video.version_folder != first
    assert [line["LANGUAGE"] for line in media_lines(video)] == ["de"]
    assert "SUBTITLES" in (first / "master.m3u8").read_text()  # who plays it keeps what they had


def test_a_caption_of_a_video_without_a_version_comes_with_the_version(
    make_video, creator, client_for, received, media, process_next
):
    video = catalogue.create_video(creator=creator, title="New")
    add(client_for, video)
    sources.attach_source(video=video, received=received(), actor=creator)
    process_next()
    video.refresh_from_db()
    assert [line["LANGUAGE"] for line in media_lines(video)] == ["de"]


def test_a_version_from_before_is_presented_too(publish):
    """Such a version has no extras, and no row says what its manifests hold."""
    video = publish()
    (video.version_folder / "extras.json").unlink()
    Video.objects.update(audio_tracks=[])
    Presentation.objects.update(written=0)
    refreshing.mend()
    video.refresh_from_db()
    assert [track["is_default"] for track in video.audio_tracks] == [True]


def test_a_damaged_version_is_not_tried_for_ever(publish, caplog):
    video = publish()
    (video.version_folder / "master.m3u8").unlink()
    Presentation.objects.update(written=0)
    refreshing.mend()
    assert "no manifest" in caplog.text
    assert Presentation.objects.get().written == Presentation.objects.get().changed


def test_embedded_texts_and_chapters_are_taken_over(publish, rich_clip, client_for):
    video = publish(rich_clip)
    path = f"/api/v1/videos/{video.pk}/captions/"
    german, english = client_for(None).get(path).json()["results"]
    assert (german["language"], german["label"], german["origin"]) == ("de", "Deutsch", "embedded")
    assert CaptionWord.objects.filter(caption=german["id"]).exists()
    assert (german["is_forced"], german["is_sdh"], german["is_default"]) == (True, False, False)
    assert (english["language"], english["label"]) == ("en", "English (SDH)")
    assert (english["is_sdh"], english["is_default"]) == (True, True)
    text = client_for(None).get(german["url"]).content.decode()
    assert text == "WEBVTT\n\n00:00:00.500 --> 00:00:01.500\n<i>de</i>\n"
    assert [line["NAME"] for line in media_lines(video)] == ["Deutsch", "English (SDH)"]
    (note,) = video.source_notes
    assert "no. 5 (fr)" in note
    assert "hdmv_pgs_subtitle" in note

    assert [(each["start_seconds"], each["title"]) for each in video.chapters] == [
        (0, "One & <two>"), (1, "Three"),
    ]  # fmt: skip
    chapters = (video.version_folder / "chapters.vtt").read_text()
    assert "00:00:00.000 --> 00:00:01.000\nOne &amp; &lt;two>\n" in chapters


def test_embedded_texts_keep_their_time_where_a_file_begins_later(tmp_path):
    (tmp_path / "de.srt").write_text(SRT % "de")
    clip = tmp_path / "late.mkv"
    ffmpeg(
        *picture(), *tone(), "-i", "de.srt", "-map", "0", "-map", "1", "-map", "2", *h264(),
        "-c:a", "aac", "-c:s", "srt", "-output_ts_offset", "10", clip, cwd=tmp_path,
    )  # fmt: skip
    extras.take_out(
        clip, Encoded(videos=(), audios=(), frames=0, frame_rate=Fraction(25)), tmp_path
    )
    found = extras.load(tmp_path)
    assert found is not None
    assert "00:00:00.500 --> 00:00:01.500" in found.texts[0].text


@pytest.mark.parametrize(
    ("container", "codec", "written"),
    [("mp4", "mov_text", "<i>de</i>"), ("mkv", "ass", "<i>de</i>"), ("mkv", "webvtt", "de")],
)
def test_texts_of_other_kinds_are_taken_over(publish, tmp_path, container, codec, written):
    (tmp_path / "de.srt").write_text(SRT % "de")
    clip = tmp_path / f"clip.{container}"
    ffmpeg(
        *picture(), "-i", "de.srt", *h264(), "-c:s", codec, "-metadata:s:s:0", "language=deu",
        clip, cwd=tmp_path,
    )  # fmt: skip
    caption = Caption.objects.get(video=publish(clip))
    assert (caption.language, caption.label) == ("de", "Deutsch")
    assert "00:00:00.500 --> 00:00:01.500" in caption.text
    assert written in caption.text


def test_one_text_track_that_breaks_leaves_the_others(publish, rich_clip):
    """Its codec says WebVTT, and its packets hold binary data; FFmpeg refuses to read all together."""
    data = rich_clip.read_bytes().replace(b"S_TEXT/UTF8", b"S_TEXT/ASS\0", 1)
    rich_clip.write_bytes(data)
    video = publish(rich_clip)
    assert "en" in set(Caption.objects.filter(video=video).values_list("language", flat=True))


def test_sound_tracks_have_labels_that_differ_and_one_default(publish, rich_clip):
    video = publish(rich_clip)
    assert video.audio_tracks == [
        {"language": "en", "label": "English", "is_default": True, "roles": []},
        {
            "language": "en",
            "label": "English (audio description)",
            "is_default": False,
            "roles": ["description"],
        },
    ]
    first, second = media_lines(video, "AUDIO")
    assert (first["NAME"], first["DEFAULT"]) == ("English", "YES")
    assert (second["NAME"], second["DEFAULT"]) == ("English (audio description)", "NO")
    assert second["CHARACTERISTICS"] == "public.accessibility.describes-video"
    sets = adaptations(video, "audio")
    assert [each.findtext(f"{MPD}Label") for each in sets] == [first["NAME"], second["NAME"]]
    assert [len(each.findall(f"{MPD}Representation")) for each in sets] == [1, 1]
    assert len({each.get("id") for each in sets}) == 2


def test_reprocessing_neither_doubles_nor_revives_embedded_texts(
    publish, rich_clip, client_for, process_next
):
    video = publish(rich_clip)
    german, english = Caption.objects.order_by("pk")
    path = f"/api/v1/videos/{video.pk}/captions/"
    owner = client_for(video.creator)
    assert owner.delete(f"{path}{german.pk}").status_code == 204
    assert owner.patch(f"{path}{english.pk}", {"label": "Mine"}).status_code == 200

    reprocess(video, process_next)

    assert [each["label"] for each in owner.get(path).json()["results"]] == ["Mine"]
    assert [line["NAME"] for line in media_lines(video)] == ["Mine"]


def test_another_file_brings_its_own_texts_and_leaves_those_of_the_owner(
    publish, rich_clip, client_for, clip
):
    video = publish(rich_clip)
    mine = add(client_for, video, label="Mine")
    publish(clip, video)
    path = f"/api/v1/videos/{video.pk}/captions/"
    assert [each["id"] for each in client_for(None).get(path).json()["results"]] == [mine["id"]]
    assert video.chapters == []
    assert video.source_notes == []


def test_a_text_track_that_cannot_be_read_does_not_stop_the_video(publish, rich_clip, monkeypatch):
    monkeypatch.setattr(cues, "MOST_BYTES", 10)
    video = publish(rich_clip)
    assert not Caption.objects.exists()
    assert len(video.source_notes) == 3
