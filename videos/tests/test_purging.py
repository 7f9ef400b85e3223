"""The files of videos that were deleted long ago are removed; orders, money and the trail stay."""

import io
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from videos.models import Video
from videos.periodic import OWN_PARTS
from videos.presentation.models import Caption
from videos.services import catalogue, purging
from videos.storage.local import LocalStore

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media", "encoded_once")]
URL = "/api/v1/videos/"


@pytest.fixture
def deleted(uploaded_video, process_next):
    """A function that deletes a processed video so many days ago."""
    process_next()

    def delete(days: float) -> Video:
        catalogue.delete_video(video=uploaded_video, actor=None)
        Video.objects.update(deleted_at=timezone.now() - timedelta(days=days))
        return Video.objects.get()

    return delete


def purge(*arguments) -> str:
    out = io.StringIO()
    call_command("purge_deleted", *arguments, stdout=out)
    return out.getvalue()


def test_the_files_go_after_the_time_and_the_row_stays(deleted, media, trail):
    video = deleted(31)
    Caption.objects.create(video=video, language="de", label="Deutsch", text="WEBVTT\n", cues=0)
    Video.objects.filter(pk=video.pk).update(chapters=[{"start_seconds": 0, "title": "One"}])
    assert "would be removed" in purge("--dry-run")
    assert f"sources/{video.pk}" in " ".join(media.files())

    assert f"{video.pk}  deleted" in purge()

    assert [path for path in media.files() if str(video.pk) in path] == []
    video.refresh_from_db()
    assert (video.status, video.current_version, video.source_path) == ("CREATED", "", "")
    assert (video.title, video.deleted_at is None) == ("Uploaded", False)
    assert (list(Caption.objects.all()), video.chapters) == ([], [])
    assert trail(video.pk)[-1] == "video.purged"
    assert purge() == "The files of 0 videos were removed.\n"


@pytest.mark.parametrize(("days", "setting"), [(29, 30), (4000, 0)])
def test_nothing_goes_before(deleted, media, settings, days, setting):
    settings.DELETED_RETENTION_DAYS = setting
    deleted(days)
    before = media.files()
    assert purging.purge_deleted() == 0
    assert media.files() == before


def test_a_video_without_files_is_not_restored_and_says_why(deleted, client_for, admin):
    video = deleted(31)
    purging.purge_deleted()

    answer = client_for(admin).patch(f"{URL}{video.pk}/restore")

    assert answer.status_code == 409
    (error,) = answer.json()["errors"]
    assert error["code"] == "files_removed"
    assert f"removed for good on {timezone.now():%Y-%m-%d}" in error["detail"]
    video.refresh_from_db()
    assert video.deleted_at is not None
    assert "its files are removed" in listing()


def listing() -> str:
    out = io.StringIO()
    call_command("restore_video", stdout=out)
    return out.getvalue()


def test_a_kill_in_between_leaves_nothing_that_stays(deleted, media, monkeypatch):
    video = deleted(31)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "remove", lambda *_: None)
        purging.purge_deleted()
    assert media.files()

    from videos.services import garbage
    from videos.tests.test_garbage import long_ago, make_old

    make_old(media)
    long_ago()
    garbage.collect_garbage()

    assert [path for path in media.files() if str(video.pk) in path] == []


def test_a_restored_video_is_not_purged(deleted, media):
    video = deleted(31)
    catalogue.restore_video(video_id=video.pk, actor=None)
    before = media.files()
    assert purging.purge(video) is False
    assert media.files() == before


def test_the_worker_does_it_every_hour():
    assert purging.purge_deleted in OWN_PARTS["hour"]
