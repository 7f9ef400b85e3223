"""A version has its captions, chapters and labels before anybody can see it."""

import uuid

import pytest
from django.db import transaction

from videos import storage
from videos.encryption import keys
from videos.models import Video
from videos.presentation import beforehand, refreshing
from videos.presentation.models import Caption, Presentation
from videos.services import encrypting
from videos.signals import video_published
from videos.tests import test_presentation
from videos.tests.test_presentation import adaptations, add, media_lines, reprocess

rich_clip = test_presentation.rich_clip
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("encoded_once")]


@pytest.fixture
def no_refresh(monkeypatch):
    """The process dies right after each commit, before it could write a file."""
    monkeypatch.setattr(refreshing, "refresh", lambda video_id: 1 / 0)


@pytest.fixture
def meanwhile(monkeypatch):
    """A function that lets something happen once, between the writing of the files and the commit."""

    def do(happens) -> None:
        store, waiting = storage.store(), [happens]
        real = type(store).publish

        def published(self, folder, name, **more):
            if waiting:
                waiting.pop()()
            return real(self, folder, name, **more)

        monkeypatch.setattr(type(store), "publish", published)

    return do


def test_whoever_sees_a_video_ready_gets_its_captions_and_labels(publish, rich_clip, no_refresh):
    """Also those that its file has in itself, with the ids that the API names."""
    video = publish(rich_clip)

    german, english = media_lines(video)
    assert [german["NAME"], english["NAME"]] == ["Deutsch", "English (SDH)"]
    named = [str(pk) for pk in Caption.objects.order_by("pk").values_list("pk", flat=True)]
    assert [german["URI"], english["URI"]] == [f"text/{pk}.m3u8" for pk in named]
    assert (video.version_folder / "text" / f"{named[0]}.vtt").is_file()
    assert [each["NAME"] for each in media_lines(video, "AUDIO")] == [
        each["label"] for each in video.audio_tracks
    ]
    assert len(adaptations(video, "text")) == 2
    assert [each["title"] for each in video.chapters] == ["One & <two>", "Three"]
    assert "Three" in (video.version_folder / "chapters.vtt").read_text()
    assert len(video.source_notes) == 1
    row = Presentation.objects.get()
    assert (row.written, row.taken_from, row.source) == (row.changed, *[video.source_path] * 2)


def test_the_next_file_of_a_video_has_its_captions_at_once(
    publish, rich_clip, clip, client_for, monkeypatch
):
    video = publish(rich_clip)
    mine = add(client_for, video, label="Mine")
    monkeypatch.setattr(refreshing, "refresh", lambda video_id: 1 / 0)

    publish(clip, video)

    (line,) = media_lines(video)
    assert line["URI"] == f"text/{mine['id']}.m3u8"
    assert str(Caption.objects.get().pk) == mine["id"]
    assert video.chapters == []


@pytest.mark.parametrize("encryption", ["aes-128", "cbcs"])
def test_encrypted_versions_have_them_at_once_too(
    publish, rich_clip, client_for, settings, monkeypatch, encryption
):
    settings.HLS_KEYS, settings.HLS_ENCRYPTION = [b"1" * 32], encryption
    video = publish(rich_clip)
    add(client_for, video, label="Mine")
    wanted = [line["NAME"] for line in media_lines(video)]
    assert wanted == ["Deutsch", "English (SDH)", "Mine"]
    name = f"{video.renditions[0]['name']}.m3u8"
    text = (video.version_folder / name).read_text()
    monkeypatch.setattr(refreshing, "refresh", lambda video_id: 1 / 0)

    settings.HLS_ENCRYPTION = "none"
    assert encrypting.remake(video, encrypted=False)
    video.refresh_from_db()
    assert not keys.is_encrypted(video.current_version)
    assert [line["NAME"] for line in media_lines(video)] == wanted

    settings.HLS_ENCRYPTION = encryption
    assert encrypting.remake(video, encrypted=True)
    video.refresh_from_db()
    assert keys.is_encrypted(video.current_version)
    assert [line["NAME"] for line in media_lines(video)] == wanted
    again = (video.version_folder / name).read_text()
    assert again.count("#EXT-X-KEY") == text.count("#EXT-X-KEY") > 0
    assert not Presentation.objects.filter(written=0).exists()


