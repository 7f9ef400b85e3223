"""Videos in a bucket of a real server: from the upload to the last byte, and through its outages."""

import hashlib
import os
import re
import shutil
import time
import uuid
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db.models.functions import Now
from django.utils import timezone

pytest.importorskip("boto3", reason="missing: boto3")

from config.tests import cases
from videos import doctor, jobs, presence, storage
from videos.models import ProcessingJob, Video
from videos.presentation import captioning, cues, refreshing
from videos.processing import growing
from videos.services import catalogue, completing, garbage, publishing, reprocessing, sources
from videos.storage import bucket as bucket_module
from videos.storage.listing import LISTING
from videos.tests.buckets import Rclone, SeaweedFS, emptied, running, use
from videos.tests.claims import claim_due
from videos.tests.media import ffmpeg, h264, picture, tone
from videos.uploads.received import ReceivedFile

pytestmark = [pytest.mark.s3, pytest.mark.django_db]
URL = "/api/v1/videos/"
SRT = "1\n00:00:00,000 --> 00:00:01,500\nHello\n"


@pytest.fixture(
    scope="module",
    params=cases.chosen([SeaweedFS, Rclone], SeaweedFS),
    ids=lambda kind: kind.__name__,
)
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def bucket(server, settings, media):
    """The empty bucket of a service with STORAGE=s3."""
    found = emptied(server)
    use(settings, server)
    return found


@pytest.fixture
def upload(creator, settings):
    """A function that makes a video of a file."""

    def make(path) -> Video:
        folder = settings.MEDIA_ROOT / "uploads"
        folder.mkdir(exist_ok=True)
        target = folder / uuid.uuid4().hex
        shutil.copyfile(path, target)
        checksum = f"sha256:{hashlib.sha256(target.read_bytes()).hexdigest()}"
        received = ReceivedFile(target, "clip.mp4", target.stat().st_size, checksum)
        video = catalogue.create_video(creator=creator, title="In a bucket")
        sources.attach_source(video=video, received=received, actor=creator)
        return Video.objects.get(pk=video.pk)

    return make


def process_all() -> None:
    while (job := jobs.claim_next(presence.worker_name())) is not None:
        publishing.process(job)


def names(bucket, prefix="") -> set[str]:
    return {each.name for each in bucket.entries(prefix)}


@pytest.fixture
def ready(bucket, upload, clip):
    video = upload(clip)
    process_all()
    video.refresh_from_db()
    assert video.status == "READY", video.job.error_detail
    refreshing.refresh(video.pk)  # after the commit, which a test never makes
    return video


def test_everything_of_a_video_lies_in_the_bucket_and_nothing_on_the_disk(bucket, ready, media):
    version = storage.version_name(ready)
    there = names(bucket)

    assert {ready.source_path, f"{version}/master.m3u8", f"{version}/manifest.mpd"} <= there
    assert {f"{version}/poster.jpg", f"{version}/{LISTING}", f"{version}/packaged.m3u8"} <= there
    assert not [name for name in there if name.startswith("work/")]
    assert not [name for name in media.files() if "cache/" not in name and "locks/" not in name]
    assert reprocessing.fault_of(ready) == ""
    findings = list(doctor.bucket())
    assert [finding.level.name for finding in findings] == ["OK"], findings


def test_captions_and_chapters_reach_the_published_manifests(bucket, ready):
    version = storage.version_name(ready)
    before = {each.name: each.etag for each in bucket.entries(f"{version}/")}

    caption = captioning.add_caption(
        video=ready, actor=ready.creator, language="en", cues=cues.read(SRT.encode())
    )
    refreshing.refresh(ready.pk)

    after = {each.name: each.etag for each in bucket.entries(f"{version}/")}
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed == {
        f"{version}/master.m3u8",
        f"{version}/manifest.mpd",
        f"{version}/text/{caption.pk}.vtt",
        f"{version}/text/{caption.pk}.m3u8",
    }
    assert str(caption.pk) in bucket.read(f"{version}/master.m3u8").decode()

    captioning.delete_caption(caption=caption, actor=ready.creator)
    refreshing.refresh(ready.pk)
    assert f"{version}/text/{caption.pk}.vtt" not in names(bucket)


