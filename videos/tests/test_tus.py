"""tus 1.0.0 at /api/v1/uploads/: each rule of the protocol, and that a refusal changes nothing.

Here Django takes in the bytes itself. `test_tus_served` has the upload application.
"""

import hashlib
from uuid import UUID

import pytest

from accounts.roles import Role
from audit.models import AuditEntry
from config.ids import uuid7
from videos.errors import UploadCut, UploadQuotaExceeded
from videos.models import Upload, Video
from videos.tests.tus_kit import BYTES, URL, Tus, code, jobs, meta, writer_of
from videos.uploads import receiving

pytestmark = pytest.mark.django_db


class TestUpload:
    def test_in_pieces_to_a_new_video(self, tus, creator, media, trail):
        url = tus.begin(10)
        head = tus.head(url)
        assert (head.status_code, head["Upload-Offset"], head["Upload-Length"]) == (200, "0", "10")
        assert (head["Cache-Control"], head["Tus-Resumable"]) == ("no-store", "1.0.0")
        assert head["Upload-Metadata"] == meta(filename="film.mp4", title="A film")

        first = tus.patch(url, 0, b"0123")
        assert (first.status_code, first["Upload-Offset"]) == (204, "4")
        assert tus.offset(url) == 4
        assert not Video.objects.exists()
        last = tus.patch(url, 4, b"456789")

        assert (last.status_code, last["Upload-Offset"]) == (204, "10")
        video = Video.objects.get(pk=last["Video-Id"])
        assert (video.creator, video.title, video.status) == (creator, "A film", "UPLOADED")
        assert (video.source_filename, video.source_size) == ("film.mp4", 10)
        assert video.source_checksum == f"sha256:{hashlib.sha256(b'0123456789').hexdigest()}"
        assert video.source.read_bytes() == b"0123456789"
        assert media.files() == [video.source_path]
        assert trail(video.pk) == ["video.created", "video.uploaded"]
        assert AuditEntry.objects.filter(target_id=str(video.pk), actor_id=creator.pk).count() == 2
        assert jobs() == 1
        assert (tus.offset(url), tus.head(url)["Upload-Length"]) == (10, "10")

    def test_for_a_video_that_is_there(self, tus, creator, make_video, media):
        video = make_video(creator=creator, ready=False)
        url = tus.begin(3, HTTP_UPLOAD_METADATA=meta(filename="f.mp4", video_id=str(video.pk)))
        assert tus.patch(url, 0, b"abc").status_code == 204
        video.refresh_from_db()
        assert (video.status, video.source.read_bytes(), jobs()) == ("UPLOADED", b"abc", 1)
        assert Video.objects.count() == 1

    def test_with_the_creation(self, tus):
        made = tus.post(b"abc", HTTP_UPLOAD_LENGTH="5")
        assert (made.status_code, made["Upload-Offset"]) == (201, "3")
        assert tus.patch(made["Location"], 3, b"de").status_code == 204
        assert Video.objects.get().source.read_bytes() == b"abcde"

    def test_with_a_length_that_is_told_later(self, tus):
        made = tus.post(HTTP_UPLOAD_DEFER_LENGTH="1")
        url = made["Location"]
        assert made["Upload-Defer-Length"] == "1"
        assert tus.patch(url, 0, b"abc")["Upload-Defer-Length"] == "1"
        assert "Upload-Length" not in tus.head(url)
        assert code(tus.patch(url, 3, b"", HTTP_UPLOAD_LENGTH="2")) == "invalid_header"
        assert tus.patch(url, 3, b"de", HTTP_UPLOAD_LENGTH="5").status_code == 204
        assert Video.objects.get().source.read_bytes() == b"abcde"

    def test_the_title_is_the_file_name_if_none_is_sent(self, tus):
        url = tus.begin(1, HTTP_UPLOAD_METADATA=meta(filename="C:\\films\\harbour.mp4"))
        tus.patch(url, 0, b"x")
        video = Video.objects.get()
        assert (video.title, video.source_filename) == ("harbour.mp4", "harbour.mp4")

    def test_a_long_file_name_is_cut_for_the_title(self, tus):
        tus.patch(tus.begin(1, HTTP_UPLOAD_METADATA=meta(filename="ü" * 250)), 0, b"x")
        video = Video.objects.get()
        assert (len(video.title), len(video.source_filename)) == (200, 250)

    def test_a_last_byte_that_is_sent_twice_queues_once(self, tus):
        url = tus.begin(3)
        tus.patch(url, 0, b"abc")
        assert tus.patch(url, 0, b"abc").status_code == 409
        assert tus.patch(url, 3, b"").status_code == 409
        assert (jobs(), Video.objects.count(), tus.offset(url)) == (1, 1, 3)

    def test_its_state_as_json(self, tus):
        url = tus.begin(3)
        body = tus.client.get(url).json()
        assert (body["state"], body["offset"], body["length"], body["error"]) == (
            "open",
            0,
            3,
            None,
        )
        tus.patch(url, 0, b"abc")
        assert tus.client.get(url).json()["state"] == "done"


