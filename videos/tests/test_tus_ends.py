"""tus 1.0.0 at /api/v1/uploads/: checksums, ends, interruptions, and uploads joined from parts."""

import errno
import os
from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.roles import Role
from config.errors import TooLarge
from videos.errors import NotJoinable
from videos.models import Upload, Video
from videos.services import completing, resuming
from videos.tests.tus_kit import BYTES, URL, Tus, checksum, code, jobs, meta, writer_of
from videos.uploads import receiving, spool

pytestmark = pytest.mark.django_db


def test_more_bytes_than_announced_are_refused_as_they_come(creator, tus):
    """Without a Content-Length (chunked), the bytes are counted on their way."""
    url = tus.begin(6)
    headers = {
        "Tus-Resumable": "1.0.0", "Content-Type": BYTES, "Upload-Offset": "2",
        "Transfer-Encoding": "chunked",
    }  # fmt: skip
    assert tus.patch(url, 0, b"ab").status_code == 204
    transfer = receiving.begin(creator, UUID(url.rsplit("/")[-1]), headers)
    assert transfer is not None
    with pytest.raises(TooLarge, match="has room for 4 more bytes"):
        transfer.feed(b"cdefg")
    transfer.close()
    assert tus.offset(url) == 2


class TestChecksum:
    @pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
    def test_is_compared(self, tus, algorithm):
        url = tus.begin(6)
        wrong = tus.patch(url, 0, b"abc", HTTP_UPLOAD_CHECKSUM=checksum(b"abd", algorithm))
        assert (wrong.status_code, code(wrong)) == (460, "checksum_mismatch")
        assert tus.offset(url) == 0
        right = tus.patch(url, 0, b"abc", HTTP_UPLOAD_CHECKSUM=checksum(b"abc", algorithm))
        assert right.status_code == 204
        assert tus.offset(url) == 3

    @pytest.mark.parametrize("text", ["crc32 AAAA", "sha1", "sha1 !", "sha1 YQ=="])
    def test_that_cannot_be_read(self, tus, text):
        url = tus.begin(6)
        assert tus.patch(url, 0, b"abc", HTTP_UPLOAD_CHECKSUM=text).status_code == 400
        assert tus.offset(url) == 0

    def test_with_the_creation(self, tus, media):
        wrong = tus.post(b"abc", HTTP_UPLOAD_LENGTH="3", HTTP_UPLOAD_CHECKSUM=checksum(b"x"))
        assert wrong.status_code == 460
        assert (Upload.objects.count(), media.files()) == (0, [])

    def test_bytes_of_a_process_that_was_killed_before_the_check_do_not_count(self, tus):
        url = tus.begin(6)
        tus.patch(url, 0, b"ab")
        writer = writer_of(Upload.objects.get())
        writer.doubt()
        writer.write(b"??")
        writer.close()  # as the end of the process does
        assert tus.offset(url) == 2
        assert tus.patch(url, 2, b"cdef").status_code == 204
        assert Video.objects.get().source.read_bytes() == b"abcdef"