def test_posters_are_shown_chosen_and_forgotten(bucket, ready, client_for, media):
    client = client_for(ready.creator)
    shutil.rmtree(media / "cache", ignore_errors=True)
    address = f"{URL}{ready.pk}/poster"
    automatic = b"".join(client.get(address).streaming_content)
    assert automatic == bucket.read(f"{storage.version_name(ready)}/poster.jpg")

    answer = client.put(address, {"at_seconds": 1.0}, format="json")

    assert answer.status_code == 200, answer.json()
    ready.refresh_from_db()
    chosen = b"".join(client.get(address).streaming_content)
    assert chosen == bucket.read(storage.poster_name(ready))
    assert client.delete(address).status_code == 200
    Video.objects.filter(pk=ready.pk).update(poster_tag="")
    name = next(iter(names(bucket, "posters/")))
    garbage.collect_garbage()
    assert name in names(bucket)  # too young


def test_a_file_that_is_missing_or_truncated_is_named_and_made_again(bucket, ready):
    version = storage.version_name(ready)
    segment = next(name for name in sorted(names(bucket, version)) if name.endswith("1.m4s"))
    content = bucket.read(segment)
    inside = segment.removeprefix(f"{version}/")

    bucket.write(segment, content[:-10])
    assert reprocessing.fault_of(ready) == f"{inside} is damaged"
    bucket.delete(segment)
    assert reprocessing.fault_of(ready) == f"{inside} is missing"

    reprocessing.reprocess(video=ready, actor=None)
    process_all()
    ready.refresh_from_db()
    assert reprocessing.fault_of(ready) == ""
    assert storage.version_name(ready) != version


def test_a_source_that_was_damaged_fails_with_a_reason(bucket, upload, clip):
    video = upload(clip)
    bucket.write(video.source_path, clip.read_bytes()[:-1])
    process_all()
    video.refresh_from_db()
    assert (video.status, video.job.error_code) == ("FAILED", "file_damaged")

    bucket.delete(video.source_path)
    Video.objects.filter(pk=video.pk).update(status="UPLOADED")
    jobs.queue(video, video.source_path)
    process_all()
    video.refresh_from_db()
    assert (video.status, video.job.error_code) == ("FAILED", "file_missing")


def test_orphans_are_swept_and_nothing_else(bucket, ready, monkeypatch):
    other = uuid.uuid4()
    orphans = {
        f"videos/{ready.pk}/0123456789ab/360p/1.m4s",
        f"videos/{other}/0123456789ab/master.m3u8",
        f"sources/{ready.pk}/{uuid.uuid4().hex}/source",
        f"posters/{ready.pk}/0123456789ab.jpg",
        f"work/{uuid.uuid4()}/chunks/x/1-1/v.mp4",
    }
    mine = names(bucket, storage.version_name(ready)) | {ready.source_path}
    for name in orphans:
        bucket.write(name, b"x")

    garbage.collect_garbage()
    assert orphans - names(bucket) == {name for name in orphans if name.startswith("work/")}

    ProcessingJob.objects.update(finished_at=timezone.now() - timedelta(days=9))
    monkeypatch.setattr(garbage.time, "time", lambda: timezone.now().timestamp() + 9 * 86_400)
    garbage.collect_garbage()
    assert not orphans & names(bucket)
    assert mine - names(bucket) == set()


def test_a_purged_video_leaves_nothing(bucket, ready, settings):
    from videos.services import purging

    catalogue.delete_video(video=ready, actor=ready.creator)
    Video.objects.filter(pk=ready.pk).update(deleted_at=timezone.now() - timedelta(days=99))

    assert purging.purge_deleted() == 1
    assert not [name for name in names(bucket) if str(ready.pk) in name]


