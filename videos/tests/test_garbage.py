"""The hourly clean-up removes the files that no row names any more, and no others."""

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connections
from django.utils import timezone

from videos.models import ProcessingJob
from videos.services import garbage, sources
from videos.tests.claims import claim_due
from videos.tests.fixtures import drop_early

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media", "encoded_once")]
URL = "/api/v1/videos/"


@pytest.fixture
def video(uploaded_video):
    return uploaded_video


@pytest.fixture
def ready(video, process_next):
    assert process_next().state == "done"
    video.refresh_from_db()
    drop_early(video)
    return video


@pytest.fixture
def replace(video, received, clip, tmp_path):
    """Give the video a new file; without a path the same one again."""

    def put(path=clip):
        sources.attach_source(video=video, received=received(path), actor=video.creator)

    return put


def versions(video) -> list[str]:
    return sorted(os.listdir(video.versions_folder)) if video.versions_folder.is_dir() else []


def make_old(root: Path, hours: float = 100) -> None:
    """Set the modification times of ``root`` and all files below it to ``hours`` ago."""
    then = time.time() - hours * 3600
    for path in [root, *root.rglob("*")]:
        os.utime(path, (then, then))


def long_ago(hours: float = 100) -> None:
    ProcessingJob.objects.filter(state="done").update(
        finished_at=timezone.now() - timedelta(hours=hours)
    )


class TestGarbage:
    def test_files_in_use_and_recent_files_are_kept(self, ready, replace, media):
        replace()  # an open job, a source, and the live version of the old one
        job = claim_due("w")
        job.work_folder.mkdir(parents=True)
        (job.work_folder / "half").write_text("x")
        (media / "uploads" / "fresh").write_bytes(b"x")
        before = media.files()

        assert garbage.collect_garbage() == 0
        assert media.files() == before

        make_old(media)
        (media / "uploads" / "fresh").write_bytes(b"x")
        garbage.collect_garbage()
        gone = set(before) - set(media.files())
        assert {path.split("/")[0] for path in gone} == {"sources"}  # the replaced file
        ready.refresh_from_db()
        assert ready.source.is_file()
        assert (ready.version_folder / "master.m3u8").is_file()
        assert (job.work_folder / "half").is_file()

    def test_a_replaced_version_is_kept_until_its_last_grant_has_expired(
        self, ready, replace, process_next, settings
    ):
        """The age of the folder does not matter, only the time at which it was replaced."""
        old = ready.current_version
        make_old(ready.versions_folder)
        replace()
        process_next()
        ready.refresh_from_db()

        garbage.collect_garbage()
        assert versions(ready) == sorted([old, ready.current_version])

        long_ago(settings.PLAYBACK_GRANT_HOURS - 1)
        garbage.collect_garbage()
        assert versions(ready) == sorted([old, ready.current_version])

        long_ago(settings.PLAYBACK_GRANT_HOURS + 1)
        garbage.collect_garbage()
        assert versions(ready) == [ready.current_version]

    def test_a_deleted_video_keeps_its_files(self, ready, media, client_for):
        client_for(ready.creator).delete(f"{URL}{ready.pk}")
        before = media.files()
        make_old(media)
        long_ago()

        assert garbage.collect_garbage() == 0
        assert media.files() == before

    def test_unfinished_files_are_removed(self, media, ready):
        before = media.files()
        strange = "01890000-0000-7000-8000-000000000000"
        for path in ("uploads/half", f"work/{strange}/1/half", f"sources/{strange}/a/source"):
            (media / path).parent.mkdir(parents=True, exist_ok=True)
            (media / path).write_bytes(b"x")
        make_old(media)

        assert garbage.collect_garbage() == 3
        assert media.files() == before

    def test_foreign_files_are_kept(self, media):
        for path in ("videos/lost+found/x/y", "sources/notes/x/y", "work/notes/y"):
            (media / path).parent.mkdir(parents=True, exist_ok=True)
            (media / path).write_bytes(b"x")
        make_old(media)

        assert garbage.collect_garbage() == 0

    def test_a_file_that_has_been_removed_meanwhile_is_no_error(self, media):
        (media / "uploads").mkdir()
        (media / "uploads" / "gone").symlink_to(media / "nowhere")

        assert garbage.collect_garbage() == 0

    @pytest.mark.django_db(transaction=True)
    def test_four_workers_may_collect_at_once(self, media):
        for number in range(200):
            folder = media / "work" / f"01890000-0000-7000-8000-{number:012}"
            folder.mkdir(parents=True)
        make_old(media)
        errors, start = [], threading.Barrier(4)

        def collect():
            try:
                start.wait()
                garbage.collect_garbage()
            except Exception as error:  # noqa: BLE001 - shown by the test
                errors.append(error)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=collect) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert errors == []
        assert os.listdir(media / "work") == []