class TestEnd:
    def test_on_demand(self, tus, media):
        url = tus.begin(6)
        tus.patch(url, 0, b"abc")
        assert tus.delete(url).status_code == 204
        assert (media.files(), Upload.objects.count()) == ([], 0)
        assert tus.head(url).status_code == 404
        assert tus.patch(url, 3, b"def").status_code == 404
        assert tus.delete(url).status_code == 404

    def test_of_a_finished_one_leaves_its_video(self, tus):
        url = tus.begin(3)
        tus.patch(url, 0, b"abc")
        assert tus.delete(url).status_code == 204
        assert Video.objects.get().source.read_bytes() == b"abc"

    def test_by_the_clock(self, tus, settings, media):
        settings.UPLOAD_EXPIRE_HOURS = 2
        url, other = tus.begin(6), tus.begin(6)
        expires = tus.head(url)["Upload-Expires"]
        assert expires.endswith(" GMT")
        tus.patch(url, 0, b"abc")
        Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        assert tus.head(url).status_code == 410  # also before the worker has come
        tus_id = url.rsplit("/")[-1]
        Upload.objects.exclude(pk=tus_id).update(expires_at=timezone.now() + timedelta(hours=1))

        assert completing.sweep() == 1
        assert completing.sweep() == 0
        response = tus.patch(url, 3, b"def")
        assert (response.status_code, code(response)) == (410, "upload_gone")
        assert tus.client.get(url).json()["state"] == "expired"
        assert len(media.files()) == 1
        assert tus.offset(other) == 0
        Upload.objects.filter(pk=tus_id).update(ended_at=timezone.now() - timedelta(days=8))
        completing.sweep()
        assert tus.head(url).status_code == 404

    def test_each_request_lets_the_time_begin_anew(self, tus):
        url = tus.begin(6)
        Upload.objects.update(expires_at=timezone.now() + timedelta(seconds=9))
        tus.patch(url, 0, b"a")
        assert Upload.objects.get().expires_at > timezone.now() + timedelta(hours=1)

    def test_never_while_it_is_written(self, tus):
        tus.begin(6)
        Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        writer = writer_of(Upload.objects.get())
        try:
            assert completing.sweep() == 0
        finally:
            writer.close()
        assert completing.sweep() == 1

    def test_a_video_that_is_deleted_meanwhile(self, tus, make_video, creator, media):
        video = make_video(creator=creator, ready=False)
        url = tus.begin(3, HTTP_UPLOAD_METADATA=meta(filename="f", video_id=str(video.pk)))
        Video.objects.update(deleted_at=timezone.now())
        assert tus.patch(url, 0, b"abc").status_code == 404
        assert (jobs(), media.files()) == (0, [])
        assert tus.head(url).status_code == 410
        assert tus.client.get(url).json()["error"]["code"] == "not_found"


class TestInterrupted:
    def test_a_complete_file_that_nobody_finished_is_finished_by_the_clock(self, tus, media):
        """The process died after the last byte, before the answer."""
        tus.begin(3)
        upload = Upload.objects.get()
        writer = writer_of(upload)
        writer.write(b"abc")
        assert completing.complete_interrupted() == 0  # somebody is at it
        writer.close()

        Upload.objects.update(expires_at=timezone.now() - timedelta(days=1))
        assert completing.sweep() == 0  # it is not abandoned
        assert completing.complete_interrupted() == 1
        assert completing.complete_interrupted() == 0
        assert (jobs(), Video.objects.get().source.read_bytes()) == (1, b"abc")
        assert media.files() == [Video.objects.get().source_path]

    def test_a_death_between_the_move_and_the_commit_loses_nothing(self, tus, media, monkeypatch):
        url = tus.begin(3)

        def die(*args, **fields):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr("videos.jobs.queue", die)
            with pytest.raises(KeyboardInterrupt):
                tus.patch(url, 0, b"abc")
        assert (jobs(), Video.objects.count(), Upload.objects.get().state) == (0, 0, "open")
        assert completing.complete_interrupted() == 1
        assert (jobs(), Video.objects.get().source.read_bytes()) == (1, b"abc")

    def test_of_two_that_finish_the_same_upload_one_queues_it(
        self, tus, media, make_video, creator
    ):
        """As if the lock did not hold: on a file system that lost it."""
        video = make_video(creator=creator, ready=False)
        tus.begin(3, HTTP_UPLOAD_METADATA=meta(filename="f", video_id=str(video.pk)))
        upload, twin = Upload.objects.get(), Upload.objects.get()
        writer = writer_of(upload)
        writer.write(b"abc")
        first, second = (completing.settle(each, writer) for each in (upload, twin))
        writer.close()
        completing.finish(upload, first)
        completing.finish(twin, second)
        video.refresh_from_db()
        assert (jobs(), upload.state, twin.state) == (1, "done", "done")
        assert media.files() == [video.source_path]

    def test_files_without_a_row_are_removed_after_an_hour(self, tus, media):
        url = tus.begin(3)
        Upload.objects.all().delete()
        completing.sweep()
        assert len(media.files()) == 1
        os.utime(spool.path_of(UUID(url.rsplit("/")[-1])), (1, 1))
        completing.sweep()
        assert media.files() == []

    def test_it_waits_while_the_storage_is_away(self, tus, media, monkeypatch):
        """The last byte is acknowledged, because it is safe; the processing is queued later."""
        url = tus.begin(3)
        with monkeypatch.context() as patched:
            patched.setattr("videos.services.completing._second_name", away)
            assert tus.patch(url, 0, b"abc").status_code == 204
            assert tus.offset(url) == 3
            patched.setattr("videos.storage.trouble", lambda: "It is away.")
            assert completing.complete_interrupted() == 0
        assert jobs() == 0
        assert completing.complete_interrupted() == 1
        assert (jobs(), Video.objects.get().source.read_bytes()) == (1, b"abc")