def test_chunks_of_another_machine_are_joined(bucket, upload, settings, tmp_path, monkeypatch):
    """The helper has a MEDIA_DIR of its own, as on another machine."""
    settings.CHUNK_SECONDS, settings.CHUNKS_FROM_SECONDS = 2, 3
    ffmpeg(
        *picture(seconds=6, size="160x90"), *tone(seconds=6), "-map", "0", "-map", "1",
        *h264("-g", "25"), "-c:a", "aac", tmp_path / "six.mp4",
    )  # fmt: skip
    video = upload(tmp_path / "six.mp4")
    ProcessingJob.objects.update(stage=ProcessingJob.Stage.REST)
    job = claim_due("host/1/2")
    home = settings.MEDIA_ROOT
    make, made_at = publishing.chunking._Maker.make, []

    def note(self, chunk):
        made_at.append(settings.MEDIA_ROOT)
        make(self, chunk)

    monkeypatch.setattr(publishing.chunking._Maker, "make", note)
    helped: list[bool] = []
    original = publishing.chunking.chunks.claim

    def claim(job, worker, *, helping):
        # Before the job's own worker takes the first chunk, the helper makes all of them.
        if not helping and not helped:
            helped.append(True)
            settings.MEDIA_ROOT = tmp_path / "machine"
            settings.MEDIA_ROOT.mkdir()
            (settings.MEDIA_ROOT / storage.MARK).touch()
            publishing.chunking.help_with(job, "other/1/2")
            settings.MEDIA_ROOT = home
        return original(job, worker, helping=helping)

    monkeypatch.setattr(publishing.chunking.chunks, "claim", claim)
    publishing.process(job)

    video.refresh_from_db()
    assert (video.status, helped) == ("READY", [True])
    assert set(made_at) == {tmp_path / "machine"}  # and no chunk was made twice
    assert reprocessing.fault_of(video) == ""
    assert not names(bucket, "work/")


def test_a_growing_version_is_played_from_the_bucket(
    bucket, upload, settings, tmp_path, monkeypatch
):
    settings.FFMPEG_PRESET, settings.FFMPEG_THREADS = "slower", 1
    monkeypatch.setattr(growing, "SOON_SECONDS", -1.0)
    path = tmp_path / "clip.mkv"
    ffmpeg(
        *picture(seconds=26, size="640x360"), *tone(seconds=26), *h264("-g", "50"), "-c:a", "ac3",
        path,
    )  # fmt: skip
    video = upload(path)
    seen: list[tuple[str, set[str], str]] = []
    complete = growing.Growing.complete

    def look(self):
        row = Video.objects.get(pk=video.pk)
        version = storage.version_name(row)
        playlist = bucket.read(f"{version}/240p.m3u8").decode()
        seen.append((row.completeness, names(bucket, version), playlist))
        assert (self._folder / "240p.m3u8").read_text() == playlist  # all that FFmpeg has finished
        complete(self)

    monkeypatch.setattr(growing.Growing, "complete", look)
    publishing.process(claim_due("host/1/1"))

    ((completeness, there, playlist),) = seen
    version = os.path.commonpath(there)
    named = re.findall(r"^(240p/.*\.m4s)$", playlist, re.MULTILINE)
    assert completeness == "growing"
    assert len(named) > growing.SEGMENTS_AT_START
    assert "ENDLIST" not in playlist
    assert {f"{version}/{name}" for name in named} <= there
    ended = bucket.read(f"{version}/240p.m3u8").decode()
    assert ended.endswith("#EXT-X-ENDLIST\n")
    assert {
        f"{version}/{name}" for name in re.findall(r"^(240p/.*)$", ended, re.MULTILINE)
    } <= names(bucket, version)
    video.refresh_from_db()
    assert video.completeness == "early"