def test_a_caption_that_comes_meanwhile_is_not_lost(publish, rich_clip, client_for, meanwhile):
    video = publish()
    meanwhile(lambda: add(client_for, video, label="Late"))

    publish(rich_clip, video)

    assert sorted(line["NAME"] for line in media_lines(video)) == [
        "Deutsch",
        "English (SDH)",
        "Late",
    ]
    row = Presentation.objects.get()
    assert row.written == row.changed
    assert len(list((video.version_folder / "text").glob("*.vtt"))) == 3


def test_a_caption_that_is_deleted_meanwhile_does_not_come_back(
    publish, rich_clip, client_for, meanwhile
):
    video = publish()
    caption = add(client_for, video, label="Gone")
    path = f"/api/v1/videos/{video.pk}/captions/{caption['id']}"
    meanwhile(lambda: client_for(video.creator).delete(path))

    publish(rich_clip, video)

    assert [line["NAME"] for line in media_lines(video)] == ["Deutsch", "English (SDH)"]
    assert not (video.version_folder / "text" / f"{caption['id']}.vtt").exists()


def test_chapters_that_the_owner_sets_meanwhile_stay(publish, rich_clip, client_for, meanwhile):
    video = publish()
    path, chapters = f"/api/v1/videos/{video.pk}/chapters", [{"start_seconds": 0, "title": "Own"}]
    meanwhile(lambda: client_for(video.creator).put(path, chapters, format="json"))

    publish(rich_clip, video)

    assert [each["title"] for each in video.chapters] == ["Own"]
    assert "Own" in (video.version_folder / "chapters.vtt").read_text()


def test_a_publication_that_fails_takes_nothing_over(publish, rich_clip, client_for):
    video = publish()
    mine = add(client_for, video, label="Mine")
    before = list(Presentation.objects.values())

    def listener(sender, **kwargs):
        assert Caption.objects.count() == 3
        raise SystemExit(9)

    video_published.connect(listener)
    try:
        with pytest.raises(SystemExit):
            publish(rich_clip, video)
    finally:
        video_published.disconnect(listener)

    assert str(Caption.objects.get().pk) == mine["id"]
    assert list(Presentation.objects.values()) == before
    assert [line["NAME"] for line in media_lines(video)] == ["Mine"]


def test_files_that_cannot_be_written_before_are_written_after(
    publish, rich_clip, monkeypatch, caplog
):
    def fails(*arguments, **more):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(beforehand.extras, "load", fails)
    with monkeypatch.context() as patched:
        patched.setattr(refreshing, "refresh", lambda video_id: 1 / 0)
        video = publish(rich_clip)
    assert "presented after its publication" in caplog.text
    assert media_lines(video) == []
    monkeypatch.undo()

    refreshing.mend()

    assert len(media_lines(video)) == 2
    row = Presentation.objects.get()
    assert (row.written, row.taken_from) == (row.changed, video.source_path)


def test_a_version_of_another_source_takes_nothing_of_this_one(publish, rich_clip, clip):
    """Prepared for one file, published as that of another: the database decides after the commit."""
    video = publish(clip)
    folder = video.version_folder
    prepared = beforehand.prepare(video, folder, version="", seconds=2.0, source="sources/one")
    assert prepared is not None
    with transaction.atomic():
        beforehand.adopt(video, prepared, source="sources/two")
    row = Presentation.objects.get()
    assert (row.source, row.written) == ("sources/two", row.changed)  # refreshed at once, here
    assert Video.objects.get(pk=video.pk).source_notes == []


def test_a_video_that_is_gone_is_no_error_before_its_publication(publish, clip):
    video = publish(clip)
    gone = Video(pk=uuid.uuid4())
    assert beforehand.prepare(gone, video.version_folder, version="", seconds=2.0) is None


def test_an_embedded_text_that_the_owner_deleted_stays_away(
    publish, rich_clip, client_for, process_next, no_refresh
):
    video = publish(rich_clip)
    Caption.objects.filter(language="de").delete()
    Presentation.objects.update(changed=9, written=9)

    reprocess(video, process_next)

    assert [line["LANGUAGE"] for line in media_lines(video)] == ["en"]