class TestRefused:
    def test_without_the_protocol_version(self, tus):
        url = tus.begin(3)
        for response in (
            tus.post(tus=False, HTTP_UPLOAD_LENGTH="3"),
            tus.patch(url, 0, b"abc", tus=False),
            tus.client.delete(url),
            tus.patch(url, 0, b"abc", tus=False, HTTP_TUS_RESUMABLE="0.2.2"),
            tus.head(url, HTTP_TUS_RESUMABLE=""),
        ):
            assert (response.status_code, response["Tus-Version"]) == (412, "1.0.0")
        assert (tus.offset(url), Upload.objects.count()) == (0, 1)

    @pytest.mark.parametrize("offset", ["1", "2", "4"])
    def test_bytes_at_another_place(self, tus, offset):
        url = tus.begin(9)
        tus.patch(url, 0, b"abc")
        response = tus.patch(url, offset, b"xyz")
        assert (response.status_code, code(response)) == (409, "offset_mismatch")
        assert tus.offset(url) == 3

    def test_more_bytes_than_the_length(self, tus, media):
        url = tus.begin(3)
        assert tus.patch(url, 0, b"abcd").status_code == 413
        assert tus.offset(url) == 0

    def test_another_content_type(self, tus):
        url = tus.begin(3)
        assert tus.patch(url, 0, b"abc", kind="video/mp4").status_code == 415
        assert tus.offset(url) == 0

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"HTTP_UPLOAD_LENGTH": "-1"},
            {"HTTP_UPLOAD_LENGTH": "1e3"},
            {"HTTP_UPLOAD_LENGTH": "9" * 30},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_DEFER_LENGTH": "1"},
            {"HTTP_UPLOAD_DEFER_LENGTH": "2"},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_METADATA": "title ==="},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_METADATA": "title YQ==,title YQ=="},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_METADATA": "title gIA="},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_METADATA": ""},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_METADATA": meta(title="a\x00b")},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_METADATA": meta(title="x" * 201)},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_METADATA": meta(video_id="1")},
            {"HTTP_UPLOAD_LENGTH": "3", "HTTP_UPLOAD_CONCAT": "whole"},
            {"HTTP_UPLOAD_CONCAT": "final;"},
            {"HTTP_UPLOAD_CONCAT": "final;http://[/x"},
            {"HTTP_UPLOAD_CONCAT": "final;/api/v1/videos/"},
            {"HTTP_UPLOAD_LENGTH": "0"},
        ],
    )
    def test_headers_that_cannot_be_read(self, tus, media, headers):
        response = tus.post(**headers)
        expected = "empty" if headers.get("HTTP_UPLOAD_LENGTH") == "0" else "invalid_header"
        assert (response.status_code, code(response)) == (400, expected)
        assert (Upload.objects.count(), media.files()) == (0, [])

    def test_strangers(self, tus, client_for, viewer, make_user, admin):
        url = tus.begin(3)
        for user, status in ((None, 401), (viewer, 403)):
            other = Tus(client_for(user))
            assert other.post(HTTP_UPLOAD_LENGTH="3").status_code == status
            assert other.patch(url, 0, b"abc").status_code == status
            assert other.head(url).status_code == status
        for user in (make_user(Role.CREATOR), admin):
            other = Tus(client_for(user))
            assert other.patch(url, 0, b"abc").status_code == 404
            assert other.head(url).status_code == 404
            assert other.delete(url).status_code == 404
            assert other.client.get(url).status_code == 404
        assert (tus.offset(url), Upload.objects.count()) == (0, 1)

    def test_a_video_of_another_creator(self, tus, make_video, client_for, admin):
        hidden, seen = make_video(ready=False), make_video()
        for video, status in ((hidden, 404), (seen, 403)):
            metadata = meta(filename="f", video_id=str(video.pk))
            made = tus.post(HTTP_UPLOAD_LENGTH="3", HTTP_UPLOAD_METADATA=metadata)
            assert made.status_code == status
        assert not Upload.objects.exists()
        url = Tus(client_for(admin)).begin(3, HTTP_UPLOAD_METADATA=metadata)
        assert Tus(client_for(admin)).patch(url, 0, b"abc").status_code == 204

    def test_a_file_that_is_too_large(self, tus, settings, media):
        settings.UPLOAD_MAX_BYTES = 10
        response = tus.post(HTTP_UPLOAD_LENGTH="11")
        assert (response.status_code, code(response)) == (413, "too_large")
        url = tus.post(HTTP_UPLOAD_DEFER_LENGTH="1")["Location"]
        assert tus.patch(url, 0, b"x" * 11).status_code == 413
        assert tus.patch(url, 0, b"x", HTTP_UPLOAD_LENGTH="11").status_code == 413
        assert tus.offset(url) == 0

    def test_lengths_told_at_the_same_moment_share_the_quota(self, tus, settings, creator):
        """Of uploads whose length was deferred, whether it is told now or the bytes simply come."""
        settings.UPLOAD_QUOTA_BYTES = 10
        urls = [tus.post(HTTP_UPLOAD_DEFER_LENGTH="1")["Location"] for _ in range(3)]
        first, second, third = (UUID(url.rsplit("/")[-1]) for url in urls)
        headers = {
            "Tus-Resumable": "1.0.0", "Content-Type": BYTES, "Upload-Offset": "0",
            "Content-Length": "6",
        }  # fmt: skip
        under_way = receiving.begin(creator, first, headers)
        assert under_way is not None
        for more in ({}, {"Upload-Length": "6"}):
            with pytest.raises(UploadQuotaExceeded):
                receiving.begin(creator, second, headers | more)
        under_way.stop(UploadCut())
        with pytest.raises(UploadCut):
            under_way.answer()
        under_way.close()
        assert tus.offset(urls[0]) == 0

        told = receiving.begin(creator, third, headers | {"Upload-Length": "8"})
        assert told is not None
        with pytest.raises(UploadQuotaExceeded):
            receiving.begin(creator, second, headers)
        told.close()
        assert (tus.offset(urls[2]), tus.head(urls[2])["Upload-Length"]) == (0, "8")
        assert tus.patch(urls[1], 0, b"ab").status_code == 204

    def test_creations_with_bytes_at_the_same_moment_share_the_quota(
        self, tus, settings, creator, media
    ):
        settings.UPLOAD_QUOTA_BYTES = 10
        headers = {
            "Tus-Resumable": "1.0.0", "Content-Type": BYTES, "Content-Length": "6",
            "Upload-Defer-Length": "1", "Upload-Metadata": meta(filename="f.mp4"),
        }  # fmt: skip
        first, second = (receiving.begin(creator, None, headers) for _ in range(2))
        assert first is not None
        assert second is not None
        for each in (first, second):
            each.feed(b"abcdef")
            each.complete()
        assert first.answer().offset == 6
        with pytest.raises(UploadQuotaExceeded):
            second.answer()
        first.close()
        second.close()
        assert (Upload.objects.count(), len(media.files())) == (1, 1)

    def test_more_than_the_quota(self, tus, settings, client_for, make_user, media):
        settings.UPLOAD_QUOTA_BYTES = 10
        first = tus.begin(6)
        response = tus.post(HTTP_UPLOAD_LENGTH="5")
        assert (response.status_code, code(response)) == (413, "upload_quota_exceeded")
        assert tus.post(b"abcde", HTTP_UPLOAD_LENGTH="5").status_code == 413
        assert (Upload.objects.count(), len(media.files())) == (1, 1)
        later = tus.post(HTTP_UPLOAD_DEFER_LENGTH="1")["Location"]
        assert tus.patch(later, 0, b"abcde").status_code == 413
        assert tus.patch(later, 0, b"a", HTTP_UPLOAD_LENGTH="5").status_code == 413
        assert tus.offset(later) == 0
        assert Tus(client_for(make_user(Role.CREATOR))).begin(10)  # each creator has their own
        tus.delete(first)
        assert tus.patch(later, 0, b"abcde", HTTP_UPLOAD_LENGTH="10").status_code == 204
        assert tus.patch(later, 5, b"fghij").status_code == 204
        assert tus.begin(10)  # what is finished does not count

    def test_a_disk_that_is_nearly_full(self, tus, settings, media):
        settings.STORAGE_RESERVE_BYTES = 10**18
        assert code(tus.post(HTTP_UPLOAD_LENGTH="5")) == "storage_full"
        assert (Upload.objects.count(), media.files()) == (0, [])

    def test_a_creator_with_too_many_videos_in_work(self, tus, settings):
        settings.CREATOR_QUEUE_VIDEOS = 1
        tus.patch(tus.begin(3), 0, b"abc")
        assert code(tus.post(HTTP_UPLOAD_LENGTH="3")) == "quota_exceeded"

    def test_a_second_writer(self, tus):
        url = tus.begin(6)
        writer = writer_of(Upload.objects.get())
        try:
            response = tus.patch(url, 0, b"abc")
            assert (response.status_code, code(response)) == (423, "upload_busy")
            assert tus.delete(url).status_code == 423
            assert tus.offset(url) == 0
        finally:
            writer.close()
        assert tus.patch(url, 0, b"abc").status_code == 204


