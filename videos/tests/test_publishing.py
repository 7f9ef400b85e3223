"""Publishing a version: its properties, rejected files, lost leases, and crashes in between."""

import dataclasses
import os
import shutil
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connections
from django.utils import timezone

from audit.models import AuditEntry
from videos import jobs
from videos.errors import LeaseLost
from videos.models import ProcessingJob
from videos.processing import pipeline
from videos.services import garbage, publishing, sources
from videos.signals import video_published
from videos.tests.claims import claim_due
from videos.tests.fixtures import drop_early

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("media")]
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
def finished(video):
    """An attempt with its finished output, just before it is published: (job, output)."""
    job = claim_due("slow")
    jobs.begin(job)
    job.work_folder.mkdir(parents=True)
    source = job.video.source
    return job, pipeline.transcode(source, job.work_folder, lambda *_: None)


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


class TestReady:
    def test_a_published_video_shows_its_properties(self, ready, client_for, media, trail):
        shown = client_for(ready.creator).get(f"{URL}{ready.pk}").json()

        assert (shown["status"], shown["playable"]) == ("READY", True)
        assert (shown["width"], shown["height"]) == (320, 180)
        assert shown["duration_seconds"] == pytest.approx(2.0, abs=0.1)
        assert [rendition["height"] for rendition in shown["renditions"]] == [180]
        assert shown["published_at"].endswith("Z")
        assert shown["processing"] == {
            "step": None, "percent": 100, "attempts": 1, "queue_position": None,
            "eta_seconds": None, "error": None,
            "stage": None, "still_to_come": [], "last_line": None,
        }  # fmt: skip
        assert shown["source"]["video_codec"] == "h264"
        assert versions(ready) == [ready.current_version]
        assert not (media / "work").exists() or os.listdir(media / "work") == []
        assert trail(ready.pk)[2:] == ["video.processing", "video.playable", "video.ready"]
        assert client_for().get(shown["poster_url"]).status_code == 200

    def test_a_new_version_keeps_the_time_of_the_first_publication(
        self, ready, replace, process_next
    ):
        first = ready.published_at
        replace()
        process_next()

        ready.refresh_from_db()
        assert (ready.status, ready.published_at) == ("READY", first)

    def test_a_video_deleted_in_the_meantime_is_not_published_and_can_be_restored(
        self, finished, video, client_for, admin
    ):
        job, output = finished
        client_for(video.creator).delete(f"{URL}{video.pk}")

        with pytest.raises(LeaseLost):  # the deletion canceled the job
            publishing.publish(job, output)

        video.refresh_from_db()
        assert (video.current_version, video.deleted_at is None) == ("", False)
        assert client_for().get(f"{URL}{video.pk}").status_code == 404
        restored = client_for(admin).patch(f"{URL}{video.pk}/restore").json()
        assert (restored["status"], restored["playable"]) == ("UPLOADED", False)
        assert restored["processing"]["queue_position"] == 1


class TestRefused:
    @pytest.fixture
    def text(self, tmp_path):
        path = tmp_path / "video.mp4"
        path.write_text("<html>this is no video</html>")
        return path

    def test_a_file_that_is_no_video_fails_at_once_with_a_reason(
        self, replace, text, video, process_next, client_for, media, trail
    ):
        replace(text)
        process_next()

        shown = client_for(video.creator).get(f"{URL}{video.pk}").json()
        assert (shown["status"], shown["playable"]) == ("FAILED", False)
        assert shown["processing"]["error"]["code"] == "not_a_video"
        assert shown["processing"]["attempts"] == 1
        assert process_next() is None
        assert versions(video) == []
        assert trail(video.pk)[-1] == "video.failed"
        assert client_for().get(f"{URL}{video.pk}").status_code == 404

    def test_a_failed_video_can_be_retried_or_get_a_new_file(
        self, replace, text, video, process_next, client_for, clip
    ):
        replace(text)
        process_next()
        assert client_for(video.creator).post(f"{URL}{video.pk}/retry").status_code == 200
        assert process_next().state == "failed"

        replace(clip)
        assert process_next().state == "done"
        video.refresh_from_db()
        assert video.status == "READY"

    def test_a_bad_new_file_leaves_the_old_version_playing(
        self, ready, replace, text, process_next, client_for
    ):
        live = ready.current_version
        replace(text)
        process_next()

        shown = client_for().get(f"{URL}{ready.pk}").json()
        assert (shown["status"], shown["playable"]) == ("FAILED", True)
        ready.refresh_from_db()
        assert ready.current_version == live

    def test_a_missing_source_fails_the_video_with_a_reason(self, video, process_next, client_for):
        video.refresh_from_db()
        video.source.unlink()
        process_next()

        error = client_for(video.creator).get(f"{URL}{video.pk}").json()["processing"]["error"]
        assert error["code"] == "file_missing"
        assert process_next() is None

    def test_a_missing_tool_makes_videos_wait_and_not_fail(
        self, video, process_next, settings, client_for
    ):
        settings.FFPROBE_PATH = "/nowhere/ffprobe"
        job = process_next()

        assert (job.state, job.attempt, job.strikes) == ("queued", 0, 0)
        assert job.not_before > timezone.now() + timedelta(seconds=30)
        assert client_for(video.creator).get(f"{URL}{video.pk}").json()["status"] == "PROCESSING"

    def test_a_tool_that_fails_is_a_strike_and_its_text_names_no_path(
        self, video, process_next, settings, client_for, tmp_path
    ):
        tool = tmp_path / "ffprobe"
        tool.write_text(f"#!/bin/sh\necho {tmp_path}/secret >&2\nkill -SEGV $$\n")
        tool.chmod(0o755)
        settings.FFPROBE_PATH, settings.FFMPEG_SANDBOX = str(tool), "limits"
        job = process_next()

        assert (job.state, job.strikes) == ("queued", 1)
        error = client_for(video.creator).get(f"{URL}{video.pk}").json()["processing"]["error"]
        assert error["code"] == "processing_failed"
        assert "/" not in error["detail"]