@pytest.mark.parametrize("after", [0, 3, 10_000])
def test_a_crash_while_a_version_is_sent_leaves_orphans_and_a_job(
    bucket, upload, clip, monkeypatch, after
):
    """As after kill -9: with some files sent, or with all of them and no row that names them."""
    video = upload(clip)
    ProcessingJob.objects.update(stage=ProcessingJob.Stage.REST)
    put = bucket_module.Bucket.put
    sent: list[str] = []

    class Killed(BaseException):
        pass

    def put_some(self, file, name):
        if len(sent) >= after:
            raise Killed
        sent.append(name)
        return put(self, file, name)

    def kill(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(bucket_module.Bucket, "put", put_some)
        patch.setattr(jobs, "finish", kill)
        with pytest.raises(Killed):
            publishing.process(claim_due("host/1/1"))
    video.refresh_from_db()
    assert (video.current_version, video.job.state) == ("", "running")
    orphans = names(bucket, "videos/")
    assert bool(orphans) == bool(after)

    ProcessingJob.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    process_all()
    video.refresh_from_db()
    assert video.status == "READY"
    assert orphans <= names(bucket)

    ProcessingJob.objects.update(finished_at=timezone.now() - timedelta(days=9))
    monkeypatch.setattr(garbage.time, "time", lambda: timezone.now().timestamp() + 9 * 86_400)
    garbage.collect_garbage()
    assert not orphans & names(bucket)
    assert reprocessing.fault_of(video) == ""


def test_without_the_server_all_is_refused_clearly_and_comes_back(
    bucket, ready, server, upload, clip, client_for, monkeypatch
):
    owner = client_for(ready.creator)
    owner.raise_request_exception = False
    waiting = upload(clip)
    assert owner.get("/health/ready").json()["parts"]["storage"] == "ok"
    server.kill()
    try:
        time.sleep(1.1)
        parts = owner.get("/health/ready").json()["parts"]
        assert parts["storage"] == "unavailable"
        file = SimpleUploadedFile("a.mp4", b"x" * 1000)
        answer = owner.post(URL, {"title": "New", "file": file}, format="multipart")
        assert answer.status_code == 503, answer.json()
        assert answer.json()["errors"][0]["code"] == "storage_unavailable"
        monkeypatch.setattr("videos.storage.bucket.PAUSE_SECONDS", 0.01)
        job = claim_due(presence.worker_name())
        publishing.process(job)
        job.refresh_from_db()
        assert (job.state, job.strikes) == ("queued", 0)
        assert [finding.level.name for finding in doctor.bucket()] == ["ERROR"]
    finally:
        server.start()
    ProcessingJob.objects.update(not_before=Now())
    process_all()
    waiting.refresh_from_db()
    assert waiting.status == "READY"


def test_a_resumable_upload_waits_for_the_bucket_and_is_queued_once(
    server, bucket, client_for, creator, media, monkeypatch
):
    """All bytes are here and acknowledged when the bucket goes away."""
    client, tus = client_for(creator), {"HTTP_TUS_RESUMABLE": "1.0.0"}
    begin = {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_METADATA": "title QQ=="}
    url = client.generic("POST", "/api/v1/uploads/", **begin, **tus)["Location"]
    monkeypatch.setattr("videos.uploads.receiving.check_room", lambda announced: None)
    kind, offset = "application/offset+octet-stream", {"HTTP_UPLOAD_OFFSET": "0"}
    server.kill()
    last = client.generic("PATCH", url, b"abc", content_type=kind, **offset, **tus)
    assert (last.status_code, last["Upload-Offset"]) == (204, "3")
    assert completing.complete_interrupted() == 0
    assert not Video.objects.exists()

    server.start()
    assert completing.complete_interrupted() == 1
    assert completing.complete_interrupted() == 0
    video = Video.objects.get()
    assert names(bucket, "sources/") == {video.source_path}
    assert (str(video.pk), video.jobs.count()) == (last["Video-Id"], 1)
    assert media.files() == []
