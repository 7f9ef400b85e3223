"""Fixtures of videos: rows that are READY without processing, and a video that is really processed."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path, PosixPath

import pytest
from django.conf import settings as default_settings
from django.utils import timezone

from accounts.roles import Role
from audit.models import AuditEntry
from videos import jobs, presence, storage
from videos.models import ProcessingJob, Tag, Video
from videos.processing import early, pipeline
from videos.processing.pipeline import Output
from videos.services import catalogue, publishing, sources
from videos.tests import shared
from videos.tests.media import make_clip
from videos.tests.tus_kit import Tus
from videos.uploads.received import ReceivedFile

RENDITION = {
    "name": "360p",
    "width": 640,
    "height": 360,
    "video_bitrate": 700_000,
    "codecs": "avc1.64001e,mp4a.40.2",
}


class Folder(PosixPath):
    """A folder that can list its files."""

    def files(self) -> list[str]:
        """Return the paths of all files below the folder but its mark, relative to it and sorted."""
        files = [path for path in self.rglob("*") if path.is_file() or path.is_symlink()]
        files = [path for path in files if path.name != storage.MARK]
        return sorted(Path(path).relative_to(self).as_posix() for path in files)


@pytest.fixture(scope="session", autouse=True)
def _default_media():
    """The media folder of tests that ask for none of their own, as `migrate` would make it."""
    default_settings.MEDIA_ROOT.mkdir(parents=True, exist_ok=True)
    (default_settings.MEDIA_ROOT / storage.MARK).touch()


@pytest.fixture
def media(settings, tmp_path):
    """A media folder of this test alone, without videos; ``media.files()`` lists its files."""
    settings.MEDIA_ROOT = Folder(tmp_path / "media")
    settings.MEDIA_ROOT.mkdir()
    (settings.MEDIA_ROOT / storage.MARK).touch()
    return settings.MEDIA_ROOT


@pytest.fixture
def trail(db):
    """A function that returns the audit actions of a video, oldest first."""

    def actions(video_id) -> list[str]:
        entries = AuditEntry.objects.filter(target_type="video", target_id=str(video_id))
        return list(entries.order_by("id").values_list("action", flat=True))

    return actions


@pytest.fixture
def make_video(db, make_user):
    """A function that makes a video: READY and public by default, paid with a ``price`` above zero."""

    def make(*, creator=None, price=0, ready=True, tags=(), **fields) -> Video:
        fields.setdefault("title", "A video")
        video = Video(
            creator=creator or make_user(Role.CREATOR),
            is_paid=price > 0,
            price=price,
            **fields,
        )
        if ready:
            video.status = fields.get("status", Video.Status.READY)
            video.source_path = f"sources/{video.pk}/x/source"
            video.current_version = uuid.uuid4().hex[:12]
            video.published_at = fields.get("published_at", timezone.now())
            video.duration_seconds = fields.get("duration_seconds", 60.0)
            video.width, video.height, video.renditions = 640, 360, [RENDITION]
        video.save()
        for name in tags:
            video.tags.add(Tag.objects.get_or_create(name=name)[0])
        return video

    return make


@pytest.fixture(scope="session")
def clip():
    """A real video of two seconds, with picture and sound."""
    return shared.clip("clip.mp4", partial(make_clip, seconds=2))


@pytest.fixture
def received(clip, settings):
    """A function that makes a completely received upload, ready to be attached to a video."""

    def receive(path=clip) -> ReceivedFile:
        folder = settings.MEDIA_ROOT / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / uuid.uuid4().hex
        shutil.copyfile(path, target)
        return ReceivedFile(target, path.name, target.stat().st_size, "sha256:test")

    return receive


@pytest.fixture
def uploaded_video(db, creator, received):
    """A video with a source and a waiting job."""
    video = catalogue.create_video(creator=creator, title="Uploaded")
    return sources.attach_source(video=video, received=received(), actor=creator)


def drop_early(video: Video) -> None:
    """Remove the folders of the video's earlier versions, as `garbage` does a day later."""
    for folder in video.versions_folder.iterdir():
        if folder.name != video.current_version:
            shutil.rmtree(folder)


@pytest.fixture
def encoded_once(monkeypatch, settings):
    """Lets all processes of a run encode the same file once, and copies the version for later tests.

    For tests of what happens with a version, not of how it is made: no chunks, and none that grows.
    """
    transcode, first_rendition = pipeline.transcode, early.first_rendition

    def once(what: str, source: Path, work: Path, make: Callable[[], Output]) -> Output:
        told = (what, settings.LADDER_CODECS, settings.MAX_DURATION_SECONDS, source.read_bytes())
        key = hashlib.sha256(repr(told).encode()).hexdigest()
        return shared.version(key, work, make)

    def transcode_once(source, work, on_progress, growing=None, in_chunks=None):
        if growing:
            return transcode(source, work, on_progress, growing)
        return once("all", source, work, lambda: transcode(source, work, on_progress))

    def first_once(source, work, on_progress, *growth):
        return once(
            "first", source, work, lambda: first_rendition(source, work, on_progress, *growth)
        )

    monkeypatch.setattr(pipeline, "transcode", transcode_once)
    monkeypatch.setattr(early, "first_rendition", first_once)


@pytest.fixture
def process_stage(db):
    """A function that carries out one stage of the next due job in this process, and returns the job.

    It returns None if no job is due.
    """

    def process() -> ProcessingJob | None:
        job = jobs.claim_next(presence.worker_name())
        if job is not None:
            publishing.process(job)
            job.refresh_from_db()
        return job

    return process


@pytest.fixture
def process_next(process_stage):
    """A function that carries out the next due job to its end, and returns the job.

    It returns None if no job is due.
    """

    def process() -> ProcessingJob | None:
        job = process_stage()
        if job is not None and job.stage == ProcessingJob.Stage.REST and job.state == "queued":
            claimed = ProcessingJob.objects.claim(
                job.pk, worker=presence.worker_name(), lease=jobs.lease()
            )
            if claimed is None:  # it waits
                return job
            publishing.process(claimed)
            claimed.refresh_from_db()
            return claimed
        return job

    return process


@pytest.fixture
def publish(media, received, process_next, creator):
    """A function that makes a video of a clip, or gives a video another clip, and processes it."""

    def make(clip=None, video=None) -> Video:
        video = video or catalogue.create_video(creator=creator, title="A video")
        received_file = received(clip) if clip else received()
        sources.attach_source(video=video, received=received_file, actor=creator)
        process_next()
        video.refresh_from_db()
        assert video.status == Video.Status.READY, video.job.error_detail
        return video

    return make


@pytest.fixture
def tus(client_for, creator, media, monkeypatch):
    """The creator as a client of tus, on a disk that does not wait."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # a busy disk takes a second for each
    return Tus(client_for(creator))
