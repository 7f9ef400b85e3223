"""Direct uploads into real servers of object storage: only what the bucket has is believed."""

import errno
import hashlib
import os
import time
from datetime import timedelta

import httpx
import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

pytest.importorskip("boto3", reason="missing: boto3")

from accounts.roles import Role
from accounts.services import set_role
from audit.models import AuditEntry
from config.tests import cases
from videos import jobs, presence
from videos.errors import StorageAway
from videos.models import ProcessingJob, Upload, Video
from videos.services import completing, direct, garbage, publishing, resuming
from videos.storage.objects import etag_of_parts
from videos.tests.buckets import Rclone, SeaweedFS, emptied, running, use
from videos.tests.direct_kit import PART, URL, DirectClient, put, row, way
from videos.tests.tus_kit import TUS, Tus, code

pytestmark = [pytest.mark.s3, pytest.mark.django_db]
CONTENT = os.urandom(PART) + b"the rest"


@pytest.fixture(
    scope="module",
    params=cases.chosen([SeaweedFS, Rclone], SeaweedFS),
    ids=lambda kind: kind.__name__,
)
def server(request, tmp_path_factory):
    with running(request.param, tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def bucket(server, settings, media, monkeypatch):
    """The empty bucket of a service with STORAGE=s3, where parts are as small as they may be."""
    monkeypatch.setattr(direct, "PART_BYTES", PART)
    found = emptied(server)
    for upload in pending_rows(found):
        found.client.abort_multipart_upload(
            Bucket=found.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
        )
    use(settings, server)
    return found


def pending_rows(bucket) -> list[dict]:
    try:
        return bucket.client.list_multipart_uploads(Bucket=bucket.bucket).get("Uploads", [])
    except bucket.client.exceptions.NoSuchUpload:  # rclone says so where there is none
        return []


@pytest.fixture
def client(client_for, creator):
    return DirectClient(client_for(creator))


def objects(bucket) -> list[str]:
    return [each.name for each in bucket.entries("sources/")]


class TestUpload:
    def test_a_file_in_parts_goes_past_the_service(self, client, bucket, creator, media, trail):
        upload = client.begin(len(CONTENT))
        assert (upload["kind"], upload["state"], upload["offset"]) == ("direct", "open", 0)
        sizes = [(part["number"], part["size"]) for part in upload["direct"]["parts"]]
        assert sizes == [(1, PART), (2, len("the rest"))]
        assert not Video.objects.exists()

        sent = client.send(upload, CONTENT)[::-1]
        there = client.get(upload).json()["direct"]["parts"]
        assert [(part["number"], part["size"], part["url"]) for part in there] == [
            (1, PART, None),
            (2, 8, None),
        ]
        done = client.complete(upload, sent)

        assert done.status_code == 200, done.content
        assert (done.json()["state"], done.json()["offset"]) == ("done", len(CONTENT))
        video = Video.objects.get(pk=upload["video_id"])
        assert (video.creator, video.title, video.status) == (creator, "A video", "UPLOADED")
        assert (video.source_filename, video.source_size) == ("clip.mp4", len(CONTENT))
        assert bucket.read(video.source_path) == CONTENT
        assert objects(bucket) == [video.source_path]
        assert trail(video.pk) == ["video.created", "video.uploaded"]
        assert ProcessingJob.objects.get().source_path == video.source_path
        assert not [name for name in media.files() if "locks/" not in name]

        again = client.complete(upload, sent)
        assert (again.status_code, again.json()["state"]) == (200, "done")
        assert (ProcessingJob.objects.count(), AuditEntry.objects.count()) == (1, 2)
        assert (client.get(upload).json()["state"], client.delete(upload).status_code) == (
            "done",
            204,
        )
        assert Video.objects.get().source_path == video.source_path
        assert bucket.read(video.source_path) == CONTENT

    def test_the_file_is_processed_and_its_checksum_is_found_out(self, client, bucket, clip):
        content = clip.read_bytes()
        upload = client.begin(len(content))
        assert client.complete(upload, client.send(upload, content)).status_code == 200
        video = Video.objects.get()
        expected = f"md5-parts:{PART}:{etag_of_parts(clip, PART)}"
        assert video.source_checksum == expected

        process_all()

        video.refresh_from_db()
        assert video.status == "READY", ProcessingJob.objects.get().error_detail
        assert video.source_checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"

    def test_for_a_video_that_is_there(self, client, bucket, creator, make_video):
        video = make_video(creator=creator, ready=False)
        upload = client.begin(3, video_id=str(video.pk))
        client.complete(upload, client.send(upload, b"abc"))
        video.refresh_from_db()
        assert (video.status, bucket.read(video.source_path)) == ("UPLOADED", b"abc")
        assert (Video.objects.count(), ProcessingJob.objects.count()) == (1, 1)

    def test_more_addresses_and_a_part_again(self, client, server, bucket):
        upload = client.begin(len(CONTENT))
        row(upload)
        Upload.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
        if not isinstance(server, Rclone):  # which takes no part twice
            client.send(upload, bytes(len(CONTENT)))

        signed = client.sign(upload, 2, 1, 2).json()

        assert [part["number"] for part in signed["direct"]["parts"]] == [1, 2]
        assert signed["direct"]["urls_expire_at"] > timezone.now().isoformat()
        assert row(upload).expires_at > timezone.now() + timedelta(hours=23)
        assert client.complete(upload, client.send(signed, CONTENT)).status_code == 200
        assert bucket.read(Video.objects.get().source_path) == CONTENT

    def test_addresses_name_the_host_that_clients_reach(self, client, bucket, settings):
        settings.S3_PUBLIC_ENDPOINT = "https://uploads.example.com"
        upload = client.begin(3)
        assert upload["direct"]["parts"][0]["url"].startswith(
            "https://uploads.example.com/vod-media/"
        )


class TestOnlyTheBucketIsBelieved:
    def refused(self, client, upload, parts, *words: str) -> None:
        response = client.complete(upload, parts)
        assert (response.status_code, code(response)) == (409, "parts_mismatch"), response.content
        assert all(word in response.json()["errors"][0]["detail"] for word in words)
        found = row(upload)
        assert (found.state, found.offset) == ("open", 0)
        assert not Video.objects.exists()
        assert not ProcessingJob.objects.exists()

    def test_parts_that_are_not_there_are_not_listed_or_are_others(self, client, server, bucket):
        upload = client.begin(len(CONTENT))
        first, second = upload["direct"]["parts"]
        lie = [{"number": 1, "etag": "a" * 32}, {"number": 2, "etag": "b" * 32}]
        self.refused(client, upload, lie, "part 1 is not there", "part 2 is not there")
        one = put(first, CONTENT[:PART])
        self.refused(client, upload, [one, lie[1]], "part 2 is not there")
        two = put(second, CONTENT[PART:])
        self.refused(client, upload, [one], "part 2 is not listed")
        self.refused(client, upload, [one, lie[1]], "part 2 has the ETag")
        self.refused(client, upload, [one, two, {"number": 3, "etag": "c"}], "part 3 is none")
        if isinstance(server, SeaweedFS):  # rclone takes no part twice
            time.sleep(1.1)
            put(first, bytes(PART))  # after its ETag was told
            self.refused(client, upload, [one, two], "part 1 has the ETag")
            time.sleep(1.1)
            one = put(first, CONTENT[:PART])
        assert client.complete(upload, [one, two]).status_code == 200
        assert bucket.read(Video.objects.get().source_path) == CONTENT

    def test_a_part_of_another_size_is_refused_by_the_bucket(self, client, bucket):
        upload = client.begin(len(CONTENT))
        first, second = upload["direct"]["parts"]
        for part, content in ((first, CONTENT), (second, b"x"), (second, b"the rest and more")):
            assert httpx.put(part["url"], content=content).status_code == 403
        assert client.get(upload).json()["direct"]["parts"] == []

    def test_a_part_of_another_size_is_not_completed(self, client, bucket):
        """Not every server looks at the length that was signed."""
        upload = client.begin(8)
        found = row(upload)
        answer = bucket.client.upload_part(
            Bucket=bucket.bucket, Key=bucket.prefix + found.object_name,
            UploadId=found.multipart_id, PartNumber=1, Body=b"more than eight",
        )  # fmt: skip
        part = {"number": 1, "etag": answer["ETag"]}
        self.refused(client, upload, [part], "part 1 has 15 of 8 bytes")

    def test_a_complete_file_cannot_be_replaced(self, client, bucket):
        upload = client.begin(3)
        client.complete(upload, client.send(upload, b"abc"))
        late = httpx.put(upload["direct"]["parts"][0]["url"], content=b"xyz")
        assert late.status_code == 404
        assert bucket.read(Video.objects.get().source_path) == b"abc"
        assert client.sign(upload, 1).status_code == 410

    def test_a_file_that_is_no_video_is_refused_as_any_upload(self, client, bucket, client_for):
        """By the same step, with the same code."""
        content = b"This is a text. " * 100
        upload = client.begin(len(content), filename="clip.mp4")
        client.complete(upload, client.send(upload, content))
        other = Tus(client.client)
        other.patch(other.begin(len(content)), 0, content)
        process_all()
        codes = Video.objects.values_list("status", "job__error_code")
        assert len(codes) == 2
        assert len({*codes}) == 1, codes
        assert codes[0][0] == "FAILED"

    def test_an_object_that_was_changed_in_the_bucket_is_found_out(self, client, bucket):
        upload = client.begin(3)
        client.complete(upload, client.send(upload, b"abc"))
        bucket.write(Video.objects.get().source_path, b"xyz")
        process_all()
        if "md5-parts" in Video.objects.get().source_checksum:
            assert ProcessingJob.objects.get().error_code == "file_damaged"


class TestRefused:
    def nothing(self, bucket) -> None:
        assert not Upload.objects.exists()
        assert pending_rows(bucket) == []

    def test_before_the_first_byte(self, client, bucket, settings, client_for, creator):
        settings.UPLOAD_MAX_BYTES, settings.UPLOAD_QUOTA_BYTES = 1000, 100
        body = {"filename": "f.mp4", "title": "T"}
        for more, status, expected in (
            ({"length": 0}, 400, "empty"),
            ({"length": 1001}, 413, "too_large"),
            ({"length": 101}, 413, "upload_quota_exceeded"),
            ({"length": -1}, 400, "min_value"),
            ({}, 400, "required"),
            ({"length": 3, "video_id": "x"}, 400, "invalid"),
            ({"length": 3, "video_id": str(creator.pk)}, 404, "not_found"),
            ({"length": 3, "title": " "}, 400, "blank"),
        ):
            response = client.post(**{**body, **more})
            assert (response.status_code, code(response)) == (status, expected), response.content
            self.nothing(bucket)
        settings.CREATOR_QUEUE_VIDEOS = 0
        assert code(client.post(length=3, **body)) == "quota_exceeded"
        self.nothing(bucket)

    def test_together_beyond_the_quota(self, client, bucket, settings):
        settings.UPLOAD_QUOTA_BYTES = 10
        client.begin(6)
        refused = client.post(filename="f.mp4", length=5)
        assert code(refused) == "upload_quota_exceeded"
        tus = Tus(client.client).post(HTTP_UPLOAD_LENGTH="5")
        assert code(tus) == "upload_quota_exceeded"
        assert Upload.objects.count() == len(pending_rows(bucket)) == 1

    def test_of_others(self, client, bucket, client_for, make_user):
        upload = client.begin(3)
        sent = client.send(upload, b"abc")
        other = DirectClient(client_for(make_user(Role.CREATOR)))
        for response in (
            other.get(upload), other.sign(upload, 1), other.complete(upload, sent), other.delete(upload),
        ):  # fmt: skip
            assert response.status_code == 404
        viewer = DirectClient(client_for(make_user()))
        assert viewer.post(filename="f.mp4", length=3).status_code == 403
        assert viewer.complete(upload, sent).status_code == 403
        assert DirectClient(client_for()).complete(upload, sent).status_code == 401
        assert not Video.objects.exists()
        assert client.complete(upload, sent).status_code == 200

    def test_bytes_by_tus_and_direct_requests_for_others(self, client, server, bucket):
        upload, tus = client.begin(3), Tus(client.client)
        assert code(tus.patch(URL + upload["id"], 0, b"abc")) == "direct_upload"
        other = {"id": tus.begin(3).removeprefix(URL)}
        assert code(client.sign(other, 1)) == "not_direct"
        assert code(client.complete(other, [{"number": 1, "etag": "x"}])) == "not_direct"
        assert code(client.sign(upload, 2)) == "max_value"
        assert code(client.post(f"{upload['id']}/complete", headers={}, parts=[])) == "empty"
        assert client.client.delete(URL + upload["id"]).status_code == 412  # neither tus nor direct
        assert [*Upload.objects.values_list("state", "offset")] == [("open", 0)] * 2

    def test_a_creator_who_may_not_any_more(self, client, bucket, creator, admin):
        """The role is lost between the request's own check and the transaction."""
        upload = client.begin(3)
        sent = client.send(upload, b"abc")
        found = resuming.find(creator, row(upload).pk)
        set_role(user_id=creator.pk, role=Role.VIEWER, actor=admin)
        with pytest.raises(Exception, match="may not add videos"):
            direct.complete(found, {each["number"]: each["etag"] for each in sent})
        assert (row(upload).state, row(upload).error_code) == ("failed", "permission_denied")
        assert not Video.objects.exists()
        assert objects(bucket) == []


class TestEnds:
    def test_ended_by_its_client(self, client, bucket):
        upload = client.begin(3)
        client.send(upload, b"abc")
        assert client.delete(upload).status_code == 204
        assert not Upload.objects.exists()
        assert pending_rows(bucket) == []
        assert httpx.put(upload["direct"]["parts"][0]["url"], content=b"abc").status_code == 404
        assert client.get(upload).status_code == 404

    def test_ended_by_tus(self, client, bucket):
        upload = client.begin(3)
        assert client.client.delete(URL + upload["id"], **TUS).status_code == 204
        assert pending_rows(bucket) == []

    def test_abandoned(self, client, bucket):
        kept, upload = client.begin(3), client.begin(3)
        client.send(upload, b"abc")
        Upload.objects.filter(pk=upload["id"]).update(expires_at=timezone.now())

        assert (completing.sweep(), direct.sweep()) == (1, 1)

        assert row(upload).state == "expired"
        assert [each["UploadId"] for each in pending_rows(bucket)] == [row(kept).multipart_id]
        assert client.complete(upload, [{"number": 1, "etag": "x"}]).status_code == 410
        assert client.sign(upload, 1).status_code == 410
        assert (completing.sweep(), direct.sweep()) == (0, 0)

    def test_the_daily_search_leaves_those_under_way(self, client, bucket, monkeypatch):
        upload = client.begin(3)
        lost = way().begin("sources/x/y/source")
        monkeypatch.setattr(garbage, "ORPHAN_SECONDS", -60)

        garbage.collect_garbage()

        left = [each["UploadId"] for each in pending_rows(bucket)]
        assert lost not in left
        assert left == [row(upload).multipart_id]

    def test_a_bucket_that_loses_the_parts(self, client, bucket):
        """By a rule of its own for old uploads in parts, for example."""
        upload = client.begin(3)
        sent = client.send(upload, b"abc")
        found = row(upload)
        way().give_up(found.object_name, found.multipart_id)
        assert client.complete(upload, sent).status_code == 410
        assert (row(upload).state, row(upload).error_code) == ("failed", "upload_gone")
        assert not Video.objects.exists()


class TestCutOff:
    """A process that dies, or a bucket that goes away, between any two steps of a completion."""

    @pytest.fixture
    def sent(self, client, bucket):
        upload = client.begin(len(CONTENT))
        return upload, client.send(upload, CONTENT)

    def cut(self, monkeypatch, step: str) -> None:
        def fail(*args, **kwargs):
            raise StorageAway() if step == "finish" else OSError(errno.EHOSTDOWN, "away")

        target = completing if step == "finish" else type(way())
        monkeypatch.setattr(target, step, fail)

    @pytest.mark.parametrize("step", ["assemble", "find", "finish"])
    def test_it_is_completed_later_by_another_process(
        self, client, bucket, sent, monkeypatch, step
    ):
        upload, parts = sent
        with monkeypatch.context() as patched:
            self.cut(patched, step)
            assert client.complete(upload, parts).status_code == 503
        found = row(upload)
        assert (found.state, found.offset) == ("open", len(CONTENT))
        assert not Video.objects.exists()
        assert code(client.delete(upload)) == "upload_busy"
        Upload.objects.update(expires_at=timezone.now())
        assert completing.sweep() == 0  # nobody has given it up

        assert (direct.complete_waiting(), direct.complete_waiting()) == (1, 0)

        assert row(upload).state == "done"
        assert bucket.read(Video.objects.get().source_path) == CONTENT
        assert ProcessingJob.objects.count() == 1

    @pytest.mark.parametrize("step", ["assemble", "find", "finish"])
    def test_it_is_completed_by_a_repeat(self, client, bucket, sent, monkeypatch, step):
        upload, parts = sent
        with monkeypatch.context() as patched:
            self.cut(patched, step)
            assert client.complete(upload, parts).status_code == 503
        assert client.complete(upload, parts).status_code == 200
        assert (Video.objects.count(), ProcessingJob.objects.count()) == (1, 1)

    def test_before_it_was_accepted(self, client, bucket, sent, monkeypatch):
        upload, parts = sent
        with monkeypatch.context() as patched:
            self.cut(patched, "parts")
            assert client.complete(upload, parts).status_code == 503
        assert row(upload).offset == 0
        assert direct.complete_waiting() == 0
        assert client.complete(upload, parts).status_code == 200

    def test_a_part_that_changes_meanwhile(self, client, server, bucket, sent, monkeypatch):
        if isinstance(server, Rclone):
            return  # it takes no part twice
        upload, parts = sent
        with monkeypatch.context() as patched:
            self.cut(patched, "assemble")
            client.complete(upload, parts)
        time.sleep(1.1)
        put(upload["direct"]["parts"][1], b"the best")

        assert direct.complete_waiting() == 0

        assert (row(upload).state, row(upload).offset) == ("open", 0)
        assert client.complete(upload, parts).status_code == 409
        assert not Video.objects.exists()

    def test_an_object_that_is_not_there_yet_is_waited_for(self, client, bucket, sent, monkeypatch):
        upload, parts = sent
        with monkeypatch.context() as patched:
            self.cut(patched, "assemble")
            client.complete(upload, parts)
        found = row(upload)
        way().give_up(found.object_name, found.multipart_id)
        assert client.complete(upload, parts).status_code == 503
        assert row(upload).state == "open"
        Upload.objects.update(expires_at=row(upload).expires_at - direct.LOST_AFTER)
        assert client.complete(upload, parts).status_code == 410
        assert row(upload).state == "failed"

    def test_another_object_is_refused_and_removed(self, client, bucket, sent, monkeypatch):
        upload, parts = sent
        with monkeypatch.context() as patched:
            self.cut(patched, "find")
            client.complete(upload, parts)
        bucket.write(row(upload).object_name, b"something else")
        assert code(client.complete(upload, parts)) == "upload_damaged"
        assert row(upload).state == "failed"
        assert objects(bucket) == []
        assert not Video.objects.exists()


def test_a_bucket_that_is_away_refuses_and_nothing_is_lost(
    client, server, bucket, creator, monkeypatch
):
    upload = client.begin(3)
    sent = client.send(upload, b"abc")
    server.kill()
    try:
        for response in (
            client.post(filename="f.mp4", length=3), client.get(upload), client.complete(upload, sent),
        ):  # fmt: skip
            assert (response.status_code, code(response)) == (503, "storage_unavailable")
        assert Upload.objects.count() == 1
        Upload.objects.update(expires_at=timezone.now())
        assert (completing.sweep(), direct.sweep()) == (1, 0)
    finally:
        server.start()
    # rclone forgets uploads in parts when it ends
    assert len(pending_rows(bucket)) == (1 if isinstance(server, SeaweedFS) else 0)
    assert direct.sweep() == 1
    assert pending_rows(bucket) == []


def process_all() -> None:
    deadline = time.monotonic() + 900  # the machine may be busy
    while (job := jobs.claim_next(presence.worker_name())) is not None:
        publishing.process(job)
        assert time.monotonic() < deadline


def test_pages_of_allowed_origins_may_send_parts(client, server, bucket, settings):
    settings.CORS_ALLOW_ALL_ORIGINS = False
    settings.CORS_ALLOWED_ORIGINS = ["https://studio.example.com"]
    if isinstance(server, Rclone):  # which knows no such rules
        with pytest.raises(CommandError, match="did not take the rules"):
            call_command("bucket_cors")
        return
    call_command("bucket_cors")
    url = client.begin(3)["direct"]["parts"][0]["url"]
    asked = {"Access-Control-Request-Method": "PUT"}
    allowed = httpx.options(url, headers={"Origin": "https://studio.example.com", **asked})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://studio.example.com"
    answer = httpx.put(url, content=b"abc", headers={"Origin": "https://studio.example.com"})
    assert answer.headers["Access-Control-Expose-Headers"] == "ETag"
    assert (
        httpx.options(url, headers={"Origin": "https://evil.example", **asked}).status_code == 403
    )