def test_options_tell_what_is_spoken(client_for, settings, media):
    settings.UPLOAD_MAX_BYTES = 1234
    response = client_for().options(URL)
    assert (response.status_code, response.content) == (204, b"")
    assert response["Tus-Version"] == "1.0.0"
    assert response["Tus-Max-Size"] == "1234"
    assert response["Tus-Checksum-Algorithm"] == "sha1,sha256,md5"
    assert set(response["Tus-Extension"].split(",")) == {
        "creation", "creation-with-upload", "creation-defer-length", "checksum", "expiration",
        "termination", "concatenation",
    }  # fmt: skip


def test_pages_of_other_origins_may_speak_it(tus):
    preflight = tus.client.options(
        URL, HTTP_ORIGIN="https://studio.example", HTTP_ACCESS_CONTROL_REQUEST_METHOD="PATCH"
    )
    allowed = {word.strip() for word in preflight["Access-Control-Allow-Headers"].split(",")}
    assert {
        "tus-resumable", "upload-length", "upload-offset", "upload-metadata", "upload-concat",
        "upload-checksum", "upload-defer-length", "authorization", "content-type",
    } <= allowed  # fmt: skip
    assert {"PATCH", "DELETE", "POST"} <= {*preflight["Access-Control-Allow-Methods"].split(", ")}
    made = tus.post(HTTP_UPLOAD_LENGTH="3", HTTP_ORIGIN="https://studio.example")
    exposed = {word.strip() for word in made["Access-Control-Expose-Headers"].split(",")}
    assert {
        "location", "upload-offset", "upload-length", "upload-expires", "tus-resumable", "video-id",
        "tus-version", "tus-extension", "tus-max-size", "upload-metadata", "upload-concat",
    } <= exposed  # fmt: skip


@pytest.mark.parametrize("method", ["put", "post", "trace", "query"])
def test_a_method_that_uploads_do_not_have_is_refused_whatever_the_version(
    client_for, creator, method
):
    path = f"/api/v1/uploads/{uuid7()}"
    answer = client_for(creator).generic(method.upper(), path)
    assert answer.status_code == 405