class TestFence:
    def test_an_attempt_without_its_lease_cannot_publish_and_leaves_no_files(self, finished, video):
        slow, output = finished
        ProcessingJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        quick = claim_due("quick")

        with pytest.raises(LeaseLost):
            publishing.publish(slow, output)

        video.refresh_from_db()
        assert (video.status, video.current_version, versions(video)) == ("PROCESSING", "", [])
        assert not AuditEntry.objects.filter(action="video.ready").exists()

        publishing.process(quick)

        video.refresh_from_db()
        assert versions(video) == [video.current_version]
        assert AuditEntry.objects.filter(action="video.playable").count() == 1

    def test_work_on_a_replaced_file_cannot_be_published(self, finished, video, replace):
        job, output = finished
        replace()

        with pytest.raises(LeaseLost):
            publishing.publish(job, output)

        video.refresh_from_db()
        assert (video.status, video.current_version) == ("UPLOADED", "")
        assert versions(video) == []

    def test_an_attempt_without_its_lease_keeps_the_files_of_its_successor(self, video, media):
        first = claim_due("slow")
        ProcessingJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        second = claim_due("quick")
        second.work_folder.mkdir(parents=True)
        (second.work_folder / "half").write_text("x")

        with pytest.raises(LeaseLost):
            publishing.process(first)

        assert (second.work_folder / "half").is_file()

    def test_the_next_attempt_removes_the_files_of_a_killed_one(self, video, media, process_next):
        first = claim_due("killed")
        first.work_folder.mkdir(parents=True)
        (first.work_folder / "half").write_text("x")
        ProcessingJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

        assert process_next().state == "done"
        assert not first.work_folder.parent.exists()

    @pytest.mark.django_db(transaction=True)
    def test_of_two_simultaneous_publications_one_succeeds(self, finished, video):
        job, output = finished
        twin = output.directory.with_name("twin")
        shutil.copytree(output.directory, twin)
        outputs = [output, dataclasses.replace(output, directory=twin)]
        start, results = threading.Barrier(2), []

        def publish(mine):
            try:
                start.wait()
                publishing.publish(job, mine)
                results.append("published")
            except LeaseLost:
                results.append("lost")
            finally:
                connections.close_all()

        threads = [threading.Thread(target=publish, args=[mine]) for mine in outputs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        video.refresh_from_db()
        assert sorted(results) == ["lost", "published"]
        assert versions(video) == [video.current_version]
        assert AuditEntry.objects.filter(action="video.ready").count() == 1


class TestCrash:
    def break_switch(self, job, output, error):
        """Publish with a receiver that raises ``error``, as in a crash between rename and commit."""

        def listener(sender, **kwargs):
            raise error

        video_published.connect(listener)
        try:
            with pytest.raises(type(error)):
                publishing.publish(job, output)
        finally:
            video_published.disconnect(listener)

    def test_a_crash_between_rename_and_commit_leaves_the_video_unharmed(
        self, ready, replace, process_next, client_for
    ):
        live = ready.current_version
        replace()
        job = claim_due("w")
        jobs.begin(job)
        job.work_folder.mkdir(parents=True)
        ready.refresh_from_db()
        output = pipeline.transcode(ready.source, job.work_folder, lambda *_: None)
        self.break_switch(job, output, SystemExit(9))

        ready.refresh_from_db()
        assert (ready.status, ready.current_version) == ("PROCESSING", live)
        assert client_for().get(f"{URL}{ready.pk}").json()["playable"] is True
        orphans = set(versions(ready)) - {live}
        assert len(orphans) == 1

        ProcessingJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        job = process_next()
        ready.refresh_from_db()
        assert (job.state, ready.status) == ("done", "READY")
        make_old(ready.versions_folder)
        long_ago()
        garbage.collect_garbage()
        assert versions(ready) == [ready.current_version]

    def test_an_error_of_the_commit_removes_no_files(self, finished, video):
        """The commit may have succeeded, so the files must stay."""
        job, output = finished
        self.break_switch(job, output, OperationalError("server closed the connection"))

        assert len(versions(video)) == 1

    def test_an_unreachable_database_is_no_strike(self, video, process_next):
        def listener(sender, **kwargs):
            raise OperationalError("server closed the connection")

        video_published.connect(listener)
        try:
            with pytest.raises(OperationalError):
                process_next()
        finally:
            video_published.disconnect(listener)
        job = ProcessingJob.objects.get()
        assert (job.state, job.strikes) == ("running", 0)