def away(path):
    raise OSError(errno.ESTALE, "Stale file handle")


class TestJoined:
    def parts(self, tus, *contents: bytes) -> list[str]:
        urls = []
        for content in contents:
            url = tus.begin(len(content), HTTP_UPLOAD_CONCAT="partial", HTTP_UPLOAD_METADATA="")
            assert tus.patch(url, 0, content).status_code == 204
            urls.append(url)
        return urls

    def test_parts_become_one_file(self, tus, media):
        urls = self.parts(tus, b"abc", b"de", b"fghi")
        assert (jobs(), Video.objects.count()) == (0, 0)
        assert tus.head(urls[0])["Upload-Concat"] == "partial"
        concat = f"final;{urls[1]} https://example.com{urls[0]} {urls[2]}"
        made = tus.post(HTTP_UPLOAD_CONCAT=concat)
        assert (made.status_code, made["Upload-Length"]) == (201, "9")
        url = made["Location"]
        head = tus.head(url)
        assert (head["Upload-Concat"], "Upload-Offset" in head) == (concat, False)
        assert tus.patch(url, 0, b"x").status_code == 403
        assert tus.delete(urls[0]).status_code == 409
        again = tus.post(HTTP_UPLOAD_CONCAT=concat)
        assert (again.status_code, again["Location"]) == (201, url)

        assert completing.complete_interrupted() == 1
        assert Video.objects.get().source.read_bytes() == b"deabcfghi"
        assert media.files() == [Video.objects.get().source_path]
        assert tus.head(url)["Upload-Offset"] == "9"
        assert tus.head(urls[0]).status_code == 404
        assert jobs() == 1

    def test_goes_on_where_a_killed_process_has_stopped(self, tus, media):
        urls = self.parts(tus, b"abc", b"defg")
        tus.post(HTTP_UPLOAD_CONCAT=f"final;{urls[0]} {urls[1]}")
        joined = Upload.objects.get(kind="joined")
        writer = completing.join_writer(joined)
        assert writer is not None
        writer.write(b"abcde")
        spool.remove(Upload.objects.get(position=0, kind="part").pk)
        writer.close()
        assert completing.complete_interrupted() == 1
        assert Video.objects.get().source.read_bytes() == b"abcdefg"

    def test_refused(self, tus, client_for, make_user):
        done, whole = self.parts(tus, b"abc")[0], tus.begin(3)
        half = tus.begin(3, HTTP_UPLOAD_CONCAT="partial", HTTP_UPLOAD_METADATA="")
        unknown = URL + "0" * 8 + "-0000-7000-8000-" + "0" * 12
        for others in (whole, half, unknown):
            response = tus.post(HTTP_UPLOAD_CONCAT=f"final;{done} {others}")
            assert (response.status_code, code(response)) == (409, "not_joinable")
        stranger = Tus(client_for(make_user(Role.CREATOR)))
        assert stranger.post(HTTP_UPLOAD_CONCAT=f"final;{done}").status_code == 409
        assert tus.post(HTTP_UPLOAD_CONCAT=f"final;{done}").status_code == 201
        other = self.parts(tus, b"x")[0]
        assert tus.post(HTTP_UPLOAD_CONCAT=f"final;{done} {other}").status_code == 409
        assert Upload.objects.filter(kind="joined").count() == 1

    def test_a_part_that_is_ended_at_the_same_moment_is_not_left_out(self, tus, media, monkeypatch):
        """Between the look at the parts and their joining; a video would lack its middle."""
        urls = self.parts(tus, b"abc", b"de")
        found = resuming._parts

        def ended(user, ids):
            rows = found(user, ids)
            Upload.objects.filter(pk=rows[1].pk).delete()
            return rows

        wanted = f"final;{urls[0]} {urls[1]}"
        plan = resuming.plan

        def planned(*args):
            upload = plan(*args)
            monkeypatch.setattr(resuming, "_parts", ended)
            return upload

        monkeypatch.setattr(resuming, "plan", planned)
        response = tus.post(HTTP_UPLOAD_CONCAT=wanted)
        assert (response.status_code, code(response)) == (409, "not_joinable")
        assert list(Upload.objects.values_list("kind", "joined")) == [("part", None)] * 2
        assert jobs() == 0

    def test_a_part_is_not_ended_that_was_joined_a_moment_ago(self, tus, media):
        urls = self.parts(tus, b"abc", b"de")
        part = Upload.objects.get(pk=urls[1].rsplit("/")[-1])
        assert tus.post(HTTP_UPLOAD_CONCAT=f"final;{urls[0]} {urls[1]}").status_code == 201
        assert part.joined_id is None  # as the other request has read it
        with pytest.raises(NotJoinable):
            resuming.terminate(part)
        assert completing.complete_interrupted() == 1
        assert Video.objects.get().source.read_bytes() == b"abcde"

    def test_a_joined_file_that_lacks_a_part_is_no_video(self, tus, media):
        """Whatever took the part's row away."""
        urls = self.parts(tus, b"abc", b"de")
        url = tus.post(HTTP_UPLOAD_CONCAT=f"final;{urls[0]} {urls[1]}")["Location"]
        Upload.objects.filter(kind="part", position=1).delete()
        completing.complete_interrupted()
        assert (jobs(), Video.objects.count()) == (0, 0)
        assert tus.head(url).status_code == 410
        assert tus.client.get(url).json()["error"]["code"] == "not_joinable"

    def test_ended_before_it_is_joined(self, tus, media):
        urls = self.parts(tus, b"abc", b"de")
        url = tus.post(HTTP_UPLOAD_CONCAT=f"final;{urls[0]} {urls[1]}")["Location"]
        assert tus.delete(url).status_code == 204
        assert (media.files(), Upload.objects.count(), jobs()) == ([], 0, 0)


class TestDirectWithoutObjectStorage:
    """STORAGE=local. The rest is in `test_direct`, with real servers."""

    def test_it_is_refused_and_says_why(self, tus):
        response = tus.client.post(
            URL, {"filename": "f.mp4", "length": 3}, format="json", HTTP_UPLOAD_MODE="direct"
        )
        assert (response.status_code, code(response)) == (409, "direct_unavailable")
        assert "STORAGE=local" in response.json()["errors"][0]["detail"]
        assert not Upload.objects.exists()

    def test_an_unknown_mode(self, tus):
        response = tus.post(HTTP_UPLOAD_LENGTH="3", HTTP_UPLOAD_MODE="fast")
        assert (response.status_code, code(response)) == (400, "invalid_header")
        assert not Upload.objects.exists()

    def test_an_upload_by_tus_answers_with_its_state(self, tus):
        made = tus.post(HTTP_UPLOAD_LENGTH="3").json()
        assert (made["kind"], made["length"], made["direct"]) == ("whole", 3, None)
        upload = {"id": made["id"]}
        for path, body in (
            ("parts", {"numbers": [1]}),
            ("complete", {"parts": [{"number": 1, "etag": "x"}]}),
        ):
            response = tus.client.post(f"{URL}{upload['id']}/{path}", body, format="json")
            assert (response.status_code, code(response)) == (409, "not_direct")
        assert Upload.objects.get().offset == 0
